import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax import plot
from cnnjax.plot.labels import spread


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.3))
def test_spread_keeps_order_distance_and_bounds(values, gap):
    wanted = np.array(values)
    placed = spread(wanted, gap, 0.0, 1.0)
    room = 1.0 / max(len(values) - 1, 1)
    assert placed.min() >= -1e-9
    assert placed.max() <= 1 + 1e-9
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(placed[order]) >= min(gap, room) - 1e-9).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True))
def test_spread_leaves_what_is_far_apart(values):
    wanted = np.array(values) / 10
    np.testing.assert_allclose(spread(wanted, 0.1, 0.0, 1.0), wanted, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_names_cover_neither_each_other_nor_points(seed):
    random = np.random.default_rng(seed)
    names = [f"network_{'x' * length}" for length in random.integers(0, 12, 6)]
    names = [f"{name}{index}" for index, name in enumerate(names)]
    cost = dict(zip(names, 10 ** random.uniform(4, 7, 6), strict=True))
    accuracy = {name: random.uniform(0.9, 0.99) + random.normal(0, 0.003, 3) for name in names}
    figure = plot.accuracy_against(cost, accuracy, xlabel="parameters")
    axes = figure.axes[0]
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert len(boxes) == 6
    for first in range(6):
        for second in range(first):
            a, b = boxes[first], boxes[second]
            wide = min(a.x1, b.x1) - max(a.x0, b.x0)
            high = min(a.y1, b.y1) - max(a.y0, b.y0)
            assert min(wide, high) <= 0.5
        for name in names:
            point = axes.transData.transform((cost[name], 100 * accuracy[name].mean()))
            assert not boxes[first].contains(*point)


def test_a_cost_of_zero_is_refused():
    with pytest.raises(ValueError, match="cost: 0; allowed: numbers above 0"):
        plot.accuracy_against({"a": 0}, {"a": np.ones(1)}, xlabel="parameters")
