"""Max pooling and its derivatives as JAX primitives, with the gradient XLA lacks on a CPU.

Where the largest value of each window sits depends on the images alone, and given that place
pooling is linear. So there are three operations, closed under differentiation: `pool` (the
largest value), `take` (the value of another array in the same place: the derivative of `pool`)
and `give` (the transpose of `take`: each window's cotangent goes to that place). The place is the
first of several equal ones, row by row, as XLA's `select_and_scatter` has it; ties are the rule
where a ReLU came before.

XLA runs `select_and_scatter` on a CPU as a scalar loop. Here the place becomes a small integer for
each window, its tap, and `give` asks for every pixel which of the few windows that hold it named
it: elementwise comparisons and sums that XLA vectorises.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.interpreters import ad, batching

from cnnjax.ops.geometry import Pads, Pair, output_size
from cnnjax.ops.lowering import new_primitive
from cnnjax.typing import Array

__all__ = ["Windows", "largest", "stock_largest"]


class Windows(NamedTuple):
    """Where the windows of a pooling lie."""

    size: Pair
    strides: Pair
    padding: Pads

    def whole(self) -> dict[str, Any]:
        """Return the arguments of XLA's window operations on `[B, H, W, C]`."""
        return {
            "window_dimensions": (1, *self.size, 1),
            "window_strides": (1, *self.strides, 1),
            "padding": ((0, 0), *self.padding, (0, 0)),
        }


def largest(x: Array, windows: Windows) -> Array:
    """Return the largest value of each window of `[B, H, W, C]`."""
    return pool_p.bind(x, windows=windows)


# Stock programs.


def stock_largest(x: Array, windows: Windows) -> Array:
    """Return `largest` as `jax.lax` computes it."""
    return lax.reduce_window(x, np.array(-np.inf, x.dtype), lax.max, **windows.whole())


def _stock_take(t: Array, x: Array, windows: Windows) -> Array:
    ones = {"base_dilation": (1, 1, 1, 1), "window_dilation": (1, 1, 1, 1)}
    return lax.select_and_gather_add_p.bind(t, x, select_prim=lax.ge_p, **windows.whole(), **ones)


def _stock_give(g: Array, x: Array, windows: Windows) -> Array:
    return lax.select_and_scatter_add_p.bind(g, x, select_prim=lax.ge_p, **windows.whole())


# Programs for a CPU.


