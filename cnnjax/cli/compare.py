"""`cnnjax compare`: train several networks on equal terms and report what differs."""

from pathlib import Path
from typing import Annotated

import tyro

from cnnjax import compare as comparison
from cnnjax.cli.arguments import MOST_SEEDS, metavar, option
from cnnjax.cli.settings import Settings, SharedSettings
from cnnjax.data import load_splits
from cnnjax.errors import bounded
from cnnjax.records import command_line
from cnnjax.report import check_packages, print_tables, write_report
from cnnjax.terminal import console, print_json, tell
from cnnjax.train import show_progress

__all__ = ["compare"]


def compare(
    networks: Annotated[tuple[str, ...], tyro.conf.Positional, metavar("NETWORK ...")],
    *,
    data: Annotated[str, metavar("NAME")],
    out: Annotated[Path, metavar("DIR")],
    seeds: Annotated[int, metavar("N")] = 3,
    validation: Annotated[float, metavar("SHARE")] = 0.1,
    train_split: Annotated[str | None, option("SPLIT")] = None,
    test_split: Annotated[str | None, option("SPLIT")] = None,
    resize: Annotated[str | None, option("PIXELS[:MODE]")] = None,
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
        data: mnist5k, digits, any name that TFDS knows, folder:PATH or list:FILE; NAME[:5000] and
            NAME[:5000,stratified] are parts of what is trained on.
        out: the directory for the results: new, empty, or of this comparison.
        seeds: runs of each network, with seeds 0, 1, ...
        validation: share of the training set held out for the learning curves; 0 for none.
        train_split: what to train on, such as 'train[:1000]'; by default train.
        test_split: what to test on; by default test, else validation, else a fifth of train.
        resize: side of the images in pixels, all then square; of the longer side the middle is
            kept, with :squash or :pad all. By default they stay as they are.
        data_dir: where prepared datasets are, else TFDS_DATA_DIR.
        json: print results.json, and neither progress nor tables.
        settings: of each run.
    """
    recipe, hyper = settings.chosen()
    bounded("seeds", seeds, 1, MOST_SEEDS)
    contestants = comparison.parse_contestants(networks)
    check_packages()
    parts = load_splits(
        data, data_dir, train_split=train_split, test_split=test_split, resize=resize
    )
    tell(parts.note)
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
