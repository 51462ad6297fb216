"""What all figures have in common: colors that can be read, sizes of text, words on axes."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from cnnjax import plot
from cnnjax.plot.speed import relative_speed
from cnnjax.plot.style import GRID, INK, MUTED, SERIES

VALUES = np.array([[0.5, 0.6], [0.7, 0.75]])
NAMES = ["first", "second"]

FIGURES = {
    "curves": lambda: plot.learning_curves({n: VALUES for n in NAMES}, ylabel="loss"),
    "tradeoff": lambda: plot.accuracy_against(
        {"first": 9.0, "second": 80.0}, {n: VALUES[0] for n in NAMES}, xlabel="parameters"
    ),
    "forest": lambda: plot.differences(
        NAMES, VALUES[0], VALUES[0] - 1, VALUES[0] + 1, xlabel="points"
    ),
    "matrix": lambda: plot.confusion_matrix(np.array([[3, 1], [0, 2]]), NAMES),
    "speed": lambda: relative_speed({"peer": {n: (1.0, 0.5, 2.0) for n in NAMES}}, xlabel="times"),
    "samples": lambda: plot.accuracy_by_size([1, 10], {n: VALUES for n in NAMES}, chance=0.1),
}
# (below, beside, above): quantity, unit and scale.
WORDS = {
    "curves": ("epoch", "", "loss"),
    "tradeoff": ("parameters (log scale)", "", "test accuracy (%)"),
    "forest": ("points", "", ""),
    "matrix": ("predicted", "true", ""),
    "speed": ("times (log scale)", "", ""),
    "samples": ("training images (log scale)", "", "test accuracy (%)"),
}
each_figure = pytest.mark.parametrize("name", FIGURES)


@pytest.fixture
def figure(name):
    drawn = FIGURES[name]()
    drawn.canvas.draw()
    return drawn


def texts(figure):
    found = figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))
    return [text for text in found if text.get_text() and text.get_visible()]


@each_figure
def test_axes_say_what_they_show(name, figure):
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left")) == WORDS[name]


@each_figure
def test_text_has_the_colors_of_the_page_and_a_size_that_can_be_read(figure):
    (axes,) = figure.axes
    for text in texts(figure):
        assert to_hex(text.get_color()) in {INK, MUTED, *SERIES}, text
        assert 8 <= text.get_fontsize() <= 9.5, text
    titles = {axes.xaxis.label, axes.yaxis.label, axes._left_title}
    looks = {(to_hex(each.get_color()), each.get_fontsize()) for each in titles if each.get_text()}
    assert looks == {(INK, 9.5)}


@each_figure
def test_the_page_shows_through_and_the_grid_lies_below(figure):
    (axes,) = figure.axes
    assert figure.get_facecolor()[3] == axes.get_facecolor()[3] == 0
    assert axes.get_axisbelow() is True
    shown = [
        line for line in (*axes.get_xgridlines(), *axes.get_ygridlines()) if line.get_visible()
    ]
    for line in shown:
        assert (to_hex(line.get_color()), line.get_linewidth()) == (GRID, 0.8)
    sides = {side for side, spine in axes.spines.items() if spine.get_visible()}
    assert sides <= {"bottom"}
    ticks = [*axes.xaxis.get_major_ticks(), *axes.yaxis.get_major_ticks()]
    assert {tick.label1.get_fontsize() for tick in ticks} <= {8.5, 9.0}
    assert all(tick.tick1line.get_markersize() == 0 for tick in axes.yaxis.get_major_ticks())


@each_figure
def test_what_is_measured_stands_out(figure):
    """Lines of data are thicker than the grid's and have a series' color or that of text."""
    (axes,) = figure.axes
    for line in axes.lines:
        assert to_hex(line.get_color()) in {INK, MUTED, GRID, *SERIES}, line
        if to_hex(line.get_color()) in SERIES and line.get_linestyle() == "-":
            assert 0.7 <= line.get_linewidth() <= 2, line
