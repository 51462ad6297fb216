"""`cnnjax transfer`: retrain a network for the classes of another data set."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from cnnjax.classifier.transfer import CANDIDATES, RECIPE
from cnnjax.classifier.transfer import transfer as retrain
from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.images import SharedImages
from cnnjax.cli.values import read_values
from cnnjax.report import check_packages
from cnnjax.report.transfer import proportion, write_transfer_report
from cnnjax.terminal import print_json, print_table
from cnnjax.train import show_progress

__all__ = ["transfer"]

_RATES = tuple(float(each.learning_rate) for each in CANDIDATES)
_BACKBONE_RATE = float(CANDIDATES[0].backbone_rate)


def transfer(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")],
    *,
    source: SharedImages,
    out: Annotated[Path, metavar("DIR")],
    weights: Annotated[str, metavar("SOURCE")] = "package",
    minutes: Annotated[float | None, option("M")] = None,
    epochs: Annotated[int, metavar("N")] = RECIPE.epochs,
    batch_size: Annotated[int, metavar("N")] = RECIPE.batch_size,
    augment: Annotated[str | None, option("VALUE")] = None,
    rates: Annotated[tuple[float, ...], metavar("RATE ...")] = _RATES,
    backbone_rate: Annotated[float, metavar("NUMBER")] = _BACKBONE_RATE,
    probe_only: bool = False,
    validation: Annotated[float, metavar("SHARE")] = 0.2,
    seeds: Annotated[int, metavar("N")] = 1,
    json: bool = False,
) -> None:
    """Retrain a network with published weights to tell other classes apart.

    A linear probe on the fixed network first, then fine-tuning from it at several learning rates;
    what is best on held-out images is trained anew on all training images and tested once. Leaves
    weights.safetensors, which the other commands take, results.json and report.html in a directory.

    Called again after an interruption, it goes on after the last part that ended.

    Example: cnnjax transfer efficientnet_lite0 --data folder:photographs --resize 224
    --minutes 3 --out runs/me

    Args:
        network: a name from `cnnjax models`.
        source: of the images to learn from, and to be judged by.
        out: the directory for the results: new, empty, or of this retraining.
        weights: package, a file of weights, a directory that train or transfer left, or a hub id.
        minutes: to be done in, about: fewer epochs and rates, or the probe alone, where time is
            short. By default all is done.
        epochs: of each fine-tuning, at most.
        batch_size: images a step.
        augment: what changes the images, such as crop:padding=8,flip, which it is by default.
        rates: learning rates to choose from, the most promising first.
        backbone_rate: what the rate of all but the head is multiplied by; 0 freezes it.
        probe_only: no fine-tuning.
        validation: share of the training images to choose by.
        seeds: trainings of what was chosen; the first is kept, all are told.
        json: print what was found as JSON, and nothing else.
    """
    check_packages()
    parts = source.splits()
    recipe = dataclasses.replace(RECIPE, epochs=epochs, batch_size=batch_size)
    if augment is not None:
        recipe = dataclasses.replace(recipe, augment=read_values("augment", augment))
    candidates = tuple(
        dataclasses.replace(CANDIDATES[0], learning_rate=rate, backbone_rate=backbone_rate)
        for rate in (() if probe_only else rates)
    )
    done = retrain(
        network,
        parts.train,
        parts.test,
        out=out,
        weights=weights,
        recipe=recipe,
        candidates=candidates,
        minutes=minutes,
        validation=validation,
        seeds=seeds,
        crop_mode=parts.crop_mode,
        say=(lambda line: None) if json else print,
        show_run=None if json else show_progress,
    )
    report = write_transfer_report(out, done, parts.test)
    if json:
        print_json(done.results)
    else:
        _print(done.results, out, report)


def _print(found: dict[str, Any], out: Path, report: Path) -> None:
    print_table(
        ["method", ">learning rate", ">held-out accuracy", ">loss", ">seconds"],
        [
            [
                each["method"],
                f"{each['learning_rate']:g}" if "learning_rate" in each else "",
                f"{each['accuracy']:.2%}",
                f"{each['loss']:.4f}" if each["loss"] is not None else "diverged",
                f"{each['seconds']:.1f}",
            ]
            for each in found["tried"]
        ],
        title=f"Chosen by {found['images']['held_out']} images held out of the training set",
    )
    accuracy = np.array([run["accuracy"] for run in found["runs"]])
    low, high = proportion(accuracy[0], found["images"]["test"])
    spread = ""
    if len(accuracy) > 1:
        spread = f"; {100 * accuracy.mean():.2f} ± {100 * accuracy.std(ddof=1):.2f} % over seeds"
    chosen = found["tried"][found["chosen"]]
    what = chosen["method"] + (
        f" at {chosen['learning_rate']:g}" if "learning_rate" in chosen else ""
    )
    print(
        f"{what}: test accuracy {accuracy[0]:.2%} (95 % interval {low:.1%} to {high:.1%}, "
        f"{found['images']['test']} images){spread}"
    )
    print(f"{report} shows it; cnnjax predict {found['network']} FILE ... --weights {out}")
