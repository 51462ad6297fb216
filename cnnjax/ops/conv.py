"""Two-dimensional convolution: the public functions."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.errors import BadArgument
from cnnjax.ops import primitives, xla
from cnnjax.ops.geometry import Geometry, Layer, pair, window_padding
from cnnjax.ops.lowering import has_explicit_sharding
from cnnjax.ops.switch import is_stock
from cnnjax.typing import Array

__all__ = ["conv2d", "conv_general_dilated"]


def conv2d(
    images: Array,
    kernel: Array,
    *,
    strides: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Array:
    """Convolve images with a kernel, without a bias.

    With stride s, dilation d and padding p (before the first pixel of each axis)

        out[b, y, x, o] = sum over i, j, c of
            images[b, y s + i d - p, x s + j d - p, c] kernel[i, j, c, o]

    where pixels outside are 0 and c runs over the channels of the group that o belongs to. (A
    cross-correlation, as in every deep-learning library.)

    On a CPU it and all its derivatives are computed in forms that XLA compiles well; on any
    other platform the program is that of `jax.lax.conv_general_dilated`. See `cnnjax.ops.stock`.

    Args:
      images: `[B, H, W, C]`, a float dtype.
      kernel: `[kh, kw, C / groups, O]`, the dtype of the images; O a multiple of groups.
        `groups=C` is depthwise.
      strides: steps of the window (vertical, horizontal); an integer means both.
      padding: "SAME" (`ceil(H / stride)` rows remain, the odd row of zeros goes below), "VALID",
        an integer for all sides, (vertical, horizontal) or ((top, bottom), (left, right)).
      dilation: distance between the taps of the kernel.
      groups: number of groups that the channels are divided into, in order.

    Returns:
      `[B, H', W', O]`, the dtype of the images, with
      `H' = (H + top + bottom - (kh - 1) dilation - 1) // stride + 1`.

    Raises:
      BadArgument: a rank other than 4, an integer or complex dtype, two dtypes, channels that do
        not fit the groups, a kernel that does not fit the padded image, a bad stride, padding or
        dilation.

    >>> conv2d(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 2)), strides=2).shape
    (1, 2, 2, 2)
    """
    geometry = _geometry(images, kernel, strides, padding, dilation, groups)
    return _convolve(images, kernel, geometry, None)


def conv_general_dilated(
    lhs: Array,
    rhs: Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: lax.PrecisionLike = None,
    preferred_element_type: Any = None,
    **others: Any,
) -> Array:
    """Do what `jax.lax.conv_general_dilated` does, through `conv2d` where that applies.

    It applies to two spatial dimensions in the layout NHWC, HWIO, NHWC, floats of one dtype, no
    input dilation, no batch groups and no negative padding; anything else goes to lax. Any Flax
    network gets the fast forms with
    `flax.linen.Conv(..., conv_general_dilated=cnnjax.ops.conv_general_dilated)`.

    Shapes, dtypes and errors are those of lax. On a CPU `precision` changes nothing: every form
    computes in float32 or wider, the Winograd ones with a relative error of about 1e-6.
    """
    dilation = tuple(rhs_dilation or (1, 1))
    explicit = padding if isinstance(padding, str) else tuple(map(tuple, padding))
    if (
        _is_nhwc(lhs, rhs, dimension_numbers)
        and lhs.dtype == rhs.dtype
        and jnp.issubdtype(lhs.dtype, jnp.floating)
        and all(step == 1 for step in lhs_dilation or ())
        and batch_group_count == 1
        and preferred_element_type in (None, lhs.dtype)
        and not any(others.values())
        and explicit not in ("SAME_LOWER",)
        and (isinstance(explicit, str) or min(map(min, explicit)) >= 0)
        and not isinstance(precision, lax.DotAlgorithm | lax.DotAlgorithmPreset)
    ):
        geometry = _geometry(
            lhs, rhs, tuple(window_strides), explicit, dilation, feature_group_count
        )
        return _convolve(lhs, rhs, geometry, precision)
    return lax.conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=dimension_numbers,
        feature_group_count=feature_group_count,
        batch_group_count=batch_group_count,
        precision=precision,
        preferred_element_type=preferred_element_type,
        **others,
    )


def _is_nhwc(lhs: Array, rhs: Array, dimension_numbers: Any) -> bool:
    if not lhs.ndim == rhs.ndim == 4:
        return False
    numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    return numbers == lax.conv_dimension_numbers(lhs.shape, rhs.shape, xla.LAYOUT)


def _geometry(
    images: Array,
    kernel: Array,
    strides: int | Sequence[int],
    padding: str | int | Sequence[int] | Sequence[Sequence[int]],
    dilation: int | Sequence[int],
    groups: int,
) -> Geometry:
    if images.ndim != 4:
        raise BadArgument(f"images: got shape {images.shape}; allowed: [B, H, W, C]")
    if kernel.ndim != 4:
        raise BadArgument(f"kernel: got shape {kernel.shape}; allowed: [kh, kw, C / groups, O]")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise BadArgument(f"images: got dtype {images.dtype}; allowed: a float dtype")
    if images.dtype != kernel.dtype:
        raise BadArgument(
            f"kernel: got dtype {kernel.dtype}; allowed: {images.dtype}, that of the images"
        )
    channels, features = images.shape[3], kernel.shape[3]
    if not isinstance(groups, int) or groups < 1 or channels % groups or features % groups:
        raise BadArgument(
            f"groups: got {groups!r}; allowed: a divisor of both the {channels} channels of the "
            f"images and the {features} of the output"
        )
    if kernel.shape[2] * groups != channels:
        raise BadArgument(
            f"kernel: got shape {kernel.shape}, {kernel.shape[2]} channels in each of {groups} "
            f"groups; allowed: {channels // groups}, since the images have {channels} channels"
        )
    _, height, width, _ = images.shape
    steps = pair("strides", strides)
    spread = pair("dilation", dilation)
    pads = window_padding(padding, (height, width), kernel.shape[:2], steps, spread)  # type: ignore[arg-type]
    return Geometry(steps, pads, spread, groups)


def _convolve(images: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:
    (_, height, width, _), (rows, columns, _, _) = images.shape, kernel.shape
    layer = Layer(geometry, (height, width), (rows, columns))
    if is_stock() or has_explicit_sharding(images, kernel):
        return xla.forward(images, kernel, layer, precision=precision)
    # None means the precision in force here, not the one in force when the program is lowered.
    default: Any = getattr(jax.config, "jax_default_matmul_precision")  # noqa: B009
    precision = default if precision is None else precision
    return primitives.forward(images, kernel, layer, precision=precision)
