"""Colors of attributions: order, sign and place."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from cnnjax.errors import BadArgument
from cnnjax.plot import attribution_panels
from cnnjax.plot.attribution import heat, overlay, signed


def lightness(colors):
    return colors.astype(float) @ [0.2126, 0.7152, 0.0722]


def test_more_evidence_is_lighter():
    colors = heat(np.linspace(0, 1, 64)[None])
    assert (np.diff(lightness(colors)[0]) > 0).all()


def test_the_overlay_is_lightest_where_the_evidence_is():
    image = np.full((40, 60, 3), 128, np.uint8)
    evidence = np.zeros((4, 6))
    evidence[1, 4] = 3.0
    light = lightness(overlay(image, evidence))
    row, column = np.unravel_index(light.argmax(), light.shape)
    assert (row // 10, column // 10) == (1, 4)
    assert np.ptp(lightness(overlay(image, np.zeros((1, 1))))) == 0


def test_signs_have_their_colors():
    attribution = np.zeros((3, 3, 2))
    attribution[0, 0] = 1.0, 0.5
    attribution[2, 2] = -1.5, 0.0
    red, blue, white = (signed(attribution)[i, i].astype(int) for i in (0, 2, 1))
    assert red[0] > red[2] + 50
    assert blue[2] > blue[0] + 50
    assert np.ptp(white) == 0


def test_panels_show_the_pictures_in_order():
    pictures = {"one": np.zeros((4, 4, 3), np.uint8), "two": np.ones((4, 8, 1))}
    figure = attribution_panels(pictures)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two"]
    wide = [axes.get_position().width for axes in figure.axes]
    assert wide[1] == pytest.approx(2 * wide[0])
    with pytest.raises(BadArgument, match="empty"):
        attribution_panels({})


def test_accuracy_by_size_draws_means_deviations_and_every_seed():
    from cnnjax.plot import accuracy_by_size

    values = np.array([[0.2, 0.3, 0.4], [0.5, 0.5, 0.8]])
    figure = accuracy_by_size([100, 400], {"probe": values}, chance=0.1)
    axes = figure.axes[0]
    mean, *seeds = (
        line for line in axes.lines if line.get_xdata()[0] == 100 and len(line.get_xdata()) == 2
    )
    np.testing.assert_allclose(mean.get_ydata(), [30, 60])
    bars = axes.collections[0].get_segments()
    np.testing.assert_allclose([bar[1, 1] - bar[0, 1] for bar in bars], 200 * values.std(1, ddof=1))
    dots = [line.get_ydata() for line in seeds if line.get_marker() == "."]
    np.testing.assert_allclose(dots, 100 * values.T)
    for sizes, accuracy in (([400, 100], {"a": values}), ([1], {"a": values}), ([1, 2], {})):
        with pytest.raises(BadArgument, match=r"sizes|accuracy"):
            accuracy_by_size(sizes, accuracy)
