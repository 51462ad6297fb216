"""`conv2d` is the stock convolution, in value and every derivative, however transformed."""

import functools
import importlib.util

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax import export, lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from cnnjax import ops
from cnnjax.errors import BadArgument

few = functools.partial(settings, deadline=None, derandomize=True, database=None)


def assert_close(got, wanted, tolerance=1e-5):
    """Compare two trees leaf by leaf in the 2-norm, relative to the wanted leaf."""

    def compare(a, b):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b) + 1e-12

    jax.tree.map(compare, got, wanted)


def stocked(function):
    @functools.wraps(function)
    def inside(*arguments):
        with ops.stock():
            return function(*arguments)

    return inside


def loss(conv):
    # The kernel is scaled so that sin sees values around 1: beyond, it magnifies rounding.
    return lambda x, w: jnp.sum(jnp.sin(conv(x, w / w[..., 0].size ** 0.5)).astype(jnp.float32))


def everything(conv):
    """Return value, gradients, and the directional derivative of the gradients."""

    def run(x, w, dx, dw):
        gradients = jax.grad(loss(conv), (0, 1))
        return conv(x, w), jax.jvp(gradients, (x, w), (dx, dw))

    return run


def arrays(seed, *shapes, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return tuple(
        jax.random.normal(key, shape).astype(dtype) for key, shape in zip(keys, shapes, strict=True)
    )


@st.composite
def convolutions(draw):
    small = lambda most, least=1: st.integers(least, most)
    groups = draw(st.sampled_from([1, 1, 1, 2, 4]))
    depthwise = draw(st.booleans()) and groups > 1
    channels = groups * (1 if depthwise else draw(small(3)))
    features = groups * draw(small(3))
    window = draw(st.sampled_from([(1, 1), (3, 3), (3, 3), (2, 3), (5, 1)]))
    dilation = draw(st.tuples(small(2), small(2)))
    extent = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    size = [e + draw(small(6, 0)) for e in extent]
    pads = tuple(
        (draw(small(e - 1, 0)), draw(small(e - 1, 0))) if e > 1 else (0, draw(small(1, 0)))
        for e in extent
    )
    return {
        "shapes": (
            (draw(small(3)), *size, channels),
            (*window, channels // groups, features),
        ),
        "strides": draw(st.tuples(small(3), small(3))),
        "padding": draw(st.sampled_from(["SAME", "VALID", pads, pads])),
        "dilation": dilation,
        "groups": groups,
    }


@few(max_examples=7)
@given(convolutions(), st.integers(0, 9))
def test_values_and_derivatives_are_the_stock_ones(case, seed):
    shapes = case.pop("shapes")
    conv = lambda x, w: ops.conv2d(x, w, **case)
    operands = arrays(seed, *shapes, *shapes)
    got, wanted = (jax.jit(everything(f))(*operands) for f in (conv, stocked(conv)))
    assert_close(got, wanted)


SHAPES = {
    "dense": ((16, 12, 12, 8), (3, 3, 8, 16), {}),
    "wide": ((4, 8, 8, 32), (3, 3, 32, 32), {}),
    "strided": ((4, 9, 9, 8), (3, 3, 8, 8), {"strides": 2, "padding": 1}),
    "stem": ((4, 21, 21, 3), (7, 7, 3, 8), {"strides": 2, "padding": 3}),
    "depthwise": ((4, 8, 8, 16), (3, 3, 1, 16), {"groups": 16}),
    "multiplier": ((4, 8, 8, 8), (5, 5, 1, 16), {"groups": 8, "strides": 2}),
    "grouped": ((4, 8, 8, 16), (3, 3, 4, 16), {"groups": 4}),
}


@pytest.mark.parametrize("name", ["dense", "wide", "stem", "multiplier"])
def test_layers_of_known_networks(name):
    x, w, options = SHAPES[name]
    conv = lambda x, w: ops.conv2d(x, w, **options)
    operands = arrays(1, x, w, x, w)
    got, wanted = (jax.jit(everything(f))(*operands) for f in (conv, stocked(conv)))
    assert_close(got, wanted)


@pytest.mark.parametrize("name", ["dense", "depthwise"])
def test_bfloat16_keeps_its_dtype_and_its_precision(name):
    x, w, options = SHAPES[name]
    x, w = arrays(2, x, w, dtype=jnp.bfloat16)
    conv = lambda x, w: ops.conv2d(x, w, **options)
    run = lambda conv: jax.jit(lambda x, w: (conv(x, w), jax.grad(loss(conv), (0, 1))(x, w)))
    got = run(conv)(x, w)
    wanted = run(stocked(conv))(x.astype(jnp.float32), w.astype(jnp.float32))
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype(jnp.bfloat16)}
    assert_close(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), got), wanted, 3e-2)


