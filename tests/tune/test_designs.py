import itertools

import numpy as np
import pytest
from scipy import stats

from cnnjax.errors import BadArgument
from cnnjax.tune import TPE, Choice, Grid, LogUniform, Random, Sobol, Uniform
from cnnjax.tune.designs import check_design

SPACE = {"learning_rate": LogUniform(0.01, 1), "momentum": Choice((0.5, 0.9))}


def test_a_grid_is_every_combination_once():
    grid = Grid(3)
    assert grid.size(SPACE) == 6
    points = [grid.point(SPACE, 7, number) for number in range(6)]
    values = [(SPACE["learning_rate"].at(a), SPACE["momentum"].at(b)) for a, b in points]
    wanted = list(itertools.product((0.01, 0.1, 1), (0.5, 0.9)))
    np.testing.assert_allclose(values, wanted)


@pytest.mark.parametrize("design", [Random(), Sobol()])
def test_planned_points_are_even_and_depend_on_seed_and_number_alone(design):
    points = np.array([design.point(SPACE, 3, number) for number in range(256)])
    for column in points.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(points.T)[0, 1]) < 0.2
    assert design.point(SPACE, 3, 200) == tuple(points[200])
    assert design.point(SPACE, 4, 200) != tuple(points[200])


def test_sobol_points_are_one_to_each_cell():
    """What a scrambled net of 2^k points in two dimensions promises, and no random draw keeps."""
    points = np.array([Sobol().point(SPACE, 5, number) for number in range(64)])
    for rows, columns in ((64, 1), (8, 8), (1, 64)):
        cells = (points * [rows, columns]).astype(int)
        assert len({tuple(cell) for cell in cells}) == 64


@pytest.mark.parametrize(
    ("design", "trials", "words"),
    [
        (Grid, 3, "design: received <class"),
        ("grid", 3, "design: received 'grid'"),
        (Grid(2), 5, "trials: received 5, allowed: integers from 1 to 4"),
        (Random(), None, "trials: received None"),
        (TPE(), 0, "trials: received 0"),
    ],
)
def test_what_no_search_can_be_is_refused(design, trials, words):
    with pytest.raises(BadArgument, match=words):
        check_design(design, SPACE, trials)


def test_the_number_of_trials():
    assert check_design(Grid(4), {"momentum": Uniform(0, 1)}, None) == 4
    assert check_design(Grid(4), SPACE, 2) == 2
    assert check_design(TPE(), SPACE, 7) == 7
