"""Tens of layers: where does depth begin to hurt, and what does the shortcut change?

Question. He et al. 2016 (arXiv:1512.03385) saw deep plain networks fit worse than shallow ones, and
residual ones not. Is that so for narrow networks and a few hundred steps on a CPU?

Methods. Networks of 8, 20, 32 and 56 layers (three stages of 3x3 convolutions, 8 to 32 channels,
batch normalization), with the shortcuts of their paper and without, all else equal: the same
recipe, 3,000 stratified images of Fashion-MNIST at 14 pixels, the same order and first weights for
a seed. No rate was tuned: all have 0.1, the paper's. All seeds of a network are one program.

Evaluation. Mean training loss of the last epoch, which shows whether a network fits, and accuracy
on 2,000 stratified test images after the last step; five seeds; residual less plain seed by seed.

    python experiments/tens_of_layers.py --data-dir DIR --out runs/tens_of_layers

Answer (n = 5; two cores of an AMD EPYC with AVX-512, jax 0.12, 24 minutes beside other work). At 8
layers the shortcut changes nothing (-0.3 points, -1.8 to +1.3). From 20 on depth hurts the plain
ones, in their training loss already (0.59, 0.68, 0.90, 1.44): 77.8, 75.4, 65.5, 46.9 %. The
residual ones gain to 20 layers and then stay: 77.5, 79.2, 79.4, 79.3 %.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import tyro
from flax import linen as nn

import cnnjax
from cnnjax.analysis.statistics import paired
from cnnjax.data import load, resize, split_off
from cnnjax.data.augment import RandomCrop
from cnnjax.nn import BatchNorm, Conv, kaiming_normal, relu
from cnnjax.plot.style import SERIES, new_figure
from cnnjax.records import Experiment
from cnnjax.runtime import enable_cache, use_huge_pages
from cnnjax.terminal import print_table
from cnnjax.train import Hyper, Recipe, key_of, sweep

RECIPE = Recipe(epochs=6, batch_size=50, augment=(RandomCrop(1),))
HYPER = Hyper(learning_rate=0.1)


class PlainBlock(nn.Module):
    """The two convolutions of a residual block, under the names they have there."""

    width: int
    strides: int = 1
    shortcut: str = "A"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, *, train):
        for place, strides in (("1", self.strides), ("2", 1)):
            x = Conv(
                self.width,
                (3, 3),
                strides,
                padding=1,
                use_bias=False,
                kernel_init=kaiming_normal,
                name=f"conv{place}",
            )(x)
            x = relu(BatchNorm(0.9, 1e-5, name=f"bn{place}")(x, train=train))
        return x


def networks(depth: int) -> dict[str, Any]:
    """Return both networks of so many layers, 6 n + 2."""
    fields = {"depths": ((depth - 2) // 6,) * 3, "width": 8, "stem": 8, "num_classes": 10}
    residual = cnnjax.build("resnet20_cifar", **fields)
    return {"residual": residual, "plain": residual.clone(block=PlainBlock)}


def trained(model, recipe, seeds, train, test) -> dict[str, list[float]]:
    """Return test accuracy and last training loss of every seed."""
    runs = sweep(model, train, test, recipe, [HYPER], [key_of(seed) for seed in seeds])
    losses = [run.history[-1]["train_loss"] for run in runs]
    return {"accuracy": [run.test["accuracy"] for run in runs], "train_loss": losses}


def drawn(found: dict[str, dict[int, dict[str, list[float]]]], path: Path) -> None:
    """Draw both figures against depth, mean and range over seeds."""
    figure = new_figure(8, 3.4)
    for place, (name, label) in enumerate(
        (("train_loss", "training loss, last epoch"), ("accuracy", "test accuracy"))
    ):
        axes = figure.add_axes((0.09 + 0.49 * place, 0.16, 0.39, 0.76))
        for color, (kind, depths) in zip(SERIES, found.items(), strict=False):
            values = np.array([each[name] for each in depths.values()])
            axes.plot(list(depths), values.mean(axis=1), "o-", color=color, label=kind)
            axes.fill_between(list(depths), values.min(1), values.max(1), color=color, alpha=0.16)
        axes.set(xlabel="layers", ylabel=label, xticks=list(depths))
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main(out: Path, data_dir: Path | None = None, smoke: bool = False) -> None:
    """Train all, write results.json and depth.png, print the table; --smoke does it in seconds."""
    enable_cache()
    depths, seeds, sizes = (8, 20, 32, 56), range(5), {"train": 3000, "test": 2000}
    recipe = RECIPE
    if smoke:
        depths, seeds, sizes = (8,), range(2), {"train": 100, "test": 50}
        recipe = dataclasses.replace(RECIPE, epochs=1)
    wholes = {split: load("fashion_mnist", split, data_dir) for split in sizes}
    train, test = (
        resize(split_off(whole, sizes[split] / len(whole), 0)[1], 14)
        for split, whole in wholes.items()
    )
    settings = {"recipe": recipe.to_dict(), "hyper": HYPER.to_dict(), "sizes": sizes}
    found: dict[str, dict[int, dict[str, list[float]]]] = {"residual": {}, "plain": {}}
    rows = []
    with Experiment.opened(out, settings) as results:
        for depth in depths:
            for kind, model in networks(depth).items():
                train_it = lambda m=model: trained(m, recipe, seeds, train, test)
                found[kind][depth] = results.remembered(f"{kind} {depth}", train_it)
            pair = [[100 * v for v in found[kind][depth]["accuracy"]] for kind in found]
            less = paired(*pair).difference
            losses = [f"{np.mean(found[kind][depth]['train_loss']):.3f}" for kind in found]
            scores = [f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" for values in pair]
            words = f"{less.mean:+.1f} ({less.low:+.1f} to {less.high:+.1f})"
            rows.append([str(depth), *losses, *scores, words])
        results.conclude({"seeds": list(seeds), "table": rows})
    drawn(found, out / "depth.png")
    columns = [f">{kind}: {what}" for what in ("training loss", "test %") for kind in found]
    title = f"n = {len(seeds)} seeds"
    print_table(["layers", *columns, ">residual less plain"], rows, title=title)


if __name__ == "__main__":
    use_huge_pages()
    sys.exit(tyro.cli(main))
