"""`cnnjax compare`: train several networks on equal terms and report what differs."""

from pathlib import Path
from typing import Annotated

import tyro

from cnnjax import experiment
from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.settings import Settings, SharedSettings
from cnnjax.cli.table import console, print_json
from cnnjax.data import load, prepare
from cnnjax.errors import BadArgument
from cnnjax.train import show_progress

__all__ = ["compare"]


def compare(
    networks: Annotated[tuple[str, ...], tyro.conf.Positional, metavar("NETWORK ...")],
    *,
    data: Annotated[str, metavar("NAME")],
    out: Annotated[Path, metavar("DIR")],
    seeds: Annotated[int, metavar("N")] = 3,
    validation: Annotated[float, metavar("SHARE")] = 0.1,
    data_dir: Annotated[Path | None, option("DIR")] = None,
    json: bool = False,
    settings: SharedSettings = Settings(),  # noqa: B008 (frozen)
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
        validation: share of the training set held out for the learning curves; 0 for none.
        data_dir: where prepared datasets are, else TFDS_DATA_DIR.
        json: print results.json, and neither progress nor tables.
        settings: of each run.
    """
    recipe, hyper = settings.chosen()
    if seeds < 1:
        raise BadArgument(f"seeds: received {seeds}, allowed: integers from 1")
    contestants = experiment.parse_contestants(networks)
    source = prepare(data, data_dir).info.full_name
    train_set, test_set = load(data, "train", data_dir), load(data, "test", data_dir)
    results = experiment.compare(
        contestants,
        train_set,
        test_set,
        recipe,
        hyper,
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