def test_vmap_over_images_kernels_and_both():
    x, w, options = SHAPES["strided"]
    xs, ws, x, w = arrays(3, (2, 3, *x), (2, 3, *w), x, w)
    derivatives = lambda conv: jax.grad(loss(lambda x, w: conv(x, w, **options)), (0, 1))

    def run(conv):
        each = lambda outer, inner: jax.vmap(jax.vmap(derivatives(conv), inner), outer)
        return (
            jax.vmap(derivatives(conv), (2, None))(jnp.moveaxis(xs[0], 0, 2), w),
            jax.vmap(derivatives(conv), (None, 4), (0, 1))(x, jnp.moveaxis(ws[0], 0, 4)),
            jax.vmap(derivatives(conv))(xs[0], ws[0]),
            each((0, 0), (0, 0))(xs, ws),
            each((0, None), (None, 0))(xs[:, 0], ws[0]),
            each((None, 0), (0, 0))(xs[0], ws),
            each((0, 0), (None, 0))(xs[:, 0], ws),
        )

    got, wanted = jax.jit(lambda: (run(ops.conv2d), stocked(run)(ops.conv2d)))()
    assert_close(got, wanted)


def test_gradients_of_every_example_alone():
    # More kernels than are written out one by one.
    x, w = arrays(4, (19, 6, 6, 3), (3, 3, 3, 4))
    each = jax.vmap(jax.grad(loss(ops.conv2d), 1), (0, None))
    got, wanted = (jax.jit(f)(x[:, None], w) for f in (each, stocked(each)))
    assert_close(got, wanted)


def test_scan_and_remat():
    x, w = arrays(5, (4, 8, 8, 8), (3, 3, 3, 8, 8))

    def deep(x, w):
        layer = jax.checkpoint(lambda x, w: (jnp.tanh(ops.conv2d(x, w)), None))
        return jnp.sum(lax.scan(layer, x, w * 0.1)[0] ** 2)

    got, wanted = (jax.jit(jax.value_and_grad(f, (0, 1)))(x, w) for f in (deep, stocked(deep)))
    assert_close(got, wanted)


def test_second_derivative_in_reverse():
    x, w = arrays(6, (2, 6, 6, 3), (3, 3, 3, 4))

    def penalty(x, w):
        return jnp.sum(jax.grad(loss(ops.conv2d))(x, w) ** 2)

    got, wanted = (jax.jit(jax.grad(f, (0, 1)))(x, w) for f in (penalty, stocked(penalty)))
    assert_close(got, wanted)


def network(x, w):
    hidden = ops.max_pool(ops.conv2d(x, w, strides=2, padding=1), 3, strides=2, padding=1)
    hidden = ops.conv2d(hidden, w[:, :, :1], groups=hidden.shape[-1])
    return jnp.sum(ops.avg_pool(hidden, 2, strides=1) ** 2)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_on_an_accelerator_the_program_is_the_stock_one(platform):
    x, w = arrays(7, (2, 16, 16, 8), (3, 3, 8, 8))
    ws = jnp.stack([w, w])

    def text(f):
        def step(x, w, ws):
            return jax.value_and_grad(f, (0, 1))(x, w), jax.vmap(ops.conv2d, (None, 0))(x, ws)

        traced = jax.jit(stocked(step) if f is plain else step).trace(x, w, ws)
        return traced.lower(lowering_platforms=(platform,)).as_text()

    plain = stocked(network)
    assert text(network) == text(plain)


