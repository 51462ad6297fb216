"""What a run is: `Recipe`, its static half; the scalars that may be traced are `Hyper`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cnnjax.data.augment import Augmentation, Cutout, HorizontalFlip, Normalize, RandomCrop
from cnnjax.errors import BadArgument, bounded, unknown
from cnnjax.train.averages import Average
from cnnjax.train.groups import Group
from cnnjax.train.hyper import Hyper
from cnnjax.train.identity import describe, revived
from cnnjax.train.losses import CrossEntropy, Loss
from cnnjax.train.metrics import Metric, TopK
from cnnjax.train.optimizers import SGD, Optimizer
from cnnjax.train.schedules import OneCycle, Schedule

__all__ = ["RECIPES", "NamedRecipe", "Recipe"]

# Of epochs and images: beyond it numbers are mistyped, and the arrays fit no memory.
_MOST = 1_000_000

Metrics = tuple[tuple[str, Metric], ...]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The static half of a training run: hashable, written as JSON, one compilation for each.

    Losses, augmentations and so on are values: any hashable callable of the form that is named, a
    user's own like those here. What is to be resumed or written down has to have an identity:
    a frozen dataclass or a function of a module, not a lambda.

    Attributes:
        epochs: passes over the training set, in 1..1,000,000.
        batch_size: images a step, in 1..1,000,000; a smaller training set makes a smaller batch.
            The last images of an epoch's order that do not fill a batch are left out of that epoch.
        augment: what changes each batch, in this order: see `cnnjax.data.augment.Augmentation`.
            `Normalize()` among them says where images are normalized, by default at the end.
        loss: see `cnnjax.train.losses.Loss`.
        optimizer: see `cnnjax.train.optimizers.Optimizer`.
        schedule: see `cnnjax.train.schedules.Schedule`.
        metrics: what is reported beside loss and accuracy, a mapping from names, which is kept as
            pairs: see `cnnjax.train.metrics.Metric`.
        average: of the weights, which is then what is evaluated: see
            `cnnjax.train.averages.Average`; None evaluates the weights themselves.
        groups: parameters with learning rates of their own; the first whose pattern matches.
        microbatches: a batch is augmented whole and then taken in so many equal parts, one after
            the other, whose gradients are averaged: less memory, and the same step but for what
            depends on the batch, norms and dropout. In 1..1,000,000; it divides the batch.

    Raises:
        BadArgument: for a value outside these ranges, or of another kind.
    """

    epochs: int = 10
    batch_size: int = 128
    augment: tuple[Augmentation | Normalize, ...] = ()
    loss: Loss = CrossEntropy()  # noqa: RUF009 (frozen)
    optimizer: Optimizer = SGD()  # noqa: RUF009 (frozen)
    schedule: Schedule = OneCycle()  # noqa: RUF009 (frozen)
    metrics: Mapping[str, Metric] | Metrics = ()
    average: Average | None = None
    groups: tuple[Group, ...] = ()
    microbatches: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "microbatches"):
            bounded(name, getattr(self, name), 1, _MOST)
        if isinstance(self.metrics, Mapping):  # in one order, whatever order they came in
            object.__setattr__(self, "metrics", tuple(sorted(self.metrics.items(), key=str)))
        for name in ("augment", "groups"):  # a list is what JSON has
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
            elif not isinstance(value, tuple):
                raise BadArgument(f"{name}: received {value!r}, allowed: a tuple")
        _check_metrics(self.metrics)
        for name in ("loss", "optimizer", "schedule"):
            _check_value(name, getattr(self, name))
        if self.average is not None:
            _check_value("average", self.average)
        for index, each in enumerate(self.augment):
            if not isinstance(each, Normalize):
                _check_value(f"augment[{index}]", each)
        if sum(isinstance(each, Normalize) for each in self.augment) > 1:
            raise BadArgument("augment: received Normalize() twice, allowed: once")
        for index, group in enumerate(self.groups):
            if not isinstance(group, Group):
                raise BadArgument(f"groups[{index}]: received {group!r}, allowed: a Group")

    @property
    def reported(self) -> Metrics:
        """What is reported beside the loss: accuracy, and the metrics by name."""
        pairs: Any = self.metrics  # since it was made
        return (("accuracy", TopK()), *pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary that json can write, values by class and fields.

        Raises:
            BadArgument: for a value that nothing identifies, such as a lambda.
        """
        names = [field.name for field in dataclasses.fields(self)]
        fields = {name: describe(getattr(self, name), "recipe", name) for name in names}
        return fields | {"metrics": dict(fields["metrics"])}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Recipe":
        """Return the recipe that `to_dict` gave, equal to the one that was written.

        Raises:
            BadArgument: for a name that is no field; for a user's value whose module is not
                imported, or whose source is another by now.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name == "clip_norm":
                raise BadArgument(
                    f"recipe: clip_norm is {fields[name]!r}, which is a field of the optimizer "
                    "now; allowed: a recipe without it, such as "
                    f"Recipe(optimizer=SGD(clip_norm={fields[name]!r}))"
                )
            if name not in names:
                raise unknown("recipe", name, names)
        metrics = fields.get("metrics", {})
        if not isinstance(metrics, Mapping):
            raise BadArgument(f"metrics: received {metrics!r}, allowed: a mapping from names")
        read = {
            name: revived(value, "recipe", name)
            for name, value in fields.items()
            if name != "metrics"
        }
        pairs = {name: revived(value, "recipe", "metrics") for name, value in metrics.items()}
        return cls(**read, metrics=pairs)


def _check_value(name: str, value: Any) -> None:
    if isinstance(value, type):
        raise BadArgument(f"{name}: received a class, allowed: a value such as {value.__name__}()")
    if not isinstance(value, Callable):  # type: ignore[arg-type]
        raise BadArgument(f"{name}: received {value!r}, allowed: a value that can be called")
    try:
        hash(value)
    except TypeError:
        raise BadArgument(
            f"{name}: received {type(value).__name__}, which cannot be hashed, allowed: frozen "
            "dataclasses and functions"
        ) from None


def _check_metrics(metrics: Any) -> None:
    pairs = isinstance(metrics, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 for pair in metrics
    )
    if not pairs:
        raise BadArgument(f"metrics: received {metrics!r}, allowed: a mapping from names")
    names = [name for name, _ in metrics]
    for name, metric in metrics:
        if not (isinstance(name, str) and name.isidentifier()) or names.count(name) > 1:
            raise BadArgument(
                f"metrics: received the name {name!r}, allowed: different identifiers"
            )
        if name in ("loss", "accuracy"):
            raise BadArgument(f"metrics: {name!r} is always reported; allowed: another name")
        _check_value(f"metrics[{name!r}]", metric)


class NamedRecipe(NamedTuple):
    """A recipe and the scalars that go with it."""

    recipe: Recipe
    hyper: Hyper


RECIPES: dict[str, NamedRecipe] = {
    "default": NamedRecipe(
        Recipe(epochs=8, batch_size=64, augment=(RandomCrop(2),)),
        Hyper(learning_rate=0.05, weight_decay=5e-4, label_smoothing=0.1),
    ),
    "mnist": NamedRecipe(
        Recipe(epochs=15, batch_size=128, augment=(RandomCrop(2),)),
        Hyper(learning_rate=0.1, weight_decay=5e-4),
    ),
    "cifar10": NamedRecipe(
        Recipe(
            epochs=30,
            batch_size=128,
            # After normalization, where 0 is the mean color, as in cutout's paper.
            augment=(RandomCrop(4), HorizontalFlip(), Normalize(), Cutout(8)),
        ),
        Hyper(learning_rate=0.1, weight_decay=5e-4),
    ),
}
"""Recipes by name: `default` for small sets of small images on a CPU, the others for their sets."""
