"""The parts of `experiments/transfer.py` that decide its figures."""

import importlib.util
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.data import Dataset

pytest.importorskip("matplotlib")
PATH = Path(__file__).parents[2] / "experiments" / "transfer.py"


@pytest.fixture(scope="module")
def transfer():
    specification = importlib.util.spec_from_file_location("transfer", PATH)
    module = importlib.util.module_from_spec(specification)
    # Dataclasses look their module up by name.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "transfer", module)
        specification.loader.exec_module(module)
        yield module


def test_the_linear_classifier_is_at_the_minimum(transfer):
    features = jax.random.normal(jax.random.key(0), (40, 6))
    labels = jax.random.randint(jax.random.key(1), (40,), 0, 3)

    def objective(weights):
        logits = features @ weights["kernel"] + weights["bias"][None]
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean() + 0.05 * jnp.sum(weights["kernel"] ** 2)

    found = transfer.linear_classifier(features, labels, 0.1, classes=3)
    for leaf in jax.tree.leaves(jax.grad(objective)(found)):
        np.testing.assert_allclose(leaf, 0, atol=2e-4)


def test_draws_are_stratified_and_what_is_computed_is_remembered(transfer, tmp_path, capsys):
    images = np.zeros((60, 4, 4, 3), np.uint8)
    images[:, :2] = 200
    dataset = Dataset("x", "train", images, np.arange(60, dtype=np.int32) % 3, ("a", "b", "c"))
    chosen = transfer.draw(dataset, 12, 5)
    assert np.bincount(chosen.labels).tolist() == [4, 4, 4]
    large = transfer.enlarge(chosen, 16).images
    assert large.shape == (12, 16, 16, 3)
    assert (large[:, 0].min(), large[:, -1].max()) == (200, 0)
    calls = []
    compute = lambda: calls.append(1) or {"accuracy": 0.5, "loss": 1.0}
    first = transfer.remembered(tmp_path / "runs" / "a.json", compute)
    assert transfer.remembered(tmp_path / "runs" / "a.json", compute) == first
    assert len(calls) == 1
    assert capsys.readouterr().out.startswith("a: accuracy 50.0%")
    assert json.loads(json.dumps(transfer.settings(transfer.QUICK)))["scale"]["test"] == 50
