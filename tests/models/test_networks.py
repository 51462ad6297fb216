"""One table of networks, one set of checks. A new network is tested by being in `MODELS`; a new
family needs a representative in `SMALL` as well."""

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
from cnnjax.models.regnet import Line


def first_blocks(stages, blocks):
    """The first so many blocks of each of a table's stages."""

    def single(row, index):
        return dataclasses.replace(row, strides=1 if index else row.strides, repeats=1)

    whole = [[single(row, i) for row in stage for i in range(row.repeats)] for stage in stages]
    return tuple(tuple(stage[:blocks]) for stage in whole)


# Groups of a small GhostNet, with and without a stride, squeeze-excite and another width.
GHOSTS = (((3, 16, 16, False, 1),) * 2, ((5, 24, 24, True, 2),))

# A representative of every family: the pixels of a small but sensible image, and fields that make
# it shallow where the family allows.
SMALL = {
    "lenet5": (28, {}),
    "cnn": (16, {}),
    "vgg11_bn_cifar": (16, {}),
    "nin_cifar": (16, {}),
    "resnet8_cifar": (16, {}),
    "preresnet20_cifar": (16, {"depths": (1, 1, 1)}),
    "pyramidnet110_a48_cifar": (16, {"blocks": 1}),
    "densenet_bc40_12_cifar": (16, {"depth": 2}),
    "resnet18": (32, {"depths": (1, 1, 1, 1)}),
    "mobilenet_v2": (32, {}),
    "vgg11": (32, {"hidden": 64}),
    "alexnet": (64, {"hidden": 64}),
    "squeezenet1_1": (32, {}),
    "densenet121": (32, {"depths": (2, 2, 2, 2)}),
    "mobilenet_v3_small": (32, {}),
    "shufflenet_v2_x0_5": (32, {}),
    "mnasnet0_5": (64, {}),
    "efficientnet_b0": (64, {}),
    "regnet_y_400mf": (32, {}),
    "regnety_002": (32, {"line": Line(4, 48, 28.8, 1.5, 8)}),
    "convnext_tiny": (32, {"depths": (1, 1, 1, 1)}),
    "googlenet": (32, {}),
    "inception_v3": (80, {"depths": (1, 1, 1)}),
    "seresnet50": (32, {"depths": (1, 1, 1, 1)}),
    "gernet_s": (32, {"depths": (1, 1, 1, 1, 1)}),
    "legacy_seresnet18": (32, {"depths": (1, 1, 1, 1)}),
    "convnextv2_atto": (32, {"depths": (1, 1, 1, 1)}),
    "resnetv2_50": (32, {"depths": (1, 1, 1, 1)}),
    "nfnet_f0": (32, {"depths": (1, 1, 1, 1)}),
    "fasternet_t0": (32, {"depths": (1, 1, 1, 1)}),
    "mambaout_femto": (32, {"depths": (1, 1, 1, 1)}),
    "inception_next_atto": (32, {"depths": (1, 1, 1, 1)}),
    "efficientnet_lite0": (32, {}),
    "mobilenetv4_conv_small": (32, {}),
    "skresnet50d": (32, {"depths": (1, 1, 1, 1)}),
    "resnest50d": (32, {"depths": (1, 1, 1, 1)}),
    "mobilenetv1_100": (32, {}),
    "repvgg_a0": (32, {"depths": (2, 1, 1, 1)}),
    "mobileone_s4": (32, {"depths": (1, 1, 1, 1), "attentions": (0, 0, 1, 0)}),
    "repvit_m0_9": (32, {"depths": (2, 1, 1, 1)}),
    "starnet_s050": (32, {"depths": (1, 1, 1, 1)}),
    "legacy_xception": (32, {"middle": 1}),
    "xception41": (32, {"middle": 1}),
    "tresnet_m": (32, {"depths": (1, 1, 1, 1), "width": 16}),
    "rdnet_tiny": (32, {"growths": (16, 16, 16, 16), "strided": (1, 2, 3), "depth": 1}),
    "cspnext_tiny": (64, {"width": 16}),
    "lcnetv2_small": (32, {"depths": (1, 1, 1, 2), "width_mult": 0.25}),
    "efficientnet_cc_b0_4e": (
        32,
        {"stages": first_blocks(MODELS["efficientnet_cc_b0_4e"].fields["stages"], 1)},
    ),
    "dla34": (32, {"depths": (1, 1, 1, 1)}),
    "dpn68": (32, {"depths": (1, 2, 1, 1)}),
    "hrnet_w18_small": (32, {"depth": 1, "modules": (1, 1)}),
    "ese_vovnet39b": (32, {"depths": (1, 1, 2, 1), "layers": 2}),
    "selecsls42": (64, {}),
    "hgnetv2_b0": (32, {"depths": (1, 1, 1, 2), "layers": 2}),
    "cspresnet50": (32, {"depths": (1, 1, 1, 1)}),
    "rexnet_100": (32, {"depths": (1, 1, 1, 1, 1, 1)}),
    "ghostnet_050": (64, {}),
    "ghostnetv3_050": (34, {"groups": GHOSTS}),
    "repghostnet_050": (32, {"groups": GHOSTS}),
    "convmixer_1024_20_ks9_p14": (28, {"width": 32, "depth": 2}),
    "inception_v4": (80, {"depths": (1, 1, 1)}),
    "inception_resnet_v2": (80, {"depths": (1, 1, 1)}),
    "nasnetalarge": (32, {"width": 16, "depths": (2, 1)}),
    "pnasnet5large": (32, {"width": 16, "depths": (2,)}),
    "allconv_c_cifar": (16, {}),
    "shakeshake26_2x32d_cifar": (16, {"blocks": 1}),
    "airbench94_cifar": (16, {}),
}

