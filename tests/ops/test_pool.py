"""Pooling: values, gradients with many ties, and PyTorch's rules for borders and counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from cnnjax import ops
from cnnjax.errors import BadArgument


def stocked(function):
    def inside(*arguments):
        with ops.stock():
            return function(*arguments)

    return inside


small = lambda most, least=1: st.integers(least, most)


@st.composite
def poolings(draw):
    window = draw(st.tuples(small(5), small(5)))
    return {
        "window": window,
        "strides": draw(st.tuples(small(4), small(4))),
        "padding": tuple((draw(small(k - 1, 0)), draw(small(k - 1, 0))) for k in window),
        "ceil_mode": draw(st.booleans()),
    }


def tied(seed, shape=(2, 9, 8, 3)):
    """Return images as a ReLU leaves them: many zeros, few distinct values."""
    return jnp.maximum(jax.random.randint(jax.random.key(seed), shape, -3, 3), 0).astype(
        jnp.float32
    )


def places(size, k, step, low, high, ceil_mode):
    """Return the pixels of each window of one axis and how many of its taps are padding."""
    count = (size + low + high - k) / step + 1
    count = int(np.ceil(count)) if ceil_mode else int(count)
    if ceil_mode and (count - 1) * step >= size + low:
        count -= 1
    starts = [n * step - low for n in range(count)]
    return [(range(max(s, 0), min(s + k, size)), min(s + k, size + high) - s) for s in starts]


def windows(case):
    return [
        places(size, k, step, *sides, case["ceil_mode"])
        for size, k, step, sides in zip(
            (9, 8), case["window"], case["strides"], case["padding"], strict=True
        )
    ]


@settings(deadline=None, derandomize=True, database=None, max_examples=4)
@given(poolings(), small(9))
def test_max_pool_sends_the_gradient_to_the_first_of_equals(case, seed):
    x = tied(seed)
    pool = lambda x: ops.max_pool(x, **case)
    rows, columns = windows(case)
    g = jax.random.normal(jax.random.key(seed), (2, len(rows), len(columns), 3))
    got, gradient = jax.jit(lambda x, g: (pool(x), jax.vjp(pool, x)[1](g)[0]))(x, g)
    wanted, scattered = np.zeros(g.shape, np.float32), np.zeros(x.shape, np.float32)
    for y, (r, _) in enumerate(rows):
        for z, (c, _) in enumerate(columns):
            seen = np.asarray(x)[:, r.start : r.stop, c.start : c.stop].reshape(2, -1, 3)
            wanted[:, y, z] = seen.max(1)
            first = seen.argmax(1)
            for b in range(2):
                for channel in range(3):
                    i, j = divmod(first[b, channel], len(c))
                    scattered[b, r[i], c[j], channel] += g[b, y, z, channel]
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_allclose(gradient, scattered, rtol=1e-5, atol=1e-6)


# One pass over the windows, and a pass over rows before one over columns.
PASSES = pytest.mark.parametrize(
    "pooling",
    [{"window": 3, "strides": 2, "padding": 1}, {"window": 5, "strides": 1, "padding": 2}],
)


@PASSES
def test_derivatives_of_max_pool_are_the_stock_ones_at_every_order(pooling):
    x = jax.random.normal(jax.random.key(0), (2, 3, 9, 8, 3))
    cubes = lambda x: jnp.sum(ops.max_pool(x, **pooling) ** 3)

    def derivatives(x):
        forward = lambda x: jax.jvp(jax.grad(cubes), (x,), (jnp.cos(x),))
        reverse = jax.grad(lambda x: jnp.sum(jax.grad(cubes)(x) ** 2))
        batched = jax.vmap(jax.grad(cubes), 1)
        return forward(x[0]), reverse(x[0]), batched(x)

    got, wanted = (jax.jit(f)(x) for f in (derivatives, stocked(derivatives)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, wanted)


@PASSES
def test_forward_mode_of_max_pool_is_the_transpose_of_reverse_mode_in_ties(pooling):
    x = tied(1)
    pool = lambda x: ops.max_pool(x, **pooling)
    t, g = (jax.random.normal(jax.random.key(k), s) for k, s in ((2, x.shape), (3, pool(x).shape)))

    def both(x):
        return jnp.vdot(jax.jvp(pool, (x,), (t,))[1], g), jnp.vdot(jax.vjp(pool, x)[1](g)[0], t)

    np.testing.assert_allclose(*jax.jit(both)(x), rtol=1e-5)


def test_max_pool_keeps_bfloat16():
    x = tied(2).astype(jnp.bfloat16)
    value, gradient = jax.value_and_grad(lambda x: ops.max_pool(x, 2).sum())(x)
    assert value.dtype == gradient.dtype == jnp.bfloat16
    assert float(gradient.astype(jnp.float32).sum()) == 2 * 4 * 4 * 3


@settings(deadline=None, derandomize=True, database=None, max_examples=6)
@given(poolings(), st.booleans())
def test_avg_pool_counts_as_pytorch_does(case, include):
    x = tied(3)
    got = ops.avg_pool(x, count_include_pad=include, **case)
    rows, columns = windows(case)
    wanted = np.zeros((2, len(rows), len(columns), 3), np.float32)
    for y, (r, tall) in enumerate(rows):
        for z, (c, wide) in enumerate(columns):
            seen = np.asarray(x)[:, r.start : r.stop, c.start : c.stop]
            wanted[:, y, z] = seen.sum((1, 2)) / (tall * wide if include else len(r) * len(c))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("filter_size", "strides", "mode"),
    [(3, 2, "reflect"), (4, 2, "reflect"), (5, 1, "reflect"), (3, 2, "constant")],
)
def test_blur_pool_is_a_convolution_of_the_larger_image(filter_size, strides, mode):
    x = jax.random.normal(jax.random.key(4), (2, 9, 8, 3))
    row = np.poly1d((0.5, 0.5)) ** (filter_size - 1)
    kernel = jnp.asarray(np.outer(row.coeffs, row.coeffs), jnp.float32)[:, :, None, None]
    pad = (strides - 1 + filter_size - 1) // 2
    larger = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode=mode)
    wanted = lax.conv_general_dilated(
        larger,
        jnp.tile(kernel, 3),
        (strides, strides),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=3,
    )
    got = ops.blur_pool(x, strides=strides, filter_size=filter_size, mode=mode)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_unless_told_windows_stand_side_by_side_and_padding_counts():
    """As PyTorch's layers do it: strides are the window, floor, zeros are averaged too."""
    x = tied(6, (1, 7, 5, 2))
    blocks = np.asarray(x)[:, :6, :4].reshape(1, 3, 2, 2, 2, 2)
    np.testing.assert_array_equal(ops.max_pool(x, 2), blocks.max((2, 4)))
    np.testing.assert_allclose(ops.avg_pool(x, 2), blocks.mean((2, 4)), rtol=1e-6)
    padded = ops.avg_pool(x, 3, strides=2, padding=1)
    assert padded.shape == (1, 4, 3, 2)
    np.testing.assert_allclose(padded[:, 0, 0], x[:, :2, :2].sum((1, 2)) / 9, rtol=1e-6)
    thin = ops.blur_pool(x)
    assert thin.shape == ops.blur_pool(x, strides=2, filter_size=3, mode="reflect").shape
    np.testing.assert_array_equal(thin, ops.blur_pool(x, strides=2, filter_size=3, mode="reflect"))


