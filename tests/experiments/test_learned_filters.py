"""`experiments/learned_filters.py` runs whole, and its arms are what it says they are."""

import sys

import numpy as np
import pytest

from cnnjax.records import read_experiment

for package in ("matplotlib", "scipy", "sklearn"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def script(experiment):
    return experiment("learned_filters")


def test_the_smallest_run_and_its_pictures(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "enable_cache", lambda: None)  # the tests have one of their own
    monkeypatch.setattr(sys, "argv", ["learned_filters.py", "--smoke", "--out", str(tmp_path)])
    assert script.main() == 0
    found = read_experiment(tmp_path)["found"]
    assert list(found["accuracy"]) == list(script.ARMS) == list(found["rates"])
    learned = found["accuracy"]["learned"]
    for arm, row in found["differences"].items():
        assert row["mean"] == pytest.approx(np.mean(found["accuracy"][arm]) - np.mean(learned))
    assert all(0 < x[0] < 1 for values in found["explained"].values() for x in values)
    for name in ("kernels.png", "differences.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert "Laplacian" in capsys.readouterr().out


def test_arms_differ_in_their_kernels_only_and_frozen_ones_stay(script):
    task = script.Task(script.SMOKE, None)
    task.rates |= dict.fromkeys(script.ARMS, 0.1)
    random, bank = (task.start(arm, 3)["params"] for arm in ("random", "Sobel"))
    kernels = [params.pop(script.LAYER)["kernel"] for params in (random, bank)]
    for kernel in kernels:  # of He's norm: 49 pixels of a variance of 2 / 49
        np.testing.assert_allclose((kernel**2).sum(axis=(0, 1, 2)), 2, rtol=1e-5)
    assert str(random) == str(bank)
    after = script.kernel_of(task.fit("Sobel", 3, 1).variables)
    np.testing.assert_array_equal(after, kernels[1])


@pytest.mark.parametrize(("kind", "rank"), [("Sobel", 4), ("Prewitt", 4), ("Gabor", 8)])
def test_banks_are_sixteen_kernels_in_pairs_of_signs(script, kind, rank):
    bank = script.bank(kind).reshape(49, 16)
    assert np.linalg.matrix_rank(bank) == rank
    for kernel in bank.T:
        assert np.abs(bank.T + kernel).max(axis=1).min() < 1e-12
