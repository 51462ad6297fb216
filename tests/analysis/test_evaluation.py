import math

import numpy as np
import pytest

from cnnjax.analysis import evaluation
from cnnjax.errors import BadArgument

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(200, 7)) * 3
LABELS = RANDOM.integers(0, 6, 200)  # class 6 has no image


def test_against_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    predictions = LOGITS.argmax(1)
    ours = evaluation.confusion_matrix(LABELS, LOGITS)
    assert (ours == metrics.confusion_matrix(LABELS, predictions, labels=range(7))).all()
    recall = metrics.recall_score(
        LABELS, predictions, labels=range(7), average=None, zero_division=np.nan
    )
    np.testing.assert_allclose(evaluation.class_accuracy(ours), recall)
    for k in range(1, 7):
        theirs = metrics.top_k_accuracy_score(LABELS, LOGITS, k=k, labels=range(7))
        assert evaluation.top_k_accuracy(LOGITS, LABELS, k) == pytest.approx(theirs)


def test_confusion_from_predictions_and_their_count():
    matrix = evaluation.confusion_matrix(LABELS, LOGITS.argmax(1), 9)
    assert matrix.shape == (9, 9)
    assert matrix.sum() == 200
    with pytest.raises(BadArgument, match="num_classes"):
        evaluation.confusion_matrix(LABELS, LOGITS.argmax(1), 3)


