import pytest

from cnnjax.errors import BadArgument
from cnnjax.plot.speed import relative_speed


def test_a_row_a_network_and_a_series_a_peer():
    ratios = {
        "than stock": {"a": (3.0, 2.0, 4.0), "b": (8.0, 7.0, 9.0)},
        "than torch": {"b": (0.9, 0.8, 1.1)},
    }
    (axes,) = relative_speed(ratios, xlabel="times").get_axes()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(ratios)
    low, high = axes.get_xlim()
    assert low < 0.8
    assert high > 9.0


@pytest.mark.parametrize("ratios", [{}, {"than stock": {}}, {"than stock": {"a": (0, 0, 1)}}])
def test_bad_ratios(ratios):
    with pytest.raises(BadArgument, match="ratio"):
        relative_speed(ratios, xlabel="times")
