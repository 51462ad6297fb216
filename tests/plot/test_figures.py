import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from cnnjax import plot
from cnnjax.errors import BadArgument


def curves_figure():
    curves = {"a": np.array([[3.0, 2.0, 1.0], [5.0, 4.0, 1.0]]), "b": np.array([[9.0, 8.0, 7.0]])}
    return plot.learning_curves(curves, ylabel="error (%)", log=True)


def test_the_line_is_the_mean_and_the_band_reaches_from_least_to_largest():
    axes = curves_figure().axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [4, 3, 1])
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [1, 2, 3])
    band = axes.collections[0].get_paths()[0].vertices
    assert {3.0, 5.0} <= set(band[band[:, 0] == 1][:, 1])
    assert len(axes.collections) == 1  # a single seed has no band
    assert [text.get_text() for text in axes.texts] == ["a", "b"]


@pytest.mark.parametrize(
    ("low", "high"),
    [(85, 93), (2.30, 2.31), (2.3011, 2.3013), (0.2, 1.5), (1, 1), (0.3, 40), (1e-4, 5), (3, 4000)],
)
def test_a_logarithmic_axis_has_numbers_that_differ(low, high):
    (axes,) = plot.learning_curves({"a": np.array([[high, low]])}, ylabel="loss", log=True).axes
    axes.figure.canvas.draw()
    least, most = axes.get_ylim()
    written = {}
    for which in ("major", "minor"):
        places = axes.yaxis.get_ticklocs(minor=which == "minor")
        labels = axes.yaxis.get_ticklabels(which=which)
        for place, label in zip(places, labels, strict=True):
            if least <= place <= most and label.get_text():
                written[label.get_text()] = place
    assert len(written) >= 2
    if most >= 10 * least:  # 1, 2 and 5 of every decade
        marks = [digit * 10.0**power for power in range(-6, 6) for digit in (1, 2, 5)]
        inside = [mark for mark in marks if least <= mark <= most]
        np.testing.assert_allclose(sorted(written.values()), inside)
    for text, place in written.items():
        unit = {"k": 1e3, "M": 1e6}.get(text[-1], 1)
        assert float(text.rstrip("kM")) * unit == pytest.approx(place, rel=1e-5)


def test_the_spread_of_a_single_epoch_is_a_line():
    (axes,) = plot.learning_curves({"a": np.array([[1.0], [4.0]])}, ylabel="loss").axes
    (line,) = (each for each in axes.collections if hasattr(each, "get_segments"))
    np.testing.assert_array_equal(line.get_segments(), [[[1, 1], [1, 4]]])


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 6, 12, 100])
@pytest.mark.parametrize("log", [True, False])
def test_the_axis_runs_over_whole_epochs(epochs, log):
    (axes,) = plot.learning_curves({"a": np.ones((2, epochs))}, ylabel="loss", log=log).axes
    low, high = axes.get_xlim()
    # All of the curve, and less than one epoch more.
    assert low <= 1
    assert high >= epochs
    assert max(1 - low, high - epochs) < 1
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == round(tick) and 1 <= tick <= epochs for tick in ticks)
    assert len(ticks) >= min(epochs, 3)
    if epochs == 1:
        assert (low, ticks, high) == (0.5, [1], 1.5)
        assert axes.lines[0].get_marker() == "o"  # a line of one point is not seen


@pytest.mark.parametrize(
    ("curves", "message"),
    [({}, "empty"), ({"a": np.ones(3)}, "shape"), ({"a": np.zeros((1, 3))}, "not above 0")],
)
def test_curves_that_cannot_be_drawn(curves, message):
    with pytest.raises(BadArgument, match=message):
        plot.learning_curves(curves, ylabel="loss", log=True)


def test_error_bars_are_one_standard_deviation():
    accuracy = {"a": np.array([0.90, 0.92, 0.97]), "b": np.array([0.5])}
    axes = plot.accuracy_against({"a": 10, "b": 1000}, accuracy, xlabel="parameters").axes[0]
    bars = [segments.get_segments()[0] for segments in axes.collections]
    assert len(bars) == 1
    mean, sd = 100 * accuracy["a"].mean(), 100 * accuracy["a"].std(ddof=1)
    np.testing.assert_allclose(bars[0], [[10, mean - sd], [10, mean + sd]])
    assert axes.get_xscale() == "log"


