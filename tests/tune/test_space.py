import pytest

from cnnjax.errors import BadArgument
from cnnjax.train import Hyper
from cnnjax.tune import Choice, LogUniform, Uniform
from cnnjax.tune.space import check_space


def test_a_share_is_the_place_between_the_ends():
    assert [Uniform(2, 6).at(share) for share in (0, 0.25, 1)] == [2, 3, 6]
    decades = [LogUniform(0.001, 1).at(share) for share in (0, 1 / 3, 2 / 3, 1)]
    assert decades == pytest.approx([0.001, 0.01, 0.1, 1])
    choice = Choice((5, 0, 7))
    assert [choice.at(share) for share in (0, 0.33, 0.34, 0.66, 0.67, 1)] == [5, 5, 0, 0, 7, 7]


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Uniform(0, 1), [0, 0.25, 0.5, 0.75, 1]),
        (LogUniform(0.01, 100), [0.01, 0.1, 1, 10, 100]),
        (Choice((3, 1)), [3, 1]),
    ],
)
def test_a_grid_covers_a_domain(domain, values):
    assert [domain.at(share) for share in domain.grid(5)] == pytest.approx(values)


def test_a_grid_of_one_is_the_middle():
    assert LogUniform(0.01, 1).at(*LogUniform(0.01, 1).grid(1)) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Uniform(1, 1), "high: received 1, allowed: numbers above low, 1"),
        (lambda: Uniform(-1, 1), "low: received -1, allowed: finite numbers from 0"),
        (lambda: LogUniform(0, 1), "low: received 0, allowed: finite numbers above 0"),
        (lambda: Uniform(0, float("inf")), "high: received inf"),
        (lambda: Uniform(True, 2), "low: received True"),
        (lambda: Choice((1,)), "two or more different numbers"),
        (lambda: Choice((1, 1)), "two or more different numbers"),
        (lambda: Choice((1, "a")), "two or more different numbers"),
        (lambda: check_space({}, Hyper()), "space: received {}"),
        (lambda: check_space({"rate": Uniform(0, 1)}, Hyper()), "space: unknown name 'rate'"),
        (lambda: check_space({"momentum": 0.9}, Hyper()), "momentum is 0.9, allowed: Uniform"),
        (lambda: check_space({"momentum": Uniform(0, 2)}, Hyper()), r"momentum: received 2"),
        (lambda: check_space({"momentum": Choice((0.5, 1))}, Hyper()), r"momentum: received 1"),
    ],
)
def test_what_no_domain_can_be_is_refused(make, words):
    with pytest.raises(BadArgument, match=words):
        make()
