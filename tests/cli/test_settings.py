"""What the options of a training run come to, and the grammar of its values."""

import dataclasses
import json

import pytest

from cnnjax.cli.settings import Settings
from cnnjax.cli.values import VALUES, read_groups, read_metrics, read_value, read_values
from cnnjax.data.augment import (
    CutMix,
    Cutout,
    HorizontalFlip,
    MixUp,
    Normalize,
    OneOf,
    RandomCrop,
    RandomErasing,
)
from cnnjax.errors import BadArgument, Failed
from cnnjax.train import (
    EMA,
    RECIPES,
    SGD,
    AdamW,
    BinaryCrossEntropy,
    CrammerSinger,
    Focal,
    Group,
    Hyper,
    OneCycle,
    PerClassAccuracy,
    Recipe,
    Steps,
    TopK,
)
from cnnjax.train.optimizers import everything


@pytest.mark.parametrize("loss", VALUES["loss"])
def test_a_loss_alone_trains_without_what_it_has_no_meaning_for(loss):
    """The default recipe smooths labels; that was nobody's wish where the loss is a margin."""
    assert RECIPES["default"].hyper.label_smoothing > 0
    recipe, hyper = Settings(loss=loss).chosen()
    usual = RECIPES["default"].hyper.label_smoothing
    assert recipe.loss == VALUES["loss"][loss]()
    assert hyper.label_smoothing == (usual if loss == "cross_entropy" else 0)
    assert Settings(loss=loss, label_smoothing=0.3).chosen()[1].label_smoothing == 0.3
    assert hyper.learning_rate == RECIPES["default"].hyper.learning_rate


# For every value that a command line can write: its fields, each with another value than usual.
WRITTEN = {
    "augment": {
        "crop:padding=3,flip": (RandomCrop(3), HorizontalFlip()),
        "flip,crop": (HorizontalFlip(), RandomCrop()),
        "crop, flip, normalize, cutout:size=5": (
            RandomCrop(),
            HorizontalFlip(),
            Normalize(),
            Cutout(5),
        ),
        "mixup:alpha=0.4": (MixUp(0.4),),
        "erase:scale=(0.1,0.2),noise=True": (RandomErasing(scale=(0.1, 0.2), noise=True),),
        "one_of:choices=(mixup:alpha=0.8,cutmix),weights=(1,2)": (
            OneOf((MixUp(0.8), CutMix()), (1, 2)),
        ),
        "": (),
    },
    "loss": {
        "binary:threshold=0.2": BinaryCrossEntropy(0.2),
        "focal:gamma=1": Focal(1),
        "crammer_singer:squared=True": CrammerSinger(squared=True),
    },
    "optimizer": {
        "sgd:nesterov=False,decay=everything": SGD(nesterov=False, decay=everything),
        "sgd:decay=everything": SGD(decay=everything),
        "adamw:clip_norm=1": AdamW(clip_norm=1),
    },
    "schedule": {
        "onecycle:warmup=0.5": OneCycle(warmup=0.5),
        "steps:at=(0.25, 0.75),factor=0.2": Steps(at=(0.25, 0.75), factor=0.2),
        "steps:factor=0,at=(0.25,)": Steps(at=(0.25,), factor=0),
    },
    "average": {"ema:decay=0.5": EMA(0.5)},
    "metrics": {
        "top5=top_k:k=5,recall=per_class,top2=top_k:k=2": (
            ("recall", PerClassAccuracy()),
            ("top2", TopK(2)),
            ("top5", TopK(5)),
        )
    },
    "groups": {
        "head/*=1,*/bias=0.5,*=backbone_rate": (
            Group("head/*", 1),
            Group("*/bias", 0.5),
            Group("*", "backbone_rate"),
        )
    },
}


