"""How arguments are read: paths of a user's home, and every example of every help text."""

import dataclasses
import functools
import importlib
import inspect
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import pytest
import tyro

from cnnjax import cli
from cnnjax.cli import arguments, main, settings, summary
from cnnjax.cli.images import Images
from cnnjax.compare import parse_contestants
from cnnjax.data.augment import HorizontalFlip
from cnnjax.errors import BadArgument
from cnnjax.models import build, facts_of
from cnnjax.train import RECIPES, Adam

SHAPES = {"mnist5k": (28, 28, 1), "digits": (8, 8, 1), "cifar10": (32, 32, 3)}
SHAPES["folder:photographs"] = (None, None, 3)  # whatever they are resized to


@pytest.fixture(autouse=True)
def _plain(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("COLUMNS", raising=False)


def parsed(function, *texts):
    return tyro.cli(function, args=texts, registry=arguments.REGISTRY)


def paths(
    images: Annotated[tuple[Path, ...], tyro.conf.Positional] = (),
    out: Path = Path("usual"),
    data_dir: Annotated[Path | None, arguments.option("DIR")] = None,
) -> tuple[tuple[Path, ...], Path, Path | None]:
    """Return them."""
    return images, out, data_dir


def test_a_home_is_found_however_it_is_written(tmp_path):
    assert parsed(paths) == ((), Path("usual"), None)
    given = parsed(paths, "~/a.png", "b.png", "--out=~/runs", "--data-dir", "~")
    assert given == ((tmp_path / "a.png", Path("b.png")), tmp_path / "runs", tmp_path)
    assert parsed(paths, "--out", "a~b/~")[1] == Path("a~b/~")


@pytest.mark.parametrize("text", ["", "a\0b", "~nobody-of-that-name/x"])
def test_what_is_no_path_is_refused(text, capsys):
    for texts in (["--out", text], ["--data-dir", text], [text]):
        with pytest.raises(SystemExit) as stop:
            parsed(paths, *texts)
        assert stop.value.code == 2
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        arguments.user_path(text)
    assert capsys.readouterr().err.count("Error parsing --out") == 1


def commands():
    """Yield name and function of every command and subcommand."""
    for name in cli.COMMANDS:
        command = getattr(importlib.import_module(f"cnnjax.cli.{name}"), name)
        if isinstance(command, Mapping):
            yield from ((f"{name} {key}", function) for key, function in command.items())
        else:
            yield name, command


COMMANDS = dict(commands())


def is_path(name):
    return name in ("out", "data_dir", "image", "images", "reference", "torch")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_path_is_declared_as_one(name):
    shared = inspect.signature(Images, eval_str=True).parameters.values()
    own = inspect.signature(COMMANDS[name], eval_str=True).parameters.values()
    for parameter in (*own, *shared):
        if is_path(parameter.name):
            assert "Path" in str(parameter.annotation), parameter


def examples():
    """Yield every example of every help text, without its `cnnjax`."""
    yield from cli._EXAMPLES
    for name, command in COMMANDS.items():
        found = re.findall(r"Example: (cnnjax [^\n]*(?:\n[^\n]+)*)", inspect.getdoc(command))
        assert len(found) == 1, f"{name} has no example"
        yield " ".join(found[0].split())


@pytest.mark.parametrize("example", list(examples()))
def test_every_example_is_read_and_fits(example, monkeypatch):
    program, name, *texts = shlex.split(example)
    assert program == "cnnjax"
    module = importlib.import_module(f"cnnjax.cli.{name}")
    command, key = getattr(module, name), name
    if isinstance(command, Mapping):
        key, texts = texts[0], texts[1:]
        command = command[key]
    given = {}

    @functools.wraps(command)
    def record(*values, **named):
        given.update(inspect.signature(command).bind(*values, **named).arguments)

    tyro.cli(
        record, args=texts, registry=arguments.REGISTRY, config=(tyro.conf.FlagCreatePairsOff,)
    )
    given.get("settings", settings.Settings()).chosen()
    if (name, key) == ("data", "list"):
        return
    first = next(iter(given.values()))
    networks = first if isinstance(first, tuple) else (first,)
    if name == "models":
        assert main([name, *texts, "--json"]) == 0
        return
    if name == "data":
        assert first in SHAPES
        return
    for contestant in parse_contestants(networks):
        fields = {"spec": given["spec"]} if given.get("spec") else {}
        model = build(contestant.model, **contestant.fields, **fields)
        facts = facts_of(contestant.model)
        shape = (
            SHAPES[given["data"]]
            if "data" in given
            else (facts.input_size,) * 2 + (facts.channels,)
        )
        if given.get("resize"):
            shape = (int(given["resize"]),) * 2 + shape[2:]
        if given.get("input_size"):
            shape = summary.image_shape(contestant.model, given["input_size"])
        images = jax.ShapeDtypeStruct((2, *shape), np.float32)
        jax.eval_shape(
            lambda key, x, m=model: m.init(key, x, train=False), jax.random.key(0), images
        )


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_of_that_name_with_what_was_given(name):
    assert settings.Settings(recipe=name).chosen() == RECIPES[name]
    recipe, hyper = settings.Settings(
        recipe=name, epochs=3, optimizer="adam", augment="flip", learning_rate=0.25, momentum=0.5
    ).chosen()
    named = RECIPES[name]
    assert (recipe.epochs, recipe.optimizer, recipe.augment) == (3, Adam(), (HorizontalFlip(),))
    assert (recipe.batch_size, recipe.schedule) == (named.recipe.batch_size, named.recipe.schedule)
    assert (hyper.learning_rate, hyper.momentum) == (0.25, 0.5)
    assert hyper.weight_decay == named.hyper.weight_decay


def test_smoothing_of_a_recipe_goes_with_its_loss():
    assert settings.Settings().chosen()[1].label_smoothing == 0.1
    assert settings.Settings(loss="cross_entropy").chosen()[1].label_smoothing == 0.1
    assert settings.Settings(loss="crammer_singer").chosen()[1].label_smoothing == 0
    given = settings.Settings(loss="crammer_singer", label_smoothing=0.2).chosen()
    assert given[1].label_smoothing == 0.2


def test_settings_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.Settings().epochs = 3  # the default of several commands is one object


def test_unknown_recipe():
    with pytest.raises(BadArgument, match="recipe: unknown name 'cifar'; did you mean 'cifar10'"):
        settings.Settings(recipe="cifar").chosen()


HUGE = ["10000000000", "100000000000000000000", "-1"]


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize(
    "call",
    [
        "train cnn --data digits --out x --seed",
        "train cnn --data digits --out x --epochs",
        "train cnn --data digits --out x --batch-size",
        "train cnn --data digits --out x --augment crop:padding=",
        "train cnn --data digits --out x --augment cutout:size=",
        "train cnn --data digits --out x --resize",
        "compare lenet5 --data digits --out x --seeds",
        "compare lenet5 --data digits --out x --resize",
        "bench lenet5 --batch",
        "bench lenet5 --image-size",
        "bench lenet5 --repeats",
        "bench lenet5 --scan",
        "bench lenet5 --seeds",
        "summary lenet5 --channels",
        "summary lenet5 --depth",
        "summary lenet5 --input-size",
    ],
)
def test_numbers_that_nobody_means_are_refused(call, value, capsys, monkeypatch, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    words = call.split()
    words = [*words[:-1], words[-1] + value] if call.endswith("=") else [*words, value]
    assert main(words) == 2
    name = re.split("[:=]", call.split()[-1].rstrip("="))[-1].removeprefix("--").replace("-", "_")
    error = capsys.readouterr().err
    assert f"{name}: received" in error
    assert value in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()
