"""Where things stand and which colors they have: against sums of inches and colors by hand."""

import numpy as np
import pytest

from cnnjax import plot
from cnnjax.errors import BadArgument
from cnnjax.plot.attribution import heat, overlay, signed
from cnnjax.plot.speed import relative_speed
from cnnjax.plot.style import MARKERS, SERIES, new_axes, new_figure


def inches(axes):
    """Left, bottom, right and top of axes."""
    width, height = axes.figure.get_size_inches()
    box = axes.get_position()
    return np.array([box.x0 * width, box.y0 * height, box.x1 * width, box.y1 * height])


def rgb(color):
    return [int(color[at : at + 2], 16) for at in (1, 3, 5)]


def test_axes_have_the_margins_that_were_asked_for():
    axes = new_axes(new_figure(5, 4), (0.5, 0.25, 1.0, 0.75))
    np.testing.assert_allclose(inches(axes), [0.5, 0.25, 4.0, 3.25])
    assert axes.figure.dpi == 100
    assert [side for side, spine in axes.spines.items() if spine.get_visible()] == ["bottom"]


def test_figures_have_room_for_their_names():
    """A column of names takes 0.073 inches a letter, beside margins of its own."""
    values = np.array([[0.5, 0.6], [0.7, 0.8]])
    name = "a" * 10
    ends = np.ones((3, 1))
    found = {
        (0.62, 0.52, 0.35 + 0.73, 0.38): plot.learning_curves({name: values}, ylabel=""),
        (0.62, 0.52, 0.25, 0.38): plot.accuracy_against({name: 1}, {name: values[0]}, xlabel=""),
        (0.3 + 0.73, 0.55, 0.2, 0.15): plot.differences([name], *ends, xlabel=""),
        (0.55, 0.52, 0.3 + 0.73, 0.38): plot.accuracy_by_size([1, 2], {name: values}),
        (0.3 + 0.73, 0.55, 0.2, 0.45): relative_speed({"b": {name: (1, 1, 1)}}, xlabel=""),
    }
    for (left, bottom, right, top), figure in found.items():
        width, height = figure.get_size_inches()
        expected = [left, bottom, width - right, height - top]
        np.testing.assert_allclose(inches(figure.axes[0]), expected)


def luminance(color):
    """Of the WCAG 2 contrast ratio."""
    parts = np.array(rgb(color)) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_every_color_can_be_read_on_white():
    assert len(SERIES) == len(set(SERIES)) == len(MARKERS) == len(set(MARKERS)) == 8
    for color in (*SERIES, plot.style.INK, plot.style.MUTED):
        assert 1.05 / (luminance(color) + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("number", "columns", "rows"), [(1, 3, 1), (3, 3, 1), (7, 3, 3), (4, 1, 4)]
)
@pytest.mark.parametrize("captions", [False, True])
def test_images_stand_in_rows_without_touching(number, columns, rows, captions):
    images = np.zeros((number, 4, 4, 1), np.uint8)
    words = [f"{index}" for index in range(number)] if captions else ()
    figure = plot.image_grid(images, words, columns=columns, tile=0.9)
    across, gap, above = min(number, columns), 0.06, 0.2 if captions else 0.0
    size = [across * 0.96 + gap, rows * (0.96 + above) + gap]
    np.testing.assert_allclose(figure.get_size_inches(), size)
    for index, axes in enumerate(figure.axes):
        row, column = divmod(index, columns)
        left = gap + 0.96 * column
        top = size[1] - gap - above - (0.96 + above) * row
        np.testing.assert_allclose(inches(axes), [left, top - 0.9, left + 0.9, top], atol=1e-9)


@pytest.mark.parametrize("columns", [0, -1])
def test_a_grid_has_columns(columns):
    with pytest.raises(BadArgument, match="at least 1 of each"):
        plot.image_grid(np.zeros((1, 2, 2, 1), np.uint8), columns=columns)


def test_filters_are_drawn_as_their_tiles():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 5))
    figure = plot.filter_grid(kernel, columns=2, tile=0.5, largest=9.0)
    assert len(figure.axes) == 5
    np.testing.assert_allclose(figure.get_size_inches(), [2 * 0.56 + 0.06, 3 * 0.56 + 0.06])
    tiles = plot.filter_tiles(kernel, 9.0)
    for axes, tile in zip(figure.axes, tiles, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), tile)
    assert (tiles != plot.filter_tiles(kernel)).any()


