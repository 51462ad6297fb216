"""Classification without training: by the nearest known images."""

import numpy as np

from cnnjax.errors import BadArgument, bounded

__all__ = ["few_per_class", "nearest_neighbors"]

_BLOCK = 1_024


def nearest_neighbors(
    features: np.ndarray, labels: np.ndarray, queries: np.ndarray, *, classes: int, k: int = 5
) -> np.ndarray:
    """Return the class that most of the k most similar known images have.

    Similarity is the cosine between features; of classes with equally many neighbors the one whose
    neighbors are the more similar in sum wins, as in weighted voting.

    Args:
        features: `[N, F]` of known images.
        labels: `[N]` integers in 0..classes-1.
        queries: `[M, F]` of images to be classified.
        classes: how many there are.
        k: neighbors, in 1..N.

    Returns:
        `[M]` int32.

    Raises:
        BadArgument: for other shapes or another k.

    Source: Cover and Hart 1967; on features of networks Wu et al. 2018, arXiv:1805.01978.
    """
    features, queries = np.asarray(features, np.float64), np.asarray(queries, np.float64)
    if features.ndim != 2 or queries.ndim != 2 or features.shape[1] != queries.shape[1]:
        raise BadArgument(
            f"queries: {list(queries.shape)} beside features {list(features.shape)}, allowed: "
            "[M, F] and [N, F]"
        )
    if np.shape(labels) != (len(features),):
        raise BadArgument(f"labels: {list(np.shape(labels))}, allowed: [{len(features)}]")
    bounded("k", k, 1, len(features))
    known, asked = _unit(features), _unit(queries)
    found = np.empty(len(asked), np.int32)
    for start in range(0, len(asked), _BLOCK):
        similar = asked[start : start + _BLOCK] @ known.T
        nearest = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        strength = np.take_along_axis(similar, nearest, axis=1)
        rows = np.arange(len(nearest))[:, None]
        votes = np.zeros((len(nearest), classes))
        sums = np.zeros((len(nearest), classes))
        np.add.at(votes, (rows, labels[nearest]), 1)
        np.add.at(sums, (rows, labels[nearest]), strength)
        # A cosine is at most 1, so k of them never make up for one vote when halved so.
        found[start : start + _BLOCK] = (votes + sums / (2 * k + 1)).argmax(axis=1)
    return found


def few_per_class(labels: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Return the places of so many images of each class, drawn evenly: a few-shot training set.

    Args:
        labels: `[N]` integers from 0.
        number: of images of each class, from 1.
        seed: an integer from 0.

    Returns:
        `[number * classes]` rising integers.

    Raises:
        BadArgument: where a class has fewer.
    """
    labels = np.asarray(labels)
    counts = np.bincount(labels)
    present = np.flatnonzero(counts)
    bounded("number", number, 1, int(np.min(counts[present])))
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(labels == each))[:number] for each in present.tolist()]
    return np.sort(np.concatenate(chosen))


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths == 0, 1.0, lengths)
