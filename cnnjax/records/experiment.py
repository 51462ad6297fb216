"""The results of a script: computations by name, each entered as it ends and never done again."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from cnnjax.errors import BadArgument
from cnnjax.files import checked, printable
from cnnjax.records.forms import Amount, Provenance
from cnnjax.records.provenance import command_line, here
from cnnjax.records.store import Kind, Store, as_json, difference, read

__all__ = ["Experiment", "read_experiment"]


class _Run(Provenance):
    seconds: Amount
    result: dict[str, Any]


class _Results(TypedDict):
    format: int
    command: str
    settings: dict[str, Any]
    computed: dict[str, _Run]
    found: NotRequired[dict[str, Any]]


def _check(content: Mapping[str, Any], what: str) -> None:
    checked(content, _Results, what)


_KIND = Kind("experiment", "computed", _check)


def read_experiment(directory: str | Path) -> dict[str, Any]:
    """Return what results.json of a script's directory holds; raises as `records.store.read`."""
    return read(directory, _KIND)


class Experiment:
    """A script's directory of results.

    results.json has the `settings`, which are the same for all of it, `computed`, where each
    result stands by its name with the seconds it took and where it comes from, and `found`, what
    the script concludes.
    """

    def __init__(self, store: Store, say: Callable[[str], None]) -> None:
        self._store, self._say = store, say

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, out: str | Path, settings: Mapping[str, Any], say: Callable[[str], None] = print
    ) -> "Iterator[Experiment]":
        """Hold a new or empty directory, or one of the same settings.

        Args:
            out: path of the directory.
            settings: all that decides the results, as JSON.
            say: called with a line about each thing that is computed.

        Raises:
            BadArgument: if it holds something else, or results of other settings.
            Failed: if it cannot be written, or another process is writing to it.
        """
        wanted = as_json(settings)

        def fits(content: Mapping[str, Any]) -> None:
            words = difference(content["settings"], wanted, "its")
            if words:
                raise BadArgument(
                    f"out: {printable(str(out))} holds results of other settings: "
                    f"{printable(words)}; choose another directory"
                )

        fresh = {"command": printable(command_line()), "settings": wanted, "computed": {}}
        with Store.opened(Path(out), _KIND, fresh, fits) as store:
            store.clear()
            store.write()
            yield cls(store, say)

    def __contains__(self, name: str) -> bool:
        return name in self._store.content["computed"]

    def remembered(self, name: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return the result of that name, computed and written first where it is not there."""
        computed = self._store.content["computed"]
        if name not in computed:
            start = time.perf_counter()
            result = as_json(compute())
            entry = {**here(), "seconds": time.perf_counter() - start, "result": result}
            self._store.put("computed", {**computed, name: as_json(entry)})
            numbers = {key: value for key, value in result.items() if isinstance(value, float)}
            shown = "".join(f", {key} {value:.4g}" for key, value in numbers.items())
            self._say(printable(f"{name}: {entry['seconds']:.1f} s{shown}"))
        entry = self._store.content["computed"][name]
        return {**entry["result"], "seconds": entry["seconds"]}

    def conclude(self, found: Mapping[str, Any]) -> None:
        """Write what follows from the results."""
        self._store.put("found", as_json(found))
