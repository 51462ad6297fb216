"""Convolutions against loops of numpy: values, and gradients by the identities of a bilinear map.

`<conv(x, w), g> = <x, input gradient(g, w)> = <w, kernel gradient(x, g)>` for all three, so that
loops over the forward formula alone say what each element of a gradient is.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import ops
from cnnjax.ops import candidates, choose, xla
from cnnjax.ops.choose import Rule
from cnnjax.ops.forms import depthwise, direct, patches, pointwise, winograd
from cnnjax.ops.forms.blocks import merge_groups, split_groups
from cnnjax.ops.geometry import Geometry, Layer, resolve_padding
from tests.ops import loops

# Each program is compiled to be run once.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
UNIT, NONE = (1, 1), ((0, 0), (0, 0))
UNEVEN = ((2, 0), (1, 2))


def draw(*shapes, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(-4, 5, shape).astype(np.float64) for shape in shapes]


def wanted_gradients(x, w, g, geometry):
    """Both gradients by the identities, one basis kernel or image at a time: small shapes only."""
    conv = lambda x, w: loops.conv2d(x, w, *geometry)
    to_kernel, to_images = np.zeros(w.shape), np.zeros(x.shape)
    for tap in np.ndindex(*w.shape[:3]):
        for output in range(w.shape[3]):
            basis = np.zeros(w.shape)
            basis[(*tap, output)] = 1
            to_kernel[(*tap, output)] = np.vdot(conv(x, basis), g)
    # An image is everywhere 0 but at one pixel of one channel; images of a batch are independent.
    for row, column, channel in np.ndindex(*x.shape[1:]):
        basis = np.zeros((1, *x.shape[1:]))
        basis[0, row, column, channel] = 1
        to_images[:, row, column, channel] = (conv(basis, w) * g).sum((1, 2, 3))
    return to_images, to_kernel


def check(forward, input_gradient, kernel_gradient, shape, kernel, geometry):
    """Compare the three programs with the loops, in float64: integers small enough are exact."""
    x, w = draw(shape, kernel)
    layer = Layer(geometry, shape[1:3], kernel[:2])
    value = loops.conv2d(x, w, *geometry)
    (g,) = draw(value.shape, seed=1)
    to_images, to_kernel = wanted_gradients(x, w, g, geometry)
    with jax.enable_x64(True):
        x, w, g = map(jnp.asarray, (x, w, g))
        programs = lambda x, w, g: (
            forward(x, w, layer),
            input_gradient(g, w, layer),
            kernel_gradient(x, g, layer),
        )
        found = jax.jit(programs, compiler_options=QUICK)(x, w, g)
        for got, wanted in zip(found, (value, to_images, to_kernel), strict=True):
            assert got.dtype == "float64"
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


# (height, width), (kernel height, width), strides, padding, dilation
DENSE = [
    ((5, 6), (3, 3), UNIT, ((1, 1), (1, 1)), UNIT),
    ((5, 4), (3, 2), (2, 1), UNEVEN, UNIT),
    ((7, 6), (2, 3), (1, 2), ((0, 1), (2, 0)), (2, 1)),
    ((6, 6), (3, 1), (3, 2), ((2, 1), (0, 0)), (1, 2)),
]


@pytest.mark.parametrize("case", DENSE)
def test_patches(case):
    # The kernel gradient has a program for either order of these.
    channels, outputs = (2, 3) if case is DENSE[-1] else (3, 2)
    size, taps, strides, padding, dilation = case
    geometry = Geometry(strides, padding, dilation, 1)
    check(
        lambda x, w, layer: patches.forward(x, w[None], layer, images=1),
        lambda g, w, layer: patches.input_gradient(g, w[None], layer, images=1),
        lambda x, g, layer: patches.kernel_gradient(x, g, layer, slices=1, images=1)[0],
        (2, *size, channels),
        (*taps, channels, outputs),
        geometry,
    )


@pytest.mark.parametrize("case", DENSE)
def test_direct(case):
    size, taps, strides, padding, dilation = case
    geometry = Geometry(strides, padding, dilation, 1)
    check(
        xla.forward,
        direct.input_gradient,
        choose.kernel_gradient,
        (2, *size, 3),
        (*taps, 3, 2),
        geometry,
    )


@pytest.mark.parametrize("case", DENSE)
def test_depthwise(case):
    size, taps, strides, padding, dilation = case
    multiplier = 1 if case in DENSE[:2] else 2
    geometry = Geometry(strides, padding, dilation, 3)
    for kernel_gradient in (depthwise.kernel_gradient, depthwise.kernel_gradient_by_tap):
        check(
            depthwise.forward,
            depthwise.input_gradient,
            kernel_gradient,
            (2, *size, 3),
            (*taps, 1, 3 * multiplier),
            geometry,
        )


@pytest.mark.parametrize("strides", [UNIT, (2, 3)])
@pytest.mark.parametrize(("channels", "outputs"), [(2, 3), (3, 2)])
def test_pointwise(strides, channels, outputs):
    geometry = Geometry(strides, NONE, UNIT, 1)
    check(
        pointwise.forward,
        pointwise.input_gradient,
        pointwise.kernel_gradient,
        (2, 5, 6, channels),
        (1, 1, channels, outputs),
        geometry,
    )


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize(("padding", "groups"), [(UNEVEN, 1), (((0, 1), (2, 0)), 2)])
def test_winograd(m, padding, groups):
    geometry = Geometry(UNIT, padding, UNIT, groups)
    kernels = lambda w: merge_groups(w, groups, groups)
    check(
        lambda x, w, layer: winograd.forward(x, kernels(w), layer, m=m, images=1),
        lambda g, w, layer: winograd.input_gradient(g, kernels(w), layer, m=m, images=1),
        lambda x, g, layer: split_groups(
            winograd.kernel_gradient(x, g, layer, slices=groups, m=m, images=1), groups
        ),
        (2, 5, 6, 4),
        (3, 3, 4 // groups, 2),
        geometry,
    )


@pytest.mark.parametrize(
    ("padding", "strides", "groups"),
    [
        (((2, 0), (0, 1)), UNIT, 1),
        (((0, 1), (2, 1)), UNIT, 2),
        (((2, 0), (0, 2)), (2, 2), 2),
        (((0, 1), (2, 1)), UNIT, 4),
    ],
)
def test_what_choose_makes_of_a_layer(padding, strides, groups, monkeypatch):
    """With rules by which Winograd's forms are chosen wherever they can be."""
    rules = {
        (operation, family, "float32"): [
            Rule(form) for form in ("winograd", "depthwise", "patches")
        ]
        for operation in candidates.CANDIDATES
        for family in choose.FAMILIES
    }
    monkeypatch.setattr(choose, "_RULES", rules)
    monkeypatch.setattr(candidates, "_WIDTH", 2)
    geometry = Geometry(strides, padding, UNIT, groups)
    check(
        choose.forward,
        choose.input_gradient,
        choose.kernel_gradient,
        (2, 6, 5, 4),
        (3, 3, 4 // groups, 4),
        geometry,
    )


SIZES = list(itertools.product((1, 4, 7, 8), (1, 2, 3, 5), (1, 2, 3), (1, 2)))


def test_same_and_valid_are_tensorflows():
    for size, taps, stride, dilation in SIZES:
        got = resolve_padding("SAME", (size, 9), (taps, 3), (stride, 2), (dilation, 1))
        assert got[0] == loops.same_padding(size, taps, stride, dilation)
        assert got[1] == (1, 1)
        low, high = got[0]
        outputs = (size + low + high - (taps - 1) * dilation - 1) // stride + 1
        assert outputs == -(-size // stride)
    assert resolve_padding("VALID", (8, 8), (3, 3), UNIT) == NONE
    assert resolve_padding(2, (8, 8), (3, 3), UNIT) == ((2, 2), (2, 2))
    assert resolve_padding((2, 1), (8, 8), (3, 3), UNIT) == ((2, 2), (1, 1))


@pytest.mark.parametrize("padding", ["SAME", "VALID", 1, (2, 1), ((2, 0), (1, 2))])
@pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, (2, 1)), ((1, 3), 1)])
def test_public_convolution_pads_as_it_says(padding, strides, dilation):
    pair = lambda value: (value, value) if isinstance(value, int) else value
    x, w = draw((1, 7, 8, 2), (3, 2, 1, 4))
    geometry = (pair(strides), pair(dilation))
    sides = loops.sides(padding, (7, 8), (3, 2), *geometry)
    wanted = loops.conv2d(x, w, geometry[0], sides, geometry[1], 2)
    options = {"strides": strides, "padding": padding, "dilation": dilation, "groups": 2}
    for stock in (False, True):
        run = lambda: ops.conv2d(jnp.asarray(x, "f"), jnp.asarray(w, "f"), **options)
        if stock:
            with ops.stock():
                got = run()
        else:
            got = run()
        np.testing.assert_allclose(got, wanted, atol=1e-4)
