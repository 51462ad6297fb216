import pytest

from cnnjax.benchmark import interleave as module
from cnnjax.benchmark.interleave import interleave, ratios, spread


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


@pytest.mark.parametrize(
    ("first", "log", "n"),
    [(1.999, "aa" + "aaa", 1), (2.0, "a" + "aaa", 1), (29.0, "a" + "aaa", 1), (29.1, "a", 1)],
)
def test_a_second_warm_up_is_for_short_steps_and_patience_ends_at_its_number(first, log, n):
    written = []
    taken = interleave({"a": Recorded("a", written, [first, *[0.5] * 9])}, 1, patience=29.0)
    assert "".join(written) == log
    assert taken["a"]["n"] == n
    assert taken["a"]["seconds"] == ([0.5] if len(log) > 1 else [first])
    assert taken["a"]["warm_up"] == ([first, 0.5] if log.startswith("aaaaa") else [first])


def test_there_is_a_pause_before_each_turn(monkeypatch):
    log = []
    monkeypatch.setattr(module.time, "sleep", lambda seconds: log.append(seconds))
    interleave({name: Recorded(name, log, [3.0] * 9) for name in "ab"}, 2, patience=9.0)
    turns = [module.PAUSE_SECONDS, *"aaa", module.PAUSE_SECONDS, *"bbb"]
    assert log == [*"ab", *turns, *turns]
    assert module.PAUSE_SECONDS > 0.001  # for which OpenMP's threads go on spinning