def test_filters_end_at_the_colors_of_their_signs():
    kernel = np.array([[[[-2.0, 0.0, 2.0, 4.0, -9.0]]]])
    tiles = plot.filter_tiles(kernel, 2.0)[:, 0, 0].tolist()
    blue, white, red = [33, 84, 158], [247] * 3, [178, 34, 46]
    assert tiles == [blue, white, red, red, blue]
    # Channels are averaged, by default to the largest average.
    both = np.array([[[[1.0, -3.0], [3.0, 1.0]]]])
    assert plot.filter_tiles(both)[:, 0, 0].tolist() == [red, [140, 166, 202]]
    assert (plot.filter_tiles(np.zeros((2, 2, 1, 1))) == 247).all()
    assert (plot.filter_tiles(np.zeros((2, 2, 3, 1))) == 128).all()


def test_images_are_tiles_of_bytes():
    floats = np.array([[[[-1.0], [0.0], [0.5], [1.0], [2.0]]]])
    assert plot.image_tiles(floats)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]
    colors = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(plot.image_tiles(colors), colors)


def test_a_mosaic_has_every_tile_in_its_place():
    tiles = np.random.default_rng(0).integers(0, 256, (5, 2, 3, 3)).astype(np.uint8)
    joined = plot.mosaic(tiles, columns=3)
    assert joined.shape == (2 * 3 - 1, 3 * 4 - 1, 4)
    expected = np.zeros(joined.shape, np.uint8)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, 3)
        place = np.s_[3 * row : 3 * row + 2, 4 * column : 4 * column + 3]
        expected[place] = np.concatenate([tile, np.full((2, 3, 1), 255)], -1)
    np.testing.assert_array_equal(joined, expected)
    assert plot.mosaic(tiles, columns=9).shape == (2, 5 * 4 - 1, 4)


def test_heat_goes_from_dark_over_red_to_light():
    colors = heat(np.array([[-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 9.0]]))[0].tolist()
    dark, red, light = [20, 11, 52], [214, 69, 65], [252, 253, 191]
    halfway = lambda a, b: np.round((np.array(a) + b) / 2).astype(int).tolist()
    assert colors == [dark, dark, halfway(dark, red), red, halfway(red, light), light, light]


def test_the_overlay_is_nine_parts_of_picture_and_eleven_of_heat():
    image = np.array([[[0.0], [1.0]]])
    found = overlay(image, np.array([[0.0, 5.0]]))
    dark, light = np.array([20, 11, 52]), np.array([252, 253, 191])
    np.testing.assert_array_equal(found[0, 0], np.round(0.55 * dark))
    np.testing.assert_array_equal(found[0, 1], np.round(0.45 * 255 + 0.55 * light))


@pytest.mark.parametrize(
    ("small", "large"), [((2, 3), (7, 12)), ((1, 1), (4, 5)), ((4, 4), (4, 4))]
)
def test_a_map_is_enlarged_linearly_between_the_middles_of_its_cells(small, large):
    """numpy's interpolation, one axis after the other."""
    values = np.random.default_rng(0).random(small)
    expected = values
    for axis, length in enumerate(large):
        cells = small[axis]
        at = (np.arange(length) + 0.5) * cells / length - 0.5
        line = lambda row, at=at, cells=cells: np.interp(at, np.arange(cells), row)
        expected = np.apply_along_axis(line, axis, expected)
    found = plot.attribution._enlarge(values, *large)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_signs_are_scaled_to_a_percentile():
    """The largest few of 1,000 sums end at the last color; half of the limit is half the way."""
    sums = np.zeros(1000)
    sums[:10] = 8.0
    sums[10:16] = -100.0
    sums[16] = 4.0
    pixels = signed(sums.reshape(20, 50, 1)).reshape(1000, 3).astype(int)
    limit = np.percentile(np.abs(sums), 99.5)
    assert limit == 100.0
    red, blue, white = np.array([178, 34, 46]), np.array([33, 84, 158]), np.array([247] * 3)
    np.testing.assert_array_equal(pixels[10], blue)
    np.testing.assert_array_equal(pixels[20], white)
    np.testing.assert_array_equal(pixels[0], np.round(white + 0.08 * (red - white)))
    np.testing.assert_array_equal(pixels[16], np.round(white + 0.04 * (red - white)))
    # Of a single pixel the percentile is 0, and its own sum the scale.
    alone = np.zeros((40, 40, 2))
    alone[3, 4] = 1.0, 2.0
    np.testing.assert_array_equal(signed(alone)[3, 4], red)
    assert (signed(np.zeros((2, 2, 1))) == 247).all()


