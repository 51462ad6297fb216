"""What a classifier gets right and wrong, from its logits and the labels; all in numpy."""

import numpy as np

from cnnjax.errors import BadArgument

__all__ = [
    "calibration",
    "calibration_error",
    "class_accuracy",
    "confusion_matrix",
    "misclassified",
    "probabilities",
    "top_k_accuracy",
]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits `[N, classes]`, as float64 `[N, classes]`.

    >>> probabilities(np.array([[0.0, 0.0], [1000.0, 0.0]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    logits = np.asarray(logits, np.float64)
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, num_classes: int | None = None
) -> np.ndarray:
    """Count how often an image of class i was taken for class j.

    Args:
        labels: `[N]` integers.
        predictions: `[N]` integers, or `[N, classes]` logits.
        num_classes: how many there are; by default as many as the logits have or are seen.

    Returns:
        `[classes, classes]` int64; entry `[i, j]` counts label i and prediction j.

    Raises:
        BadArgument: for other shapes or dtypes, or a class outside the matrix.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    predictions = np.asarray(predictions)
    if predictions.ndim == 2:
        num_classes = num_classes or predictions.shape[1]
        predictions = predictions.argmax(-1)
    labels, predictions = _labels("labels", labels), _labels("predictions", predictions)
    if labels.shape != predictions.shape:
        raise BadArgument(
            f"predictions: {len(predictions)} of them for {len(labels)} labels; one for each"
        )
    seen = max(labels.max(), predictions.max()) + 1
    size = int(seen) if num_classes is None else num_classes
    if seen > size:
        raise BadArgument(f"num_classes: {size}, but class {seen - 1} occurs")
    return np.bincount(labels * size + predictions, minlength=size * size).reshape(size, size)


def class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the share of each class's images that were recognised: `[i, i] / sum_j [i, j]`.

    Args:
        confusion: `[classes, classes]`, as `confusion_matrix` returns it.

    Returns:
        `[classes]` float64 in 0..1, NaN for a class without images.

    >>> class_accuracy(np.array([[1, 1], [0, 1]])).tolist()
    [0.5, 1.0]
    """
    counts = np.asarray(confusion).sum(1)
    hits = np.diagonal(confusion).astype(np.float64)
    return np.divide(hits, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def top_k_accuracy(logits: np.ndarray, labels: np.ndarray, k: int = 5) -> float:
    """Return the share of images whose label is among the k largest logits, in 0..1.

    Of equal logits the lower class comes first, as `argmax` has it.

    Raises:
        BadArgument: for k outside 1..classes, or shapes that do not fit.

    >>> top_k_accuracy(np.array([[3, 2, 1], [3, 2, 1]]), np.array([1, 2]), k=2)
    0.5
    """
    logits, labels = _logits(logits, labels)
    if not 1 <= k <= logits.shape[1]:
        raise BadArgument(f"k: got {k}; allowed: 1..{logits.shape[1]}, the number of classes")
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(1).mean())


def calibration(
    logits: np.ndarray, labels: np.ndarray, bins: int = 15
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare confidence with accuracy in bins of equal width: a reliability diagram's numbers.

    Bin b of B holds the images whose confidence, the largest probability, is in
    `(b / B, (b + 1) / B]`.

    Returns:
        `(confidence, accuracy, count)`, each `[bins]`: the mean confidence and the accuracy of the
        images in each bin, NaN where it is empty, and how many they are.

    Raises:
        BadArgument: for fewer than one bin, or shapes that do not fit.
    """
    logits, labels = _logits(logits, labels)
    if bins < 1:
        raise BadArgument(f"bins: got {bins}; it must be at least 1")
    largest = probabilities(logits).max(1)
    hits = logits.argmax(1) == labels
    index = np.clip(np.ceil(largest * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    empty = np.where(count > 0, 1.0, np.nan)
    mean = lambda values: np.bincount(index, values, bins) / np.maximum(count, 1) * empty
    return mean(largest), mean(hits), count


def calibration_error(logits: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error, `sum_b (n_b / N) |accuracy_b - confidence_b|`.

    In 0..1; 0 if confidence equals accuracy in every bin of `calibration`. Guo, Pleiss, Sun and
    Weinberger 2017, "On calibration of modern neural networks" (arXiv:1706.04599), equation 3.

    >>> calibration_error(np.array([[0.0, 0.0]] * 2), np.array([0, 1]))
    0.0
    """
    confidence, accuracy, count = calibration(logits, labels, bins)
    used = count > 0
    return float(np.abs(accuracy - confidence)[used] @ count[used] / count.sum())


def misclassified(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the indices of the wrongly classified images, the most confident mistake first.

    Ties keep the order of the data.

    >>> misclassified(np.array([[2, 0], [0, 1], [9, 0]]), np.array([1, 1, 1])).tolist()
    [2, 0]
    """
    logits, labels = _logits(logits, labels)
    wrong = np.flatnonzero(logits.argmax(1) != labels)
    return wrong[np.argsort(-probabilities(logits[wrong]).max(1), kind="stable")]


def _labels(argument: str, labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or labels.size == 0:
        raise BadArgument(
            f"{argument}: got {labels.dtype} {list(labels.shape)}; "
            "allowed: integers [N], at least one"
        )
    if labels.min() < 0:
        raise BadArgument(f"{argument}: got {labels.min()}; classes count from 0")
    return labels.astype(np.int64)


def _logits(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logits, labels = np.asarray(logits), _labels("labels", labels)
    if logits.ndim != 2 or len(logits) != len(labels):
        raise BadArgument(
            f"logits: got shape {list(logits.shape)} for {len(labels)} labels; "
            "allowed: [N, classes]"
        )
    if labels.max() >= logits.shape[1]:
        raise BadArgument(f"labels: {labels.max()} received, 0..{logits.shape[1] - 1} allowed")
    return logits, labels