def test_global_avg_pool_is_the_mean():
    x = tied(5)
    np.testing.assert_allclose(ops.global_avg_pool(x), np.mean(x, (1, 2)), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: ops.max_pool(x, 5), "window: 5 x 5 does not fit the image of 4 x 4"),
        (lambda x: ops.max_pool(x, (1, 5)), "window: 1 x 5 does not fit the image of 4 x 4"),
        (lambda x: ops.avg_pool(x, (5, 1)), "window: 5 x 1 does not fit the image of 4 x 4"),
        (lambda x: ops.max_pool(x, 2, padding=2), "padding: got 2; allowed: less than the window"),
        (lambda x: ops.max_pool(x, 0), "window: got 0"),
        (lambda x: ops.max_pool(x[0], 2), "images: got shape"),
        (lambda x: ops.avg_pool(x.astype(np.uint8), 2), "images: got dtype uint8"),
        (lambda x: ops.avg_pool(x, 2, strides=0), "strides: got 0"),
        (lambda x: ops.blur_pool(x, filter_size=1), "filter_size: got 1"),
        (lambda x: ops.blur_pool(x, filter_size=9), "to be mirrored"),
        (lambda x: ops.blur_pool(x[:, :2], filter_size=5), "to be mirrored"),
        (lambda x: ops.blur_pool(x[:, :, :2], filter_size=5), "to be mirrored"),
        (lambda x: ops.blur_pool(x, mode="edge"), "mode: got 'edge'"),
    ],
)
def test_bad_arguments_say_what_is_allowed(call, words):
    with pytest.raises(BadArgument, match=words):
        call(np.ones((1, 4, 4, 3), np.float32))


def test_ceil_mode_takes_one_window_larger_than_the_image():
    images = jnp.arange(4.0).reshape(1, 2, 2, 1)
    assert ops.max_pool(images, 3, strides=2, ceil_mode=True).item() == 3
    assert ops.avg_pool(images, 3, strides=2, ceil_mode=True).item() == 1.5
    with pytest.raises(BadArgument, match="window"):
        ops.max_pool(images, 4, strides=2, ceil_mode=True)
    with pytest.raises(BadArgument, match="window"):
        ops.max_pool(images, 3, strides=2)
