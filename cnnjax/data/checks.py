"""What is odd about labelled files, in words, before anything is trained on them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from cnnjax.data.decoded import DIGEST_BYTES, digest_of
from cnnjax.data.source import Source, blocks
from cnnjax.errors import BadArgument
from cnnjax.files import printable

__all__ = [
    "check_classes",
    "digests_of",
    "duplicates",
    "left_out_note",
    "listed",
    "notes_on_classes",
    "shared",
]

_SHOWN = 3


def listed(items: Iterable[str], shown: int = _SHOWN) -> str:
    """Return the first of some texts, and how many more there are.

    >>> listed("abcde")
    'a, b, c and 2 more'
    """
    texts = [printable(item) for item in items]
    more = f" and {len(texts) - shown:,} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more


def left_out_note(left_out: Mapping[str, str], found: int) -> str:
    """Return a sentence on the files that are left out, "" where none is.

    Args:
        left_out: path to reason.
        found: how many files there are with them.
    """
    if not left_out:
        return ""
    named = listed(f"{file} ({reason})" for file, reason in left_out.items())
    return f"{len(left_out):,} of {found:,} files are left out: {named}"


def notes_on_classes(labels: np.ndarray, class_names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence on the classes that have no image, and on those that have one."""
    counts = np.bincount(labels, minlength=len(class_names))
    for number, words in ((0, "no image"), (1, "a single image")):
        names = [class_names[index] for index in np.flatnonzero(counts == number).tolist()]
        if names:
            yield f"{len(names)} of {len(class_names)} classes have {words}: {listed(names)}"


def check_classes(class_names: Sequence[str], images: int, what: str) -> None:
    """Raise `BadArgument` unless there are classes to tell apart, and images for each.

    Args:
        class_names: of the classes.
        images: how many there are to learn from.
        what: they are, for the error.
    """
    if len(class_names) < 2:
        raise BadArgument(
            f"{what} has one class, {printable(class_names[0])!r}; allowed: two or more to tell "
            "apart"
        )
    if len(class_names) > images:
        raise BadArgument(
            f"{what} has {len(class_names):,} classes and {images:,} images to learn from; "
            "allowed: at least one image a class"
        )


def digests_of(source: Source) -> np.ndarray:
    """Return a hash of each image's pixels, `[N, 16]` uint8."""
    known = getattr(source, "digests", None)
    if isinstance(known, np.ndarray):
        return known
    rows = [digest_of(image) for block in blocks(source) for image in block]
    return np.stack(rows).reshape(-1, DIGEST_BYTES)


def duplicates(digests: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of equal images, each with the first of its kind: `(first, other)`."""
    seen: dict[bytes, int] = {}
    pairs = []
    for index, row in enumerate(digests):
        first = seen.setdefault(row.tobytes(), index)
        if first != index:
            pairs.append((first, index))
    return pairs


def shared(one: np.ndarray, other: np.ndarray) -> list[tuple[int, int]]:
    """Return which images of one set are in another: `(in one, in the other)`, by their hashes."""
    places = {row.tobytes(): index for index, row in reversed(list(enumerate(one)))}
    return [
        (places[key], index) for index, row in enumerate(other) if (key := row.tobytes()) in places
    ]
