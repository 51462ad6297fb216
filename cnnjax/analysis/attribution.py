"""Which pixels, and which places of a stage, speak for a class: Grad-CAM, integrated gradients.

All are pure functions of a network, its variables and a batch of images.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, Var, jaxpr_as_fun

from cnnjax.errors import BadArgument, unknown
from cnnjax.typing import Array, Images, Labels, Model, Variables, check_features

__all__ = ["class_scores", "grad_cam", "integrated_gradients"]


def class_scores(model: Model, variables: Variables, classes: Labels) -> Callable[[Images], Array]:
    """Return the function from images `[B, H, W, C]` to the logit `[B]` of each one's class."""

    def scores(images: Images) -> Array:
        logits = model.apply(variables, images, train=False)
        return jnp.take_along_axis(logits, classes[:, None], axis=1)[:, 0]

    return scores


def integrated_gradients(
    scores: Callable[[Images], Array],
    images: Images,
    baseline: Images | None = None,
    *,
    steps: int = 32,
) -> Array:
    """Return how much each input value adds to a score, against a baseline.

    `(x - b) * mean over k of grad scores(b + (k + 1/2) / steps * (x - b))`: the midpoint rule for
    the integral on the straight line from b to x. Summed over an image it is
    `scores(x) - scores(b)` as `steps` grows. Sundararajan, Taly and Yan 2017 (arXiv:1703.01365).

    Args:
        scores: images `[B, H, W, C]` to `[B]`, each depending on its own image alone.
        images: `[B, H, W, C]` floating point.
        baseline: of the same shape; None is 0, the mean color of normalized images.
        steps: points on the line, from 1.

    Returns:
        `[B, H, W, C]`, in units of the score.

    Raises:
        BadArgument: for a baseline of another shape, or steps below 1.
    """
    baseline = jnp.zeros_like(images) if baseline is None else baseline
    if baseline.shape != images.shape:
        raise BadArgument(f"baseline: shape {baseline.shape}; allowed: {images.shape}")
    if steps < 1:
        raise BadArgument(f"steps: received {steps}, allowed: integers from 1")
    difference = images - baseline
    gradient = jax.grad(lambda x: scores(x).sum())

    def add(total: Array, index: Array) -> tuple[Array, None]:
        return total + gradient(baseline + (index + 0.5) / steps * difference), None

    total, _ = jax.lax.scan(add, jnp.zeros_like(images), jnp.arange(steps, dtype=images.dtype))
    return difference * total / steps


def grad_cam(
    model: Model,
    variables: Variables,
    images: Images,
    classes: Labels,
    *,
    stage: str | None = None,
) -> Array:
    """Return where in a stage's map the evidence for a class is.

    `relu(sum over c of w_c A_c)`, with A the stage's activations and `w_c` the mean over positions
    of the class logit's gradient with respect to `A_c`. Selvaraju et al. 2017 (arXiv:1610.02391).

    Args:
        model: a Linen module: `apply(variables, images, train=False, features=True)`.
        variables: its weights.
        images: `[B, H, W, C]`.
        classes: `[B]` integers.
        stage: one of the model's; None takes the last that has maps.

    Returns:
        `[B, h, w]` float32, at least 0, of the stage's size.

    Raises:
        BadArgument: for a module that takes no `features`, an unknown stage, or one whose
            activations are no maps.
    """
    check_features(model)
    stage_shapes: dict[str, tuple[int, ...]] = {}

    def forward(images: Images) -> tuple[Array, list[Array]]:
        logits, stages = model.apply(variables, images, train=False, features=True)
        stage_shapes.update({name: jnp.shape(values) for name, values in stages.items()})
        scores = jnp.take_along_axis(logits, classes[:, None], axis=1)
        return scores.sum(), list(stages.values())

    closed = jax.make_jaxpr(forward)(images)
    if stage is not None and stage not in stage_shapes:
        raise unknown("stage", stage, stage_shapes)
    made = {variable for equation in closed.jaxpr.eqns for variable in equation.outvars}
    places: dict[str, Any] = dict(zip(stage_shapes, closed.jaxpr.outvars[1:], strict=True))
    maps = [
        name
        for name, place in places.items()
        if len(stage_shapes[name]) == 4 and isinstance(place, Var) and place in made
    ]
    stage = stage or (maps or list(stage_shapes))[-1]
    if stage not in maps:
        raise BadArgument(f"stage: {stage!r} has no maps [B, h, w, C]")
    before, after = _cut(closed, places[stage])
    activations, *others = before(images)
    gradient = jax.grad(lambda activations: after(activations, *others))(activations)
    weights = gradient.astype(jnp.float32).mean(axis=(1, 2), keepdims=True)
    return jax.nn.relu((weights * activations.astype(jnp.float32)).sum(axis=-1))


def _cut(closed: ClosedJaxpr, place: Var) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return a program cut in two where it has computed the value `place`.

    The first part gives that value and all others that the second needs, which takes them and gives
    the program's first output. So networks need no hooks for the gradient of an inner value.
    """
    jaxpr = closed.jaxpr
    index = next(i for i, equation in enumerate(jaxpr.eqns) if place in equation.outvars)
    rest, score = jaxpr.eqns[index + 1 :], jaxpr.outvars[0]
    made = {variable for equation in rest for variable in equation.outvars}
    read = {a: None for e in rest for a in e.invars if not isinstance(a, Literal)}
    needed = [place, *(a for a in read if a is not place and a not in made)]

    def part(equations: list[Any], takes: list[Any], gives: list[Any]) -> Callable[..., Any]:
        # Debug information names arguments and results, which these parts have others of.
        names = jaxpr.debug_info._replace(arg_names=None, result_paths=None)
        piece = jaxpr.replace(eqns=equations, invars=takes, outvars=gives, debug_info=names)
        return jaxpr_as_fun(ClosedJaxpr(piece, closed.consts))

    before = part(jaxpr.eqns[: index + 1], jaxpr.invars, needed)
    after = part(rest, needed, [score])
    return before, lambda *values: after(*values)[0]
