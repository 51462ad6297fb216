"""What a network's last linear layer is given of every image of a source, computed once."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np

from cnnjax.classifier.classifier import BATCH_SIZE, Classifier
from cnnjax.data import Source
from cnnjax.errors import BadArgument
from cnnjax.files import replacing
from cnnjax.train.identity import describe, fingerprint

__all__ = ["features_of"]


def features_of(
    classifier: Classifier,
    source: Source,
    *,
    cache: str | Path | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Return `features["pre_logits"]` of every image of a source, in order.

    Args:
        classifier: whose network computes them.
        source: images of the classifier's `image_shape`.
        cache: directory where they are kept, under a name that says of which network, weights
            and images they are, and where they are found again; None keeps nothing.
        batch_size: images at a time, from 1.

    Returns:
        `[N, C]` float32.

    Raises:
        BadArgument: for images of another shape, a network without such features, or, with a
            cache, a module that nothing identifies.
        Failed: where the cache cannot be written.
    """
    if tuple(source.image_shape) != classifier.image_shape:
        raise BadArgument(
            f"source: images {list(source.image_shape)}, allowed: {list(classifier.image_shape)}"
        )
    path = None if cache is None else Path(cache) / f"{_name(classifier, source)}.npz"
    if path is not None and (found := _kept(path, len(source))) is not None:
        return found
    blocks = []
    for start in range(0, len(source), batch_size):
        images = source.take(np.arange(start, min(start + batch_size, len(source))))
        # One shape for all, so that the last batch compiles nothing.
        filled = np.zeros((min(batch_size, len(source)), *images.shape[1:]), images.dtype)
        filled[: len(images)] = images
        blocks.append(np.asarray(classifier.features(filled), np.float32)[: len(images)])
    features = np.concatenate(blocks)
    if path is not None:
        with replacing(path, "cache") as stream:
            np.savez(stream, allow_pickle=False, features=features)
    return features


def _name(classifier: Classifier, source: Source) -> str:
    """Return letters that differ for another network, other weights or other images."""
    parts = [
        describe(classifier.model, "cache"),
        fingerprint({"variables": classifier.variables}),
        [each.tolist() for each in classifier.normalization],
        source.fingerprint(),
    ]
    return f"features-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


def _kept(path: Path, number: int) -> np.ndarray | None:
    """Return what an earlier call wrote; None for nothing, or what is damaged."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            found = arrays["features"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
        return None
    return found if found.shape[:1] == (number,) and found.ndim == 2 else None
