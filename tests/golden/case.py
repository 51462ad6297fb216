"""One comparison of a network with its reference, and short ways to write several."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Slow = bool | Literal["step"]


@dataclass(frozen=True)
class Case:
    """One comparison: its `name`, and where the network and its reference are defined.

    `network` is the name here. `source` is "torchvision", "timm" or "small" (`torch_small.py`,
    `torch_residual.py`, `torch_shallow.py`); `reference` the name there, of a function or a class.
    Either is "" for `name`. `arguments` go to the reference, `overrides` to `cnnjax.build`, where
    "end.hidden" is the field `hidden` of what the network's `end` is, "blocks" cuts the stages of a
    network without such a field, and `test_goldens.py` says what a word stands for. Images are
    `[batch, channels, size, size]`.

    `slow` keeps the case out of the default run; "step" its training step alone, which takes from 4
    to 15 s to compile, evaluation a fifth: what it is made of is compared whole in
    `test_record.py`. `float64`: the comparison is in float64, for networks whose training step is
    too ill-conditioned for float32; evaluation is compared in float32 as well.
    """

    name: str
    size: int = 64
    batch: int = 2
    source: str = "torchvision"
    reference: str = ""
    network: str = ""
    slow: Slow = False
    float64: bool = False
    channels: int = 3
    arguments: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the images, `[B, C, H, W]`."""
        return (self.batch, self.channels, self.size, self.size)


def named(names: str, **settings: Any) -> tuple[Case, ...]:
    """Return a case with `settings` for each of `names`."""
    return tuple(Case(name, **settings) for name in names.split())


def shallow(
    depths: tuple[int, ...], theirs: str = "layers", ours: str = "depths"
) -> dict[str, Any]:
    """Return the settings that make a deep network cheap: `depths` blocks in its stages."""
    return {"arguments": {theirs: depths}, "overrides": {ours: depths}}
