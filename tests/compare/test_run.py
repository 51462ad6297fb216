import contextlib
import dataclasses
import itertools
import math
import os

import jax
import numpy as np
import pytest
from flax import linen as nn

from cnnjax.compare import (
    Contestant,
    compare,
    parse_contestant,
    parse_contestants,
    read_results,
)
from cnnjax.compare import run as module
from cnnjax.compare.results import ResultsDirectory
from cnnjax.data import Dataset, split_off
from cnnjax.errors import BadArgument, Failed
from cnnjax.models import build
from cnnjax.report import write_report
from cnnjax.train import Hyper, Recipe, evaluate, programs

RECIPE = Recipe(epochs=2, batch_size=8)
HYPER = Hyper(learning_rate=0.05)
NETWORKS = ("conv=cnn:spec=conv2-relu-gap", "linear=cnn:spec=fc3")
TIMES = ("seconds", "images_per_second", "train_seconds", "compile_seconds", "finished")


class Killed(BaseException):
    """What ends the process here."""


def toy(split, size):
    random = np.random.default_rng(size)
    labels = (np.arange(size) % 3).astype(np.int32)
    noise = random.integers(0, 128, (size, 6, 6, 1))
    return Dataset("toy", split, (noise + 60 * labels[:, None, None, None]).astype(np.uint8),
                   labels, ("a", "b", "c"))  # fmt: skip


TRAIN, TEST = toy("train", 30), toy("test", 12)


def run(out, networks=NETWORKS, seeds=(0, 1), recipe=RECIPE, hyper=HYPER, **options):
    options = {"validation": 0.2, "command": "again", **options}
    contestants = parse_contestants(networks)
    return compare(contestants, TRAIN, TEST, recipe, hyper, seeds=seeds, out=out, **options)


def timeless(value):
    """Return results without what a clock measured."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


RUNS = {}
"""What `fit` returned for the runs of `whole`, by spec and seed."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Results that nothing interrupted."""
    out, fit = tmp_path_factory.mktemp("whole"), module.fit

    def keeping(model, *arguments, **options):
        found = fit(model, *arguments, **options)
        RUNS[model.spec, int(jax.random.key_data(arguments[4])[1])] = found
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit", keeping)
        run(out)
    return out


@pytest.fixture
def remembered(whole, monkeypatch):
    """`fit` gives back the runs of `whole`, at once."""
    seed_of = lambda key: int(jax.random.key_data(key)[1])
    monkeypatch.setattr(module, "fit", lambda model, *a, **options: RUNS[model.spec, seed_of(a[4])])
    origin = {**module.here(), "commit": None}
    monkeypatch.setattr(module, "here", lambda: origin)  # asks git, three times a call


@pytest.fixture
def trained(monkeypatch):
    """The runs that were given to `fit`, as (spec, key)."""
    calls, fit = [], module.fit

    def counted(model, *arguments, **options):
        calls.append((model.spec, jax.random.key_data(arguments[4]).tolist()))
        return fit(model, *arguments, **options)

    monkeypatch.setattr(module, "fit", counted)
    return calls


def test_every_run_has_its_entry(whole):
    results = read_results(whole)
    assert [(r["network"], r["seed"]) for r in results["runs"]] == [
        ("conv", 0), ("conv", 1), ("linear", 0), ("linear", 1),
    ]  # fmt: skip
    assert results["recipe"] == RECIPE.to_dict()
    assert results["hyper"] == HYPER.to_dict()
    assert results["data"]["sizes"] == {"train": 24, "validation": 6, "test": 12}
    assert results["command"] == "again"
    assert not results["failures"]
    for entry in results["runs"]:
        assert 0 <= entry["test_accuracy"] <= 1
        assert len(entry["history"]) == 2
        assert {"train_loss", "validation_accuracy"} <= set(entry["history"][0])
        assert {"versions", "commit", "hardware", "train_seconds"} <= set(entry)
        assert entry["parameters"] > 0
        assert entry["multiply_adds"] > 0


def test_one_compilation_serves_all_seeds(tmp_path):
    run(tmp_path, networks=NETWORKS[:1], seeds=[7])
    compiled = programs._compile.cache_info().misses
    run(tmp_path, networks=NETWORKS[:1], seeds=[8, 9])
    assert programs._compile.cache_info().misses == compiled


