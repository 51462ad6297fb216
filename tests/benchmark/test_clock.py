"""What is timed is waited for, as often as it is said to be done."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.benchmark import clock, interleave, loops, peers
from cnnjax.benchmark.case import Case
from cnnjax.benchmark.clock import timed
from cnnjax.benchmark.programs import (
    Program,
    batches,
    compile_program,
    initial_state,
    train_step_of,
)
from cnnjax.errors import Failed
from cnnjax.models import build


@pytest.fixture
def now(monkeypatch):
    """The time that the stopwatch shows, moved by what `Later` values and calls do."""
    time = [100.0]
    monkeypatch.setattr(clock, "perf_counter", lambda: time[0])
    return time


class Later:
    """An array that takes some seconds to be there."""

    def __init__(self, now, seconds):
        self.now, self.seconds, self.waited = now, seconds, 0

    def block_until_ready(self):
        self.now[0] += self.seconds
        self.waited += 1
        return self


def test_the_stopwatch_runs_until_every_array_is_there(now):
    first, second = Later(now, 5.0), Later(now, 7.0)

    def compute():
        now[0] += 1.0
        return {"a": first, "b": (second,)}

    seconds, result = timed(compute)
    assert seconds == 13.0
    assert result == {"a": first, "b": (second,)}
    assert (first.waited, second.waited) == (1, 1)


class Programme:
    """A compiled program whose results come later."""

    def __init__(self, now, results):
        self.now, self.results, self.given = now, iter(results), []

    def call(self, *arguments):
        self.given.append(arguments)
        self.now[0] += 1.0
        return next(self.results)

    peak_bytes, lower_seconds, compile_seconds = 11, 22.0, 33.0


def peer(monkeypatch, mode, program, asked=None):
    def compiled(case, mode, *, stock):
        if asked is not None:
            asked.append((case, mode, stock))
        return program, "state", ("batch", "key") if mode == "train" else ("images",)

    monkeypatch.setattr(peers, "compile_mode", compiled)
    return peers.JaxPeer(Case("lenet5", 2), mode, stock=True)


def test_a_training_step_is_waited_for_and_goes_on_from_the_last(now, monkeypatch):
    states = [Later(now, 2.0), Later(now, 3.0)]
    losses = [np.float32(0.5), np.float32(0.25)]
    metrics = [{"loss": loss} for loss in losses]
    program, asked = Programme(now, zip(states, metrics, strict=True)), []
    with peer(monkeypatch, "train", program, asked) as ours:
        assert [ours.step(), ours.step()] == [3.0, 4.0]
        assert ours.facts() == {"peak_bytes": 11, "lower_seconds": 22.0, "compile_seconds": 33.0}
    assert program.given == [("state", "batch", "key"), (states[0], "batch", "key")]
    assert [state.waited for state in states] == [1, 1]
    assert asked == [(Case("lenet5", 2), "train", True)]


def test_a_forward_pass_is_waited_for_and_has_no_labels(now, monkeypatch):
    logits = [Later(now, 2.0), Later(now, 3.0)]
    program = Programme(now, logits)
    with peer(monkeypatch, "forward", program) as ours:
        assert [ours.step(), ours.step()] == [3.0, 4.0]
        ours.facts()  # there is no loss that could be NaN
    assert program.given == [("state", "images")] * 2
    assert [each.waited for each in logits] == [1, 1]


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_steps_that_leave_the_finite_numbers_are_no_measurement(now, monkeypatch, loss):
    program = Programme(now, [(Later(now, 1.0), {"loss": np.float32(loss)})])
    with peer(monkeypatch, "train", program) as ours:
        ours.step()
        with pytest.raises(Failed, match="lenet5 b2 28px: the loss of a timed step is not finite"):
            ours.facts()


def test_the_rate_of_a_matrix_product(monkeypatch):
    """2 n^3 operations by the median of the products that are timed, after one that is not."""
    seconds, products = iter([9.0, 1.0, 4.0]), []

    def given(compute):
        products.append(compute())
        return next(seconds), products[-1]

    monkeypatch.setattr(interleave, "timed", given)
    monkeypatch.setattr(interleave, "MATMUL_SIDE", 8)
    assert interleave.matmul_rate(3) == 2 * 8**3 / 4.0
    assert len(products) == 3
    assert len(list(seconds)) == 0
    a = np.asarray(jax.random.normal(jax.random.key(0), (8, 8)))
    np.testing.assert_allclose(products[0], a @ a, rtol=1e-5, atol=1e-5)
    assert products[0].dtype == jnp.float32


def test_the_product_is_large_and_timed_five_times(monkeypatch):
    calls = itertools.count(1)
    monkeypatch.setattr(interleave, "timed", lambda compute: (float(next(calls)), None))
    assert interleave.MATMUL_SIDE == 2048
    monkeypatch.setattr(interleave, "MATMUL_SIDE", 4)
    assert interleave.matmul_rate() == 2 * 4**3 / 3.0  # the median of 1 to 5


MODEL, STEPS = build("cnn", spec="conv2-relu-gap", num_classes=10), 3
CASE = Case(MODEL, 3, 28, 1, name="small")


def plain_steps(state, batches, key):
    """The same training, step by step and without compiling it as one."""
    step, losses = jax.jit(train_step_of(CASE)), []
    for batch in zip(*batches, strict=True):
        state, metrics = step(state, batch, key)
        losses.append(metrics["loss"])
    return state, losses


def close(found, expected):
    for ours, theirs in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.fixture
def waited(monkeypatch):
    """What the stopwatch waited for."""
    results = []

    def watched(compute):
        seconds, result = timed(compute)
        results.append(jax.tree.map(np.asarray, result))
        return seconds, result

    monkeypatch.setattr(loops, "timed", watched)
    return results


def test_a_scan_and_single_steps_train_the_same(waited):
    """Every call takes all the steps, from where the last one ended."""
    every = batches(CASE, STEPS)
    ways = loops.scan_and_steps(CASE, STEPS)
    assert list(ways) == ["scan", "steps"]
    state = initial_state(CASE)
    for calls in (1, 2):
        state, losses = plain_steps(state, every, jax.random.key(0))
        for name, way in ways.items():
            assert way.step() > 0
            found, metrics = waited.pop()
            assert found.step == calls * STEPS
            close(found, state)
            close(metrics["loss"], np.stack(losses) if name == "scan" else losses[-1])
    assert all(way.known["peak_bytes"] > every[0].nbytes / STEPS for way in ways.values())


def test_runs_at_once_and_one_by_one_train_the_same(waited):
    """Each seed has weights and a batch of its own, and takes one step a call."""
    images, targets = batches(CASE, STEPS)
    ways = loops.vmap_and_runs(CASE, STEPS)
    assert list(ways) == ["vmap", "runs"]
    states = [initial_state(CASE, seed) for seed in range(STEPS)]
    assert not np.array_equal(*(jax.tree.leaves(state.params)[1] for state in states[:2]))
    for calls in (1, 2):
        for seed, state in enumerate(states):
            batch = images[seed][None], targets[seed][None]
            states[seed], _ = plain_steps(state, batch, jax.random.key(0))
        ways["vmap"].step()
        together, metrics = waited.pop()
        assert metrics["loss"].shape == (STEPS,)
        assert together.step.tolist() == [calls] * STEPS
        close(together, jax.tree.map(lambda *leaves: np.stack(leaves), *states))
        ways["runs"].step()
        close(waited.pop(), states)


@pytest.mark.parametrize("ways", [loops.scan_and_steps, loops.vmap_and_runs])
def test_loops_are_of_the_operations_that_users_have(ways, waited, monkeypatch):
    """And give back the memory of the state, as a training run does."""
    asked = []

    def spy(function, arguments, **options):
        asked.append(options)
        return compile_program(function, arguments, **options)

    monkeypatch.setattr(loops, "compile_program", spy)
    ways(CASE, 2)
    assert asked == [{"stock": False, "donate": True}] * 2


def test_memory_is_arguments_results_and_what_is_between():
    memory = {"arguments": 100, "outputs": 70, "aliased": 60, "temporary": 5}
    assert Program(None, 0, 0, 0, memory).peak_bytes == 100 + 70 - 60 + 5
    assert Program(None, 0, 0, 0, {}).peak_bytes is None