@pytest.mark.parametrize("inside", ["context", "argument"])
@pytest.mark.parametrize("precision", ["highest", "high"])
def test_a_precision_asked_for_inside_a_network_is_in_the_program_for_a_gpu(inside, precision):
    """Of the forward pass and of both gradients, though none is in force where it is lowered."""
    x, w = arrays(7, (2, 8, 8, 4), (3, 3, 4, 4))
    layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}

    def layer(conv, x, w):
        if inside == "argument":
            return conv(x, w, (1, 1), "SAME", precision=precision, **layout)
        with jax.default_matmul_precision(precision):
            return conv(x, w, (1, 1), "SAME", **layout)

    def text(conv):
        step = jax.value_and_grad(lambda x, w: jnp.sum(layer(conv, x, w) ** 2), (0, 1))
        return jax.jit(step).trace(x, w).lower(lowering_platforms=("cuda",)).as_text()

    ours, stock = text(ops.conv_general_dilated), text(lax.conv_general_dilated)
    asked = f"precision {precision.upper()}"
    assert ours.count(asked) == stock.count(asked) == 2 * 3
    assert "precision DEFAULT" not in ours


def test_export_for_one_platform_and_for_all():
    x, w = arrays(8, (2, 16, 16, 8), (3, 3, 8, 8))
    step = jax.jit(jax.value_and_grad(network, (0, 1)))
    wanted = step(x, w)
    for platforms in (["cpu"], ["cuda"], ["tpu"], ["cpu", "cuda", "tpu"]):
        exported = export.export(step, platforms=platforms)(x, w)
        if importlib.util.find_spec("flatbuffers"):
            exported = export.deserialize(exported.serialize())
        if "cpu" in platforms:
            assert_close(exported.call(x, w), wanted)


def test_sharded_batches():
    x, w = arrays(9, (8, 16, 16, 8), (3, 3, 8, 8))
    step = jax.value_and_grad(network, (0, 1))
    wanted = jax.jit(stocked(step))(x, w)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))
    split, whole = PartitionSpec("batch"), PartitionSpec()
    xs, ws = (jax.device_put(a, NamedSharding(mesh, s)) for a, s in ((x, split), (w, whole)))

    program = jax.jit(step).lower(xs, ws).compile()
    assert "all-gather" not in program.as_text()
    assert_close(program(xs, ws), wanted)

    def each_device(x, w):
        value, gradients = step(x, w)
        return lax.psum(value, "batch"), gradients

    sharded = jax.shard_map(
        each_device, mesh=mesh, in_specs=(split, whole), out_specs=(whole, (split, whole))
    )
    assert_close(jax.jit(sharded)(xs, ws), wanted)

    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        operands = (jax.device_put(a, NamedSharding(mesh, s)) for a, s in ((x, split), (w, whole)))
        assert_close(jax.jit(step)(*operands), wanted)


def test_the_switch_is_part_of_the_cache_key():
    x, w = arrays(10, (2, 6, 6, 3), (3, 3, 3, 4))
    traces = []

    @jax.jit
    def f(x, w):
        traces.append(ops.is_stock())
        return ops.conv2d(x, w)

    for _ in range(2):
        f(x, w)
        with ops.stock():
            f(x, w)
            with ops.stock():
                f(x, w)
            assert ops.is_stock()
        assert not ops.is_stock()
    assert traces == [False, True]
    with ops.stock():
        assert "cnnjax" not in str(jax.make_jaxpr(lambda x, w: ops.conv2d(x, w))(x, w))
    assert "cnnjax" in str(jax.make_jaxpr(lambda x, w: ops.conv2d(x, w))(x, w))