def _passes(windows: Windows) -> tuple[Windows, Windows] | None:
    """Return a row's windows and, of what they give, a column's; None where one pass is as good.

    The place is the same: the first row that has the largest value, and in it the first column.
    Value and gradient on two cores, jax 0.12, take 1 / 1.9 of one pass's time for 3x3 of stride 1,
    1 / 8 for 5x5 and for 13x13; for 3x3 of stride 2 1.15 times as long, for 2x2 3 times.
    """
    (kh, kw), (sh, sw), (down, right) = windows
    # How many windows hold a pixel, down and across: 3x3 of stride 2 is searched in one pass.
    tall, wide = -(-kh // sh), -(-kw // sw)
    if tall * wide <= tall + wide:
        return None
    return Windows((1, kw), (1, sw), ((0, 0), right)), Windows((kh, 1), (sh, 1), (down, (0, 0)))


def _largest_of_row(x: Array, row: Windows) -> Array:
    # Materialised, or XLA computes it anew for every tap of the column that reads it.
    return lax.optimization_barrier(stock_largest(x, row))


def _fast_largest(x: Array, windows: Windows, partitioned: bool) -> Array:
    if passes := _passes(windows):
        return stock_largest(_largest_of_row(x, passes[0]), passes[1])
    return stock_largest(x, windows)


def _fast_take(t: Array, x: Array, windows: Windows, partitioned: bool) -> Array:
    if passes := _passes(windows):
        across, along = passes
        t = _fast_take(t, x, across, partitioned)
        return _fast_take(t, _largest_of_row(x, across), along, partitioned)
    tap = _first_largest(x, windows)
    return sum(  # type: ignore[return-value]
        jnp.where(tap == k, value, jnp.zeros((), t.dtype))
        for k, value in enumerate(_taps(t, windows, 0))
    )


def _fast_give(g: Array, x: Array, windows: Windows, partitioned: bool) -> Array:
    if passes := _passes(windows):
        across, along = passes
        g = _fast_give(g, _largest_of_row(x, across), along, partitioned)
        return _fast_give(lax.optimization_barrier(g), x, across, partitioned)
    # Materialised once: XLA would search the windows anew for every pixel that reads the result.
    tap = lax.optimization_barrier(_first_largest(x, windows))
    (kh, kw), (sh, sw) = windows.size, windows.strides
    # A pixel is the row r in 0..sh-1 of the stride it lies in, and only windows that begin at
    # most `reach - 1` strides earlier hold it; the same for columns.
    reach = -(-kh // sh), -(-kw // sw)
    row = lax.broadcasted_iota(tap.dtype, (1, 1, sh, 1, 1, 1), 2)
    column = lax.broadcasted_iota(tap.dtype, (1, 1, 1, 1, sw, 1), 4)

    def shifted(array: Array, fill: int, down: int, right: int) -> Array:
        pads = ((0, 0), (down, reach[0] - 1 - down), (right, reach[1] - 1 - right), (0, 0))
        padded = jnp.pad(array, pads, constant_values=fill)
        return padded[:, :, None, :, None, :]

    total: Any = 0
    for down in range(reach[0]):
        for right in range(reach[1]):
            i, j = down * sh + row, right * sw + column
            here = (shifted(tap, -1, down, right) == i * kw + j) & (j < kw)
            total += jnp.where(here, shifted(g, 0, down, right), jnp.zeros((), g.dtype))
    batch, rows, _, columns, _, channels = total.shape
    return _crop(total.reshape(batch, rows * sh, columns * sw, channels), x.shape, windows)


def _first_largest(x: Array, windows: Windows) -> Array:
    """Return `[B, H', W', C]` int32: the tap of the window, row by row, that is its largest."""
    best, *others = _taps(x, windows, -np.inf)
    tap = jnp.zeros(best.shape, jnp.int32)
    for k, value in enumerate(others, start=1):
        tap = jnp.where(value > best, k, tap)
        best = jnp.maximum(best, value)
    return tap


def _taps(x: Array, windows: Windows, fill: float) -> list[Array]:
    """Return, for each tap of the window, what it sees: `[B, H', W', C]`."""
    x = jnp.pad(x, ((0, 0), *windows.padding, (0, 0)), constant_values=fill)
    (kh, kw), (sh, sw) = windows.size, windows.strides
    rows, columns = output_size(x.shape[1:3], windows.size, windows.strides, ((0, 0), (0, 0)))  # type: ignore[arg-type]
    last = (rows - 1) * sh + 1, (columns - 1) * sw + 1
    return [x[:, i : i + last[0] : sh, j : j + last[1] : sw] for i in range(kh) for j in range(kw)]


def _crop(x: Array, shape: tuple[int, ...], windows: Windows) -> Array:
    """Take the image out of its padding; pixels that no window reached are 0."""
    starts = windows.padding[0][0], windows.padding[1][0]
    missing = [
        max(0, start + size - have)
        for start, size, have in zip(starts, shape[1:3], x.shape[1:3], strict=True)
    ]
    x = jnp.pad(x, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))
    return x[:, starts[0] : starts[0] + shape[1], starts[1] : starts[1] + shape[2]]


# Primitives.


def _pooled(*avals: Any, windows: Windows) -> Any:
    x = avals[-1]
    batch, height, width, channels = x.shape
    rows, columns = output_size((height, width), *windows)
    return x.update(shape=(batch, rows, columns, channels), weak_type=False)


def _like_images(g: Any, x: Any, *, windows: Windows) -> Any:
    return x.update(weak_type=False)


_STATIC = ("windows",)
pool_p = new_primitive("max_pool", _pooled, stock=stock_largest, fast=_fast_largest, static=_STATIC)
take_p = new_primitive("max_pool_take", _pooled, stock=_stock_take, fast=_fast_take, static=_STATIC)
give_p = new_primitive(
    "max_pool_give", _like_images, stock=_stock_give, fast=_fast_give, static=_STATIC
)

ad.defjvp(pool_p, lambda t, x, **params: take_p.bind(t, x, **params))
ad.defjvp(take_p, lambda dt, t, x, **params: take_p.bind(dt, x, **params), None)
ad.defjvp(give_p, lambda dg, g, x, **params: give_p.bind(dg, x, **params), None)


def _transpose(other: Any) -> Any:
    def rule(cotangent: Any, value: Any, x: Array, **params: Any) -> list[Any]:
        if type(cotangent) is ad.Zero:
            return [ad.Zero(value.aval), None]
        return [other.bind(cotangent, x, **params), None]

    return rule


ad.primitive_transposes[take_p] = _transpose(give_p)
ad.primitive_transposes[give_p] = _transpose(take_p)


def _batcher(primitive: Any) -> Any:
    def rule(operands: Any, axes: Any, **params: Any) -> tuple[Array, int]:
        """Batch over images: more images."""
        size = next(o.shape[a] for o, a in zip(operands, axes, strict=True) if a is not None)
        moved = [
            jnp.broadcast_to(o, (size, *o.shape)) if a is None else jnp.moveaxis(o, a, 0)
            for o, a in zip(operands, axes, strict=True)
        ]
        folded = [o.reshape(size * o.shape[1], *o.shape[2:]) for o in moved]
        result = primitive.bind(*folded, **params)
        return result.reshape(size, result.shape[0] // size, *result.shape[1:]), 0

    return rule


for _primitive in (pool_p, take_p, give_p):
    batching.primitive_batchers[_primitive] = _batcher(_primitive)
