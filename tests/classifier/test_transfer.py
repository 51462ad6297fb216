import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import linen as nn

import cnnjax
from cnnjax.classifier import Classifier, features, load
from cnnjax.classifier import retraining as module
from cnnjax.classifier.probe import Probe
from cnnjax.data import Dataset, Preprocessing, Subset, split_off
from cnnjax.errors import BadArgument, Failed
from cnnjax.report.transfer import proportion, write_transfer_report
from cnnjax.train import SGD, Group, Hyper, Recipe, evaluate, norms_frozen

SPEC = "conv6-bn-relu-pool-conv8-bn-relu-gap"
RECIPE = Recipe(epochs=2, batch_size=20, optimizer=SGD())
RATES = (Hyper(learning_rate=0.05, backbone_rate=0.3), Hyper(learning_rate=0.2, backbone_rate=0.3))


def a_set(seed, number, split="train"):
    """Of three classes that differ in where they are bright."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 3
    images = rng.integers(0, 120, (number, 8, 8, 3))
    for index, label in enumerate(labels):
        images[index, 2 * label : 2 * label + 3, :, label] += 100
    return Dataset("bright", split, images.astype(np.uint8), labels, ("red", "green", "blue"))


TRAIN, TEST = a_set(0, 90), a_set(1, 45, "test")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network that was trained for other classes."""
    directory = tmp_path_factory.mktemp("weights")
    model = cnnjax.build("cnn", spec=SPEC, num_classes=4)
    images = np.zeros((1, 8, 8, 3), np.float32)
    variables = jax.jit(lambda k: model.init(k, images, train=False))(jax.random.key(0))
    how = Preprocessing(8, 8, 1.0, "bilinear", (0.4, 0.4, 0.4), (0.2, 0.2, 0.2))
    Classifier(model, variables, how, ("a", "b", "c", "d"), "cnn").save(directory)
    return directory


def transferred(weights, out, **changes):
    given = {"recipe": RECIPE, "candidates": RATES, "weights": weights, "say": lambda line: None}
    return cnnjax.transfer("cnn", TRAIN, TEST, out=out, **{**given, **changes})


def test_it_leaves_a_classifier_that_is_as_good_as_it_says(weights, tmp_path):
    done = transferred(weights, tmp_path, seeds=2)
    found = done.results
    again = load(tmp_path)
    assert again.class_names == ("red", "green", "blue")
    mean, std = again.normalization
    scored = evaluate(again.model, again.variables, TEST, mean=mean, std=std)
    assert found["runs"][0]["accuracy"] == pytest.approx(scored["accuracy"])
    assert found["runs"][0]["loss"] == pytest.approx(scored["loss"], rel=1e-4)
    assert (done.logits.argmax(axis=1) == TEST.labels).mean() == pytest.approx(scored["accuracy"])
    assert scored["accuracy"] > 0.9
    # Chosen by the held-out images: the most accurate, of equals the one with the smaller loss.
    order = [(-each["accuracy"], each["loss"]) for each in found["tried"]]
    assert found["chosen"] == order.index(min(order))
    assert [each["method"] for each in found["tried"]] == ["probe", "fine-tuned", "fine-tuned"]
    assert found["images"] == {"train": 90, "held_out": 18, "test": 45}
    if found["chosen"]:
        assert [run["seed"] for run in found["runs"]] == [0, 1]
    assert json.loads((tmp_path / "results.json").read_text())["found"] == found


def test_the_probe_alone(weights, tmp_path):
    """Its figures are those of the network with the probe as its head, on the same images."""
    done = transferred(weights, tmp_path, candidates=())
    (probe,) = done.results["tried"]
    begun = load(weights)
    mean, std = begun.normalization
    # The backbone stayed to the bit; the head is new.
    for name, leaves in begun.variables["params"].items():
        kept = done.classifier.variables["params"][name]
        if name != "classifier":
            jax.tree.map(np.testing.assert_array_equal, leaves, kept)
    jax.tree.map(
        np.testing.assert_array_equal,
        begun.variables["batch_stats"],
        done.classifier.variables["batch_stats"],
    )
    scored = evaluate(
        begun.model.clone(num_classes=3), done.classifier.variables, TEST, mean=mean, std=std
    )
    assert done.results["runs"][0]["accuracy"] == pytest.approx(scored["accuracy"])
    penalties = json.loads((tmp_path / "results.json").read_text())["computed"]["probe"]["result"]
    assert len(penalties["penalties"]) == 7
    assert probe["accuracy"] == max(each["accuracy"] for each in penalties["penalties"])
    assert 0 <= done.results["neighbors"]["accuracy"] <= 1


