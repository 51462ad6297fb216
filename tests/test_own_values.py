"""All of a tester's own, added nowhere but here: fit, sweep, compare and benchmark take it.

A module, a loss, an augmentation that mixes labels, an optimizer with a rate for each group, a
schedule, a metric, an average, scalars and a source; resumed, and read back.
"""

import dataclasses
import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from cnnjax.benchmark import Case, Settings, benchmark
from cnnjax.compare import compare, read_results
from cnnjax.errors import BadArgument
from cnnjax.train import Hyper, Recipe, evaluate, fit, sweep


class Strip(nn.Module):
    """Averages over rows, then a linear layer."""

    width: int = 5

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.relu(nn.Dense(self.width, name="body")(images.mean(axis=2).reshape(len(images), -1)))
        return nn.Dense(3, name="head")(x)


@dataclasses.dataclass(frozen=True)
class Squared:
    """The squared error of the softmax, times what a step's scalars do not know."""

    factor: float = 2.0

    def __call__(self, logits, targets):
        return self.factor * ((jax.nn.softmax(logits) - targets) ** 2).sum(axis=-1)


@dataclasses.dataclass(frozen=True)
class Neighbor:
    """Every image averaged with the one before it, and its label too."""

    share: float = 0.25

    def __call__(self, key, images, targets):
        mix = lambda x: (1 - self.share) * x + self.share * jnp.roll(x, 1, axis=0)
        return mix(images.astype(jnp.float32)), mix(targets)


def grouped(learning_rate, hyper):
    """SGD for the head, a tenth of the rate for the body."""
    label = lambda params: {name: "head" if name == "head" else "body" for name in params}
    rates = {"head": learning_rate, "body": hyper.slowness * learning_rate}
    return optax.multi_transform({k: optax.sgd(v) for k, v in rates.items()}, label)


