"""What is measured: a network, a batch, a size of images, and what one step of it costs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cnnjax.analysis import count
from cnnjax.errors import BadArgument, bounded
from cnnjax.files import printable
from cnnjax.models import build, facts_of
from cnnjax.train import SGD, Constant, CrossEntropy, Hyper, Recipe
from cnnjax.train.identity import describe
from cnnjax.typing import Model

__all__ = ["HYPER", "MOST_IMAGES", "MOST_PIXELS", "RECIPE", "Case", "Cost", "cases_of", "cost"]

MOST_IMAGES, MOST_PIXELS = 2**20, 2**14
"""More than any machine can hold or any network was made for: a slip of the finger."""

RECIPE = Recipe(loss=CrossEntropy(), optimizer=SGD(nesterov=False), schedule=Constant())
"""No augmentation: what is timed is the network, the loss and the optimizer."""

HYPER = Hyper(learning_rate=1e-3, momentum=0.9, weight_decay=0.0)
"""A small rate: a step on random labels must stay finite, since infinities change what it costs."""


@dataclass(frozen=True)
class Case:
    """A network on batches `[batch, image_size, image_size, channels]`.

    Attributes:
        network: a key of `cnnjax.models.MODELS`, or a Linen module.
        batch: images a step, 1..1048576.
        image_size: pixels, 1..16384; 0 stands for what a network by name was made for.
        channels: of an image, 1..16384; 0 stands for what a network by name was made for, and 3.
        name: what the results call a module: letters, digits, `_`, `.` and `-`.
        recipe: whose training step is timed; its epochs and batch size say nothing here.
        hyper: its scalars.

    Raises:
        BadArgument: for an unknown network, numbers out of range, a module without a name.

    >>> Case("resnet20_cifar", 128).label
    'resnet20_cifar b128 32px'
    """

    network: str | Model
    batch: int
    image_size: int = 0
    channels: int = 0
    name: str = ""
    recipe: Recipe = RECIPE
    hyper: Hyper = HYPER

    def __post_init__(self) -> None:
        """Check the fields and fill in what a name knows."""
        size, channels, name = self.image_size, self.channels, self.name
        if isinstance(self.network, str):
            known = facts_of(self.network)
            size, channels = size or known.input_size, channels or known.channels
            name = self.network
        elif not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise BadArgument(
                f"name: received {name!r} for a module; allowed: letters, digits, '_', '.' and '-'"
            )
        bounded("batch", self.batch, 1, MOST_IMAGES)
        bounded("image_size", size, 1, MOST_PIXELS)
        bounded("channels", channels or 3, 1, MOST_PIXELS)
        for field, value in (("image_size", size), ("channels", channels or 3), ("name", name)):
            object.__setattr__(self, field, value)

    @property
    def label(self) -> str:
        """The name of the case in results."""
        return f"{self.name} b{self.batch} {self.image_size}px"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        return self.image_size, self.image_size, self.channels

    @property
    def model(self) -> Model:
        """The module."""
        return build(self.network) if isinstance(self.network, str) else self.network

    def definition(self) -> Any:
        """Return what a case is, as JSON, None of a network by name with the usual step.

        Raises:
            BadArgument: for a module, or a value of the recipe, that nothing identifies, such as a
                lambda.
        """
        module = None if isinstance(self.network, str) else describe(self.network, "out")
        if self.has_usual_step:
            return module
        return {"module": module, "step": [describe(x, "out") for x in (self.recipe, self.hyper)]}

    @property
    def has_usual_step(self) -> bool:
        """Whether the step is that of `RECIPE`, which all peers have."""
        return (self.recipe, self.hyper) == (RECIPE, HYPER)


def cases_of(
    given: Sequence[Case] | Mapping[str, Case | Model | str], batch: int, image_size: int
) -> list[Case]:
    """Return cases, those of a mapping under its names.

    Args:
        given: cases, or a mapping from names to cases or to Linen modules.
        batch: images a step, of modules.
        image_size: pixels, of modules.

    Raises:
        BadArgument: for anything else, and what `Case` refuses.
    """
    pairs = given.items() if isinstance(given, Mapping) else [("", each) for each in given]
    cases = []
    for name, each in pairs:
        if name and isinstance(each, Model):
            each = Case(each, batch, image_size, name=name)
        elif not isinstance(each, Case):
            raise BadArgument(
                f"cases: received {printable(repr(each))[:60]}; allowed: several of "
                "Case, or a mapping from names to these or to Linen modules"
            )
        cases.append(replace(each, name=name or each.name))
    return cases


@dataclass(frozen=True)
class Cost:
    """Exact counts: learnable scalars, and multiply-adds of a forward pass of one image."""

    parameters: int
    multiply_adds: int

    def operations(self, case: Case, mode: str) -> int:
        """Return the floating-point operations of a step by the usual convention.

        Two a multiply-add; a training step is three forward passes (one forward, one for each of
        the two gradients). Forms that need fewer multiplications are credited with the same.
        """
        return 2 * self.multiply_adds * case.batch * (3 if mode == "train" else 1)


def cost(case: Case) -> Cost:
    """Count a case's network; nothing is computed."""
    counted = count(case.model, case.image_shape)
    return Cost(counted.parameters, counted.multiply_adds)
