"""Networks as serialised programs that run without this library."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax.errors import BadArgument, Failed, missing_extra, unknown
from cnnjax.typing import Images, Variables

__all__ = ["PLATFORMS", "export_network"]

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""Where an exported network can run."""


def export_network(
    model: Any,
    variables: Variables,
    image_shape: Sequence[int],
    *,
    batch: int | None = 1,
    platforms: Sequence[str] = ("cpu",),
    baked: bool = True,
) -> bytes:
    """Return the evaluation of a network as bytes that `jax.export.deserialize` reads.

    `jax.export.deserialize(data).call(images)` gives logits `[batch, num_classes]` float32 for
    normalized images `[batch, H, W, C]` float32. With `baked` False it is `.call(variables,
    images)`, and the bytes hold no weights.

    Args:
        model: a Linen module.
        variables: its weights; with `baked` False only their shapes matter.
        image_shape: `(H, W, C)`.
        batch: images a call, from 1; None for any number, where the operations allow it.
        platforms: of `PLATFORMS`, one or more.
        baked: whether the weights are part of the program.

    Raises:
        BadArgument: for another shape, batch or platform, or images that the model refuses.
        Failed: if the network cannot be exported so, or the package flatbuffers is missing.
    """
    shape = tuple(image_shape)
    if len(shape) != 3 or min(shape) < 1:
        raise BadArgument(f"image_shape: received {shape}; it must be three positive integers")
    if batch is not None and batch < 1:
        raise BadArgument(f"batch: received {batch}, allowed: integers from 1, None")
    if not platforms:
        raise BadArgument(f"platforms: received none, allowed: {', '.join(PLATFORMS)}")
    for platform in platforms:
        if platform not in PLATFORMS:
            raise unknown("platforms", platform, PLATFORMS)
    try:
        import flatbuffers  # noqa: F401 - jax.export writes with it
        from jax import export
    except ImportError as error:
        raise missing_extra("flatbuffers", "export") from error

    def run(variables: Variables, images: Images) -> Images:
        return model.apply(variables, images, train=False)

    _check_images(model, variables, shape)
    size: Any = export.symbolic_shape("batch")[0] if batch is None else batch
    images = jax.ShapeDtypeStruct((size, *shape), jnp.float32)
    try:
        if baked:
            program = export.export(jax.jit(lambda x: run(variables, x)), platforms=platforms)
            return bytes(program(images).serialize())
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), variables)
        return bytes(export.export(jax.jit(run), platforms=platforms)(shapes, images).serialize())
    except (TypeError, ValueError, NotImplementedError) as error:
        if batch is None and not isinstance(error, BadArgument):
            raise Failed(
                f"{type(model).__name__}: cannot be exported for any batch ({_reason(error)}); "
                "give a number"
            ) from error
        raise


def _check_images(model: Any, variables: Variables, shape: tuple[int, ...]) -> None:
    """Raise `BadArgument` for images of a size that a layer with these weights refuses."""
    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    try:
        jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, images)
    except BadArgument:
        raise
    except Exception as error:  # flax, numpy and jax: whatever a layer of another size raises
        size = "x".join(map(str, shape))
        raise BadArgument(
            f"image_shape, input_size: images of {size} do not fit these weights: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first.partition(" (http")[0]