@dataclasses.dataclass(frozen=True)
class Staircase:
    every: int = 2

    def __call__(self, step, steps):
        return 0.5 ** (step // self.every)


def margin(logits, targets):
    """By how much the right logit leads the best of the others."""
    right = (logits * targets).sum(axis=-1)
    return right - jnp.where(targets > 0, -jnp.inf, logits).max(axis=-1)


def mean_of_two(average, variables, step, steps):
    return jax.tree.map(lambda a, v: (a + v) / 2, average, variables)


@dataclasses.dataclass(frozen=True)
class Scalars(Hyper):
    slowness: float = 0.1


class Bands:
    """A source that holds no image: each is drawn from its number when it is asked for."""

    name, class_names, image_shape = "bands", ("a", "b", "c"), (6, 6, 1)

    def __init__(self, number, salt=0):
        self.number, self.salt = number, salt
        self.labels = (np.arange(number) % 3).astype(np.int32)
        self.asked = []

    def __len__(self):
        return self.number

    def take(self, indices):
        self.asked.append(len(indices))
        images = np.zeros((len(indices), *self.image_shape), np.uint8)
        for image, index in zip(images, np.asarray(indices).tolist(), strict=True):
            draw = np.random.default_rng([self.salt, index])
            image[...] = draw.integers(0, 100, self.image_shape)
            image[2 * (index % 3) : 2 * (index % 3) + 2] += 100
        return images

    def fingerprint(self):
        return str(zlib.crc32(f"{self.number} {self.salt}".encode()))


RECIPE = Recipe(
    epochs=3,
    batch_size=8,
    augment=(Neighbor(),),
    loss=Squared(),
    optimizer=grouped,
    schedule=Staircase(),
    metrics={"margin": margin},
    average=mean_of_two,
)
HYPER = Scalars(learning_rate=0.3, slowness=0.25)
KEY = jax.random.key(4)


def in_numpy(source, key):
    """The run of `Strip` with all of these values, step by step in float64."""
    from cnnjax.train.keys import named_key

    model, size = Strip(), len(source)
    begun = model.init(named_key(key, "init"), np.zeros((1, 6, 6, 1)), train=False)["params"]
    params = jax.tree.map(np.float64, begun)
    average, step = params, 0
    pixels = source.take(np.arange(size)) / 255.0
    images = ((pixels - pixels.mean()) / pixels.std()).mean(axis=2).reshape(size, -1)
    targets = np.eye(3)[source.labels]
    for epoch in range(3):
        order = np.asarray(
            jax.random.permutation(jax.random.fold_in(named_key(key, "order"), epoch), size)
        )
        for start in range(0, size - 7, 8):
            chosen = order[start : start + 8]
            x, t = images[chosen], targets[chosen]
            x, t = (0.75 * a + 0.25 * np.roll(a, 1, axis=0) for a in (x, t))
            before = x @ params["body"]["kernel"] + params["body"]["bias"]
            hidden = np.maximum(before, 0)
            z = hidden @ params["head"]["kernel"] + params["head"]["bias"]
            p = np.exp(z - z.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            of_p = 4 * (p - t) / 8
            of_z = p * (of_p - (p * of_p).sum(1, keepdims=True))
            of_hidden = of_z @ params["head"]["kernel"].T * (before > 0)
            gradient = {
                "head": {"kernel": hidden.T @ of_z, "bias": of_z.sum(0)},
                "body": {"kernel": x.T @ of_hidden, "bias": of_hidden.sum(0)},
            }
            rate = 0.3 * 0.5 ** (step // 2)
            rates = {"head": rate, "body": 0.25 * rate}
            params = {
                name: {k: part[k] - rates[name] * gradient[name][k] for k in part}
                for name, part in params.items()
            }
            average = jax.tree.map(lambda a, v: (a + v) / 2, average, params)
            step += 1
    return average


@pytest.mark.parametrize("stream", [None, True, False])
def test_fit_trains_with_all_of_them_as_numpy_does(stream):
    source = Bands(20)
    run = fit(Strip(), source, Bands(9, salt=1), RECIPE, HYPER, KEY, stream=stream)
    expected = in_numpy(Bands(20), KEY)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, dict(run.variables["params"]), expected)
    if stream:  # the statistics, then two batches an epoch: never the whole set
        assert source.asked[1:] == [8] * 6
    assert {"train_margin", "train_loss", "train_accuracy"} <= set(run.history[0])
    again = evaluate(
        Strip(), run.variables, Bands(9, salt=1), mean=run.mean, std=run.std, loss=Squared(),
        metrics={"margin": margin},
    )  # fmt: skip
    assert again == run.test


def test_sweep_trains_with_all_of_them_as_fit_does():
    source, test = Bands(20), Bands(9, salt=1)
    hypers = [HYPER, Scalars(learning_rate=0.1)]
    keys = jax.random.split(KEY, 2)
    for stream in (False, True):
        runs = sweep(Strip(), source, test, RECIPE, hypers, keys, validation=test, stream=stream)
        pairs = [(hyper, key) for hyper in hypers for key in keys]
        for swept, (hyper, key) in zip(runs, pairs, strict=True):
            alone = fit(Strip(), source, test, RECIPE, hyper, key, validation=test)
            assert swept.test["margin"] == pytest.approx(alone.test["margin"], rel=1e-3, abs=1e-5)
            assert set(swept.history[-1]) == set(alone.history[-1])
            for one, other in zip(
                jax.tree.leaves(swept.variables), jax.tree.leaves(alone.variables), strict=True
            ):
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def stop_after(epoch):
    def progress(report):
        if report.finished and report.epoch == epoch:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_is_resumed_to_the_same_bits_and_other_values_are_refused(tmp_path, stream):
    arguments = (Strip(), Bands(20), Bands(9, salt=1), RECIPE, HYPER, KEY)
    whole = fit(*arguments)
    with pytest.raises(KeyboardInterrupt):
        fit(*arguments, checkpoint_dir=tmp_path, progress=stop_after(2), stream=stream)
    changes = {
        "loss.*factor": {"loss": Squared(1.0)},
        "augment": {"augment": (Neighbor(0.5),)},
        "metrics": {"metrics": {}},
        "schedule": {"schedule": Staircase(3)},
    }
    for words, change in changes.items():
        other = dataclasses.replace(RECIPE, **change)
        with pytest.raises(BadArgument, match=f"another run: its recipe.*{words}"):
            fit(*arguments[:3], other, HYPER, KEY, checkpoint_dir=tmp_path)
    with pytest.raises(BadArgument, match=r"another run: its hyper.*slowness"):
        fit(*arguments[:4], Scalars(learning_rate=0.3), KEY, checkpoint_dir=tmp_path)
    with pytest.raises(BadArgument, match="another run: its train_set"):
        fit(Strip(), Bands(20, salt=2), *arguments[2:], checkpoint_dir=tmp_path)
    other = dataclasses.replace(RECIPE, loss=lambda z, t: (z - t).sum(-1))
    with pytest.raises(BadArgument, match=r"recipe\.loss is .*a lambda, which has no name"):
        fit(*arguments[:3], other, HYPER, KEY, checkpoint_dir=tmp_path)
    resumed = fit(*arguments, checkpoint_dir=tmp_path, stream=not stream)
    jax.tree.map(np.testing.assert_array_equal, resumed.state.params, whole.state.params)
    jax.tree.map(np.testing.assert_array_equal, resumed.variables, whole.variables)
    assert resumed.test == whole.test
    known = [{k: v for k, v in e.items() if "second" not in k} for e in resumed.history]
    assert known == [{k: v for k, v in e.items() if "second" not in k} for e in whole.history]


def test_compare_trains_and_reads_back_with_all_of_them(tmp_path):
    out = tmp_path / "mine"
    networks = {"wide": Strip(9), "narrow": Strip(2)}
    arguments = (networks, Bands(24), Bands(12, salt=1), RECIPE, HYPER)
    results = compare(*arguments, seeds=[0, 1], out=out, validation=0.25)
    assert read_results(out) == results
    assert [(r["network"], r["seed"]) for r in results["runs"]] == [
        (label, seed) for label in networks for seed in (0, 1)
    ]
    written = json.loads((out / "results.json").read_text())
    assert Recipe.from_dict(written["recipe"]) == RECIPE
    assert Scalars.from_dict(written["hyper"]) == HYPER
    fit_set, held_out = 18, 6
    assert results["data"]["sizes"] == {"train": fit_set, "validation": held_out, "test": 12}
    for run in results["runs"]:
        assert set(run["test_metrics"]) == {"margin"}
        assert np.isfinite(run["history"][-1]["validation_margin"])
    before = (out / "results.json").read_bytes()
    compare(*arguments, seeds=[0, 1], out=out, validation=0.25)
    assert (out / "results.json").read_bytes() == before
    other = dataclasses.replace(RECIPE, loss=Squared(3.0))
    with pytest.raises(BadArgument, match="holds another experiment"):
        compare(*arguments[:3], other, HYPER, seeds=[0, 1], out=out, validation=0.25)


def test_benchmark_times_the_step_with_all_of_them(tmp_path):
    settings = Settings(modes=("train",), peers=("ours", "stock"), repeats=1)
    case = Case(Strip(9), 4, 6, 1, "mine", recipe=RECIPE, hyper=HYPER)
    results = benchmark([case], settings, out=tmp_path, say=lambda _: None)
    peers = results["cases"][case.label]["train"]["peers"]
    assert all(seconds > 0 for name in ("ours", "stock") for seconds in peers[name]["seconds"])
    before = (tmp_path / "results.json").read_bytes()
    said = []
    benchmark({"mine": case}, settings, out=tmp_path, say=said.append)
    assert said == [f"{case.label} train: measured before"]
    assert (tmp_path / "results.json").read_bytes() == before
    other = dataclasses.replace(case, recipe=dataclasses.replace(RECIPE, loss=Squared(3.0)))
    with pytest.raises(BadArgument, match="mine"):
        benchmark([other], settings, out=tmp_path, say=lambda _: None)
