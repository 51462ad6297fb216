"""How should a new head start, when pretrained weights meet a new task?

Question. `efficientnet_lite0` with ImageNet weights is retrained on 200 images of CIFAR-10 at 64
pixels, for few steps: does it matter how the classifier that replaces the old one starts?

Methods. "as drawn": as the network's definition draws it when it is trained from scratch, here
with a variance of 1 / (3 classes), the "fan out" that TensorFlow's EfficientNet uses. "default":
uniform in +-1 / sqrt(features), as a linear layer of PyTorch starts, with a bias of 0. "zero".

Evaluation. Accuracy on a fixed, stratified 1,000 test images after the last step; three seeds,
which change the training images, their order and the head.

    python experiments/new_head.py --data-dir DIR --out runs/new_head
"""

import argparse
import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data import Dataset, load, resize, split_off
from cnnjax.data.augment import HorizontalFlip, RandomCrop
from cnnjax.records import Experiment
from cnnjax.runtime import enable_cache
from cnnjax.terminal import print_table
from cnnjax.train import AdamW, Hyper, Recipe, backbone_and, fit, key_of
from cnnjax.weights import load_model, preprocessing_of

NETWORK, CLASSES, PIXELS, SEEDS = "efficientnet_lite0", 10, 64, 3
HEADS = ("as drawn", "default", "zero")
RECIPE = Recipe(
    batch_size=20,
    optimizer=AdamW(),
    augment=(RandomCrop(4), HorizontalFlip()),
    groups=backbone_and(("classifier",)),
)
HYPER = Hyper(learning_rate=3e-3, weight_decay=0.05, backbone_rate=0.5)
EPOCHS = (2, 5)


def head(kind: str, model: Any, features: int, key: jax.Array) -> dict[str, jax.Array]:
    """Return kernel `[features, classes]` and bias of a new classifier."""
    bias = jnp.zeros(CLASSES)
    if kind == "zero":
        return {"kernel": jnp.zeros((features, CLASSES)), "bias": bias}
    if kind == "default":
        bound = features**-0.5
        return {
            "kernel": jax.random.uniform(key, (features, CLASSES), minval=-bound, maxval=bound),
            "bias": bias,
        }
    images = jnp.zeros((1, PIXELS, PIXELS, 3))
    return jax.jit(lambda: model.init(key, images, train=False)["params"]["classifier"])()


def accuracy(kind: str, seed: int, epochs: int, train: Dataset, test: Dataset) -> dict[str, float]:
    """Return the accuracy on the test images of one run."""
    _, variables = load_model(NETWORK, "package")
    model = load_model(NETWORK, "package")[0].clone(num_classes=CLASSES)
    how = preprocessing_of(NETWORK, "package")
    params = variables["params"]
    new = head(kind, model, params["classifier"]["kernel"].shape[0], key_of(seed))
    run = fit(
        model,
        resize(split_off(train, 200 / len(train), seed)[1], PIXELS),
        test,
        dataclasses.replace(RECIPE, epochs=epochs),
        HYPER,
        key_of(seed),
        variables={**variables, "params": {**params, "classifier": new}},
        normalization=(np.array(how.mean, np.float32), np.array(how.std, np.float32)),
    )
    return {"accuracy": run.test["accuracy"]}


def main() -> int:
    """Train all, write results.json, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory of the results")
    parser.add_argument("--data-dir", type=Path, help="where CIFAR-10 is, else TFDS_DATA_DIR")
    arguments = parser.parse_args()
    enable_cache()
    train = load("cifar10", "train", arguments.data_dir)
    test = resize(split_off(load("cifar10", "test", arguments.data_dir), 0.1, 0)[1], PIXELS)
    settings = {"recipe": RECIPE.to_dict(), "hyper": HYPER.to_dict(), "pixels": PIXELS}
    found: dict[str, dict[str, list[float]]] = {}
    with Experiment.opened(arguments.out, settings) as results:
        for epochs in EPOCHS:
            found[str(epochs)] = {kind: [] for kind in HEADS}
            for seed in range(SEEDS):
                for kind in HEADS:
                    name = f"{epochs} epochs, {kind}, seed {seed}"
                    run = functools.partial(accuracy, kind, seed, epochs, train, test)
                    found[str(epochs)][kind].append(results.remembered(name, run)["accuracy"])
        results.conclude({"test_accuracy_by_epochs": found})
    spread = lambda values: f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}"
    rows = [[kind, *(spread(each[kind]) for each in found.values())] for kind in HEADS]
    title = f"Test accuracy in %, mean ± standard deviation, n = {SEEDS}"
    print_table(["head", *(f">{epochs} epochs" for epochs in EPOCHS)], rows, title=title)
    return 0


if __name__ == "__main__":
    sys.exit(main())