def test_norms_keep_their_statistics_and_the_rest_learns(weights, tmp_path, monkeypatch):
    """Of a fine-tuned network: its probe is made useless, so that it is not chosen."""
    useless = lambda features, labels, classes, penalty: Probe(
        np.zeros((features.shape[1], classes), np.float32), np.zeros(classes, np.float32), penalty
    )
    monkeypatch.setattr(module, "fit_probe", useless)
    done = transferred(weights, tmp_path, candidates=RATES[:1])
    assert done.results["chosen"] == 1
    begun = load(weights)
    now = done.classifier.variables
    jax.tree.map(np.testing.assert_array_equal, begun.variables["batch_stats"], now["batch_stats"])
    for name, leaves in begun.variables["params"].items():
        same = all(np.array_equal(leaves[n], now["params"][name][n]) for n in leaves)
        assert same == ("bn" in name)


def test_what_diverges_is_told_and_never_chosen(weights, tmp_path, monkeypatch):
    """Nor where nothing else can be, and two that diverged are equally bad."""
    wild = (Hyper(learning_rate=1e30, backbone_rate=1.0),) * 2
    done = transferred(weights, tmp_path / "probe", candidates=wild)
    assert done.results["chosen"] == 0
    assert ["the loss is" in (each["failure"] or "") for each in done.results["tried"]] == [
        False,
        True,
        True,
    ]

    def refuse(*arguments):
        raise BadArgument("head: two of them")

    monkeypatch.setattr(module, "with_head", refuse)
    with pytest.raises(Failed, match="no fine-tuning ended well"):
        transferred(weights, tmp_path / "none", candidates=wild)


def test_called_again_it_trains_nothing_again(weights, tmp_path, monkeypatch):
    """Interrupted at each training in turn, it ends as one that was not."""
    whole = transferred(weights, tmp_path / "whole")
    inner, calls = module.fit, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) in (1, 3):
            raise KeyboardInterrupt
        return inner(*arguments, **options)

    monkeypatch.setattr(module, "fit", interrupted)
    out = tmp_path / "part"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            transferred(weights, out)
    done = transferred(weights, out)
    jax.tree.map(
        np.testing.assert_array_equal, done.classifier.variables, whole.classifier.variables
    )
    trained = len(calls)
    last = transferred(weights, out)
    assert len(calls) == trained
    np.testing.assert_array_equal(last.logits, done.logits)
    with pytest.raises(BadArgument, match=r"other settings: its seeds is 1, not 2"):
        transferred(weights, out, seeds=2)


def test_minutes_decide_how_much_is_tried(weights, tmp_path, monkeypatch):
    """By a clock of our own: a forward pass over the 72 images takes as long as it is told."""
    for seconds, minutes, tried in ((0.1, 30, 3), (20, 8, 2), (100, 3, 1)):
        now = [0.0]
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])  # noqa: B023

        def of(*arguments, _inner=features.features_of, _s=seconds, _now=now, **options):
            _now[0] += _s
            return _inner(*arguments, **options)

        monkeypatch.setattr(module, "features_of", of)
        done = transferred(weights, tmp_path / str(minutes), minutes=minutes)
        assert len(done.results["tried"]) == tried


def test_the_report_says_what_was_found(weights, tmp_path):
    done = transferred(weights, tmp_path)
    wrong = done.logits.copy()
    wrong[:3] = np.roll(wrong[:3], 1, axis=1)  # three mistakes to show
    done = dataclasses.replace(done, logits=wrong)
    page = write_transfer_report(tmp_path, done, TEST).read_text()
    accuracy = done.results["runs"][0]["accuracy"]
    low, high = proportion(accuracy, 45)
    assert f"{100 * accuracy:.1f} % right on images it never saw" in page
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in page
    mistakes = (wrong.argmax(axis=1) != TEST.labels).sum()
    assert page.count("taken for") - 1 == mistakes  # and once as a heading
    assert page.count("What spoke for") == mistakes
    assert f"cnnjax predict cnn FILE --weights {tmp_path}" in page
    for name in TEST.class_names:
        assert name in page


