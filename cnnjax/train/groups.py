"""Groups of parameters by their paths, and the learning rate of each; frozen ones stay whole."""

import dataclasses
import fnmatch
from collections.abc import Sequence
from typing import Any

import jax

from cnnjax.errors import BadArgument, number, unknown
from cnnjax.train.hyper import Hyper
from cnnjax.typing import Array, Variables

__all__ = [
    "Group",
    "backbone_and",
    "check_groups",
    "frozen",
    "frozen_modules",
    "norms_frozen",
    "rates",
    "resolved",
]


@dataclasses.dataclass(frozen=True)
class Group:
    """The parameters whose path a pattern matches, and what their learning rate is multiplied by.

    At a rate of 0 they are frozen whole: they and their moving averages stay to the bit, and the
    modules that hold nothing else run as in evaluation, so that the statistics of norms stay too.

    Attributes:
        pattern: for names joined by "/", as `fnmatch` reads it: `"classifier/*"`, `"*/bias"`.
        rate: at least 0; or the name of a scalar of `Hyper`, such as `"backbone_rate"`.
    """

    pattern: str
    rate: float | str = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str) or not self.pattern:
            raise BadArgument(f"pattern: received {self.pattern!r}, allowed: text")
        if not isinstance(self.rate, str):
            number("rate", self.rate)


def backbone_and(head: Sequence[str]) -> tuple[Group, ...]:
    """Return the groups of a network retrained: its head, and all else at `Hyper.backbone_rate`.

    Args:
        head: paths of the submodules that are the head, as `cnnjax.weights.head_of` gives them:
            `("classifier",)`, or `("net/fc",)` for one inside of another.
    """
    return (*(Group(f"{path}/*") for path in head), Group("*", "backbone_rate"))


def norms_frozen(variables: Variables) -> tuple[Group, ...]:
    """Return the groups that freeze every norm with running statistics whole.

    It then computes as in evaluation, with the statistics that it came with: those of small batches
    of other images are noise to weights that were trained with their own.

    Args:
        variables: of a network, `{"params": ..., "batch_stats": ...}`.
    """

    def modules(tree: Any, path: tuple[str, ...]) -> list[str]:
        inner = {name: value for name, value in tree.items() if hasattr(value, "items")}
        own = ["/".join(path)] if len(inner) < len(tree) else []
        return own + [each for name in inner for each in modules(inner[name], (*path, name))]

    learned = {"/".join(map(str, path)) for path in _modules_of(variables["params"])}
    found = modules(variables.get("batch_stats", {}), ())
    # A norm without scale and bias has no parameter that a group could hold.
    return tuple(Group(f"{path}/*", 0.0) for path in found if path in learned)


def _modules_of(params: Any) -> set[tuple[str, ...]]:
    return {tuple(str(getattr(key, "key", key)) for key in path[:-1]) for path in _paths(params)}


def _path(path: Any) -> str:
    return "/".join(str(getattr(key, "key", key)) for key in path)


def _paths(params: Any) -> list[Any]:
    return [path for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]]


def _labels(groups: Sequence[Group], params: Any) -> Any:
    """Return a tree of numbers: which group each parameter is in, -1 for none; the first wins."""

    def label(path: Any, _: Any) -> int:
        name = _path(path)
        found = (i for i, g in enumerate(groups) if fnmatch.fnmatchcase(name, g.pattern))
        return next(found, -1)

    return jax.tree_util.tree_map_with_path(label, params)


def check_groups(groups: Sequence[Group], params: Any, hyper: Hyper) -> None:
    """Raise `BadArgument` for a group without parameters, and a rate that is no scalar."""
    used = set(jax.tree.leaves(_labels(groups, params)))
    names = [*(f"{module}/*" for module in params), *map(_path, _paths(params))]
    for index, group in enumerate(groups):
        if index not in used:
            raise unknown("groups", group.pattern, names)
        if isinstance(group.rate, str) and not hasattr(hyper, group.rate):
            raise unknown("groups: rate", group.rate, hyper.to_dict())
    if groups and all(jax.tree.leaves(frozen(groups, params))):
        raise BadArgument("groups: all parameters are frozen; allowed: a rate above 0 for some")


def resolved(groups: Sequence[Group], hypers: Sequence[Hyper]) -> tuple[Group, ...]:
    """Return groups whose named rates are 0 wherever the scalar is: they are frozen.

    Raises:
        BadArgument: where it is 0 with some of the scalars only; that is another program.
    """
    found = []
    for group in groups:
        values: set[float] = set()
        if isinstance(group.rate, str):
            values = {float(getattr(hyper, group.rate, 1.0)) for hyper in hypers}
            if 0.0 in values and len(values) > 1:
                raise BadArgument(
                    f"{group.rate}: received {sorted(values)}, allowed: 0 in all runs of a sweep "
                    "or in none"
                )
        found.append(dataclasses.replace(group, rate=0.0) if values == {0.0} else group)
    return tuple(found)


def rates(groups: Sequence[Group], hyper: Hyper, params: Any) -> Any:
    """Return a tree of what the update of each parameter is multiplied by, scalars."""

    def rate(label: int) -> Array | float:
        value = groups[label].rate if label >= 0 else 1.0
        return getattr(hyper, value) if isinstance(value, str) else value

    return jax.tree.map(rate, _labels(groups, params))


def frozen(groups: Sequence[Group], params: Any) -> Any:
    """Return a tree of bools: which parameters are in a group whose rate is 0."""
    return jax.tree.map(lambda n: n >= 0 and groups[n].rate == 0, _labels(groups, params))


def frozen_modules(which: Any, path: tuple[str, ...] = ()) -> tuple[tuple[str, ...], ...]:
    """Return the paths of the largest modules of which `which`, a tree of bools, is all True."""
    if path and all(jax.tree.leaves(which)):
        return (path,)
    if not isinstance(which, dict):
        return ()
    return tuple(found for name in which for found in frozen_modules(which[name], (*path, name)))
