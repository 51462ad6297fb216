"""The network with weights that a command is given."""

from pathlib import Path

from cnnjax.classifier import Classifier, load
from cnnjax.errors import BadArgument
from cnnjax.models import MODELS
from cnnjax.weights import PACKAGE

__all__ = ["classifier_of"]


def classifier_of(network: str, weights: str | None) -> Classifier:
    """Return what a network's name and a source of weights mean, or a directory that has both.

    Args:
        network: a name, or the directory, or file, that a training left.
        weights: for a name: a source of weights; None is what a package carries.

    Raises:
        BadArgument: for a directory with weights besides, and as `cnnjax.load`.
        Failed: as `cnnjax.load`.
    """
    if network in MODELS or not Path(network).exists():
        return load(network, PACKAGE if weights is None else weights)
    if weights is not None:
        raise BadArgument(
            f"weights: received {weights!r} for {network!r}, which has its own; allowed: none"
        )
    return load(network)