def test_wilsons_interval_is_that_of_the_formula():
    n, p, z = 50, 0.9, 1.959964
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert proportion(p, n) == pytest.approx((center - half, center + half), abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"minutes": 0}, "minutes: received 0"),
        ({"seeds": 0}, "seeds: received 0"),
        ({"candidates": (0.1,)}, r"candidates\[0\]: received 0.1, allowed: a Hyper"),
        ({"validation": 1.5}, "fraction: received 1.5"),
    ],
)
def test_wrong_arguments_leave_nothing(weights, tmp_path, changes, words):
    with pytest.raises(BadArgument, match=words):
        transferred(weights, tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()


def test_sets_that_do_not_fit_are_refused(weights, tmp_path):
    others = Dataset("o", "test", TEST.images, TEST.labels, ("a", "b", "c"))
    small = Dataset("o", "test", TEST.images[:, :6], TEST.labels, TEST.class_names)
    for wrong, words in ((others, "other classes"), (small, r"images \[6, 8, 3\]")):
        with pytest.raises(BadArgument, match=f"test_set: .*{words}"):
            cnnjax.transfer("cnn", TRAIN, wrong, out=tmp_path, weights=weights)


def test_features_are_computed_once_and_damaged_ones_anew(weights, tmp_path, monkeypatch):
    classifier = load(weights)
    found = features.features_of(classifier, TEST, cache=tmp_path, batch_size=8)
    np.testing.assert_allclose(found, classifier.features(TEST.images), rtol=1e-5, atol=1e-6)
    calls = []
    inner = Classifier.features
    monkeypatch.setattr(Classifier, "features", lambda *a: calls.append(1) or inner(*a))
    np.testing.assert_array_equal(features.features_of(classifier, TEST, cache=tmp_path), found)
    assert not calls
    half = Subset(TEST, np.arange(20))  # other images have a file of their own
    np.testing.assert_allclose(
        features.features_of(classifier, half, cache=tmp_path), found[:20], rtol=1e-5, atol=1e-6
    )
    assert calls
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-40])
    calls.clear()
    again = features.features_of(classifier, TEST, cache=tmp_path)
    np.testing.assert_allclose(again, found, rtol=1e-5, atol=1e-6)
    assert calls
    gray = Dataset("g", "test", TEST.images[..., :1], TEST.labels, TEST.class_names)
    with pytest.raises(BadArgument, match=r"source: images \[8, 8, 1\], allowed: \[8, 8, 3\]"):
        features.features_of(classifier, gray)


def test_groups_that_freeze_norms_name_those_with_statistics():
    class Mine(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            x = nn.BatchNorm(use_running_average=not train, name="plain")(x)
            x = nn.BatchNorm(
                use_running_average=not train, use_bias=False, use_scale=False, name="bare"
            )(x)
            return nn.LayerNorm(name="layer")(nn.Dense(3)(x))

    variables = Mine().init(jax.random.key(0), np.zeros((1, 4)), train=False)
    assert norms_frozen(variables) == (Group("plain/*", 0.0),)
    nested = cnnjax.build("resnet8_cifar", num_classes=3)
    shapes = jax.eval_shape(
        lambda x: nested.init(jax.random.key(0), x, train=False), np.zeros((1, 32, 32, 3), "f4")
    )
    patterns = {group.pattern for group in norms_frozen(shapes)}
    assert len(patterns) == len(
        {path[:-1] for path, _ in jax.tree_util.tree_flatten_with_path(shapes["batch_stats"])[0]}
    )
    assert all(group.rate == 0 for group in norms_frozen(shapes))


def test_a_network_that_takes_no_probe_is_fine_tuned_or_refused(weights, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise BadArgument("head: two of them")

    monkeypatch.setattr(module, "with_head", refuse)
    done = transferred(weights, tmp_path / "tuned", candidates=RATES[:1])
    assert done.results["chosen"] == 1
    with pytest.raises(Failed, match="its head is not one linear layer"):
        transferred(weights, tmp_path / "probe", candidates=())


def test_held_out_images_are_never_trained_on(weights, tmp_path, monkeypatch):
    seen, inner = [], module.fit

    def fit(model, source, *arguments, validation=None, **options):
        seen.append((len(source), None if validation is None else len(validation)))
        return inner(model, source, *arguments, validation=validation, **options)

    monkeypatch.setattr(module, "fit", fit)
    transferred(weights, tmp_path)
    fit_set, held_out = split_off(TRAIN, 0.2, 0)
    assert seen[:2] == [(len(fit_set), len(held_out))] * 2
    assert seen[2:] in ([], [(90, None)])
