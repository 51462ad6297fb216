"""The experiments that answer a question each run from end to end, small."""

import json

import jax
import numpy as np
import pytest

from cnnjax.data import Dataset


def fashion(name, split, data_dir=None):
    """Noise of ten classes, each with a bright row of its own."""
    draw = np.random.default_rng(len(split))
    labels = (np.arange(400) % 10).astype(np.int32)
    images = draw.integers(0, 150, (400, 28, 28, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 4] += 100
    return Dataset(name, split, images, labels, tuple("abcdefghij"))


@pytest.mark.parametrize("name", ["softmax_or_svm", "tens_of_layers"])
def test_it_runs_small_and_leaves_its_table(name, experiment, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    module = experiment(name)
    monkeypatch.setattr(module, "load", fashion)
    module.main(tmp_path / "out", smoke=True)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    rows = results["found"]["table"]
    assert rows
    words = capsys.readouterr().out.split()  # a narrow terminal breaks cells, between words only
    assert all(word in words for row in rows for cell in row for word in cell.split())


def test_both_networks_of_a_depth_differ_in_the_shortcut_alone(experiment):
    module = experiment("tens_of_layers")
    for depth in (8, 20):
        both = module.networks(depth)
        images = jax.ShapeDtypeStruct((1, 14, 14, 1), np.float32)
        trees = {
            kind: jax.eval_shape(
                lambda x, m=model: m.init(jax.random.key(0), x, train=False), images
            )
            for kind, model in both.items()
        }
        assert jax.tree.all(
            jax.tree.map(lambda a, b: a.shape == b.shape, trees["residual"], trees["plain"])
        )
        kernels = jax.tree_util.tree_leaves_with_path(trees["plain"]["params"])
        layers = [path for path, leaf in kernels if path[-1].key == "kernel"]
        assert len(layers) == depth


def test_a_plain_block_is_two_convolutions_and_norms(experiment):
    module = experiment("tens_of_layers")
    block = module.PlainBlock(4)
    images = jax.random.normal(jax.random.key(0), (2, 5, 5, 4))
    variables = block.init(jax.random.key(1), images, train=False)
    x = np.asarray(images, np.float64)
    for place in "12":
        kernel = np.asarray(variables["params"][f"conv{place}"]["kernel"], np.float64)
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = sum(padded[:, i : i + 5, j : j + 5] @ kernel[i, j] for i in range(3) for j in range(3))
        x = np.maximum(x / np.sqrt(1 + 1e-5), 0)
    np.testing.assert_allclose(block.apply(variables, images, train=False), x, rtol=1e-4, atol=1e-5)