# Tracing a network takes a second: by default the one of each class that costs least.
CHEAPEST = {
    min(networks, key=lambda name: facts_of(name).multiply_adds)
    for _, networks in itertools.groupby(
        sorted(MODELS, key=lambda name: str(MODELS[name].family)),
        lambda name: MODELS[name].family,
    )
}

# These take seconds to trace and more to compile. A golden test of their family runs by default.
HEAVY = {
    "convnext_tiny",
    "convnextv2_atto",
    "cspnext_tiny",
    "cspresnet50",
    "densenet121",
    "dla34",
    "dpn68",
    "efficientnet_b0",
    "efficientnet_cc_b0_4e",
    "efficientnet_lite0",
    "ese_vovnet39b",
    "fasternet_t0",
    "gernet_s",
    "ghostnet_050",
    "ghostnetv3_050",
    "googlenet",
    "hgnetv2_b0",
    "hrnet_w18_small",
    "inception_next_atto",
    "inception_resnet_v2",
    "inception_v3",
    "inception_v4",
    "legacy_seresnet18",
    "legacy_xception",
    "lcnetv2_small",
    "mambaout_femto",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenetv1_100",
    "mobilenetv4_conv_small",
    "mobileone_s4",
    "nasnetalarge",
    "nfnet_f0",
    "pnasnet5large",
    "rdnet_tiny",
    "regnet_y_400mf",
    "regnety_002",
    "repghostnet_050",
    "repvgg_a0",
    "repvit_m0_9",
    "resnest50d",
    "resnetv2_50",
    "rexnet_100",
    "selecsls42",
    "seresnet50",
    "shufflenet_v2_x0_5",
    "skresnet50d",
    "squeezenet1_1",
    "starnet_s050",
    "tresnet_m",
    "vgg11",
    "vgg11_bn_cifar",
    "xception41",
}

# Compiling dominates these tests; unoptimized code computes the same, and the operations have tests
# of their own.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def shapes(name, size=None, channels=None, **overrides):
    """The abstract variables of a network."""
    facts = facts_of(name)
    size = size or facts.input_size
    images = jax.ShapeDtypeStruct((1, size, size, channels or facts.channels), jnp.float32)
    model = build(name, **overrides)
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