def test_arrays_agree_with_the_entry(whole):
    results = read_results(whole)
    directory = ResultsDirectory(whole, results)
    for entry in results["runs"]:
        arrays = directory.arrays(entry)
        assert (arrays["predicted"] == TEST.labels).mean() == pytest.approx(entry["test_accuracy"])
        assert ((arrays["confidence"] > 1 / 3) & (arrays["confidence"] <= 1)).all()
        assert ("filters_after" in arrays) == (entry["network"] == "conv")
    filters = directory.arrays(results["runs"][0])
    assert filters["filters_before"].shape == filters["filters_after"].shape == (3, 3, 1, 2)
    assert (filters["filters_before"] != filters["filters_after"]).any()


def test_filters_are_those_of_the_run(tmp_path, monkeypatch):
    kept, fit = [], module.fit

    def keeping(*arguments, **options):
        kept.append(fit(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr(module, "fit", keeping)
    still = Hyper(learning_rate=0.0)  # trained without moving: before equals after
    results = run(tmp_path, networks=NETWORKS[:1], seeds=[3], hyper=still)
    arrays = ResultsDirectory(tmp_path, results).arrays(results["runs"][0])
    np.testing.assert_array_equal(arrays["filters_before"], arrays["filters_after"])
    kernel = kept[0].variables["params"]["0.conv2"]["kernel"]
    np.testing.assert_array_equal(arrays["filters_after"], kernel)
    model = parse_contestants(NETWORKS[:1])[0].build(3)
    again = evaluate(model, kept[0].variables, TEST, mean=kept[0].mean, std=kept[0].std)
    assert again["accuracy"] == results["runs"][0]["test_accuracy"]


def test_called_again_it_trains_nothing(whole, trained):
    before = (whole / "results.json").read_bytes()
    run(whole)
    assert trained == []
    assert (whole / "results.json").read_bytes() == before


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_interrupted_while_training(tmp_path, whole, trained, monkeypatch, epoch):
    epochs = []

    @contextlib.contextmanager
    def interrupting(name):
        def progress(report):
            if report.finished is not None:
                epochs.append(name)
                if len(epochs) == epoch:
                    raise KeyboardInterrupt

        yield progress

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, show_run=interrupting)
    finished = len(read_results(tmp_path)["runs"])
    assert finished == epoch // 2
    run(tmp_path, show_run=interrupting)
    # Every epoch of every run was trained once, and only the run under way was taken up again.
    assert len(epochs) == 4 * RECIPE.epochs
    assert len(trained) == 5
    assert trained[finished] == trained[finished + 1]
    assert timeless(read_results(tmp_path)) == timeless(read_results(whole))


def crash_at(monkeypatch, name, number, error, *, after):
    """Let a function of `os` end the process at its call of that number, or after it."""
    original, calls = getattr(os, name), itertools.count()

    def crashing(*arguments, **options):
        last = next(calls) == number
        if last and not after:
            raise error
        result = original(*arguments, **options)
        if last:
            raise error
        return result

    monkeypatch.setattr(os, name, crashing)


@pytest.mark.parametrize(
    ("name", "error", "after"),
    [("fsync", OSError("disk full"), False), ("replace", Killed(), False),
     ("replace", Killed(), True)],
)  # fmt: skip
def test_a_crash_at_any_write_loses_nothing(tmp_path, whole, remembered, name, error, after):
    """The directory reads back, and the same call ends as if nothing had happened."""
    expected = ResultsDirectory(whole, read_results(whole))
    wanted = timeless(expected.results)
    for number in itertools.count():
        out, crashed = tmp_path / str(number), False
        with pytest.MonkeyPatch.context() as patch:
            crash_at(patch, name, number, error, after=after)
            try:
                run(out, networks=NETWORKS[:1])
            except (Killed, Failed):
                crashed = True
        if (out / "results.json").exists():
            left = ResultsDirectory(out, read_results(out))
            for entry in left.results["runs"]:
                left.arrays(entry)
        else:
            assert (number, after) == (0, False)
        run(out, networks=NETWORKS[:1])
        found = ResultsDirectory(out, read_results(out))
        keep = lambda entry: {k: v for k, v in timeless(entry).items() if k != "commit"}
        assert list(map(keep, found.results["runs"])) == list(map(keep, wanted["runs"][:2]))
        for entry in found.results["runs"]:
            file = (out / entry["arrays"]).read_bytes()
            assert file == (whole / entry["arrays"]).read_bytes()
        if not crashed:
            break
    assert number == 5  # the beginning; arrays and entry of two runs


@pytest.mark.parametrize("point", ["_arrays", "fit"])
def test_killed_between_two_writes(tmp_path, whole, monkeypatch, point):
    original, calls = getattr(module, point), []

    def killed(*arguments, **options):
        calls.append(point)
        if len(calls) == 3:
            raise Killed
        return original(*arguments, **options)

    monkeypatch.setattr(module, point, killed)
    with pytest.raises(Killed):
        run(tmp_path)
    assert len(read_results(tmp_path)["runs"]) == 2
    run(tmp_path)
    assert timeless(read_results(tmp_path)) == timeless(read_results(whole))


def test_every_run_is_trained_on_the_same_terms(tmp_path, remembered, monkeypatch):
    """The same sets for every seed, the validation set among them; only the key differs."""
    given, names, fit = [], [], module.fit

    def recorded(model, *arguments, **options):
        given.append((model.spec, arguments, options))
        return fit(model, *arguments, **options)

    @contextlib.contextmanager
    def shown(name):
        names.append(name)
        yield name

    monkeypatch.setattr(module, "fit", recorded)
    run(tmp_path, show_run=shown)
    rest, held_out = split_off(TRAIN, 0.2, 0)
    for spec, (train_set, test_set, recipe, hyper, _), options in given:
        assert train_set.fingerprint() == rest.fingerprint()
        assert options["validation"].fingerprint() == held_out.fingerprint()
        assert (test_set, recipe, hyper) == (TEST, RECIPE, HYPER)
        assert options["progress"] in names
        assert spec in ("conv2-relu-gap", "fc3")
    keys = [jax.random.key_data(arguments[4]).tolist() for _, arguments, _ in given]
    assert keys == [jax.random.key_data(jax.random.key(seed)).tolist() for seed in (0, 1, 0, 1)]
    assert names == [
        "[1/4] conv seed 0", "[2/4] conv seed 1", "[3/4] linear seed 0", "[4/4] linear seed 1",
    ]  # fmt: skip
    assert len({options["checkpoint_dir"] for _, _, options in given}) == 4


def test_results_describe_data_and_networks(whole):
    results = read_results(whole)
    rest, held_out = split_off(TRAIN, 0.2, 0)
    data = results["data"]
    assert (data["name"], data["class_names"]) == ("toy", ["a", "b", "c"])
    assert (data["image_shape"], data["validation_fraction"]) == ([6, 6, 1], 0.2)
    assert data["mean"] == pytest.approx([(rest.images / 255).mean()], abs=1e-6)
    assert data["std"] == pytest.approx([(rest.images / 255).std()], abs=1e-6)
    assert data["fingerprints"] == {
        "train": rest.fingerprint(),
        "validation": held_out.fingerprint(),
        "test": TEST.fingerprint(),
    }
    # 3x3 kernels from 1 to 2 channels at 36 places, then 2 features to 3 classes.
    conv, linear = results["networks"]["conv"], results["networks"]["linear"]
    assert (conv["parameters"], conv["multiply_adds"]) == (18 + 2 + 6 + 3, 36 * 18 + 6)
    # 36 pixels to 3, and 3 to 3 classes.
    assert (linear["parameters"], linear["multiply_adds"]) == (108 + 3 + 9 + 3, 108 + 9)
    assert (conv["argument"], conv["model"]) == (NETWORKS[0], "cnn")
    assert conv["fields"] == {"spec": "conv2-relu-gap"}
    for entry in results["runs"]:
        network = results["networks"][entry["network"]]
        assert entry["parameters"] == network["parameters"]
        assert entry["multiply_adds"] == network["multiply_adds"]


def test_more_networks_and_seeds_extend(tmp_path, whole, trained):
    run(tmp_path, networks=NETWORKS[1:], seeds=[1])
    run(tmp_path, networks=NETWORKS[1:], seeds=[0])
    run(tmp_path)
    assert len(trained) == 4
    found, expected = (timeless(read_results(path)["runs"]) for path in (tmp_path, whole))
    key = lambda entry: (entry["network"], entry["seed"])
    assert sorted(found, key=key) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": dataclasses.replace(RECIPE, epochs=3)}, "its recipe.epochs is 2, not 3"),
        ({"hyper": Hyper(learning_rate=0.1)}, "its hyper.learning_rate is 0.05, not 0.1"),
        ({"validation": 0.0}, "its data.validation_fraction is 0.2, not 0.0"),
        (
            {"networks": ["conv=cnn:spec=fc5"]},
            "'conv': .*SpecNetwork.spec is 'conv2-relu-gap', not 'fc5'",
        ),
    ],
)
def test_another_experiment_is_refused(whole, trained, change, words):
    before = {file: file.read_bytes() for file in whole.rglob("*") if file.is_file()}
    with pytest.raises(BadArgument, match=words):
        run(whole, **change)
    assert trained == []
    assert {file: file.read_bytes() for file in whole.rglob("*") if file.is_file()} == before


