"""How a primitive of this package becomes a program: one for the CPU, the stock one elsewhere."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jax.sharding import AxisType

from cnnjax.typing import Array

__all__ = ["has_explicit_sharding", "new_primitive", "same_manual_axes"]


def new_primitive(
    name: str,
    abstract: Callable[..., Any],
    *,
    stock: Callable[..., Array],
    fast: Callable[..., Array],
    static: Sequence[str],
) -> Primitive:
    """Return a primitive of one result that lowers to `fast` on a CPU and to `stock` elsewhere.

    The choice falls at lowering, where the platform is known, so that a program for a GPU shows
    no trace of there having been one. `abstract` maps the operands' types to the result's, and
    all three take the parameters named in `static`. `fast` also takes `partitioned`: whether the
    compiler will spread the program over several devices.
    """
    primitive = Primitive(f"cnnjax_{name}")
    primitive.def_abstract_eval(abstract)
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=static))

    def lower_fast(ctx: mlir.LoweringRuleContext, *operands: Any, **params: Any) -> Any:
        avals: Any = ctx.avals_in
        if not all(isinstance(size, int) for aval in avals for size in aval.shape):
            # `jax.export` with sizes to be known later, and the forms depend on them.
            return mlir.lower_fun(stock, multiple_results=False)(ctx, *operands, **params)
        program = lambda *operands: fast(*operands, partitioned=_is_partitioned(ctx), **params)
        lowered = mlir.lower_fun(program, multiple_results=False)
        # Inside shard_map the operands' types name the mesh axes they vary over. The forms make
        # constants, which vary over none, and a scan insists that the two agree: leave the names
        # out, they have no meaning for the program.
        plain = [jax.core.ShapedArray(aval.shape, aval.dtype) for aval in avals]
        return lowered(ctx.replace(avals_in=plain), *operands)

    mlir.register_lowering(primitive, mlir.lower_fun(stock, multiple_results=False))
    # Not inline: equal layers share one function, which is traced and lowered once.
    mlir.register_lowering(primitive, lower_fast, platform="cpu", inline=False)
    return primitive


def _is_partitioned(ctx: mlir.LoweringRuleContext) -> bool:
    axis_context = ctx.module_context.axis_context
    return (getattr(axis_context, "num_devices", None) or 1) > 1


def same_manual_axes(*operands: Array) -> list[Array]:
    """Make operands inside `shard_map` vary over the same mesh axes, as lax does for its own."""
    varying = [jax.typeof(o).manual_axis_type.varying for o in operands]
    union = frozenset().union(*varying)
    return [
        lax.pcast(o, tuple(union - v), to="varying") if union - v else o
        for o, v in zip(operands, varying, strict=True)
    ]


def has_explicit_sharding(*operands: Array) -> bool:
    """Tell whether a type here holds a sharding, which only lax's own rules can propagate."""
    meshes = (jax.typeof(operand).sharding.mesh for operand in operands)
    return any(AxisType.Explicit in (mesh.axis_types or ()) for mesh in meshes)
