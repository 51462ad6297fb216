"""Results on disk: a directory that is complete at every moment, whatever ends the process.

    results.json        what the runs share, and an entry for each run that ended
    report.html
    runs/NAME-SEED.npz  predictions and filters of a run; written before its entry, which holds
                        their SHA-256
    checkpoints/        of the run under way; removed once the run has its entry

Every file is written under a temporary name and renamed, and all of them are read and checked
before the first is written.
"""

import contextlib
import hashlib
import io
import json
import math
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.compare.schema import FORMAT, check_arrays, check_results
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import decoded, locked, printable, read_bytes, replacing, writing

__all__ = ["RESULTS", "SHARED", "ResultsDirectory", "read_results"]

RESULTS = "results.json"

SHARED = ("data", "recipe", "hyper")
"""The entries of results.json that make an experiment: all runs of a directory have these."""

# More than any comparison leaves: a bound on what a damaged or foreign file can take of memory.
_MOST_BYTES, _MOST_ARRAY_BYTES = 2**28, 2**30

# What a killed process may leave half-written: the temporary names of `replacing`.
_HALF_WRITTEN = (f".{RESULTS}.*.tmp", ".report.html.*.tmp", "runs/.*.npz.*.tmp")


def read_results(directory: str | Path) -> dict[str, Any]:
    """Return what results.json of a directory holds, every field of it checked.

    Raises:
        BadArgument: if the directory has no results, or of another format.
        Failed: if the file cannot be read, or a field is not what it must be.
    """
    path = Path(directory) / RESULTS
    results = decoded(read_bytes(path, "out", at_most=_MOST_BYTES), dict[str, Any], str(path))
    if results.get("format") != FORMAT:
        shown = printable(str(path))
        raise BadArgument(f"out: {shown} is no comparison's, or of another version of cnnjax")
    check_results(results, str(path))
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
        command = printable(command)
        fresh = {"format": FORMAT, "command": command, "commands": [], **shared, "networks": {}}
        fresh |= {"runs": [], "failures": []}
        if not _is_directory_or_absent(path):
            raise BadArgument(f"out: {printable(str(path))} is not a directory")
        if _holds_something(path):
            _check(read_results(path), shared, networks, path)
        with locked(path):
            # Read again: until the lock was held another process may have written.
            opened = cls(path, read_results(path) if _holds_something(path) else fresh)
            _check(opened.results, shared, networks, path)
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
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **dict(arrays))
        with replacing(self.path / name) as stream:
            stream.write(content.getvalue())
        digest = hashlib.sha256(content.getvalue()).hexdigest()
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
        path = self.path / run["arrays"]
        content = read_bytes(path, "out", at_most=_MOST_ARRAY_BYTES)
        if run.get("sha256") not in (None, hashlib.sha256(content).hexdigest()):
            raise Failed(f"{printable(str(path))}: damaged: its SHA-256 is not that of its entry")
        arrays = _arrays(content, str(path))
        check_arrays(arrays, self.results["data"], str(path))
        return arrays

    def _begin(self, networks: Mapping[str, Any], command: str) -> None:
        """Enter what is new of the networks and the command; the first that is written."""
        known = self.results["networks"]
        self.results["networks"] = known | {k: v for k, v in networks.items() if k not in known}
        self.results["command"] = command
        if command not in self.results["commands"]:
            self.results["commands"] = [*self.results["commands"], command]
        with writing(self.path):
            for left in (left for form in _HALF_WRITTEN for left in self.path.glob(form)):
                left.unlink()
        self._write()

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
        check_results(self.results, str(self.path / RESULTS))  # what cannot be read is not written
        text = json.dumps(self.results, indent=1, allow_nan=False) + "\n"
        with replacing(self.path / RESULTS) as stream:
            stream.write(text.encode())


def _is_directory_or_absent(path: Path) -> bool:
    return path.is_dir() or not (path.exists() or path.is_symlink())


def _holds_something(path: Path) -> bool:
    with writing(path):
        inside = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    ours = {".lock"} | {name for name in inside if any(map(Path(name).match, _HALF_WRITTEN))}
    if inside - ours and RESULTS not in inside:
        shown = printable(", ".join(sorted(inside - ours)[:3]))
        raise BadArgument(
            f"out: {printable(str(path))} holds no comparison but {shown}; allowed: a new or empty "
            "directory, or one of this experiment"
        )
    return RESULTS in inside


def _arrays(content: bytes, what: str) -> dict[str, np.ndarray]:
    """Read what `numpy.savez` wrote; nothing is unpacked that takes more memory than its file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > len(content):
                raise ValueError("it is compressed")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:  # zipfile and numpy raise a dozen kinds for damaged bytes
        raise Failed(f"{printable(what)}: damaged: {printable(str(error))}") from error


def _check(
    results: Mapping[str, Any],
    shared: Mapping[str, Any],
    networks: Mapping[str, Any],
    path: Path,
) -> None:
    """Raise `BadArgument` unless results are of the same experiment and networks."""
    difference = _difference({k: results[k] for k in SHARED}, {k: shared[k] for k in SHARED}, "its")
    for label, network in networks.items():
        if label in results["networks"] and not difference:
            known = results["networks"][label]
            # What a network is says more than how it was called.
            difference = _difference(known["definition"], network["definition"], f"{label!r}:")
            difference = difference or _difference(known, network, f"{label!r}:")
    if difference:
        raise BadArgument(
            f"out: {printable(str(path))} holds another experiment: {printable(difference)}; "
            "choose another directory"
        )


def _difference(found: Any, wanted: Any, name: str) -> str:
    """Return in words the first place where two JSON values differ; empty if they do not.

    >>> _difference({"LeNet": {"padding": 2}}, {"LeNet": {"padding": 0}}, "'a':")
    "'a': LeNet.padding is 2, not 0"
    """
    if isinstance(found, dict) and isinstance(wanted, dict):
        gone, new = (sorted(a.keys() - b.keys()) for a, b in ((found, wanted), (wanted, found)))
        if gone and new:
            return f"{name} {' and '.join(gone)} there, {' and '.join(new)} here"
        if gone or new:
            return f"{name} {(gone or new)[0]} is {'only there' if gone else 'only here'}"
        joint = " " if name.endswith((":", "its")) else "."
        words = (_difference(found[key], wanted[key], f"{name}{joint}{key}") for key in wanted)
        return next(filter(None, words), "")
    return "" if found == wanted else f"{name} is {found!r}, not {wanted!r}"


def _json(value: Any) -> Any:
    """Return a value as JSON gives it back: lists for tuples, null for what is not finite."""
    if isinstance(value, Mapping):
        return {_json(str(key)): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):  # half of a surrogate pair is no text, but may be part of a path
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _file_name(label: str) -> str:
    plain = re.sub(r"[^a-z0-9._-]+", "_", label.lower())[:60]
    # Two labels may look alike once plain, and some systems take A for a; a digest keeps their
    # files apart, and no label can be what another one becomes with its digest.
    if plain == label and not re.search(r"_[0-9a-f]{8}$", label):
        return plain
    return f"{plain}_{hashlib.sha256(label.encode()).hexdigest()[:8]}"