def test_conv_general_dilated_is_that_of_lax():
    x, w, line = arrays(11, (2, 9, 9, 4), (3, 3, 2, 6), (2, 9, 4))
    image, row = ("NHWC", "HWIO", "NHWC"), ("NWC", "WIO", "NWC")
    cases = [
        ((x, w, (2, 2), "SAME"), {"dimension_numbers": image, "feature_group_count": 2}),
        (
            (x, w, (1, 1), [(1, 0), (0, 2)]),
            {"dimension_numbers": image, "feature_group_count": 2, "rhs_dilation": (2, 1)},
        ),
        ((x, w, (1, 1), [(-1, 0), (0, 2)]), {"dimension_numbers": image, "feature_group_count": 2}),
        ((x, w, (1, 1), "SAME_LOWER"), {"dimension_numbers": image, "feature_group_count": 2}),
        (
            (x, w, (1, 1), [(2, 2), (2, 2)]),
            {"dimension_numbers": image, "feature_group_count": 2, "lhs_dilation": (2, 2)},
        ),
        (
            (x, w, (1, 1), "VALID"),
            {
                "dimension_numbers": image,
                "feature_group_count": 2,
                "precision": "highest",
                "preferred_element_type": jnp.float32,
            },
        ),
        ((line, w[0], (2,), "SAME"), {"dimension_numbers": row, "feature_group_count": 2}),
    ]
    for arguments, options in cases:
        got = ops.conv_general_dilated(*arguments, **options)
        assert_close(got, lax.conv_general_dilated(*arguments, **options))


@pytest.mark.parametrize(
    ("x", "w", "options", "words"),
    [
        ((8, 8, 3), (3, 3, 3, 4), {}, "images"),
        ((1, 8, 8, 3), (3, 3, 3), {}, "kernel"),
        ((1, 8, 8, 3), (3, 3, 4, 4), {}, "3 channels"),
        ((1, 8, 8, 4), (3, 3, 2, 3), {"groups": 2}, "groups: got 2"),
        ((1, 8, 8, 4), (3, 3, 4, 3), {"groups": 0}, "groups: got 0"),
        ((1, 4, 4, 3), (5, 5, 3, 4), {"padding": "VALID"}, "5 x 5 does not fit the image of 4 x 4"),
        ((1, 4, 9, 3), (5, 5, 3, 4), {"padding": 0}, "5 x 5 does not fit the image of 4 x 9"),
        ((1, 9, 4, 3), (5, 5, 3, 4), {"padding": 0}, "5 x 5 does not fit the image of 9 x 4"),
        ((1, 4, 4, 3), (3, 3, 3, 4), {"padding": 0, "dilation": 2}, "dilation 2, 2"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"strides": 0}, "strides: got 0"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"strides": (1, 1, 1)}, "strides"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"dilation": 1.5}, "dilation: got 1.5"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"padding": -1}, "padding: got -1"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"padding": ((0, -1), (0, 0))}, r"padding: got \(0, -1\)"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"padding": ((0, 0), (1.5, 0))}, r"padding: got \(1.5, 0\)"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"padding": "SAMME"}, "did you mean 'SAME'"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"padding": ((1, 1),)}, "top, bottom"),
    ],
)
def test_bad_arguments_say_what_is_allowed(x, w, options, words):
    with pytest.raises(BadArgument, match=words):
        ops.conv2d(np.ones(x, np.float32), np.ones(w, np.float32), **options)


def test_dtypes_are_floats_and_one():
    x, w = np.ones((1, 8, 8, 3), np.float32), np.ones((3, 3, 3, 4), np.float32)
    with pytest.raises(BadArgument, match="images: got dtype uint8"):
        ops.conv2d(x.astype(np.uint8), w)
    with pytest.raises(BadArgument, match="kernel: got dtype float16; allowed: float32"):
        ops.conv2d(x, w.astype(np.float16))


def test_export_for_any_batch():
    x, w = arrays(7, (3, 8, 8, 4), (3, 3, 4, 6))

    def step(x, w):
        return jax.grad(lambda w: (ops.max_pool(ops.conv2d(x, w), 2) ** 2).sum())(w)

    (batch,) = export.symbolic_shape("b")
    shape = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    exported = export.export(jax.jit(step), platforms=["cpu"])(shape, w)
    assert_close(exported.call(x, w), step(x, w))
