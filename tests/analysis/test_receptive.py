"""Receptive fields against the gradient: an output depends on exactly the pixels it can see."""

from collections.abc import Callable
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import cnnjax
from cnnjax import ops
from cnnjax.analysis import summarise
from cnnjax.analysis.receptive import Field

SIZE = 48


class Net(nn.Module):
    body: Callable

    @nn.compact
    def __call__(self, images, *, train):
        return self.body(images)


def conv(x, size, features=4, **settings):
    groups = settings.get("groups", 1)
    return ops.conv2d(x, jnp.ones((size, size, x.shape[-1] // groups, features)), **settings)


def squeezed(x):
    return x * ops.global_avg_pool(x)[:, None, None, :]


def doubled(x):
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c))
    return x.reshape(b, 2 * h, 2 * w, c)


def to_depth(x):
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // 2, w // 2, 4 * c)


def shuffled(x):
    return x.reshape(*x.shape[:3], 2, 2).swapaxes(3, 4).reshape(x.shape)


BODIES = {
    "stack": lambda x: conv(conv(x, 3), 5),
    "stride": lambda x: conv(conv(conv(x, 3, strides=2), 3), 3, strides=2),
    "dilation": lambda x: conv(conv(x, 3, strides=2), 3, dilation=2),
    "one_side": lambda x: ops.conv2d(conv(x, 1), jnp.ones((5, 1, 4, 4))),
    "depthwise": lambda x: conv(conv(x, 3), 7, groups=4),
    "max_pool": lambda x: conv(ops.max_pool(conv(x, 3), 3, strides=2, padding=1), 3),
    "avg_pool": lambda x: conv(ops.avg_pool(conv(x, 3), 2), 3),
    "residual": lambda x: (lambda y: y + conv(jax.nn.relu(conv(y, 3)), 3))(conv(x, 3)),
    "branches": lambda x: conv(jnp.concatenate([conv(x, 1), conv(x, 5), conv(x, 3)], -1), 3),
    "to_depth": lambda x: conv(to_depth(x), 3),
    "shuffle": lambda x: conv(shuffled(conv(x, 3)), 3),
    "transposed": lambda x: conv(conv(x, 3).transpose(0, 2, 1, 3), 5),
    "slices": lambda x: conv(conv(x, 3)[:, ::2, ::2], 3),
    "upsampled": lambda x: conv(jnp.repeat(jnp.repeat(conv(x, 3, strides=2), 2, 1), 2, 2), 3),
    "scaled": lambda x: conv(3 * conv(x, 3)[:, :, ::-1], 3),
    "one_row": lambda x: conv(x, 3, strides=(2, 1)),
    "jit": lambda x: jax.jit(lambda x: conv(jax.checkpoint(lambda x: conv(x, 3))(x), 3))(x),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_size_is_what_the_gradient_reaches(body):
    images = jnp.asarray(1 + np.arange(SIZE * SIZE, dtype=np.float32).reshape(1, SIZE, SIZE, 1))
    shape = jax.eval_shape(body, images).shape
    middle = (0, shape[1] // 2, shape[2] // 2)

    # Positive weights never cancel; a maximum hides pixels, so pools are averaged here.
    def output(images):
        return body(images)[middle].sum()

    if body is BODIES["max_pool"]:
        smooth = lambda x: conv(ops.avg_pool(conv(x, 3), 3, strides=2, padding=1), 3)
        output = lambda images: smooth(images)[middle].sum()
    gradient = np.abs(np.asarray(jax.grad(output)(images))[0, :, :, 0])
    reached = gradient > 1e-3 * gradient.max()  # fast forms leave rounding errors beyond
    extent = tuple(int(np.ptp(np.flatnonzero(reached.any(axis)))) + 1 for axis in (1, 0))

    last = summarise(Net(body), (SIZE, SIZE, 1)).layers[-1]
    assert last.receptive_field == extent
    assert last.stride == (SIZE // shape[1], SIZE // shape[2])


def test_repeated_pixels_halve_the_stride():
    last = summarise(Net(lambda x: conv(doubled(conv(x, 3, strides=2)), 3)), (8, 8, 1)).layers[-1]
    assert last.stride == (1, 1)
    assert last.receptive_field == (5, 5)


def test_a_gate_does_not_count():
    layers = summarise(Net(lambda x: squeezed(conv(x, 3))), (8, 8, 1)).layers
    assert [layer.kind for layer in layers] == ["conv 3x3", "global avg pool", "multiply"]
    assert layers[1].receptive_field == (None, None)
    assert layers[2].receptive_field == (3, 3)


# Araujo, Norris and Sim 2019, table of receptive fields; resnet18 from torchvision's definition.
@pytest.mark.parametrize(
    ("name", "size", "stride"), [("alexnet", 195, 32), ("vgg16", 212, 32), ("resnet18", 435, 32)]
)
def test_published_sizes(name, size, stride):
    layers = summarise(cnnjax.build(name), (224, 224, 3)).layers
    last = [layer for layer in layers if layer.receptive_field[0] is not None][-1]
    if name == "alexnet":  # an adaptive pooling of 6x6 to 6x6 changes nothing
        assert last.output_shape == (6, 6, 256)
    assert last.receptive_field == (size, size)
    assert last.stride == (stride, stride)


def field_of(body, size=8):
    last = summarise(Net(body), (size, size, 1)).layers[-1]
    return last.receptive_field, last.stride


def test_a_transposed_convolution_halves_the_stride():
    """Zeros between positions: 3 taps of the doubled grid reach 2 positions, 2 pixels apart."""
    body = lambda x: jax.lax.conv_general_dilated(
        conv(x, 3, strides=2), jnp.ones((3, 3, 4, 4)), (1, 1), [(1, 2)] * 2, lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
    assert field_of(body) == ((3 + 2 * 1, 3 + 2 * 1), (1, 1))


def test_what_is_summed_over_is_seen_whole():
    """A product over rows: every output sees all rows, one column."""
    rows = lambda x: jnp.einsum("bhwc,h->bwc", x, jnp.ones(8))
    assert field_of(lambda x: conv(rows(x)[:, None], 3)) == ((None, 3), (None, 1))
    flat = lambda x: x.reshape(1, -1) @ jnp.ones((64, 3))
    assert field_of(flat) == ((None, None), (None, None))
    mixed = lambda x: conv(x.reshape(1, 8, 1, 8), 3)
    assert field_of(mixed)[0] == (3, None)


def test_a_window_sum_with_gaps():
    body = lambda x: jax.lax.reduce_window(
        x, 0.0, jax.lax.add, (1, 3, 2, 1), (1, 2, 1, 1), "VALID", window_dilation=(1, 2, 3, 1)
    )
    assert field_of(body) == ((5, 4), (2, 1))


def test_interior_padding_spreads_positions():
    body = lambda x: conv(
        jax.lax.pad(conv(x, 3, strides=2), 0.0, [(0, 0, 0), (0, 1, 1), (0, 0, 0), (0, 0, 0)]), 3
    )
    assert field_of(body) == ((5, 7), (1, 2))


def test_a_stride_is_the_smallest_step_along_a_dimension():
    axes = ((0, Fraction(2)), (0, Fraction(1)), (1, Fraction(3)), None)
    field = Field((Fraction(5), Fraction(5)), axes)
    assert [field.stride(0), field.stride(1)] == [1, 3]
    assert Field((Fraction(5), Fraction(5)), (None,)).stride(0) is None
