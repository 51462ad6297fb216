"""Look at a network with given weights stage by stage."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnnjax.classifier.classifier import Classifier
from cnnjax.errors import BadArgument, Failed, unknown
from cnnjax.files import printable, reading

__all__ = ["check_weights"]

# Two noise images of the largest network have activations of 1 GB.
_LARGEST = 2**33


def check_weights(
    classifier: Classifier, *, reference: str | Path | None = None
) -> list[dict[str, Any]]:
    """Return one row for each stage of the network in evaluation mode, the logits last.

    A row holds `stage`, `shape` (without the batch), `mean` and `spread` (standard deviation) of
    the activations, and with `reference` their `difference`: the largest absolute one.

    Args:
        classifier: such as `cnnjax.load` returns.
        reference: a `.npz` file with `images`, normalized, and one array for each stage to compare,
            by its name here; all `[B, H, W, C]`, or all `[B, C, H, W]` as PyTorch has them. Without
            it the images are two of standard normal noise.

    Raises:
        BadArgument: for a reference without `images`, with an unknown stage, or of another shape.
        Failed: for a reference that is damaged.
    """
    arrays: dict[str, np.ndarray] = {}
    if reference is None:
        images = np.asarray(jax.random.normal(jax.random.key(0), (2, *classifier.image_shape)))
    else:
        arrays = _channels_last(_read(reference), classifier.image_shape[2], reference)
        images = arrays.pop("images").astype(np.float32)
    try:
        stages = classifier.stages(images)
    except BadArgument as error:
        raise error if reference is None else BadArgument(f"reference: {error}") from error
    for stage in arrays:
        if stage not in stages:
            raise unknown(f"{reference}: stage", stage, stages)
    return [_row(stage, np.asarray(a), arrays.get(stage)) for stage, a in stages.items()]


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


def _read(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file, every one of finite numbers."""
    shown = printable(str(path))
    with reading(path, "reference") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
                    raise Failed(f"reference: {shown} unpacks to more than {_LARGEST:,} bytes")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                arrays = {name: np.asarray(file[name]) for name in file.files}
        except (ValueError, OSError, EOFError, KeyError, MemoryError, zipfile.BadZipFile) as error:
            raise _damaged(shown, error) from error
        except (zlib.error, NotImplementedError, RuntimeError) as error:
            raise error if isinstance(error, Failed) else _damaged(shown, error) from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise Failed(
                f"reference: {shown}: {printable(name)} ({array.dtype}) is not of finite numbers"
            )
    return arrays


def _damaged(shown: str, error: Exception) -> Failed:
    reason = printable(str(error)) or type(error).__name__
    return Failed(f"reference: {shown} is damaged, or no .npz file of arrays ({reason})")


def _channels_last(
    arrays: dict[str, np.ndarray], channels: int, path: str | Path
) -> dict[str, np.ndarray]:
    shape = arrays["images"].shape if "images" in arrays else ()
    if len(shape) != 4:
        raise BadArgument(
            f"reference: {printable(str(path))} has no `images` of shape [B, H, W, C]"
        )
    if shape[3] != channels and shape[1] == channels:
        return {n: a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for n, a in arrays.items()}
    return arrays
