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
