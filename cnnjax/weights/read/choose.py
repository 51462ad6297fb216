"""Which of the tensors in a file are the weights, whatever they were wrapped in."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from cnnjax.errors import unknown
from cnnjax.files import printable
from cnnjax.weights.read.entries import Entry

__all__ = ["Choice", "choose"]

# Put around a network by torch.nn.DataParallel, torch.compile, and those who write training loops.
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
# Left in state dicts by averaging and by counting operations; no network's own.
_LEFTOVERS = {"n_averaged", "total_ops", "total_params"}
# Of a part of the network that is parallel or compiled, as in features.module.0.weight.
_INNER_WRAPPERS = re.compile(r"(?<=\.)(module|_orig_mod)\.")
_AVERAGED = re.compile(
    r"(?<![a-z])(ema|swa|avg|averaged?|teacher|target|momentum|shadow)(?![a-z])", re.IGNORECASE
)
_OPTIMIZER = re.compile(r"optim|sched|scaler", re.IGNORECASE)
_MOST_PARTS = 8  # of a prefix inside a name
_MOST_OTHERS = 8  # that are looked at; a file could hold one tensor in very many places


@dataclass(frozen=True)
class Choice:
    """The weights in a file.

    Attributes:
        prefix: what the paths of all of them begin with: "" or ending in a dot.
        entries: those that begin so.
        others: prefixes of what else would have fitted as well, without the dot.
        left_out: paths beside the weights, in the same mapping, that do not begin so.
    """

    prefix: str
    entries: Sequence[Entry]
    others: Sequence[str] = ()
    left_out: Sequence[str] = ()


def choose(
    entries: Sequence[Entry],
    expected: Collection[str] = (),
    wanted: str | None = None,
    *,
    alternatives: Sequence[Collection[str]] = (),
) -> Choice:
    """Return the weights among the tensors of a file.

    What fits is the prefix behind which most names are those of the network, at least half of its
    names: keys of a checkpoint, `module.` of a wrapper, an attribute, or several of them. Of two
    that fit alike averaged weights come second. Where nothing fits, or nothing is expected, it is
    the mapping with the most tensors that is neither averaged nor an optimizer's, less the wrappers
    that all of its names share.

    Args:
        entries: at least one.
        expected: names of the network that they are for.
        wanted: where to look instead: a prefix, without the dot behind it.
        alternatives: the same names as other publishers have them.

    Raises:
        BadArgument: for a wanted prefix that nothing has.
    """
    if wanted is not None:
        entries = _inside(entries, f"{wanted}.")
    known = _nearest(entries, [expected, *alternatives])
    entries = [_without_inner_wrappers(entry, known) for entry in entries]
    fitting = _fitting(entries, known) if known else []
    if not fitting:
        prefix = _likeliest(entries)
        names = [entry.path[len(prefix) :] for entry in entries if entry.behind(prefix)]
        known = {name for name in names if not _is_leftover(name)}
        fitting = [prefix, *(other for other in _fitting(entries, known) if other != prefix)]
    prefix = fitting[0]
    chosen = {entry.path: entry for entry in entries if entry.behind(prefix)}
    certain = {path for path in chosen if path[len(prefix) :] in known}
    others = [p for p in fitting[1 : 1 + _MOST_OTHERS] if _paths(entries, p) - certain]
    beside = tuple(other for other in others if other.startswith(prefix))
    kept = {
        path: entry
        for path, entry in chosen.items()
        if path in certain or not (_is_leftover(path) or (beside and path.startswith(beside)))
    }
    mapping = next(iter(chosen.values())).mapping
    left_out = [e.path for e in entries if e.mapping == mapping and e.path not in chosen]
    return Choice(prefix, list(kept.values()), [other[:-1] for other in others], left_out)


def _nearest(entries: Sequence[Entry], alternatives: Sequence[Collection[str]]) -> set[str]:
    """Return the names of which the tensors have most, whatever stands before them."""
    if len(alternatives) == 1:
        return set(alternatives[0])
    ends = {
        known
        for entry in entries
        for name in (entry.name, _INNER_WRAPPERS.sub("", entry.name))
        for _, known in _splits(name)
    }
    return max(map(set, alternatives), key=lambda names: len(ends & names))


def _inside(entries: Sequence[Entry], prefix: str) -> list[Entry]:
    """Return the tensors whose paths begin so, as if a mapping began there."""
    inside = [entry for entry in entries if entry.path.startswith(prefix)]
    if not inside:
        places = {entry.mapping + entry.name.split(".")[0] for entry in entries}
        places |= {entry.mapping[:-1] for entry in entries if entry.mapping}
        raise unknown("weights: #", printable(prefix[:-1]), sorted(places)[:1_000])
    return [
        entry
        if len(entry.mapping) > len(prefix)
        else Entry(prefix, entry.path[len(prefix) :], entry.read)
        for entry in inside
    ]


def _without_inner_wrappers(entry: Entry, expected: set[str]) -> Entry:
    """Return a tensor under the name that the network has for it, where only wrappers differ."""
    name = _INNER_WRAPPERS.sub("", entry.name)
    if name == entry.name or any(known in expected for _, known in _splits(entry.name)):
        return entry
    fits = any(known in expected for _, known in _splits(name))
    return Entry(entry.mapping, name, entry.read) if fits else entry


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to part a name into a prefix that ends in a dot, or is empty, and the rest."""
    parts = name.split(".")
    for count in range(min(len(parts), _MOST_PARTS)):
        yield "".join(f"{part}." for part in parts[:count]), ".".join(parts[count:])


def _paths(entries: Sequence[Entry], prefix: str) -> set[str]:
    return {entry.path for entry in entries if entry.path.startswith(prefix)}


def _fitting(entries: Sequence[Entry], expected: set[str]) -> list[str]:
    """Return the prefixes behind which half of the expected names are, best first."""
    counts: Counter[str] = Counter()
    for entry in entries:
        for prefix, name in _splits(entry.name):
            if name in expected:
                counts[entry.mapping + prefix] += 1
    fitting = [prefix for prefix, count in counts.items() if 2 * count >= len(expected)]

    def order(prefix: str) -> tuple[int, bool, int]:
        return -counts[prefix], bool(_AVERAGED.search(prefix)), prefix.count(".")

    return sorted(fitting, key=order)


def _likeliest(entries: Sequence[Entry]) -> str:
    counts = Counter(entry.mapping for entry in entries)

    def order(mapping: str) -> tuple[bool, bool, int]:
        return bool(_OPTIMIZER.search(mapping)), bool(_AVERAGED.search(mapping)), -counts[mapping]

    prefix = min(counts, key=order)
    names = [entry.name for entry in entries if entry.mapping == prefix]
    names = [name for name in names if not _is_leftover(name)] or names
    while wrapper := next((w for w in _WRAPPERS if all(n.startswith(w) for n in names)), ""):
        prefix += wrapper
        names = [name.removeprefix(wrapper) for name in names]
    return prefix


def _is_leftover(name: str) -> bool:
    return name.split(".")[-1] in _LEFTOVERS
