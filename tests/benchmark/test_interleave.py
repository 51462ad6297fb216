import pytest

from cnnjax.benchmark.interleave import interleave, matmul_rate, ratios, spread


class Recorded:
    """A peer that writes its name down at every step and claims the given seconds."""

    def __init__(self, name, log, seconds):
        self.name, self.log, self.seconds = name, log, iter(seconds)

    def step(self):
        self.log.append(self.name)
        return next(self.seconds)


def test_peers_take_turns_after_warming_up():
    log = []
    peers = {
        name: Recorded(name, log, [0.5, 0.1, 9.0, 9.0, 1.0, 9.0, 9.0, 2.0, 9.0, 9.0, 3.0])
        for name in "abc"
    }
    taken = interleave(peers, 3, patience=10.0)
    assert "".join(log) == "aabbcc" + "aaabbbccc" * 3
    assert taken["b"] == {"seconds": [1.0, 2.0, 3.0], "warm_up": [0.5, 0.1], "n": 3}


def test_a_peer_that_is_too_slow_takes_one_step():
    log = []
    peers = {
        "fast": Recorded("f", log, [3.0, 9.0, 9.0, 4.0, 9.0, 9.0, 5.0]),
        "slow": Recorded("s", log, [40.0]),
    }
    taken = interleave(peers, 2, patience=30.0)
    assert "".join(log) == "fsffffff"
    assert taken["slow"]["seconds"] == [40.0]
    assert taken["slow"]["n"] == 1
    assert taken["fast"]["seconds"] == [4.0, 5.0]


def test_ratios_are_of_the_same_round():
    # The machine is ten times slower in the second round; the ratio stays.
    assert ratios([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == {"median": 2.0, "min": 2.0, "max": 2.0}
    assert ratios([8.0], [1.0, 2.0, 4.0]) == {"median": 4.0, "min": 2.0, "max": 8.0}
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0, 2.0, 3.0])


def test_spread():
    assert spread([4.0, 1.0]) == {"median": 2.5, "min": 1.0, "max": 4.0}


def test_a_matrix_product_has_a_rate():
    assert matmul_rate(1) > 1e8
