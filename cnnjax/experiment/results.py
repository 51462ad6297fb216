"""Results on disk: a directory that is complete at every moment, whatever ends the process.

    results.json        what the runs share, and an entry for each run that ended
    report.html
    runs/NAME-SEED.npz  predictions and filters of a run; written before its entry
    checkpoints/        of the run under way; removed once the run has its entry

Every file is written under a temporary name and renamed.
"""

import contextlib
import hashlib
import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.errors import BadArgument, Failed
from cnnjax.files import replacing, writing

__all__ = ["RESULTS", "SHARED", "ResultsDirectory", "read_results"]

RESULTS = "results.json"

SHARED = ("data", "recipe", "hyper")
"""The entries of results.json that make an experiment: all runs of a directory have these."""

_FORMAT = 1


def read_results(directory: str | Path) -> dict[str, Any]:
    """Return what results.json of a directory holds.

    Raises:
        BadArgument: if the directory has no results, or of another format.
        Failed: if the file cannot be read.
    """
    path = Path(directory) / RESULTS
    try:
        results = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadArgument(f"out: {directory} has no {RESULTS}") from error
    except (OSError, ValueError) as error:
        raise Failed(f"cannot read {path}: {error}") from error
    if not isinstance(results, dict) or results.get("format") != _FORMAT:
        raise BadArgument(f"out: {path} is no comparison's, or of another version of cnnjax")
    return results


class ResultsDirectory:
    """The results of one comparison, opened for writing by one process at a time.

    Attributes:
        path: of the directory.
        results: the content of results.json.
    """

    def __init__(self, path: Path, results: dict[str, Any]) -> None:
        self.path, self.results = path, results

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
        path, shared, networks = Path(path), _json(shared), _json(networks)
        fresh = {"format": _FORMAT, "command": command, "commands": [], **shared, "networks": {}}
        fresh |= {"runs": [], "failures": []}
        if not _is_directory_or_absent(path):
            raise BadArgument(f"out: {path} is not a directory")
        with contextlib.ExitStack() as stack:
            if _holds_something(path):
                _check(read_results(path), shared, networks, path)
            with writing(path):
                path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_lock(path))
            # Read again: until the lock was held another process may have written.
            results = read_results(path) if (path / RESULTS).exists() else fresh
            _check(results, shared, networks, path)
            results["networks"] |= {
                k: v for k, v in networks.items() if k not in results["networks"]
            }
            results["command"] = command
            results["commands"] += [] if command in results["commands"] else [command]
            opened = cls(path, results)
            with writing(path):
                (path / "runs").mkdir(exist_ok=True)
                for left in (*path.glob(".*.tmp"), *path.glob("runs/.*.tmp")):
                    left.unlink()
            opened._write()
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
        with replacing(self.path / name) as stream:
            np.savez(stream, allow_pickle=False, **dict(arrays))
        self._enter("runs", {**run, "arrays": name})

    def fail(self, failure: Mapping[str, Any]) -> None:
        """Enter a failed run: `network`, `seed`, `error` and where it ended."""
        self._enter("failures", failure)

    def arrays(self, run: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the arrays of a finished run. `Failed` if they cannot be read."""
        path = self.path / run["arrays"]
        try:
            with np.load(path, allow_pickle=False) as stored:
                return dict(stored)
        except (OSError, ValueError) as error:
            raise Failed(f"cannot read {path}: {error}") from error

    def _enter(self, kind: str, entry: Mapping[str, Any]) -> None:
        places = {label: place for place, label in enumerate(self.results["networks"])}
        order = lambda entry: (places[entry["network"]], entry["seed"])
        before = self.results[kind]
        self.results[kind] = sorted([*before, _json(entry)], key=order)
        try:
            self._write()
        except BaseException:
            self.results[kind] = before
            raise
        with contextlib.suppress(OSError):  # what is left over does no harm
            shutil.rmtree(self.checkpoint_dir(entry["network"], entry["seed"]))
            (self.path / "checkpoints").rmdir()

    def _write(self) -> None:
        text = json.dumps(self.results, indent=1, allow_nan=False) + "\n"
        with replacing(self.path / RESULTS) as stream:
            stream.write(text.encode())


def _is_directory_or_absent(path: Path) -> bool:
    return path.is_dir() or not (path.exists() or path.is_symlink())


def _holds_something(path: Path) -> bool:
    with writing(path):
        inside = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    if inside - {".lock"} and RESULTS not in inside:
        shown = ", ".join(sorted(inside)[:3])
        raise BadArgument(
            f"out: {path} holds no comparison but {shown}; allowed: a new or empty directory, or "
            "one of this experiment"
        )
    return RESULTS in inside


def _check(
    results: Mapping[str, Any],
    shared: Mapping[str, Any],
    networks: Mapping[str, Any],
    path: Path,
) -> None:
    wanted = {"networks": networks, **{name: shared[name] for name in SHARED}}
    found = {name: results.get(name) for name in SHARED}
    known = results.get("networks", {})
    found["networks"] = {label: known.get(label, networks[label]) for label in networks}
    difference = _difference(found, wanted)
    if difference:
        raise BadArgument(
            f"out: {path} holds another experiment: {difference}; choose another directory"
        )


def _difference(found: Any, wanted: Any, name: str = "") -> str:
    """Return in words the first place where two JSON values differ; empty if they do not."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            below = f"{name}.{key}" if name else key
            words = _difference(found.get(key), wanted.get(key), below)
            if words:
                return words
        return ""
    return "" if found == wanted else f"its {name} is {found!r}, not {wanted!r}"


def _json(value: Any) -> Any:
    """Return a value as JSON gives it back: lists for tuples, null for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _file_name(label: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", label)[:60]
    # Two labels may look alike once plain; a digest keeps their files apart.
    return plain if plain == label else f"{plain}_{hashlib.sha256(label.encode()).hexdigest()[:8]}"


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the directory for this process; the system lets go of it when the process is killed."""
    import fcntl

    with open(path / ".lock", "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failed(f"out: another process is writing to {path}") from error
        yield
