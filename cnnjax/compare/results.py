"""The results of a comparison on disk.

results.json        what the runs share, and an entry for each run that ended
report.html
runs/NAME-SEED.npz  predictions and filters of a run
checkpoints/        of the run under way; removed once the run has its entry
"""

import contextlib
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.compare.schema import FORMAT, check_arrays, check_results
from cnnjax.errors import BadArgument
from cnnjax.files import printable
from cnnjax.records.store import Kind, Store, as_json, difference, read

__all__ = ["SHARED", "ResultsDirectory", "read_results"]

SHARED = ("data", "recipe", "hyper")
"""The entries of results.json that make an experiment: all runs of a directory have these."""

_KIND = Kind("comparison", "runs", check_results, ("report.html", "runs/*.npz"), FORMAT)


def read_results(directory: str | Path) -> dict[str, Any]:
    """Return what results.json of a directory holds, every field of it checked.

    Raises:
        BadArgument: if the directory has no results, or of another format.
        Failed: if the file cannot be read, or a field is not what it must be.
    """
    return read(directory, _KIND)


class ResultsDirectory:
    """The results of one comparison, opened for writing by one process at a time.

    Attributes:
        path: of the directory.
        results: the content of results.json.
    """

    def __init__(self, path: Path, results: dict[str, Any]) -> None:
        self.path, self.results = path, results
        self._store = Store(path, _KIND, results)

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls,
        path: str | Path,
        shared: Mapping[str, Any],
        networks: Mapping[str, Mapping[str, Any]],
        command: str,
    ) -> "Iterator[ResultsDirectory]":
        """Open a new, empty or existing directory of this experiment.

        Args:
            path: of the directory.
            shared: the entries named in `SHARED`, as JSON.
            networks: for each label the network's definition, as JSON.
            command: that makes the results again.

        Raises:
            BadArgument: if the directory holds something else or another experiment, which is
                left as it is.
            Failed: if it cannot be written, or another process is writing to it.
        """
        # As the file gives them back, to compare with what it holds.
        path, shared, networks = Path(path), as_json(shared), as_json(networks)
        command = printable(command)
        fresh = {"command": command, "commands": [], **shared, "networks": {}}
        fresh |= {"runs": [], "failures": []}
        fits = lambda results: _check(results, shared, networks, path)
        with Store.opened(path, _KIND, fresh, fits) as store:
            opened = cls(path, store.content)
            for run in opened.results["runs"]:
                opened.arrays(run)
            opened._begin(networks, command)
            yield opened

    def ended(self, network: str, seed: int) -> bool:
        """Say whether a run has an entry, finished or failed: it is not to be trained again."""
        entries = self.results["runs"] + self.results["failures"]
        return any(entry["network"] == network and entry["seed"] == seed for entry in entries)

    def checkpoint_dir(self, network: str, seed: int) -> Path:
        """Return where a run under way keeps its checkpoint."""
        return self.path / "checkpoints" / f"{_file_name(network)}-{seed}"

    def add(self, run: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Enter a finished run, its arrays first. `Failed` if they cannot be written."""
        name = f"runs/{_file_name(run['network'])}-{run['seed']}.npz"
        digest = self._store.save_arrays(name, arrays)
        self._enter("runs", {**run, "arrays": name, "sha256": digest})

    def fail(self, failure: Mapping[str, Any]) -> None:
        """Enter a failed run: `network`, `seed`, `error` and where it ended."""
        self._enter("failures", failure)

    def arrays(self, run: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the arrays of a finished run, checked against its entry.

        Raises:
            BadArgument: if the file is missing, or no regular file.
            Failed: if it is not what the run wrote.
        """
        arrays = self._store.load_arrays(run["arrays"], run.get("sha256"))
        check_arrays(arrays, self.results["data"], str(self.path / run["arrays"]))
        return arrays

    def _begin(self, networks: Mapping[str, Any], command: str) -> None:
        """Enter what is new of the networks and the command; the first that is written."""
        known = self.results["networks"]
        self.results["networks"] = known | {k: v for k, v in networks.items() if k not in known}
        self.results["command"] = command
        if command not in self.results["commands"]:
            self.results["commands"] = [*self.results["commands"], command]
        self._store.clear()
        self._store.write()

    def _enter(self, kind: str, entry: Mapping[str, Any]) -> None:
        places = {label: place for place, label in enumerate(self.results["networks"])}
        order = lambda entry: (places[entry["network"]], entry["seed"])
        self._store.put(kind, sorted([*self.results[kind], as_json(entry)], key=order))
        with contextlib.suppress(OSError):  # what is left over does no harm
            shutil.rmtree(self.checkpoint_dir(entry["network"], entry["seed"]))
            (self.path / "checkpoints").rmdir()


def _check(
    results: Mapping[str, Any],
    shared: Mapping[str, Any],
    networks: Mapping[str, Any],
    path: Path,
) -> None:
    """Raise `BadArgument` unless results are of the same experiment and networks."""
    words = difference({k: results[k] for k in SHARED}, {k: shared[k] for k in SHARED}, "its")
    for label, network in networks.items():
        if label in results["networks"] and not words:
            known = results["networks"][label]
            # What a network is says more than how it was called.
            words = difference(known["definition"], network["definition"], f"{label!r}:")
            words = words or difference(known, network, f"{label!r}:")
    if words:
        raise BadArgument(
            f"out: {printable(str(path))} holds another experiment: {printable(words)}; "
            "choose another directory"
        )


def _file_name(label: str) -> str:
    plain = re.sub(r"[^a-z0-9._-]+", "_", label.lower())[:60]
    # Two labels may look alike once plain, and some systems take A for a; a digest keeps their
    # files apart, and no label can be what another one becomes with its digest.
    if plain == label and not re.search(r"_[0-9a-f]{8}$", label):
        return plain
    return f"{plain}_{hashlib.sha256(label.encode()).hexdigest()[:8]}"