# What tests go through: every representative, of which the heavy ones only in the slow run.
REPRESENTATIVES = [pytest.param(n, marks=pytest.mark.slow if n in HEAVY else ()) for n in SMALL]


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_network(name):
    """Evaluation, features, training step: what holds of every network, with two compilations."""
    with ops.stock():
        _check_network(name)


def _check_network(name):
    (size, overrides), classes, batch = SMALL[name], 7, 4
    channels = facts_of(name).channels
    overrides = {**overrides, "num_classes": classes}
    model = build(name, **overrides)
    abstract = shapes(name, size, **overrides)
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


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_compute_type_is_kept_and_logits_are_float32(name):
    (size, overrides), channels = SMALL[name], facts_of(name).channels
    model = build(name, dtype=jnp.bfloat16, **overrides)
    images = jax.ShapeDtypeStruct((2, size, size, channels), jnp.float32)
    variables = shapes(name, size, **overrides)
    program, (logits, stages) = jax.make_jaxpr(
        lambda v, x: model.apply(v, x, train=False, features=True), return_shape=True
    )(variables, images)
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


DROPPING = [
    name for name in SMALL if "dropout_rate" in {f.name for f in dataclasses.fields(build(name))}
]


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


@pytest.mark.parametrize("name", DROPPING)
def test_dropout_draws_in_training(name):
    (size, overrides), channels = SMALL[name], facts_of(name).channels
    usual = {f.name for f in dataclasses.fields(build(name))}
    model = build(name, **(overrides | dict.fromkeys({"drop_path_rate"} & usual, 0.0)))
    images = jax.ShapeDtypeStruct((2, size, size, channels), jnp.float32)
    apply = functools.partial(
        model.clone(dropout_rate=0.5).apply, train=True, mutable=["batch_stats"]
    )
    with ops.stock(), pytest.raises(flax.errors.InvalidRngError):
        jax.eval_shape(apply, shapes(name, size, **overrides), images)


@pytest.mark.parametrize("name", SMALL)
def test_evaluation_names_its_stages_and_draws_nothing(name):
    """As DESIGN names them: the stem, then every stage by its number, each as fine or coarser.

    "pre_logits" has a file of its own.
    """
    (size, overrides), channels = SMALL[name], facts_of(name).channels
    model = build(name, **overrides)
    images = jax.ShapeDtypeStruct((2, size, size, channels), jnp.float32)
    _, stages = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=False, features=True),
        shapes(name, size, **overrides),
        images,
    )
    named = set(stages) - {"stem", "pre_logits"}
    numbers = sorted(int(stage.removeprefix("stage")) for stage in named)
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers
    sides = [size, stages["stem"].shape[1], *(stages[f"stage{n}"].shape[1] for n in numbers)]
    assert sides == sorted(sides, reverse=True)
    # Without a key, whatever is dropped in training: evaluation draws nothing.
    rates = {"dropout_rate", "drop_path_rate"} & {f.name for f in dataclasses.fields(model)}
    dropping = model.clone(**dict.fromkeys(rates, 0.5))
    with ops.stock():
        alone = jax.eval_shape(
            lambda v, x: dropping.apply(v, x, train=False), shapes(name, size, **overrides), images
        )
    assert alone.shape == (2, model.num_classes)


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_other_numbers_of_channels(name):
    channels, (size, overrides) = 1 if facts_of(name).channels == 3 else 3, SMALL[name]
    usual = jax.tree.leaves(shapes(name, size, **overrides)["params"])
    other = jax.tree.leaves(shapes(name, size, channels, **overrides)["params"])
    changed = [(a.shape, b.shape) for a, b in zip(usual, other, strict=True) if a.shape != b.shape]
    # One layer alone (airbench's has a bias of the first one's, by the channels, before it).
    assert sum(len(shape) > 1 for shape, _ in changed) == 1
    ratio = channels / facts_of(name).channels
    for before, after in itertools.chain(*(zip(*pair, strict=True) for pair in changed)):
        assert after in (before, before * ratio)


@pytest.mark.parametrize("name", SMALL)
def test_bad_images_are_refused_by_name(name):
    model, channels = build(name), facts_of(name).channels
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
