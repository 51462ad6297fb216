"""One table of networks, one set of checks. A new network is tested by being in `MODELS`; a new
family needs a row in `small.py` as well."""

import dataclasses
import functools
import itertools
import zlib

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import models, ops
from cnnjax.errors import BadArgument
from cnnjax.models import FAMILIES, MODELS, build, facts_of, list_models
from tests.models.small import ROWS, SMALL, every_row, light_rows, parametrized

# Tracing a network takes a second: by default the one of each class that costs least.
CHEAPEST = {
    min(networks, key=lambda name: facts_of(name).multiply_adds)
    for _, networks in itertools.groupby(
        sorted(MODELS, key=lambda name: str(MODELS[name].family)),
        lambda name: MODELS[name].family,
    )
}

# Compiling dominates these tests; unoptimized code computes the same, and the operations have tests
# of their own.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def shapes(row, channels=None, **overrides):
    """The abstract variables of a small network."""
    images = jax.ShapeDtypeStruct((1, row.pixels, row.pixels, channels or row.channels), "float32")
    model = row.build(**overrides)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def draw(path, leaf):
    """A value for one variable, from its path: kernels scaled by fan-in, norms near identity."""
    rng = np.random.default_rng(zlib.crc32(jax.tree_util.keystr(path).encode()))
    noise = rng.standard_normal(leaf.shape).astype(np.float32)
    kind = path[-1].key
    if kind == "kernel":
        return noise * np.sqrt(2 / np.prod(leaf.shape[:-1])).astype(np.float32)
    if kind in ("bias", "mean"):
        return 0.1 * noise
    return 1 + 0.1 * noise.clip(-3, 3)


def test_every_family_has_a_representative():
    families = {network.family for network in MODELS.values()}
    assert families == {MODELS[name].family for name in SMALL}


@light_rows
def test_network(row):
    """Evaluation, features, training step: what holds of every network, with two compilations."""
    with ops.stock():
        _check_network(row)


def _check_network(row):
    size, classes, batch, channels = row.pixels, 7, 4, row.channels
    model = row.build(num_classes=classes)
    abstract = shapes(row, num_classes=classes)
    variables = jax.tree_util.tree_map_with_path(lambda *leaf: jnp.asarray(draw(*leaf)), abstract)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, size, size, channels)).astype(np.float32)
    labels = np.arange(batch) % classes

    # Evaluation: shapes, types, named stages, independence of batch mates.
    evaluate = jax.jit(
        lambda v, x: model.apply(v, x, train=False, features=True), compiler_options=QUICK
    )
    logits, stages = evaluate(variables, images)
    assert logits.shape == (batch, classes)
    assert logits.dtype == jnp.float32
    assert "stem" in stages
    assert all(stage.shape[0] == batch and np.isfinite(stage).all() for stage in stages.values())
    mates = images.copy()
    mates[1:] = rng.standard_normal(mates[1:].shape)
    np.testing.assert_allclose(evaluate(variables, mates)[0][0], logits[0], rtol=1e-4, atol=1e-5)
    assert evaluate._cache_size() == 1

    # Training: every parameter gets a gradient, statistics move, the loss falls, one compilation.
    def loss_fn(params, rest, key):
        out, new = model.apply(
            {"params": params, **rest},
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        loss = optax.losses.softmax_cross_entropy_with_integer_labels(out, labels).mean()
        return loss, new

    def step(params, rest, rate, key):
        (loss, new), grads = jax.value_and_grad(loss_fn, has_aux=True)(params, rest, key)
        norm = optax.tree.norm(grads)
        params = jax.tree.map(lambda p, g: p - rate * g / (norm + 1e-6), params, grads)
        return params, new, loss, grads

    step = jax.jit(step, compiler_options=QUICK)
    params = variables["params"]
    rest = {k: v for k, v in variables.items() if k != "params"}
    key = jax.random.key(0)
    before = rest
    losses = []
    for _ in range(4):
        params, rest, loss, grads = step(params, rest, 0.03, key)
        if not losses:
            silent = [
                jax.tree_util.keystr(path)
                for path, g in jax.tree_util.tree_leaves_with_path(grads)
                if not np.any(g)
            ]
            assert not silent, f"no gradient reaches {silent}"
            # A kernel among the statistics (airbench94's) is of the data set, not of the batch.
            moved = jax.tree_util.tree_map_with_path(
                lambda path, a, b: path[-1].key == "kernel" or bool(np.any(a != b)), before, rest
            )
            assert all(jax.tree.leaves(moved))
        losses.append(float(loss))
    assert np.isfinite(losses).all()
    assert min(losses[1:]) < losses[0]
    assert step._cache_size() == 1


@light_rows
def test_compute_type_is_kept_and_logits_are_float32(row):
    model = row.build(dtype=jnp.bfloat16)
    program, (logits, stages) = jax.make_jaxpr(
        lambda v, x: model.apply(v, x, train=False, features=True), return_shape=True
    )(shapes(row), row.images())
    assert logits.dtype == jnp.float32
    assert {stage.dtype for stage in stages.values()} == {jnp.dtype(jnp.bfloat16)}
    done = list(equations(program.jaxpr))
    # Nothing is computed twice to save memory, unless somebody asks for it.
    assert not [each for each in done if each.primitive.name in ("checkpoint", "remat2", "remat")]
    convolutions = [e for e in done if e.primitive.name in CONVOLUTIONS]
    types = {operand.aval.dtype for each in convolutions for operand in each.invars}
    assert types == {jnp.dtype(jnp.bfloat16)}


CONVOLUTIONS = ("conv_general_dilated", "cnnjax_convolution")


def equations(program):
    """Yield the equations of a jaxpr and of those inside of it."""
    for equation in program.eqns:
        yield equation
        for inner in jax.tree.leaves(equation.params, is_leaf=is_program):
            if is_program(inner):
                yield from equations(getattr(inner, "jaxpr", inner))


def is_program(value):
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


def test_networks_tell_as_many_classes_apart_as_their_data_have():
    classes = {"ImageNet-1k": 1000, "CIFAR-10": 10, "MNIST": 10}
    for name in MODELS:
        assert build(name).num_classes == classes[facts_of(name).dataset], name


def fields_of(row):
    return {field.name for field in dataclasses.fields(row.build())}


def test_images_too_small_on_one_side_are_refused():
    model = build("inception_v3")
    for height, width in ((299, 40), (40, 299)):
        images = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
        with pytest.raises(BadArgument, match=f"{height}x{width}"):
            jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), images)


