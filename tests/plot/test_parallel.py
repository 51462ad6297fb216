import numpy as np
import pytest

from cnnjax.errors import BadArgument
from cnnjax.plot import parallel_coordinates, shares_of_importance
from cnnjax.plot.style import SERIES


def lines(figure):
    """The lines of the trials, by what they go through, and their looks."""
    drawn = [line for line in figure.axes[0].lines if len(line.get_ydata()) == 3]
    drawn.sort(key=lambda line: line.get_zorder())
    return [(np.round(line.get_ydata(), 6).tolist(), line) for line in drawn]


@pytest.mark.parametrize("maximize", [True, False])
def test_each_trial_is_a_line_at_its_places_the_best_on_top(maximize):
    scalars = {"rate": [0.01, 0.1, 1.0], "momentum": [0.5, 0.9, 0.6]}
    figure = parallel_coordinates(scalars, [2.0, 4.0, 3.0], score="score", maximize=maximize)
    found = lines(figure)
    # The rate is on a logarithmic axis, the other two on linear ones.
    places = [[0.0, 0.0, 0.0], [1.0, 0.25, 0.5], [0.5, 1.0, 1.0]]
    assert [place for place, _ in found] == (places if maximize else places[::-1])
    colors = [line.get_color() for _, line in found]
    assert colors == [SERIES[0], SERIES[0], SERIES[1]]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if text.isidentifier() or "(" in text] == [
        "rate (log)", "momentum", "score",
    ]  # fmt: skip
    for text in ("0.01", "0.1", "1", "0.5", "0.9", "2", "4"):
        assert text in texts


def test_one_trial_stands_in_the_middle():
    (found,) = lines(parallel_coordinates({"rate": [0.1], "decay": [0.0]}, [0.5], score="s"))
    assert found[0] == [0.5, 0.5, 0.5]


def test_importances_are_bars_of_percent_the_most_on_top():
    (axes,) = shares_of_importance({"a": 0.25, "b": 0.75}).axes
    assert [bar.get_width() for bar in axes.patches] == [25.0, 75.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in axes.texts] == [" 25", " 75"]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(BadArgument, match="scores: 0 of them"):
        parallel_coordinates({"rate": []}, [], score="s")
    with pytest.raises(BadArgument, match="scores: 2 of them"):
        parallel_coordinates({"rate": [1.0]}, [1.0, 2.0], score="s")
    with pytest.raises(BadArgument, match="importances: received none"):
        shares_of_importance({})
