"""`cnnjax compare`: train several networks the same way and report what differs."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

__all__ = ["compare"]


def compare(
    networks: Annotated[tuple[str, ...], tyro.conf.Positional],
    /,
    *,
    data: str,
    out: Path,
    seeds: int = 3,
    epochs: int | None = None,
    data_dir: Path | None = None,
    recipe: str = "default",
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    validation: float = 0.1,
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Compare networks: the same recipe, epochs, data order and seeds for each.

    Leaves results.json and report.html, and prints the table. Called again it goes on where it
    was interrupted; runs that ended are not trained again. More networks or seeds extend it.

    Example:
        cnnjax compare lenet5 small=cnn:spec=conv16-relu-pool-fc64-relu --data mnist5k --out runs/a

    Args:
        networks: [LABEL=]NAME[:field=value,...] each; `cnnjax models` lists the names.
        data: name of the data set, such as mnist5k or cifar10.
        out: directory for the results; new, empty, or of this experiment.
        seeds: how many runs each network gets, with seeds 0, 1, ...
        epochs: of every run; by default the recipe's.
        data_dir: where data sets are kept.
        recipe: name of the recipe.
        batch_size: instead of the recipe's.
        learning_rate: the peak, instead of the recipe's.
        weight_decay: instead of the recipe's.
        validation: share of the training images held out for the learning curves; 0 for none.
        json_output: print results.json instead of the table, and no progress.
    """
    from cnnjax import data as datasets
    from cnnjax import experiment
    from cnnjax.errors import BadArgument, Failed, unknown
    from cnnjax.train import RECIPES, show_progress

    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    if seeds < 1:
        raise BadArgument(f"seeds: {seeds}; allowed: integers from 1")
    contestants = experiment.parse_contestants(networks)
    chosen = _replaced(RECIPES[recipe].recipe, epochs=epochs, batch_size=batch_size)
    hyper = _replaced(RECIPES[recipe].hyper, learning_rate=learning_rate, weight_decay=weight_decay)
    source = datasets.prepare(data, data_dir).info.full_name
    test_set = datasets.load(data, "test", data_dir)
    try:
        results = experiment.compare(
            contestants,
            datasets.load(data, "train", data_dir),
            test_set,
            chosen,
            hyper,
            seeds=range(seeds),
            out=out,
            validation=validation,
            source=source,
            command=experiment.command_line(),
            show_run=None if json_output else show_progress,
        )
    except KeyboardInterrupt:
        raise Failed(f"interrupted; the same command goes on from {out}") from None
    report = experiment.write_report(out, test_set)
    if json_output:
        json.dump(results, sys.stdout, indent=1)
        print()
    else:
        experiment.print_tables(results)
        print(f"report: {report}")
    return 1 if results["failures"] else 0


def _replaced(settings: Any, **changes: Any) -> Any:
    """Return settings with the changes that are not None."""
    return dataclasses.replace(settings, **{k: v for k, v in changes.items() if v is not None})
