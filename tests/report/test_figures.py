"""Every figure of a report against its definition, from results and arrays written by hand."""

import base64
import io
import math

import numpy as np
import pytest
from PIL import Image

from cnnjax import plot
from cnnjax.compare.results import ResultsDirectory, read_results
from cnnjax.compare.verdict import Difference, rows_of
from cnnjax.data import Dataset
from cnnjax.report import figures
from tests.compare import made_up
from tests.compare.made_up import row

TEST_SET = Dataset(
    "toy", "test", np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2, 1),
    np.array([0, 1, 2, 0, 1, 2], np.int32), ("cat", "dog", "owl"),
)  # fmt: skip


@pytest.fixture
def drawn(monkeypatch):
    """What the plots were given, by name, and the words beside them."""
    given = {}

    def recorder(name):
        def record(*arguments, **options):
            given.setdefault(name, []).append((arguments, options))
            return name

        return record

    for name in ("accuracy_against", "learning_curves", "differences", "confusion_matrix"):
        monkeypatch.setattr(plot, name, recorder(name))
    monkeypatch.setattr(plot, "to_svg", lambda figure, alt, name: (figure, alt, name))
    return given


def runs(predicted, confidence=None):
    """The arrays of several runs."""
    predicted = np.array(predicted, np.int32)
    confidence = np.full(predicted.shape, 0.5) if confidence is None else np.array(confidence)
    return [{"predicted": p, "confidence": c} for p, c in zip(predicted, confidence, strict=True)]


def test_accuracy_stands_against_parameters_and_multiply_adds(drawn):
    rows = [row("a", 0.5, 0.7, multiply_adds=1500), row("failed"), row("b", 0.9, multiply_adds=0)]
    found = figures.tradeoffs(rows)
    (first, labels), (second, other) = drawn["accuracy_against"]
    assert first[0] == {"a": 1000, "b": 1000}
    assert {k: v.tolist() for k, v in first[1].items()} == {"a": [0.5, 0.7], "b": [0.9]}
    assert labels == {"xlabel": "parameters"}
    # What costs nothing has no place on a logarithmic axis.
    assert second[0] == {"a": 1500}
    assert second[1]["a"].tolist() == [0.5, 0.7]
    assert other == {"xlabel": "multiply-adds per image"}
    assert [name for _, _, name in found] == ["parameters", "multiply_adds"]
    assert found[0][1] == "Test accuracy against parameters. a: 1k, 60.00 %; b: 1k, 90.00 %."
    assert found[1][1].endswith("multiply-adds per image. a: 1.5k, 60.00 %.")
    assert figures.tradeoffs([row("failed")]) == []


def history(*pairs):
    return [
        {"epoch": epoch, "train_loss": loss, "train_accuracy": accuracy,
         "validation_loss": 0.0, "validation_accuracy": 1 - accuracy / 2}
        for epoch, (loss, accuracy) in enumerate(pairs, start=1)
    ]  # fmt: skip


def curve_results(validation=True):
    return made_up.shared(validation=validation) | {
        "runs": [
            {"network": "a", "history": history((2.0, 0.25), (1.0, 0.5))},
            {"network": "b", "history": history((3.0, 0.0), (4.0, 1.0))},
            {"network": "a", "history": history((1.0, 0.0), (None, 0.0))},
        ]
    }


def test_curves_are_loss_and_validation_error_of_every_seed(drawn):
    found = figures.curves(curve_results(), [row("a", 1, 1), row("b", 1), row("failed")])
    (loss, options), (error, more) = drawn["learning_curves"]
    np.testing.assert_array_equal(loss[0]["a"], [[2, 1], [1, np.nan]])
    np.testing.assert_array_equal(loss[0]["b"], [[3, 4]])
    assert options == {"ylabel": "training loss, log scale", "log": True}
    # An accuracy of 1 is drawn as half of one of the 10 validation images.
    np.testing.assert_allclose(error[0]["a"], [[12.5, 25.0], [5.0, 5.0]])
    np.testing.assert_allclose(error[0]["b"], [[5.0, 50.0]])
    assert more == {"ylabel": "validation error (%), log scale", "log": True}
    assert [name for _, _, name in found] == ["loss", "error"]
    assert "At the end a: nan; b: 4." in found[0][1]
    assert "At the end a: 15; b: 50." in found[1][1]


