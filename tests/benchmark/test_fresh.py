"""Two processes that share a cache; what they are told."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from cnnjax.benchmark import fresh
from cnnjax.benchmark.case import Case
from cnnjax.errors import Failed

ANSWER = {
    "lower_seconds": 1.0,
    "compile_seconds": 2.0,
    "cpu_seconds": 3.0,
    "peak_bytes": 4,
    "peak_rss_bytes": 5,
}


@pytest.fixture
def told(monkeypatch):
    """The requests and environments of the processes, which answer at once."""
    seen = []

    def run(command, *, env, **options):
        seen.append((json.loads(command[-1]), env))
        answer = {**ANSWER, "compile_seconds": 2.0 / len(seen)}
        return SimpleNamespace(returncode=0, stdout=f"words\n{json.dumps(answer)}\n", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return seen


@pytest.mark.parametrize("run", [False, True])
def test_the_second_process_finds_what_the_first_compiled(told, monkeypatch, run):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/a/users/own")
    found = fresh.measure_fresh(Case("lenet5", 2, 28), "train", stock=True, run=run)
    (cold, first), (warm, second) = told
    assert first["JAX_COMPILATION_CACHE_DIR"] == second["JAX_COMPILATION_CACHE_DIR"]
    assert first["JAX_COMPILATION_CACHE_DIR"] != "/a/users/own"
    assert first["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"  # small programs too
    asked = {"network": "lenet5", "batch": 2, "image_size": 28, "mode": "train", "stock": True}
    assert (cold, warm) == ({**asked, "run": False}, {**asked, "run": run})
    assert (found["cold"]["compile_seconds"], found["warm"]["compile_seconds"]) == (2.0, 1.0)
    assert found["peak_bytes"] == 4
    assert found.get("peak_rss_bytes") == (5 if run else None)


def test_a_process_that_fails_is_quoted(monkeypatch):
    failed = SimpleNamespace(returncode=1, stdout="", stderr="a\nValueError: no such thing\n")
    monkeypatch.setattr(subprocess, "run", lambda *command, **options: failed)
    with pytest.raises(Failed, match=r"lenet5: .* failed: ValueError: no such thing$"):
        fresh.measure_fresh(Case("lenet5", 2, 28), "train", stock=False, run=False)
