"""A part of a split, written alike for every kind of source: `train[:5000,stratified]`."""

import dataclasses
import re

import numpy as np

from cnnjax.data.stratified import stratified_order
from cnnjax.errors import BadArgument

__all__ = ["Slice"]

_WRITTEN = re.compile(
    r"\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?(?P<how>,\s*stratified(=(?P<seed>\d+))?)?\]", re.ASCII
)
_ALLOWED = "such as [:5000], [90%:], [:5000,stratified] and [:5000,stratified=SEED]"


@dataclasses.dataclass(frozen=True)
class Slice:
    """Which images of a split are meant.

    Attributes:
        start: the first, as text: a number of images or of percent (`"10%"`), from the end where it
            is negative; "" for the first of all.
        stop: the one behind the last, likewise; "" for all that follow.
        seed: None cuts the split in its order. A number from 0 cuts it in an order in which every
            beginning has all classes in proportion: `[:100]` and `[100:200]` are then stratified,
            disjoint, and the same for the same seed.
    """

    start: str = ""
    stop: str = ""
    seed: int | None = None

    @classmethod
    def split_from(cls, text: str, argument: str) -> tuple[str, "Slice | None"]:
        """Return what a text has in front of a slice, and the slice; None where it has none.

        Raises:
            BadArgument: where brackets hold something else.

        >>> Slice.split_from("train[:10%,stratified]", "split")
        ('train', Slice(start='', stop='10%', seed=0))
        """
        base, bracket, rest = text.partition("[")
        if not bracket:
            return text, None
        found = _WRITTEN.fullmatch(bracket + rest)
        if found is None:
            raise BadArgument(f"{argument}: {text!r} ends in no slice; allowed are {_ALLOWED}")
        seed = int(found["seed"] or 0) if found["how"] else None
        return base, cls(found["start"] or "", found["stop"] or "", seed)

    def __str__(self) -> str:
        how = "" if self.seed is None else ",stratified" + (f"={self.seed}" if self.seed else "")
        return f"[{self.start}:{self.stop}{how}]"

    def indices(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """Return which images these are, rising, `[M]` int64; M may be 0.

        Args:
            labels: `[N]` integers in 0..classes-1, of the images in their order.
            classes: how many there are.
        """
        number = len(labels)
        ends = slice(_place(self.start, number, 0), _place(self.stop, number, number))
        if self.seed is None:
            return np.arange(number)[ends]
        return np.sort(stratified_order(labels, classes, self.seed)[ends])


def _place(text: str, number: int, without: int) -> int:
    """Return the place in 0..number that a text means."""
    if not text:
        return without
    percent = text.endswith("%")
    place = round(int(text[:-1]) * number / 100) if percent else int(text)
    return min(number, max(0, place + number if text.startswith("-") else place))
