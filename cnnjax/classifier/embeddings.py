"""What a network makes of photographs: embeddings for any other tool."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from cnnjax.classifier.classifier import BATCH_SIZE, Classifier
from cnnjax.errors import Failed, unknown
from cnnjax.typing import Images, Variables, check_features

__all__ = ["embeddings"]


def embeddings(
    classifier: Classifier,
    photographs: Sequence[Any],
    stage: str = "pre_logits",
    *,
    batch_size: int = BATCH_SIZE,
) -> Iterator[tuple[int, np.ndarray | Failed]]:
    """Yield the number of each photograph with what a stage of the network computes of it.

    Args:
        classifier: the network.
        photographs: image files, or images `[H, W, C]` uint8 of any size.
        stage: of the network's features: `"stem"`, `"stage1"`, ..., `"pre_logits"`.
        batch_size: how many are read and looked at together.

    Yields:
        From 0, with `[C]` or `[H, W, C]` of the network's type, or with the reason why one cannot
        be read.

    Raises:
        BadArgument: for a stage that the network has not, and as `Classifier.inputs`.
    """
    check_features(classifier.model)
    number = 0
    for _, images, faults in classifier.inputs(photographs, batch_size=batch_size):
        found = np.asarray(_stage(classifier.model, stage, classifier.variables, images))
        for row, fault in zip(found, faults, strict=False):
            yield number, row if fault is None else fault
            number += 1


@functools.partial(jax.jit, static_argnums=(0, 1))
def _stage(model: Any, stage: str, variables: Variables, images: Images) -> jax.Array:
    _, features = model.apply(variables, images, train=False, features=True)
    if stage not in features:
        raise unknown("stage", stage, features)
    return features[stage]
