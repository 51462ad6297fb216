"""Whether the values of a recipe take and return what they have to, found by tracing them."""

from typing import Any

import jax
import jax.numpy as jnp

from cnnjax.data.augment import Moment, Normalize, takes_moment
from cnnjax.errors import BadArgument
from cnnjax.files import printable
from cnnjax.train.hyper import Hyper
from cnnjax.train.recipe import Recipe

__all__ = ["check_values"]


def check_values(
    recipe: Recipe,
    hyper: Hyper,
    image_shape: tuple[int, ...],
    batch_size: int,
    classes: int,
    params: Any,
) -> None:
    """Raise `BadArgument` unless each value of a recipe takes and returns what it has to.

    Nothing is computed: they are traced with the shapes of the run.
    """
    of = jax.ShapeDtypeStruct
    key = jax.eval_shape(lambda: jax.random.key(0))
    logits = targets = of((batch_size, classes), jnp.float32)
    images: Any = of((batch_size, *image_shape), jnp.uint8)
    for index, each in enumerate(recipe.augment):
        if isinstance(each, Normalize):
            images = of(images.shape, jnp.float32)
            continue
        when: list[Any] = [of((), jnp.int32), of((batch_size,), jnp.int32), key]
        more = (Moment(*when),) if takes_moment(each) else ()
        found = _traced(f"augment[{index}]", each, key, images, targets, *more)
        pair = isinstance(found, tuple) and len(found) == 2
        if not pair or [each.shape for each in found] != [images.shape, targets.shape]:
            raise BadArgument(
                f"augment[{index}]: {_name(each)} returns {_shown(found)}; allowed: images "
                f"{list(images.shape)} and targets {list(targets.shape)}"
            )
        images = found[0]
    found = _traced("loss", recipe.loss, logits, targets)
    if getattr(found, "shape", None) != (batch_size,):
        raise BadArgument(
            f"loss: {_name(recipe.loss)} returns {_shown(found)}; allowed: [{batch_size}], one "
            "number for each example"
        )
    for name, metric in recipe.reported[1:]:
        found = _traced(f"metrics[{name!r}]", metric, logits, targets)
        parts = found if isinstance(found, tuple) and len(found) == 2 else (found,)
        if any(getattr(part, "shape", ())[:1] != (batch_size,) for part in parts):
            raise BadArgument(
                f"metrics[{name!r}]: {_name(metric)} returns {_shown(found)}; allowed: "
                f"[{batch_size}] or [{batch_size}, M], or a pair of that and its weights"
            )
    scalars = jax.tree.map(lambda _: of((), jnp.float32), hyper)
    factor = _traced("schedule", lambda step: recipe.schedule(step, 10), of((), jnp.int32))
    if getattr(factor, "shape", None) != ():
        raise BadArgument(
            f"schedule: {_name(recipe.schedule)} returns {_shown(factor)}; allowed: a scalar"
        )

    def moved(params: Any, rate: Any, hyper: Hyper) -> Any:
        transform = recipe.optimizer(rate, hyper)
        return transform.update(params, transform.init(params), params)[0]

    updates = _traced("optimizer", moved, params, of((), jnp.float32), scalars)
    trees: list[Any] = [jax.tree.structure(tree) for tree in (updates, params)]
    if trees[0] != trees[1]:
        raise BadArgument(
            f"optimizer: {_name(recipe.optimizer)} gives updates of another tree than the "
            "parameters have; allowed: what optax's transformations give"
        )


def _traced(argument: str, function: Any, *shapes: Any) -> Any:
    """Return the shapes of what a user's value gives, its own error in one line."""
    try:
        return jax.eval_shape(function, *shapes)
    except BadArgument as error:
        raise BadArgument(f"{argument}: {error}") from error
    except Exception as error:  # whatever a user's own code raises
        words = printable(str(error).strip().split("\n")[0])
        raise BadArgument(f"{argument}: it fails with {type(error).__name__}: {words}") from error


def _name(value: Any) -> str:
    return getattr(value, "__name__", type(value).__name__)


def _shown(found: Any) -> str:
    """Return the shapes of what was returned, in words."""
    if hasattr(found, "shape"):
        return str(list(found.shape))
    if isinstance(found, tuple | list):
        return f"({', '.join(map(_shown, found))})"
    return f"a {type(found).__name__}"