def test_panels_stand_side_by_side_as_wide_as_their_pictures():
    pictures = {"a": np.zeros((4, 4, 3)), "b\nc": np.zeros((2, 4, 1)), "d": np.zeros((4, 2, 1))}
    figure = plot.attribution_panels(pictures, tile=2.0)
    widths, left = (2.0, 4.0, 1.0), 0.1
    np.testing.assert_allclose(figure.get_size_inches(), [7 + 0.4, 2.0 + 0.4 + 0.1])
    for axes, width in zip(figure.axes, widths, strict=True):
        np.testing.assert_allclose(inches(axes), [left, 0.1, left + width, 2.1])
        left += width + 0.1


def test_cells_are_as_dark_as_their_counts():
    """The most frequent right answer 45 %, the most frequent mistake 80 %, a count of 0 nothing."""
    counts = np.array([[10, 4, 0], [1, 5, 0], [0, 0, 0]])
    (axes,) = plot.confusion_matrix(counts, ("a", "b", "c")).axes
    cells = {
        (patch.get_y() + 0.5, patch.get_x() + 0.5): (patch.get_alpha(), patch.get_facecolor()[:3])
        for patch in axes.patches
    }
    expected = {
        (0, 0): 0.45, (1, 1): 0.08 + 0.37 / 2, (0, 1): 0.8, (1, 0): 0.08 + 0.72 / 4,
    }  # fmt: skip
    assert {place: alpha for place, (alpha, _) in cells.items()} == pytest.approx(expected)
    for (true, predicted), (_, color) in cells.items():
        wanted = SERIES[0 if true == predicted else 1]
        assert [round(255 * part) for part in color] == rgb(wanted)
    assert {(patch.get_width(), patch.get_height()) for patch in axes.patches} == {(1, 1)}
    shown = axes.xaxis.get_tick_params()
    assert (shown["labeltop"], shown["labelbottom"]) == (True, False)
    assert axes.get_xlim() == (-0.5, 2.5)
    assert axes.get_ylim() == (2.5, -0.5)  # true classes downwards
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


