"""Results on disk: results.json complete at every moment, CSV tables made of it.

results.json   {"format", "versions", "hardware", "cases": {label: {"train": ..., ...}}}
steps.csv      a line for each case, mode and peer: seconds, images a second, ratio to ours
compile.csv    a line for each case and kind of operations: compile seconds, memory
"""

import contextlib
import csv
import io
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnnjax.benchmark.interleave import ratios, spread
from cnnjax.benchmark.schema import FORMAT, check_results
from cnnjax.errors import BadArgument
from cnnjax.files import printable, replacing
from cnnjax.records import Kind, Store, hardware, versions
from cnnjax.records.store import difference

__all__ = [
    "COMPILE_COLUMNS",
    "STEP_COLUMNS",
    "TABLES",
    "Results",
    "compile_rows",
    "geometric_means",
    "step_rows",
]

TABLES = ("steps.csv", "compile.csv", "speed.svg")
"""What is made of the results, and made again with every entry."""

_KIND = Kind("benchmark", "cases", check_results, TABLES, FORMAT)

STEP_COLUMNS = (
    "network", "batch", "image_size", "mode", "peer", "n", "median_seconds", "min_seconds",
    "max_seconds", "images_per_second", "ratio_to_first", "ratio_min", "ratio_max",
    "share_of_matmul", "peak_bytes", "peak_rss_bytes",
)  # fmt: skip
"""`ratio_to_first`: the median over rounds of this peer's seconds by those of the first peer of its
mode (ours; the scan; the vmap). Above 1: the first is faster."""

COMPILE_COLUMNS = (
    "network", "batch", "image_size", "mode", "peer", "cold_lower_seconds",
    "cold_compile_seconds", "cold_cpu_seconds", "warm_lower_seconds", "warm_compile_seconds",
    "warm_cpu_seconds", "peak_bytes", "peak_rss_bytes",
)  # fmt: skip


class Results:
    """The results of one machine and one set of versions, in a directory or nowhere.

    Attributes:
        path: of the directory; None keeps the results in memory only.

    Raises:
        BadArgument: if the directory holds results of another machine or other versions, which
            one table must not mix, or something else.
        Failed: if what it holds cannot be read, or is damaged.
    """

    def __init__(self, path: Path | None, store: Store | None = None) -> None:
        """Open the directory, which need not exist."""
        self.path = path
        self._store = store or Store.at(path, _KIND, _fresh())
        _check_machine(self._store.content, path)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path | None) -> "Iterator[Results]":
        """Hold the directory while the block runs: one process writes to it at a time."""
        fits = lambda content: _check_machine(content, path)
        with Store.opened(path, _KIND, _fresh(), fits) as store:
            store.clear()
            yield cls(path, store)

    @property
    def content(self) -> dict[str, Any]:
        """What results.json holds."""
        return self._store.content

    def entry(self, label: str, mode: str) -> dict[str, Any] | None:
        """Return what is known of a mode of a case, None if nothing."""
        return self.content["cases"].get(label, {}).get(mode)

    def check_same(self, label: str, about: Mapping[str, Any]) -> None:
        """Raise `BadArgument` if a case of that label is there, of another network."""
        known = self.content["cases"].get(label)
        if known is not None:
            words = difference(known.get("definition"), about.get("definition"), f"{label!r}:")
            if words:
                raise BadArgument(
                    f"out: {printable(str(self.path))} holds another network: {printable(words)}; "
                    "choose another directory or name"
                )

    def enter(self, label: str, case: Mapping[str, Any], mode: str, entry: Any) -> None:
        """Add a mode of a case, and write everything.

        What was measured before, of other peers, is kept in the entry under `earlier`.

        Raises `Failed` if it cannot be written.
        """
        before = self.entry(label, mode)
        if before is not None:
            earlier = [*before.get("earlier", []), {k: before[k] for k in before if k != "earlier"}]
            entry = {**entry, "earlier": earlier}
        self.content["cases"].setdefault(label, dict(case))[mode] = entry
        self.content["geometric_means"] = geometric_means(self.content)
        self._store.write()
        if self.path is None:
            return
        tables = {
            "steps.csv": _csv(STEP_COLUMNS, step_rows(self.content)),
            "compile.csv": _csv(COMPILE_COLUMNS, compile_rows(self.content)),
        }
        for name, text in tables.items():
            with replacing(self.path / name) as stream:
                stream.write(text.encode())


def _fresh() -> dict[str, Any]:
    return {"versions": versions(), "hardware": hardware(), "cases": {}}


def _check_machine(content: Mapping[str, Any], path: Path | None) -> None:
    now = _fresh()
    for part in ("versions", "hardware"):
        if content[part] != now[part]:
            words = printable(difference(content[part], now[part], "its"))
            raise BadArgument(
                f"out: {printable(str(path))} has results of other {part} ({words}); "
                "allowed: a new directory, or one with results of these"
            )


def step_rows(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row of `STEP_COLUMNS` for each case, mode and peer of some results."""
    for case in content["cases"].values():
        for mode, entry in case.items():
            if not isinstance(entry, Mapping) or "peers" not in entry or mode == "compile":
                continue
            first = next(iter(entry["peers"].values()))["seconds"]
            for peer, found in entry["peers"].items():
                took, ratio = spread(found["seconds"]), ratios(found["seconds"], first)
                yield {
                    **{name: case[name] for name in ("network", "batch", "image_size")},
                    "mode": mode,
                    "peer": peer,
                    "n": found["n"],
                    "median_seconds": took["median"],
                    "min_seconds": took["min"],
                    "max_seconds": took["max"],
                    "images_per_second": entry["images"] / took["median"],
                    "ratio_to_first": ratio["median"],
                    "ratio_min": ratio["min"],
                    "ratio_max": ratio["max"],
                    "share_of_matmul": (
                        entry["operations"] / took["median"] / entry["matmul_flops"]
                    ),
                    "peak_bytes": found.get("peak_bytes"),
                    "peak_rss_bytes": found.get("peak_rss_bytes"),
                }


def compile_rows(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row of `COMPILE_COLUMNS` for each compiled program of some results."""
    for case in content["cases"].values():
        for peer, found in case.get("compile", {}).get("peers", {}).items():
            yield {
                **{name: case[name] for name in ("network", "batch", "image_size")},
                "mode": "train",
                "peer": peer,
                **{
                    f"{cache}_{name}": found[cache][name]
                    for cache in ("cold", "warm")
                    for name in ("lower_seconds", "compile_seconds", "cpu_seconds")
                },
                "peak_bytes": found["peak_bytes"],
                "peak_rss_bytes": found.get("peak_rss_bytes"),
            }


def geometric_means(content: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the geometric mean over cases of every ratio, by mode and peer, with its `n`.

    `{"train": {"torch": {"ratio": 1.2, "least": 0.8, "n": 10}}}`: `n` cases, `least` of them.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for row in step_rows(content):
        found.setdefault(row["mode"], {}).setdefault(row["peer"], []).append(row["ratio_to_first"])
    return {
        mode: {
            peer: {
                "ratio": statistics.geometric_mean(values),
                "least": min(values),
                "n": len(values),
            }
            for peer, values in list(peers.items())[1:]  # the first is the reference
        }
        for mode, peers in found.items()
    }


def _csv(columns: tuple[str, ...], rows: Iterator[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                name: f"{value:.6g}" if isinstance(value, float) else value
                for name, value in row.items()
            }
        )
    return text.getvalue()
