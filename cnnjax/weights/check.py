"""Look at a network with given weights stage by stage."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import BadArgument, unknown
from cnnjax.models import MODELS
from cnnjax.typing import Variables
from cnnjax.weights.load import load_model

__all__ = ["check_weights"]


def check_weights(
    name: str, source: str | Path, *, reference: str | Path | None = None
) -> list[dict[str, Any]]:
    """Return one row for each stage of the network in evaluation mode, the logits last.

    A row holds `stage`, `shape` (without the batch), `mean` and `spread` (standard deviation) of
    the activations, and with `reference` their `difference`: the largest absolute one.

    `reference` is a `.npz` file with `images` and one array for each stage to compare, by its name
    here; all `[B, H, W, C]`, or all `[B, C, H, W]` as PyTorch has them. Without it the images are
    two of standard normal noise. Raises what `load_weights` raises, and `BadArgument` for a
    reference without `images`, with an unknown stage, or with another shape.
    """
    model, variables = load_model(name, source)
    row = MODELS[name]
    arrays: dict[str, np.ndarray] = {}
    if reference is not None:
        arrays = _read_reference(reference, row.channels)
        images = jnp.asarray(arrays.pop("images"), jnp.float32)
    else:
        shape = (2, row.input_size, row.input_size, row.channels)
        images = jax.random.normal(jax.random.key(0), shape)
    order: list[str] = []

    @jax.jit
    def run(variables: Variables, images: jax.Array) -> dict[str, jax.Array]:
        logits, stages = model.apply(variables, images, train=False, features=True)
        order.extend((*stages, "logits"))  # jit sorts a dictionary
        return {**stages, "logits": logits}

    stages = run(variables, images)
    for stage in arrays:
        if stage not in stages:
            raise unknown(f"{reference}: stage", stage, stages)
    return [_row(stage, np.asarray(stages[stage]), arrays.get(stage)) for stage in order]


def _row(stage: str, values: np.ndarray, reference: np.ndarray | None) -> dict[str, Any]:
    values = values.astype(np.float64)
    row: dict[str, Any] = {
        "stage": stage,
        "shape": values.shape[1:],
        "mean": float(values.mean()),
        "spread": float(values.std()),
    }
    if reference is not None:
        if reference.shape != values.shape:
            raise BadArgument(
                f"reference: {stage} has shape {reference.shape}, here it is {values.shape}"
            )
        row["difference"] = float(np.abs(values - reference).max())
    return row


def _read_reference(path: str | Path, channels: int) -> dict[str, np.ndarray]:
    """Read a file of activations, and bring it to channels last."""
    if not Path(path).is_file():
        raise BadArgument(f"reference: there is no file {str(path)!r}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError) as error:
        raise BadArgument(f"reference: {path} is not a .npz file of arrays ({error})") from error
    if "images" not in arrays or arrays["images"].ndim != 4:
        raise BadArgument(f"reference: {path} has no `images` of shape [B, H, W, C]")
    if arrays["images"].shape[-1] != channels and arrays["images"].shape[1] == channels:
        arrays = {n: a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for n, a in arrays.items()}
    return arrays