def test_calibration_bins_by_hand():
    # Confidences 0.9, 0.9, 0.6, 0.6; right, wrong, right, right.
    first = np.log([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    labels = np.array([0, 1, 0, 1])
    confidence, accuracy, count = evaluation.calibration(first, labels, bins=2)
    assert count.tolist() == [0, 4]
    assert np.isnan(confidence[0])
    assert (confidence[1], accuracy[1]) == (pytest.approx(0.75), 0.75)
    assert evaluation.calibration_error(first, labels, bins=2) == pytest.approx(0, abs=1e-12)
    assert evaluation.calibration_error(first, labels, bins=4) == pytest.approx(0.4)


def test_a_calibrated_classifier_has_a_small_error():
    probability = RANDOM.uniform(0.5, 1, 40_000)
    logits = np.log(np.stack([probability, 1 - probability], 1))
    labels = (RANDOM.uniform(size=40_000) > probability).astype(int)
    assert evaluation.calibration_error(logits, labels) < 0.02
    assert evaluation.calibration_error(4 * logits, labels) > 0.1


def test_mistakes_come_with_the_most_confident_first():
    wrong = evaluation.misclassified(LOGITS, LABELS)
    confidence = evaluation.probabilities(LOGITS).max(1)[wrong]
    assert set(wrong) == set(np.flatnonzero(LOGITS.argmax(1) != LABELS))
    assert (np.diff(confidence) <= 0).all()


@pytest.mark.parametrize(
    ("logits", "labels"),
    [(LOGITS, LABELS[:-1]), (LOGITS[0], LABELS), (LOGITS, LABELS - 1), (LOGITS, LABELS + 2)],
)
def test_bad_input(logits, labels):
    for function in (evaluation.top_k_accuracy, evaluation.misclassified, evaluation.calibration):
        with pytest.raises(BadArgument):
            function(logits, labels)


def test_k_beyond_the_classes():
    with pytest.raises(BadArgument, match="k:"):
        evaluation.top_k_accuracy(LOGITS, LABELS, 8)


def test_counts_by_hand_without_any_library():
    """Loops over the images, for everything that is counted."""
    predictions = [max(range(7), key=lambda c, row=row: (row[c], -c)) for row in LOGITS]
    counts = np.zeros((7, 7), int)
    for true, taken in zip(LABELS, predictions, strict=True):
        counts[true, taken] += 1
    found = evaluation.confusion_matrix(LABELS, LOGITS)
    np.testing.assert_array_equal(found, counts)
    assert found.dtype == np.int64
    accuracy = evaluation.class_accuracy(found)
    for label in range(6):
        hits = [p == label for p, true in zip(predictions, LABELS, strict=True) if true == label]
        assert accuracy[label] == pytest.approx(sum(hits) / len(hits))
    assert np.isnan(accuracy[6])
    for k in (1, 3, 5):
        hits = [
            label in sorted(range(7), key=lambda c, row=row: (-row[c], c))[:k]
            for row, label in zip(LOGITS, LABELS, strict=True)
        ]
        assert evaluation.top_k_accuracy(LOGITS, LABELS, k) == pytest.approx(np.mean(hits))
    assert evaluation.top_k_accuracy(LOGITS, LABELS) == evaluation.top_k_accuracy(LOGITS, LABELS, 5)


def test_probabilities_by_hand():
    for row, found in zip(LOGITS, evaluation.probabilities(LOGITS), strict=True):
        whole = sum(math.exp(value) for value in row)
        np.testing.assert_allclose(found, [math.exp(value) / whole for value in row])
    assert evaluation.probabilities(LOGITS.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_bins_by_hand(bins):
    """Image by image: bin b has the confidences in (b / bins, (b + 1) / bins]."""
    members = [[] for _ in range(bins)]
    for row, label in zip(evaluation.probabilities(LOGITS), LABELS, strict=True):
        place = next(b for b in range(bins) if row.max() <= (b + 1) / bins)
        members[place].append((row.max(), row.argmax() == label))
    confidence, accuracy, count = evaluation.calibration(LOGITS, LABELS, bins)
    assert count.tolist() == [len(inside) for inside in members]
    error = 0.0
    for place, inside in enumerate(members):
        if not inside:
            assert np.isnan(confidence[place])
            assert np.isnan(accuracy[place])
            continue
        sure, right = np.mean(inside, axis=0)
        assert (confidence[place], accuracy[place]) == (pytest.approx(sure), pytest.approx(right))
        error += len(inside) / 200 * abs(sure - right)
    assert evaluation.calibration_error(LOGITS, LABELS, bins) == pytest.approx(error)


def test_a_bin_ends_with_its_upper_edge_and_there_are_15():
    even = np.zeros((1, 2))
    assert evaluation.calibration(even, np.array([0]), bins=2)[2].tolist() == [1, 0]
    certain = np.array([[1000.0, 0.0]])
    assert evaluation.calibration(certain, np.array([0]))[2].tolist() == [0] * 14 + [1]
    with pytest.raises(BadArgument, match="bins: got 0"):
        evaluation.calibration(even, np.array([0]), bins=0)


def test_equal_mistakes_keep_their_order():
    logits = np.array([[3.0, 0.0], [0.0, 3.0], [3.0, 0.0], [9.0, 0.0]])
    assert evaluation.misclassified(logits, np.array([1, 0, 0, 1])).tolist() == [3, 0, 1]
    assert evaluation.misclassified(logits, np.array([0, 1, 0, 0])).tolist() == []


@pytest.mark.parametrize(
    ("labels", "predictions", "words"),
    [
        ([0, 1], [0], "predictions: 1 of them for 2 labels"),
        ([], [], "labels: got"),
        ([0.0], [0], "labels: got float64"),
        ([0], [0.5], "predictions: got float64"),
        ([[0]], [0], "labels: got"),
        ([-1], [0], "labels: got -1; classes count from 0"),
        ([0], [-1], "predictions: got -1"),
    ],
)
def test_wrong_labels(labels, predictions, words):
    with pytest.raises(BadArgument, match=words):
        evaluation.confusion_matrix(labels, predictions)


def test_the_size_of_a_confusion_matrix():
    assert evaluation.confusion_matrix([0, 2], [1, 1]).shape == (3, 3)  # as many as are seen
    assert evaluation.confusion_matrix([0], np.array([[1.0, 0.0, 0.0]])).shape == (3, 3)
    assert evaluation.confusion_matrix([0], np.array([[1.0, 0.0, 0.0]]), 4).shape == (4, 4)
    assert evaluation.confusion_matrix([1], [1], 2).tolist() == [[0, 0], [0, 1]]
    with pytest.raises(BadArgument, match="num_classes: 1, but class 1 occurs"):
        evaluation.confusion_matrix([1], [1], 1)
    for k in (0, -1):
        with pytest.raises(BadArgument, match=r"k: got .*; allowed: 1\.\.7"):
            evaluation.top_k_accuracy(LOGITS, LABELS, k)
    assert evaluation.top_k_accuracy(LOGITS, LABELS, 7) == 1.0
