"""However an epoch is cut into chunks, it is the same run; one that is stopped is kept."""

import jax
import numpy as np
import pytest

from cnnjax.train import Hyper, Recipe, StopTraining, course, fit, sweep
from tests.train.toy import Toy, toy_set

TRAIN, TEST = toy_set(50, "train"), toy_set(10, "test")
RECIPE, HYPER = Recipe(epochs=3, batch_size=8), Hyper(learning_rate=0.1)
KEY = jax.random.key(2)


def numbers(run):
    entries = [
        {k: v for k, v in entry.items() if k not in ("seconds", "images_per_second")}
        for entry in run.history
    ]
    return entries, [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(run.state)]


@pytest.mark.parametrize("stream", [False, True])
def test_chunks_of_any_length_are_the_same_run_to_the_bit(monkeypatch, stream):
    found = []
    for seconds in (0.0, 1e-3, 1e9):
        monkeypatch.setattr(course, "_SECONDS_BETWEEN_LOOKS", seconds)
        found.append(numbers(fit(Toy(), TRAIN, None, RECIPE, HYPER, KEY, stream=stream)))
    assert found[0] == found[1] == found[2]


def test_a_stopped_run_is_kept_and_tested(monkeypatch):
    monkeypatch.setattr(course, "_SECONDS_BETWEEN_LOOKS", -1.0)
    for step, epochs in ((8, 1), (12, 2)):

        def stop(report, step=step):
            if report.step == step:
                raise StopTraining

        run = fit(Toy(), TRAIN, TEST, RECIPE, HYPER, KEY, progress=stop)
        assert run.stopped
        assert int(run.state.step) == step
        assert len(run.history) == epochs
        assert 0 <= run.test["accuracy"] <= 1
        (swept,) = sweep(Toy(), TRAIN, TEST, RECIPE, [HYPER], [KEY], progress=stop)
        assert (swept.stopped, int(swept.state.step)) == (True, step)
    assert not fit(Toy(), TRAIN, None, RECIPE, HYPER, KEY).stopped
