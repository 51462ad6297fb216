"""Every form of a convolution against the stock operation, over random shapes and geometries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from cnnjax.ops import candidates, choose, xla
from cnnjax.ops.candidates import CANDIDATES
from cnnjax.ops.choose import DTYPES, Rule
from cnnjax.ops.forms import winograd
from cnnjax.ops.forms.blocks import merge_groups, split_groups
from cnnjax.ops.geometry import Geometry, Layer

WINOGRAD = {
    (operation, family, dtype): [Rule("winograd"), Rule("patches")]
    for operation in CANDIDATES
    for family in ("3x3", "grouped 3x3", "dense", "grouped")
    for dtype in DTYPES
}
few = settings(max_examples=8, deadline=None, derandomize=True)


def arrays(seed, *shapes, dtype=np.float32):
    random = np.random.default_rng(seed)
    return [jnp.asarray(random.standard_normal(shape), dtype) for shape in shapes]


def assert_close(ours, stock, tolerance=1e-5):
    assert ours.shape == stock.shape
    assert ours.dtype == stock.dtype
    ours, stock = (np.asarray(a, np.float64) for a in (ours, stock))
    assert np.linalg.norm(ours - stock) <= tolerance * np.linalg.norm(stock)


def three(module, x, w, g, geometry):
    layer = Layer(geometry, x.shape[1:3], w.shape[:2])
    return jax.jit(
        lambda x, w, g: (
            module.forward(x, w, layer),
            module.input_gradient(g, w, layer),
            module.kernel_gradient(x, g, layer),
        )
    )(x, w, g)


def assert_same(batch, size, kernel_size, channels, outputs, geometry, seed=0, **options):
    tolerance = options.pop("tolerance", 1e-5)
    out = geometry.output_size(size, kernel_size)
    kernel = (*kernel_size, channels // geometry.groups, outputs)
    shapes = (batch, *size, channels), kernel, (batch, *out, outputs)
    x, w, g = arrays(seed, *shapes, **options)
    expected = three(xla, *(a.astype(jnp.float32) for a in (x, w, g)), geometry)
    for ours, stock in zip(three(choose, x, w, g, geometry), expected, strict=True):
        assert_close(ours, stock.astype(ours.dtype), tolerance)


@st.composite
def windows(draw, kernels, strides=(1, 2, 3), dilations=(1, 2)):
    pair = lambda values: (draw(st.sampled_from(values)), draw(st.sampled_from(values)))
    pad = st.tuples(st.integers(0, 3), st.integers(0, 3))
    kernel = pair(kernels)
    stride, dilation = pair(strides), pair(dilations)
    padding = (draw(pad), draw(pad))
    least = [
        max(1, (k - 1) * d + 1 - sum(p)) for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    size = tuple(draw(st.integers(n, n + 8)) for n in least)
    return size, kernel, Geometry(stride, padding, dilation, 1)


@few
@given(windows((3,), (1,), (1,)), st.integers(1, 4), st.sampled_from((8, 20)))
def test_winograd(window, batch, outputs):
    """Wherever it can be, which is not where it is fast with every version of jax."""
    size, kernel, geometry = window
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "_RULES", WINOGRAD)
        assert_same(batch, size, kernel, 16, outputs, geometry)


@few
@given(windows((1, 2, 3, 5, 7)), st.sampled_from((1, 3, 16)), st.integers(1, 3))
def test_patches(window, channels, batch):
    size, kernel, geometry = window
    assert_same(batch, size, kernel, channels, 4, geometry)


@few
@given(windows((1,), dilations=(1,)), st.integers(1, 3))
def test_pointwise(window, batch):
    size, kernel, geometry = window
    assert_same(batch, size, kernel, 6, 5, geometry._replace(padding=((0, 0), (0, 0))))


@few
@given(windows((2, 3, 5)), st.integers(1, 3), st.sampled_from((1, 2)))
def test_depthwise(window, batch, multiplier):
    size, kernel, geometry = window
    assert_same(batch, size, kernel, 6, 6 * multiplier, geometry._replace(groups=6))


@few
@given(windows((1, 3)), st.sampled_from((2, 4)), st.sampled_from((1, 3)))
def test_grouped(window, groups, outputs):
    size, kernel, geometry = window
    assert_same(2, size, kernel, 8, groups * outputs, geometry._replace(groups=groups))


@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_of_images_and_slices_of_channels(stride, monkeypatch):
    monkeypatch.setattr(candidates, "_WINOGRAD_BLOCK", 1)
    monkeypatch.setattr(candidates, "_PATCH_BLOCK", 1)
    monkeypatch.setattr(candidates, "_WIDTH", 8)
    geometry = Geometry((stride, stride), ((1, 1), (1, 1)), (1, 1), 8)
    assert_same(3, (6, 5), (3, 3), 32, 16, geometry)


@pytest.mark.parametrize("groups", [1, 16])
@pytest.mark.parametrize("stride", [1, 2])
def test_bfloat16_is_rounded_once(groups, stride):
    geometry = Geometry((stride, stride), ((1, 1), (1, 1)), (1, 1), groups)
    assert_same(2, (8, 8), (3, 3), 16, 16, geometry, dtype=jnp.bfloat16, tolerance=4e-3)


@pytest.mark.parametrize("groups", [1, 8])
def test_inside_scan(groups):
    geometry = Geometry((1, 1), ((1, 1), (1, 1)), (1, 1), groups)
    x, w = arrays(0, (4, 6, 6, 8), (3, 3, 8 // groups, 8))
    layer = Layer(geometry, (6, 6), (3, 3))

    def steps(module):
        def step(w, _):
            g = module.forward(x, w, layer)
            gradient = module.kernel_gradient(x, g, layer)
            return w - 1e-3 * gradient, module.input_gradient(g, w, layer).sum()

        return jax.jit(lambda w: lax.scan(step, w, length=3))(w)

    for ours, stock in zip(steps(choose), steps(xla), strict=True):
        assert_close(ours, stock)


def test_split_groups_keeps_what_merge_groups_placed():
    (kernel,) = arrays(0, (3, 2, 4, 24))
    np.testing.assert_array_equal(split_groups(merge_groups(kernel, 6, 2), 6), kernel)
    for slices in (2, 6):  # several groups in one slice, and one
        half = merge_groups(kernel.astype(jnp.bfloat16), 6, slices)
        assert half.dtype == jnp.bfloat16


@pytest.mark.parametrize("m", [2, 4])
def test_winograd_transforms_are_an_exact_identity(m):
    t = winograd.transforms(m)
    random = np.random.default_rng(0)
    x, w = random.standard_normal(m + 2), random.standard_normal(3)
    y = t.outputs @ ((t.kernel @ w) * (t.inputs @ x))
    np.testing.assert_allclose(y, np.correlate(x, w, "valid"), rtol=1e-12, atol=1e-12)
    g = random.standard_normal(m)
    taps = t.taps @ ((t.gradient @ g) * (t.inputs @ x))
    np.testing.assert_allclose(taps, np.correlate(x, g, "valid"), rtol=1e-12, atol=1e-12)