def test_a_loss_that_is_not_finite_fails_that_run_only(tmp_path, monkeypatch):
    fit = module.fit

    def diverging(model, train_set, test_set, recipe, hyper, *arguments, **options):
        if model.spec == "fc3":
            hyper = Hyper(learning_rate=1e30)
        return fit(model, train_set, test_set, recipe, hyper, *arguments, **options)

    monkeypatch.setattr(module, "fit", diverging)
    results = run(tmp_path, networks=NETWORKS[::-1])
    assert [(f["network"], f["seed"]) for f in results["failures"]] == [
        ("linear", 0), ("linear", 1),
    ]  # fmt: skip
    for failure in results["failures"]:
        assert failure["step"] >= 0
        assert f"at step {failure['step']}" in failure["error"]
    assert [run["network"] for run in results["runs"]] == ["conv", "conv"]
    monkeypatch.setattr(module, "fit", None)  # a failed run is not tried again either
    assert run(tmp_path, networks=NETWORKS[::-1]) == results
    assert "at step" in write_report(tmp_path, TEST).read_text()


def test_a_test_loss_that_is_not_finite_is_a_failure(tmp_path, remembered, monkeypatch):
    fit = module.fit

    def lost(model, *arguments, **options):
        found = fit(model, *arguments, **options)
        return dataclasses.replace(found, test={"loss": math.nan, "accuracy": 1.0})

    monkeypatch.setattr(module, "fit", lost)
    results = run(tmp_path, networks=NETWORKS[:1])
    assert not results["runs"]
    assert [failure["seed"] for failure in results["failures"]] == [0, 1]
    # 24 images in batches of 8, two epochs: the last of steps 0 to 5.
    assert {(failure["step"], failure["epoch"]) for failure in results["failures"]} == {(5, 2)}
    assert "the test loss is nan" in results["failures"][0]["error"]