@pytest.mark.parametrize(
    ("field", "text"), [(field, text) for field, texts in WRITTEN.items() for text in texts]
)
def test_values_are_read_as_they_are_written(field, text):
    assert getattr(Settings(**{field: text}).chosen()[0], field) == WRITTEN[field][text]


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        ("loss", "softmaxx", "loss: unknown name 'softmaxx'"),
        ("loss", "", "loss: received '', allowed: one of cross_entropy"),
        ("loss", "cross_entropy,one_vs_all", "loss: received .*allowed: one of"),
        ("loss", "crammer_singer:square=True", r"loss: crammer_singer: unknown name 'square'; did"),
        ("loss", "crammer_singer:squared=yes", "squared is 'yes', allowed: True, False"),
        ("loss", "cross_entropy:", "loss: received 'cross_entropy:', allowed: NAME"),
        ("loss", "cross_entropy:a=1", "cross_entropy has no fields, received 'a'"),
        (
            "loss",
            "cross_entropy:a",
            "loss: received 'a' in 'cross_entropy:a', allowed: field=value",
        ),
        ("augment", "crop:padding=x", "padding: received 'x', allowed: integers"),
        ("augment", "crop:padding=-1", "padding: received -1"),
        ("augment", "a=crop", "augment: received 'a=crop', allowed: NAME"),
        ("augment", "crop:padding=2,paddin=3", "augment: crop: unknown name 'paddin'; did you"),
        ("schedule", "onecycle:warmup=x", "warmup is 'x', allowed: a number"),
        ("schedule", "steps:at=0.5", "at: received 0.5, allowed: a tuple"),
        ("optimizer", "sgd:decay=kernel", "optimizer: sgd: decay: unknown name 'kernel'; did you"),
    ],
)
def test_what_is_mistyped_is_said(read, text, words):
    with pytest.raises(BadArgument, match=words):
        (read_values if read == "augment" else read_value)(read, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("top_k:k=5", "metrics: received 'top_k:k=5', allowed: LABEL=NAME"),
        ("a=top_k,a=per_class", "'a' stands twice"),
        ("a=topk", "metrics: unknown name 'topk'; did you mean 'top_k'"),
    ],
)
def test_what_is_mistyped_of_metrics_is_said(text, words):
    with pytest.raises(BadArgument, match=words):
        read_metrics(text)


def test_what_is_mistyped_of_groups_is_said():
    with pytest.raises(BadArgument, match=r"groups: received 'head/\*', allowed: PATTERN=RATE"):
        read_groups("head/*")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_s_file_gives_the_recipe(tmp_path, name):
    recipe, hyper = RECIPES[name]
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({"recipe": recipe.to_dict(), "hyper": hyper.to_dict(), "more": 1}))
    assert Settings(recipe=str(path)).chosen() == (recipe, hyper)
    changed = Settings(recipe=str(path), epochs=3, momentum=0.5).chosen()
    assert changed == (
        dataclasses.replace(recipe, epochs=3),
        dataclasses.replace(hyper, momentum=0.5),
    )


def test_files_without_a_recipe_are_refused(tmp_path):
    path = tmp_path / "other.json"
    for text, words in (("{}", "has none"), ('{"recipe": 3}', "has none")):
        path.write_text(text)
        with pytest.raises(BadArgument, match=words):
            Settings(recipe=str(path)).chosen()
    path.write_text("{")
    with pytest.raises(Failed, match="damaged"):
        Settings(recipe=str(path)).chosen()
    with pytest.raises(BadArgument, match="recipe: "):
        Settings(recipe=str(tmp_path / "absent.json")).chosen()
    path.write_text(json.dumps({"recipe": {"epoch": 3}}))
    with pytest.raises(BadArgument, match="did you mean 'epochs'"):
        Settings(recipe=str(path)).chosen()


def test_there_is_an_option_for_every_field_of_a_recipe_and_every_scalar():
    names = {field.name for cls in (Recipe, Hyper) for field in dataclasses.fields(cls)}
    assert {field.name for field in dataclasses.fields(Settings)} == names | {"recipe"}
