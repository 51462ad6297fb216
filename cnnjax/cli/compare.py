"""`cnnjax compare`: train several networks on equal terms and report what differs."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from cnnjax import experiment
from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.table import console, print_json
from cnnjax.data import load, prepare
from cnnjax.errors import BadArgument, unknown
from cnnjax.train import RECIPES, Hyper, Recipe, show_progress

__all__ = ["compare"]


def compare(
    networks: Annotated[tuple[str, ...], tyro.conf.Positional, metavar("NETWORK ...")],
    *,
    data: Annotated[str, metavar("NAME")],
    out: Annotated[Path, metavar("DIR")],
    seeds: Annotated[int, metavar("N")] = 3,
    recipe: Annotated[str, metavar("NAME")] = "default",
    epochs: Annotated[int | None, option("N")] = None,
    batch_size: Annotated[int | None, option("N")] = None,
    loss: Annotated[str | None, option("NAME")] = None,
    optimiser: Annotated[str | None, option("NAME")] = None,
    schedule: Annotated[str | None, option("NAME")] = None,
    warmup: Annotated[float | None, option("SHARE")] = None,
    crop_padding: Annotated[int | None, option("PIXELS")] = None,
    flip: Annotated[bool | None, option("True|False")] = None,
    cutout: Annotated[int | None, option("PIXELS")] = None,
    learning_rate: Annotated[float | None, option("RATE")] = None,
    momentum: Annotated[float | None, option("M")] = None,
    weight_decay: Annotated[float | None, option("DECAY")] = None,
    label_smoothing: Annotated[float | None, option("S")] = None,
    validation: Annotated[float, metavar("SHARE")] = 0.1,
    data_dir: Annotated[Path | None, option("DIR")] = None,
    json: bool = False,
) -> int:
    """Train networks on equal terms: the same recipe, data order and seeds for each.

    Leaves results.json and report.html in a directory and prints the tables.

    Called again after an interruption it goes on where it stopped; runs that ended are not trained
    again. More networks or seeds extend the results. Exit status 1 if a run failed.

    Example: cnnjax compare lenet5 small=cnn:spec=conv16-relu-pool-fc64-relu --data mnist5k
    --seeds 3 --epochs 8 --out runs/small

    Args:
        networks: [LABEL=]NAME[:field=value,...] each, NAME from `cnnjax models`.
        data: mnist5k, digits, or any name that TFDS knows.
        out: the directory for the results: new, empty, or of this experiment.
        seeds: runs of each network, with seeds 0, 1, ...
        recipe: default, mnist or cifar10: what all settings below are where not given.
        epochs: passes over the training set.
        batch_size: images a step.
        loss: softmax, crammer_singer, crammer_singer_l2, one_vs_all or one_vs_all_l2.
        optimiser: sgd, heavy_ball, adam, adamw, lamb, lion or rmsprop.
        schedule: cosine, onecycle, step or constant.
        warmup: share of the run in which the learning rate rises.
        crop_padding: pixels around a random crop.
        flip: mirror half of the images.
        cutout: side of a square that is blanked.
        learning_rate: at its peak.
        momentum: or beta 1 of the Adam family.
        weight_decay: as the optimiser applies it.
        label_smoothing: with loss softmax.
        validation: share of the training set held out for the learning curves; 0 for none.
        data_dir: where prepared datasets are, else TFDS_DATA_DIR.
        json: print results.json, and neither progress nor tables.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    if seeds < 1:
        raise BadArgument(f"seeds: received {seeds}, allowed: integers from 1")
    contestants = experiment.parse_contestants(networks)
    named = RECIPES[recipe]
    source = prepare(data, data_dir).info.full_name
    train_set, test_set = load(data, "train", data_dir), load(data, "test", data_dir)
    results = experiment.compare(
        contestants,
        train_set,
        test_set,
        dataclasses.replace(named.recipe, **_fields(Recipe, given)),
        dataclasses.replace(named.hyper, **_fields(Hyper, given)),
        seeds=range(seeds),
        out=out,
        validation=validation,
        source=source,
        command=experiment.command_line(),
        show_run=None if json else show_progress,
    )
    report = experiment.write_report(out, test_set)
    if json:
        print_json(results)
    else:
        experiment.print_tables(results, console())
        print(f"{report} shows them")
    return 1 if results["failures"] else 0


def _fields(cls: type, given: dict[str, Any]) -> dict[str, Any]:
    return {f.name: given[f.name] for f in dataclasses.fields(cls) if f.name in given}