@pytest.mark.parametrize(
    "seeds",
    [
        [],
        [0, 0],
        [-1],
        3,
        None,
        [0.0],
        [True],
        ["0"],
        [2**32],
        range(0),
        {0, 1},
        range(10_001),
        range(10**12),
        "0",
        [False, 1],
        np.array([0.5]),
    ],
)
def test_wrong_seeds(tmp_path, seeds):
    with pytest.raises(BadArgument, match=r"seeds: .* allowed: different integers in 0\.\."):
        run(tmp_path / "out", seeds=seeds)
    assert not (tmp_path / "out").exists()


def test_seeds_of_numpy_and_the_largest(tmp_path, remembered):
    RUNS["fc3", 2**32 - 1] = RUNS["fc3", 1]
    results = run(tmp_path, networks=NETWORKS[1:], seeds=np.array([0, 2**32 - 1]))
    assert [entry["seed"] for entry in results["runs"]] == [0, 2**32 - 1]


def test_networks_by_name(tmp_path, remembered):
    settings = {"seeds": [0], "out": tmp_path, "validation": 0.2}
    results = compare(list(NETWORKS), TRAIN, TEST, RECIPE, HYPER, **settings)
    assert list(results["networks"]) == ["conv", "linear"]
    assert results["data"]["sizes"] == {"train": 24, "validation": 6, "test": 12}
    assert (results["command"], results["data"]["source"]) == ("", "")


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        ("lenet5", "network: 'lenet5' alone; allowed: several of"),
        (5, "network: 5 alone"),
        ([5], "network: int 5; allowed: several of Contestant"),
        ([], "none given"),
        (["lenet5", "lenet5"], "'lenet5' is given twice"),
        ([parse_contestant("lenet5"), "lenet5"], "'lenet5' is given twice"),
        (["lenet6"], "did you mean 'lenet5'"),
        ([Contestant("\x1b[2J", "lenet5")], r"the label '\\x1b\[2J'; allowed: text that can"),
        ([Contestant("\udcff", "lenet5")], "the label"),
        ([Contestant(" ", "lenet5")], "the label"),
    ],
)
def test_what_is_no_list_of_networks_is_refused_in_one_line(tmp_path, networks, words):
    with pytest.raises(BadArgument, match=words) as caught:
        compare(networks, TRAIN, TEST, RECIPE, HYPER, seeds=[0], out=tmp_path / "out")
    assert str(caught.value).isprintable()
    assert not (tmp_path / "out").exists()