def test_without_a_validation_set_the_error_is_that_of_training(drawn):
    figures.curves(curve_results(validation=False), [row("a", 1, 1)])
    _, (error, options) = drawn["learning_curves"]
    np.testing.assert_allclose(error[0]["a"], [[75.0, 50.0], [100.0, 100.0]])
    assert options["ylabel"] == "training error (%), log scale"


def test_a_loss_of_0_has_no_logarithm(drawn):
    results = curve_results()
    results["runs"][0]["history"][0]["train_loss"] = 0.0
    figures.curves(results, [row("a", 1, 1)])
    assert drawn["learning_curves"][0][1] == {"ylabel": "training loss", "log": False}
    assert figures.curves(results, []) == []


def test_the_forest_has_the_differences_in_points_and_the_colors_of_the_networks(drawn):
    given = [
        Difference("b", "best", 3, -0.01, -0.02, 0.005, 0.1),
        Difference("a", "best", 1, -0.1, math.nan, math.nan, math.nan),
    ]
    _, alt, name = figures.forest(given, ["best", "a", "b"])
    ((arguments, options),) = drawn["differences"]
    names, mean, low, high = arguments
    assert names == ["b", "a"]
    np.testing.assert_allclose(mean, [-1, -10])
    np.testing.assert_allclose(low, [-2, np.nan])
    np.testing.assert_allclose(high, [0.5, np.nan])
    assert options["colors"] == [plot.SERIES[2], plot.SERIES[1]]
    assert options["xlabel"] == "difference with best, points"
    assert (name, "best" in alt) == ("forest", True)
    long = "network_" * 8
    figures.forest([Difference("a", long, 1, 0, 0, 0, 1)], [long, "a"])
    assert len(drawn["differences"].pop()[1]["xlabel"]) == len("difference with , points") + 26
    many = [str(index) for index in range(10)]
    figures.forest([Difference("9", "0", 1, 0, 0, 0, 1)], many)
    assert drawn["differences"][1][1]["colors"] == [plot.SERIES[1]]  # they begin again


def test_the_confusion_is_summed_over_runs(drawn):
    found = figures.confusion(runs([[0, 1, 1, 0, 1, 2], [0, 1, 1, 2, 1, 2]]), TEST_SET, "net")
    (((counts, names), _),) = drawn["confusion_matrix"]
    expected = np.zeros((3, 3), int)
    for labels in ([0, 1, 1, 0, 1, 2], [0, 1, 1, 2, 1, 2]):
        for true, taken in zip(TEST_SET.labels, labels, strict=True):
            expected[true, taken] += 1
    np.testing.assert_array_equal(counts, expected)
    assert names == ("cat", "dog", "owl")
    assert found[1] == (
        "Confusion matrix of net: 9 of 12 predictions right. "
        "Most frequent mistake: owl taken for dog, 2."
    )
    right = figures.confusion(runs([TEST_SET.labels]), TEST_SET, "net")
    assert right[1] == "Confusion matrix of net: 6 of 6 predictions right."


def test_mistakes_by_how_many_runs_and_then_by_confidence():
    arrays = runs(
        [[1, 1, 0, 0, 1, 1], [1, 1, 0, 0, 0, 2], [2, 1, 2, 0, 1, 0]],
        [[0.4, 0.9, 0.6, 0.9, 0.9, 0.9], [0.6, 0.9, 0.8, 0.9, 0.3, 0.9], [0.99, 0.9] + [0.7] * 4],
    )
    shown, total = figures.mistakes(arrays, TEST_SET)
    # Image 0: three runs wrong, two of them for a dog. Images 2 and 5: two, for cat, cat; for dog,
    # cat, of which the lower number counts. Image 4: one.
    assert total == 4
    columns = ("index", "true", "predicted", "wrong", "runs", "confidence")
    assert [tuple(each[name] for name in columns) for each in shown] == [
        (0, "cat", "dog", 3, 3, pytest.approx(0.5)),
        (5, "owl", "cat", 2, 3, pytest.approx(0.7)),
        (2, "owl", "cat", 2, 3, pytest.approx(0.7)),
        (4, "dog", "cat", 1, 3, pytest.approx(0.3)),
    ]
    for each in shown:
        pixels = pixels_of(each["image"])
        np.testing.assert_array_equal(pixels[..., 0], TEST_SET.images[each["index"], ..., 0])
        assert pixels.shape == (2, 2, 3)


