"""airbench94's recipe (Jordan 2024, arXiv:2404.00498, file airbench94.py) in the values of cnnjax.

python experiments/recipes/airbench94.py --data-dir DIR --epochs 1. The paper: 94.01 %, 9.9 epochs.
Not here: flips that alternate by epoch, a whitening bias that stops, weights that return to their
lookahead average (it is only evaluated).
"""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import tyro

from cnnjax import build
from cnnjax.data import load, statistics
from cnnjax.data.augment import HorizontalFlip, normalize, random_crop
from cnnjax.models.airbench_cifar import whitened
from cnnjax.train import EMA, Hyper, Recipe, fit, key_of, predict
from cnnjax.train.state import initial_variables


def translate(key, images, targets):  # by up to 2 pixels, the border mirrored
    wide = jnp.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    return random_crop(key, wide, 2)[:, 4:-4, 4:-4], targets


def triangle(step, steps):  # 1 at 23 % of the run
    return jnp.interp(step, jnp.array([0, 0.23 * steps, steps]), jnp.array([0.2, 1.0, 0.07]))


def nesterov(learning_rate, hyper):  # biases of norms: 64 times the rate, the decay of all
    decay = lambda scale: optax.add_decayed_weights(hyper.weight_decay / scale)
    move = lambda scale: optax.sgd(scale * learning_rate, hyper.momentum, nesterov=True)
    sgd = lambda scale: optax.chain(decay(scale), move(scale))
    label = lambda path, _: "norm" in jax.tree_util.keystr(path)
    labels = lambda params: jax.tree_util.tree_map_with_path(label, params)
    return optax.multi_transform({True: sgd(64.0), False: sgd(1.0)}, labels)


CHAIN = (translate, HorizontalFlip())
RECIPE = Recipe(10, 1024, CHAIN, optimizer=nesterov, schedule=triangle, average=EMA(0.95))
# Their rate, 11.5, is per 1024 (1 + 1 / (1 - momentum)) examples of a summed loss.
HYPER = Hyper(learning_rate=1.5, momentum=0.85, weight_decay=0.00133, label_smoothing=0.2)


def main(data_dir: Path | None = None, epochs: int = 10, seed: int = 0) -> None:
    train, test = (load("cifar10", split, data_dir) for split in ("train", "test"))
    model, (mean, std) = build("airbench94_cifar"), statistics(train)
    drawn, first = initial_variables(model, (32, 32, 3), key_of(seed)), train.images[:5000]
    begun, recipe = whitened(drawn, normalize(first, mean, std)), replace(RECIPE, epochs=epochs)
    run = fit(model, train, test, recipe, HYPER, key_of(seed), variables=begun)
    mirrored = replace(test, images=test.images[:, :, ::-1])
    logits = sum(predict(model, run.variables, x, mean=mean, std=std) for x in (test, mirrored))
    print(f"{(logits.argmax(axis=1) == test.labels).mean():.2%} in {run.train_seconds:.0f} s")


if __name__ == "__main__":
    tyro.cli(main)