class Mine(nn.Module):
    """A network that is in no table."""

    width: int = 4
    act: object = nn.relu

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Conv(self.width, (3, 3))(images)
        x = self.act(nn.BatchNorm(use_running_average=not train)(x))
        return nn.Dense(3)(x.mean((1, 2)))


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """Results of `Mine()`."""
    out = tmp_path_factory.mktemp("mine")
    compare({"mine": Mine()}, TRAIN, TEST, RECIPE, HYPER, seeds=[0], out=out)
    return out


def test_modules_of_no_table_are_compared_resumed_and_reported(tmp_path):
    networks = {"mine": Mine(5), "built": build("cnn", spec="conv2-relu-gap", num_classes=3)}
    arguments = (TRAIN, TEST, RECIPE, HYPER)
    results = compare(networks, *arguments, seeds=[0], out=tmp_path, validation=0.2)
    again = compare(networks, *arguments, seeds=[0, 1], out=tmp_path, validation=0.2)
    assert again["runs"][::2] == results["runs"]
    mine = again["networks"]["mine"]
    assert mine["model"] == f"{Mine.__module__}.Mine"
    assert (mine["argument"], mine["fields"]) == ("Mine(width=5)", {"width": 5})
    assert mine["parameters"] == 9 * 5 + 5 + 2 * 5 + 5 * 3 + 3
    assert mine["multiply_adds"] == 36 * 9 * 5 + 5 * 3
    # A module and the same network by name are one definition.
    (named,) = run(tmp_path / "named", NETWORKS[:1], seeds=[0])["runs"]
    built = next(each for each in results["runs"] if each["network"] == "built")
    assert built["test_loss"] == named["test_loss"]
    page = write_report(tmp_path, TEST).read_text()
    assert "Mine: width = 5" in page
    assert page.count("filters of 3x3x1") >= 2


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Mine(5), "holds another experiment: 'mine': .*width is 4, not 5"),
        (Mine(act=lambda x: x), "out: model.act is <function <lambda>.* a lambda"),
        (Mine, r"model: received a class; allowed: a module, such as Mine\(\)"),
        (build("cnn", spec="gap", num_classes=4), r"gives \[4\] logits .* has 3 classes"),
        (Mine((2,)), "model: Mine fails on images"),
    ],
)
def test_a_module_that_cannot_take_part_is_refused_in_one_line(mine, network, words):
    before = (mine / "results.json").read_bytes()
    with pytest.raises(BadArgument, match=words) as caught:
        compare({"mine": network}, TRAIN, TEST, RECIPE, HYPER, seeds=[0], out=mine)
    assert str(caught.value).isprintable()
    assert (mine / "results.json").read_bytes() == before


def test_sets_that_do_not_fit_are_refused_before_anything_is_written(tmp_path):
    other = Dataset("toy", "test", TEST.images[:, :5], TEST.labels, TEST.class_names)
    with pytest.raises(BadArgument, match="test_set: images are"):
        compare(NETWORKS, TRAIN, other, RECIPE, HYPER, seeds=[0], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("linear=cnn:spec=pool-pool-pool", "would leave less than 1x1"),
        ("lenet5:padding=6,act=relu", "lenet5: act is 'relu'; it must be a function"),
    ],
)
def test_a_network_that_cannot_run_is_refused_before_anything_is_written(tmp_path, network, words):
    with pytest.raises(BadArgument, match=words):
        run(tmp_path / "out", networks=[network])
    assert not (tmp_path / "out").exists()


class Nested(nn.Module):
    """The convolution that sees the image is two modules deep; another follows."""

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Conv(4, (1, 1), name="after")(_Stem(name="stem")(images))
        return x.mean((1, 2))


class _Stem(nn.Module):
    @nn.compact
    def __call__(self, images):
        return nn.Conv(2, (3, 2), name="conv")(images)


class Standardised(nn.Module):
    """A kernel that is computed from its parameters."""

    @nn.compact
    def __call__(self, images, *, train):
        kernel = self.param("kernel", nn.initializers.ones, (3, 3, 1, 2))
        return jax.lax.conv_general_dilated(
            images, kernel / 2, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ).mean((1, 2))


def test_the_first_filters_are_those_that_see_the_image():
    model = Nested()
    params = model.init(jax.random.key(0), np.zeros((1, 6, 6, 1)), train=False)["params"]
    found = module.first_filters(model, (6, 6, 1), params)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, params["stem"]["conv"]["kernel"])


def test_computed_kernels_are_not_shown():
    model = Standardised()
    params = model.init(jax.random.key(0), np.zeros((1, 6, 6, 1)), train=False)["params"]
    assert module.first_filters(model, (6, 6, 1), params) is None