def test_only_the_first_mistakes_are_shown(monkeypatch):
    monkeypatch.setattr(figures, "MOST_MISTAKES", 2)
    shown, total = figures.mistakes(runs([[1, 2, 0, 1, 2, 0]]), TEST_SET)
    assert total == 6
    assert [each["index"] for each in shown] == [0, 1]  # equal ones in the order of the data
    assert figures.mistakes(runs([TEST_SET.labels]), TEST_SET) == ([], 0)


def pixels_of(uri):
    head, _, text = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def test_a_png_has_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    np.testing.assert_array_equal(pixels_of(figures.png(pixels[:, ::-1])), pixels[:, ::-1])
    assert figures.png(pixels) == figures.png(pixels)


def filtered(tmp_path, *kernels, labels=("a", "b")):
    """Results with filters before and after for each network's seeds 1 and 2."""
    networks = dict.fromkeys(labels, made_up.network())
    data = made_up.dataset(4)
    terms = made_up.shared(data)
    with ResultsDirectory.opened(tmp_path, terms, networks, "") as out:
        for label, (before, after) in zip(labels, kernels, strict=False):
            for seed in (2, 1):
                found = made_up.arrays(data)
                found |= {"filters_before": before * seed, "filters_after": after * seed}
                out.add(made_up.run(label, seed), found)
        for label in labels[len(kernels) :]:
            out.add(made_up.run(label, 1), made_up.arrays(data))
    results = read_results(tmp_path)
    return figures.filters(ResultsDirectory(tmp_path, results), results, rows_of(results))


def test_filters_are_those_of_the_first_seed_on_one_scale(tmp_path):
    random = np.random.default_rng(0)
    before, after = random.normal(size=(2, 3, 5, 3, 70))
    after[0, 0, 0, 0] = -9.0
    (found,) = filtered(tmp_path, (before, after))
    assert (found["network"], found["seed"], found["largest"]) == ("a", 1, 9.0)
    assert found["shape"] == "70 filters of 3x5x3"
    assert found["cut"]
    # The first 64 filters in rows of 8, a pixel between them, on one scale.
    for name, kernel in (("before", before), ("after", after)):
        pixels = pixels_of(found[name])
        assert pixels.shape == (8 * 4 - 1, 8 * 6 - 1, 3)
        for index in (0, 9, 63):
            top, left = index // 8 * 4, index % 8 * 6
            grey = np.round(255 * (kernel[..., index] / 9 + 1) / 2)
            np.testing.assert_array_equal(pixels[top : top + 3, left : left + 5], grey)
    assert found["pixels"] == (8 * 6 - 1) * round(24 / 5)


@pytest.mark.parametrize(
    ("number", "columns", "cut"), [(6, 6, False), (8, 8, False), (12, 6, False), (18, 8, False),
                                   (64, 8, False), (65, 8, True)],
)  # fmt: skip
def test_filters_stand_in_rows(tmp_path, number, columns, cut):
    kernel = np.ones((20, 20, 1, number))
    (found,) = filtered(tmp_path, (kernel, kernel))
    assert pixels_of(found["before"]).shape[1] == min(columns, number) * 21 - 1
    assert found["pixels"] == (min(columns, number) * 21 - 1) * 2  # small ones are enlarged more
    assert found["cut"] == cut


def test_only_networks_with_filters_show_any(tmp_path):
    assert figures.MOST_FILTERS == 64
    assert figures.MOST_MISTAKES == 60
    assert filtered(tmp_path) == []
