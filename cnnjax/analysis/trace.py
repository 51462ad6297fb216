"""A model's evaluation as a flat list of equations, without running it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from cnnjax import ops
from cnnjax.errors import BadArgument
from cnnjax.typing import Model, Variables

__all__ = ["Equation", "Trace", "trace"]


@dataclass(frozen=True)
class Equation:
    """One primitive operation of the program.

    `inputs` and `outputs` are numbers that name values; a constant is None. `scopes` are the names
    of the modules around it, outermost first; `call` numbers and names the outermost jitted
    function around it inside the innermost module, None outside of any. `times` says how often a
    loop repeats it.
    """

    primitive: str
    params: Mapping[str, Any]
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    in_shapes: tuple[tuple[int, ...], ...]
    out_shapes: tuple[tuple[int, ...], ...]
    scopes: tuple[str, ...]
    call: tuple[int, str] | None
    times: int


@dataclass(frozen=True)
class Trace:
    """The equations of a model's evaluation on one image, and what its inputs are.

    `variables` are the model's variables as shapes; `leaves` names the value of each of them by
    its path, such as `("params", "conv1", "kernel")`; `image` is the value of the images.
    """

    equations: tuple[Equation, ...]
    variables: Variables
    leaves: Mapping[tuple[str, ...], int]
    image: int


def trace(model: Model, image_shape: Sequence[int]) -> Trace:
    """Trace `model.apply(variables, images, train=False)` for one image, with stock operations.

    Args:
        model: a Linen module called as `model(images, train=...)`.
        image_shape: `(H, W, C)`.

    Raises:
        BadArgument: for another shape, or one that the model refuses.
    """
    shape = tuple(image_shape)
    if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise BadArgument(f"image_shape: got {shape}; it must be three positive integers (H, W, C)")
    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    # The fast forms are the same mathematics in other operations: count the mathematics.
    with ops.stock():
        variables = jax.eval_shape(lambda k, x: model.init(k, x, train=False), key, images)
        closed = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(variables, images)
    flat = _Flattener()
    inputs = [flat.new() for _ in closed.jaxpr.invars]
    paths = [
        tuple(str(entry.key) for entry in path)
        for path, _ in jax.tree_util.tree_leaves_with_path(variables)
    ]
    return Trace(
        tuple(flat.walk(closed.jaxpr, inputs, (), None, 1)),
        variables,
        dict(zip(paths, inputs[:-1], strict=True)),
        inputs[-1],
    )


class _Flattener:
    """Inlines calls: gives every value of every call a number of its own."""

    def __init__(self) -> None:
        self.values = 0
        self.calls = 0
        self.results: list[int | None] = []

    def new(self) -> int:
        self.values += 1
        return self.values

    def walk(
        self,
        jaxpr: Jaxpr,
        inputs: Sequence[int | None],
        scopes: tuple[str, ...],
        call: tuple[int, str] | None,
        times: int,
    ) -> Iterator[Equation]:
        """Yield the equations of `jaxpr`; the numbers of its results are left in `results`."""
        number: dict[Any, int | None] = dict(zip(jaxpr.invars, inputs, strict=True))
        for eqn in jaxpr.eqns:
            operands = [None if isinstance(v, Literal) else number.get(v) for v in eqn.invars]
            # A jitted function is one thing: scopes inside it name no modules.
            own = () if call else tuple(filter(None, str(eqn.source_info.name_stack).split("/")))
            inner = _inner(eqn)
            inlined = len(inner) == 1 and _is_call(eqn, inner[0])
            for body in inner:
                name, body_call = eqn.params.get("name"), call
                if call is None and isinstance(name, str) and not name.startswith("_"):
                    self.calls += 1
                    body_call = (self.calls, name)
                arguments = operands if inlined else [None] * len(body.invars)
                repeats = times * eqn.params.get("length", 1)
                yield from self.walk(body, arguments, scopes + own, body_call, repeats)
            if inlined:
                number.update(zip(eqn.outvars, self.results, strict=True))
            else:
                outputs = [self.new() for _ in eqn.outvars]
                number.update(zip(eqn.outvars, outputs, strict=True))
                yield Equation(
                    eqn.primitive.name,
                    eqn.params,
                    tuple(operands),
                    tuple(outputs),
                    _shapes(eqn.invars),
                    _shapes(eqn.outvars),
                    scopes + own,
                    call,
                    times,
                )
        self.results = [None if isinstance(v, Literal) else number.get(v) for v in jaxpr.outvars]


def _inner(eqn: Any) -> list[Jaxpr]:
    """Return the programs inside an equation: one of a call, several of a conditional."""
    found = []
    for value in eqn.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, ClosedJaxpr):
                found.append(item.jaxpr)
            elif isinstance(item, Jaxpr):
                found.append(item)
    return found


def _is_call(eqn: Any, body: Jaxpr) -> bool:
    """Tell whether the equation applies its one program to its operands as they are, once."""
    return (
        eqn.primitive.name not in ("scan", "while")
        and _shapes(eqn.invars) == _shapes(body.invars)
        and _shapes(eqn.outvars) == _shapes(body.outvars)
    )


def _shapes(values: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(getattr(value.aval, "shape", ()) for value in values)