def test_networks_are_built_for_training_unless_asked_otherwise():
    for name in MODELS:
        assert not getattr(build(name), "deployed", False), name
        assert not getattr(build(name), "remat", False), name
        assert build(name).dtype == jnp.float32, name


@parametrized(row for row in ROWS if "dropout_rate" in fields_of(row))
def test_dropout_draws_in_training(row):
    model = row.build(dropout_rate=0.5, **dict.fromkeys({"drop_path_rate"} & fields_of(row), 0.0))
    apply = functools.partial(model.apply, train=True, mutable=["batch_stats"])
    with ops.stock(), pytest.raises(flax.errors.InvalidRngError):
        jax.eval_shape(apply, shapes(row), row.images())


@every_row
def test_evaluation_names_its_stages_and_draws_nothing(row):
    """As DESIGN names them: the stem, then every stage by its number, each as fine or coarser.

    "pre_logits" has a file of its own.
    """
    model, images, variables = row.build(), row.images(), shapes(row)
    _, stages = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=False, features=True), variables, images
    )
    named = set(stages) - {"stem", "pre_logits"}
    numbers = sorted(int(stage.removeprefix("stage")) for stage in named)
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers
    sides = [row.pixels, stages["stem"].shape[1], *(stages[f"stage{n}"].shape[1] for n in numbers)]
    assert sides == sorted(sides, reverse=True)
    # Without a key, whatever is dropped in training: evaluation draws nothing.
    rates = {"dropout_rate", "drop_path_rate"} & fields_of(row)
    dropping = model.clone(**dict.fromkeys(rates, 0.5))
    with ops.stock():
        alone = jax.eval_shape(lambda v, x: dropping.apply(v, x, train=False), variables, images)
    assert alone.shape == (2, model.num_classes)


@light_rows
def test_other_numbers_of_channels(row):
    channels = 1 if row.channels == 3 else 3
    usual = jax.tree_util.tree_leaves_with_path(shapes(row)["params"])
    other = jax.tree.leaves(shapes(row, channels)["params"])
    changed = {
        path: (a.shape, b.shape)
        for (path, a), b in zip(usual, other, strict=True)
        if a.shape != b.shape
    }
    # One layer alone, all of its branches (airbench's has a bias of the first one's, by the
    # channels, before it).
    assert len({path[0] for path, (shape, _) in changed.items() if len(shape) > 1}) == 1
    ratio = channels / row.channels
    for before, after in itertools.chain(*(zip(*pair, strict=True) for pair in changed.values())):
        assert after in (before, before * ratio)


@every_row
def test_bad_images_are_refused_by_name(row):
    model, channels = build(row.network), row.channels
    for images, told in [
        (jnp.zeros((8, 8, channels)), r"must be \[B, H, W, C\]"),
        (jnp.zeros((1, 32, 32, channels), jnp.uint8), "float"),
    ]:
        with pytest.raises(BadArgument, match=told) as error:
            jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
        assert str(error.value).startswith(type(model).__name__)


def test_tresnet_refuses_sizes_that_its_stem_cannot_fold():
    with pytest.raises(BadArgument, match=r"TResNet: images are 32x34; .* multiples of 4"):
        build("tresnet_m").init(jax.random.key(0), jnp.zeros((1, 32, 34, 3)), train=False)


def test_training_mode_is_required():
    with pytest.raises(TypeError, match="train"):
        build("lenet5").init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))


def test_build_refuses_what_it_does_not_know():
    with pytest.raises(BadArgument, match="did you mean 'resnet18'"):
        build("resnet81")
    with pytest.raises(BadArgument, match="num_classes"):
        build("resnet18", num_clases=10)
    for wrong in (0, -1, 2.5, True, "10"):
        with pytest.raises(BadArgument, match="num_classes"):
            build("resnet18", num_classes=wrong)


def test_names_are_listed_by_pattern():
    assert list_models() == sorted(MODELS)
    assert "resnet50" in list_models("resnet*")
    assert list_models("nothing*") == []


def test_no_name_stands_in_two_files():
    assert sum(len(file.NETWORKS) for file in models._FILES) == len(MODELS)
    assert FAMILIES["efficientnet_lite0"] == "efficientnet_lite"


def test_models_are_values():
    """Equal fields give equal, hashable models, so that compiled programs can be found again."""
    for name in SMALL:
        assert build(name) == build(name)
        assert hash(build(name)) == hash(build(name))