@pytest.mark.parametrize(
    ("classes", "ticks", "written"),
    [(20, 20, True), (21, 21, False), (40, 20, False), (100, 20, False)],
)
def test_many_classes_have_every_nth_name(classes, ticks, written):
    names = [f"class {index}" for index in range(classes)]
    (axes,) = plot.confusion_matrix(np.eye(classes, dtype=int), names).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == names[:: max(1, classes // 20)]
    assert len(labels) == ticks
    assert [label.get_text() for label in axes.get_xticklabels()] == labels
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {90.0}
    assert bool(axes.texts) == written
    assert bool(axes.collections) == written  # the lines between cells


def test_short_names_of_classes_stand_upright():
    (axes,) = plot.confusion_matrix(np.eye(2, dtype=int), ("abc", "猫")).axes
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {0.0}
    width, height = axes.figure.get_size_inches()
    left, bottom, right, top = inches(axes)
    assert (width - right, bottom) == pytest.approx((0.1, 0.1))
    assert right - left == pytest.approx(top - bottom)  # cells are squares
    assert height - top == pytest.approx(0.55)
    with pytest.raises(BadArgument, match="counts"):
        plot.confusion_matrix(np.array([[1, -1], [0, 1]]), ("a", "b"))


def test_curves_have_the_colors_and_styles_of_their_order():
    curves = {f"{index}": np.full((1, 2), 1.0 + index) for index in range(18)}
    (axes,) = plot.learning_curves(curves, ylabel="loss").axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linewidth() > 1]
    assert len(lines) == 18
    for index, line in enumerate(lines):
        assert line.get_color() == SERIES[index % 8]
        assert line.get_linestyle() == ("-", "--", ":")[index // 8]
    assert [text.get_color() for text in axes.texts] == [SERIES[index % 8] for index in range(18)]
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("epoch", "loss")


def test_names_are_joined_to_the_ends_of_their_lines():
    curves = {
        "a": np.array([[4.0, 1.0]]),
        "b": np.array([[3.0, 2.0]]),
        "c": np.array([[1, np.nan]]),
    }
    (axes,) = plot.learning_curves(curves, ylabel="loss").axes
    joins = [line for line in axes.lines if line.get_linewidth() < 1]
    to_axes = axes.transAxes.inverted().transform
    ends = [(2, 1.0), (2, 2.0), (1, 1.0)]  # the last one that is a number
    for join, end, text in zip(joins, ends, axes.texts, strict=True):
        (x0, x1), (y0, y1) = join.get_data()
        np.testing.assert_allclose((x0, y0), to_axes(axes.transData.transform(end)), atol=1e-6)
        assert text.get_position() == (1.055, pytest.approx(y1))
        assert x0 < x1 < 1.055
    places = [text.get_position()[1] for text in axes.texts]
    gap = 15 / axes.get_window_extent().height
    assert np.diff(sorted(places)).min() >= gap - 1e-9
    assert 0.02 - 1e-9 <= min(places) <= max(places) <= 0.98 + 1e-9


def test_a_curve_without_a_number_is_named_in_the_middle():
    curves = {"none": np.full((1, 3), np.nan), "b": np.ones((1, 3))}
    (axes,) = plot.learning_curves(curves, ylabel="loss").axes
    assert [text.get_text() for text in axes.texts] == ["none", "b"]


def test_tradeoffs_leave_room_for_names_and_bars():
    cost = {"a": 10.0, "b": 1000.0}
    accuracy = {"a": np.array([0.5, 0.6]), "b": np.array([0.9])}
    (axes,) = plot.accuracy_against(cost, accuracy, xlabel="parameters").axes
    room = 0.16 * 2
    np.testing.assert_allclose(axes.get_xlim(), [10 / 10**room, 1000 * 10 ** (1.6 * room)])
    low, high = 55 - 100 * np.std([0.5, 0.6], ddof=1), 90
    slack = 0.12 * (high - low)
    np.testing.assert_allclose(axes.get_ylim(), [low - slack, high + slack])
    points = [line for line in axes.lines if line.get_marker() in MARKERS]
    assert [(p.get_xdata()[0], p.get_ydata()[0]) for p in points] == [
        (10, pytest.approx(55)), (1000, pytest.approx(90)),
    ]  # fmt: skip
    assert [p.get_marker() for p in points] == list(MARKERS[:2])
    assert [p.get_color() for p in points] == list(SERIES[:2])
    assert [text.get_color() for text in axes.texts] != []
    assert axes.get_xlabel() == "parameters (log scale)"
    (alone,) = plot.accuracy_against({"a": 10.0}, {"a": np.array([0.5])}, xlabel="x").axes
    np.testing.assert_allclose(alone.get_xlim(), [10 / 10**0.15, 10 * 10**0.24])
    np.testing.assert_allclose(alone.get_ylim(), [49.9, 50.1])


@pytest.mark.parametrize(("largest", "labels"), [(300, {20, 50, 200}), (4000, set())])
def test_minor_numbers_where_whole_decades_are_too_far_apart(largest, labels):
    cost = {"a": 10.0, "b": float(largest)}
    accuracy = {"a": np.array([0.5]), "b": np.array([0.6])}
    (axes,) = plot.accuracy_against(cost, accuracy, xlabel="parameters").axes
    axes.figure.canvas.draw()
    low, high = axes.get_xlim()
    shown = {
        round(place)
        for place, label in zip(
            axes.xaxis.get_ticklocs(minor=True),
            axes.xaxis.get_ticklabels(which="minor"),
            strict=True,
        )
        if label.get_text() and low < place < high
    }
    assert labels <= shown
    assert all(str(place)[0] in "25" for place in shown)
    assert bool(shown) == bool(labels)


def test_differences_stand_in_rows_from_above():
    names, mean = ["a", "b", "c"], np.array([1.0, -2.0, 3.0])
    low, high = np.array([0.5, np.nan, -np.inf]), np.array([1.5, np.nan, 4.0])
    colors = [SERIES[5], SERIES[6], SERIES[7]]
    (axes,) = plot.differences(names, mean, low, high, xlabel="points", colors=colors).axes
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [(p.get_xdata()[0], p.get_ydata()[0]) for p in points] == [(1, 2), (-2, 1), (3, 0)]
    assert [p.get_color() for p in points] == colors
    intervals = [line for line in axes.lines if line.get_solid_capstyle() == "butt"]
    assert [(list(i.get_xdata()), list(i.get_ydata())) for i in intervals] == [([0.5, 1.5], [2, 2])]
    assert intervals[0].get_color() == colors[0]
    zero = [line for line in axes.lines if list(line.get_xdata()) == [0, 0]]
    assert len(zero) == 1
    ticks = dict(zip(axes.get_yticks(), axes.get_yticklabels(), strict=True))
    assert {place: label.get_text() for place, label in ticks.items()} == {2: "a", 1: "b", 0: "c"}
    assert axes.get_ylim() == (-0.6, 2.6)
    assert axes.figure.get_size_inches()[1] == pytest.approx(1.0 + 0.3 * 3)
    (plain,) = plot.differences(["a"], *np.ones((3, 1)), xlabel="").axes
    assert plain.lines[0].get_color() == SERIES[0]


def test_peers_stand_a_little_apart_in_the_row_of_their_network():
    ratios = {
        "stock": {"a": (3.0, 2.0, 4.0), "b": (8.0, 7.0, 9.0)},
        "none": {},
        "torch": {"b": (0.9, 0.8, 1.1)},
    }
    (axes,) = relative_speed(ratios, xlabel="times").axes
    first, second = (line for line in axes.lines if line.get_marker() in MARKERS)
    assert first.get_xdata().tolist() == [3, 8]
    np.testing.assert_allclose(first.get_ydata(), [1 - 0.1, 0 - 0.1])
    assert second.get_xdata().tolist() == [0.9]
    np.testing.assert_allclose(second.get_ydata(), [0.1])
    assert (first.get_color(), second.get_color()) == (SERIES[0], SERIES[2])
    bars = [bar for bars in axes.collections for bar in bars.get_segments()]
    np.testing.assert_allclose([bar[:, 0] for bar in bars], [[2, 4], [7, 9], [0.8, 1.1]])
    assert axes.get_xscale() == "log"
    assert [line.get_xdata() for line in axes.lines if list(line.get_xdata()) == [1, 1]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["stock", "torch"]
    assert axes.xaxis.get_major_formatter()(0.5) == "0.5"
    assert axes.get_ylim() == (-0.6, 1.6)
    assert axes.figure.get_size_inches()[1] == pytest.approx(1.15 + 0.64)


def test_sizes_have_their_numbers_and_the_line_of_chance():
    values = np.array([[0.2, 0.3], [0.5, 0.6]])
    (axes,) = plot.accuracy_by_size([100, 1600], {"a": values, "b": values / 2}, chance=0.1).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["100", "1,600"]
    np.testing.assert_allclose(axes.get_xlim(), [100 / 16**0.05, 1600 * 16**0.05])
    (dashed,) = (line for line in axes.lines if list(line.get_xdata()) == [0, 1])
    assert list(dashed.get_ydata()) == [10, 10]
    words = {text.get_text(): text for text in axes.texts}
    assert words["chance "].get_position() == (pytest.approx(1600 * 16**0.05), 10)
    low, high = axes.get_ylim()
    for name, end in (("a", 55.0), ("b", 27.5)):
        assert words[name].get_position() == (1.03, pytest.approx((end - low) / (high - low)))
    assert [words[name].get_color() for name in "ab"] == list(SERIES[:2])
    (alone,) = plot.accuracy_by_size([100], {"a": values[:1]}).axes
    np.testing.assert_allclose(alone.get_xlim(), [100 / 1.5, 150])
    assert not [text for text in alone.texts if "chance" in text.get_text()]
