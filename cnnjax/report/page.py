"""`report.html`: one file that shows what a comparison found and how to make it again."""

import datetime
import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnjax import plot
from cnnjax.compare.results import ResultsDirectory, read_results
from cnnjax.compare.verdict import Row, differences_with_best, rows_of
from cnnjax.data import Source
from cnnjax.errors import BadArgument, missing_extra
from cnnjax.files import replacing
from cnnjax.report import figures
from cnnjax.report.finding import finding
from cnnjax.report.table import caution, difference_texts
from cnnjax.report.template import rendered

__all__ = ["REPORT", "check_packages", "render_report", "write_report"]

REPORT = "report.html"


def check_packages() -> None:
    """Raise `Failed` where a package that a report needs is missing: before training, not after."""
    for package in ("scipy", "matplotlib", "jinja2"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise missing_extra(package, "report") from error


def write_report(out: str | Path, test_set: Source) -> Path:
    """Write `report.html` beside the results and return its path.

    Args:
        out: directory of the results.
        test_set: the one that the runs were evaluated on; its images are shown.

    Raises:
        BadArgument: if there are no results, or they are of another test set.
        Failed: if something cannot be read or written, or matplotlib or jinja2 is missing.
    """
    path, page = Path(out) / REPORT, render_report(out, test_set)
    with replacing(path) as stream:
        stream.write(page.encode("utf-8", "backslashreplace"))
    return path


def render_report(out: str | Path, test_set: Source) -> str:
    """Return the page that `write_report` writes."""
    results = read_results(out)
    if results["data"]["fingerprints"]["test"] != test_set.fingerprint():
        raise BadArgument(f"test_set: {test_set!r} is not the one that the runs were evaluated on")
    return rendered("page.html.j2", _content(Path(out), results, test_set))


def _content(out: Path, results: dict[str, Any], test_set: Source) -> dict[str, Any]:
    directory = ResultsDirectory(out, results)
    rows = rows_of(results)
    order = list(results["networks"])  # a network has the same color everywhere
    in_order = sorted((row for row in rows if row.n), key=lambda row: order.index(row.network))
    # Colors go by place among what is drawn, so a network without a run must not take one.
    drawn = [row.network for row in in_order]
    differences = differences_with_best(rows)
    headline, words = finding(rows, differences)
    best = rows[0] if rows[0].n else None
    runs = [run for run in results["runs"] if best and run["network"] == best.network]
    arrays = [directory.arrays(run) for run in runs]
    wrong, wrong_total = figures.mistakes(arrays, test_set) if arrays else ([], 0)
    return {
        "results": results,
        "data": results["data"],
        "headline": headline,
        "finding": words,
        "rows": rows,
        "strips": _strips(rows),
        "color": {name: place % len(plot.SERIES) for place, name in enumerate(drawn)},
        "best": best,
        "differences": [(d, *difference_texts(d)) for d in differences],
        "caution": caution(differences) if differences else "",
        "sampling": _sampling(best, len(test_set)),
        "forest": figures.forest(differences, drawn) if differences else "",
        "tradeoffs": figures.tradeoffs(in_order),
        "curves": figures.curves(results, in_order),
        "confusion": figures.confusion(arrays, test_set, best.network) if best else "",
        "mistakes": wrong,
        "mistakes_total": wrong_total,
        "filters": figures.filters(directory, results, in_order),
        "environments": _environments(results),
        "seeds": sorted({run["seed"] for run in results["runs"] + results["failures"]}),
        "train_seconds": sum(run["train_seconds"] for run in results["runs"]),
        "compile_seconds": sum(run["compile_seconds"] for run in results["runs"]),
        "written": datetime.datetime.now(datetime.UTC).strftime("%d %B %Y").lstrip("0"),
    }


def _strips(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Return where each seed's accuracy lies between the least and the largest of all, in 0..1."""
    values = [value for row in rows for value in row.accuracy]
    low, high = min(values, default=0.0), max(values, default=1.0)
    width = (high - low) or 1.0
    return {row.network: [(value - low) / width for value in row.accuracy] for row in rows}


def _sampling(best: Row | None, size: int) -> float:
    """Return the half-width, in points, of the best accuracy's 95 % interval over test images."""
    if best is None:
        return math.nan
    # Agresti and Coull 1998: two successes and failures more, good near 100 % too.
    p = (best.mean * size + 2) / (size + 4)
    return 196 * math.sqrt(p * (1 - p) / (size + 4))


def _environments(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the different versions, commits and machines of the runs, with how many each made."""
    found: list[dict[str, Any]] = []
    for run in results["runs"] + results["failures"]:
        here = {name: run[name] for name in ("versions", "commit", "hardware")}
        for known in found:
            if all(known[name] == here[name] for name in here):
                known["runs"] += 1
                break
        else:
            found.append({**here, "runs": 1})
    return found
