"""`cnnjax compare`: train several networks on equal terms and report what differs."""

from pathlib import Path
from typing import Annotated

import tyro

from cnnjax import compare as comparison
from cnnjax.cli.arguments import MOST_SEEDS, metavar
from cnnjax.cli.images import SharedImages
from cnnjax.cli.settings import Settings, SharedSettings
from cnnjax.errors import bounded
from cnnjax.records import command_line
from cnnjax.report import check_packages, print_tables, write_report
from cnnjax.terminal import console, print_json
from cnnjax.train import show_progress

__all__ = ["compare"]


def compare(
    networks: Annotated[tuple[str, ...], tyro.conf.Positional, metavar("NETWORK ...")],
    *,
    source: SharedImages,
    out: Annotated[Path, metavar("DIR")],
    seeds: Annotated[int, metavar("N")] = 3,
    validation: Annotated[float, metavar("SHARE")] = 0.1,
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
        source: of the images to learn from, and to be judged by.
        out: the directory for the results: new, empty, or of this comparison.
        seeds: runs of each network, with seeds 0, 1, ...
        validation: share of the training set held out for the learning curves; 0 for none.
        json: print results.json, and neither progress nor tables.
        settings: of each run.
    """
    recipe, hyper = settings.chosen()
    bounded("seeds", seeds, 1, MOST_SEEDS)
    contestants = comparison.parse_contestants(networks)
    check_packages()
    parts = source.splits()
    results = comparison.compare(
        contestants,
        parts.train,
        parts.test,
        recipe,
        hyper,
        seeds=range(seeds),
        out=out,
        validation=validation,
        source=parts.source,
        command=command_line(),
        show_run=None if json else show_progress,
    )
    report = write_report(out, parts.test)
    if json:
        print_json(results)
    else:
        print_tables(results, console())
        print(f"{report} shows them")
    return 1 if results["failures"] else 0