def test_confusion_matrix_writes_every_count():
    counts = np.array([[5, 1, 0], [0, 7, 0], [2, 0, 9]])
    axes = plot.confusion_matrix(counts, ("cat", "dog", "owl")).axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    expected = {(p, t): str(counts[t, p]) for t, p in np.argwhere(counts)}
    assert written == expected
    assert len(axes.patches) == len(expected)


def test_confusion_matrix_of_many_classes_draws_only_what_happened():
    counts = np.diag(np.ones(100, int))
    figure = plot.confusion_matrix(counts, [f"class {index}" for index in range(100)])
    assert len(figure.axes[0].patches) == 100
    assert not figure.axes[0].texts


def test_filter_colors_are_symmetric_about_zero():
    kernel = np.array([-2.0, -1.0, 0.0, 1.0]).reshape(1, 1, 1, 4)
    low, half, zero, up = plot.filter_tiles(kernel)[:, 0, 0].astype(int)
    assert zero.min() == zero.max() == 247
    assert low[2] > low[0]  # negative is blue
    assert up[0] > up[2]  # positive is red
    # Half as far from zero is half as far from white, on either side.
    np.testing.assert_allclose(2 * (zero - half), zero - low, atol=1)
    same = plot.filter_tiles(-kernel, largest=2.0)[:, 0, 0].astype(int)
    assert same[0, 0] > same[0, 2]


def test_filters_of_three_channels_are_colors():
    kernel = np.zeros((1, 1, 3, 1))
    kernel[0, 0, 0, 0] = 1.0
    assert plot.filter_tiles(kernel)[0, 0, 0].tolist() == [255, 128, 128]


def test_image_grid_keeps_every_pixel():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1)).astype(np.uint8)
    figure = plot.image_grid(images, ["a", "b", "c", "d", "e"], columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", "d", "e"]
    for axes, image in zip(figure.axes, images, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), np.tile(image, 3))
        assert axes.images[0].get_interpolation() == "none"


def test_mosaic_puts_a_transparent_pixel_between():
    joined = plot.mosaic(np.full((3, 2, 2, 3), 9, np.uint8), columns=2)
    assert joined.shape == (5, 5, 4)
    assert (joined[2, :, 3] == 0).all()
    assert (joined[:, 2, 3] == 0).all()
    assert (joined[3:, 3:, 3] == 0).all()
    assert joined[..., 3].sum() == 3 * 4 * 255


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot.image_grid(np.zeros((1, 2, 2, 2), np.uint8)),
        lambda: plot.image_grid(np.zeros((2, 2, 2, 1), np.uint8), ["one"]),
        lambda: plot.image_grid(np.zeros((0, 2, 2, 1), np.uint8)),
        lambda: plot.filter_grid(np.zeros((3, 3))),
        lambda: plot.confusion_matrix(np.zeros((2, 3), int), ("a", "b")),
    ],
)
def test_wrong_shapes_are_refused(call):
    with pytest.raises(BadArgument):
        call()


def test_svg_is_an_element_that_follows_the_page():
    text = plot.to_svg(curves_figure(), 'errors of "a" & b', "errors")
    assert text == plot.to_svg(curves_figure(), 'errors of "a" & b', "errors")
    tree = ET.fromstring(text.replace("xlink:href", "href"))
    assert tree.get("aria-label") == 'errors of "a" & b'
    assert tree.get("role") == "img"
    assert "http" not in text
    assert "<style" not in text
    assert any(element.text == "epoch" for element in tree.iter("text"))
    for color in plot.COLOR_VARIABLES:
        assert color not in text
    assert {"var(--series-0)", "var(--series-1)", "var(--ink)"} <= set(
        re.findall(r"var\([^)]+\)", text)
    )


def test_only_the_figure_s_own_colors_and_ids_are_replaced():
    label = f'{plot.SERIES[0]} id="text_1"'
    text = plot.to_svg(plot.learning_curves({label: np.ones((1, 2))}, ylabel="loss"), "", "name")
    assert text.count(plot.SERIES[0]) == 1
    assert text.count('id="text_1"') == 1


def test_svg_ids_differ_between_figures():
    ids = [
        set(re.findall(r'id="([^"]+)"', plot.to_svg(curves_figure(), "", name)))
        for name in ("one", "two")
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (7, "7"), (999, "999"), (999_900, "1M"), (61_706, "61.7k"), (554_346, "554k")],
)
def test_compact(count, text):
    assert plot.compact(count) == text
