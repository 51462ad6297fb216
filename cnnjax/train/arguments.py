"""Whether the arguments of a training run fit each other: the one edge of `fit` and `sweep`."""

import dataclasses
import functools
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cnnjax.data.dataset import Dataset, statistics
from cnnjax.errors import BadArgument
from cnnjax.files import printable
from cnnjax.train.losses import SMOOTHED
from cnnjax.train.recipe import Hyper, NamedRecipe, Recipe
from cnnjax.train.state import TrainState, variables_of
from cnnjax.typing import Variables

__all__ = [
    "check",
    "check_keys",
    "check_module",
    "check_surroundings",
    "fitting_variables",
    "is_frozen",
    "normalisation_of",
]


def check(
    model: Any,
    recipe: Recipe,
    hypers: list[Hyper],
    train_set: Dataset,
    test_set: Dataset | None,
    validation: Dataset | None,
) -> None:
    """Raise `BadArgument` unless model, settings and datasets fit each other."""
    _check_types(recipe, hypers, train_set, test_set, validation)
    for name, other in (("test_set", test_set), ("validation", validation)):
        if other is None:
            continue
        if other.images.shape[1:] != train_set.images.shape[1:]:
            raise BadArgument(
                f"{name}: images are {list(other.images.shape[1:])}, "
                f"the training set's {list(train_set.images.shape[1:])}"
            )
        if other.class_names != train_set.class_names:
            raise BadArgument(f"{name}: its classes are not the training set's")
    check_module(model)
    _check_outline(type(model).__name__, *_outline(model, train_set.images.shape[1:]), train_set)
    least = min(train_set.images.shape[1:3])
    if recipe.crop_padding >= least:
        raise BadArgument(
            f"crop_padding: received {recipe.crop_padding}, allowed with images of {least} "
            f"pixels: 0..{least - 1}"
        )
    if not recipe.head and any(float(hyper.backbone_rate) != 1 for hyper in hypers):
        raise BadArgument("backbone_rate: must be 1 where the recipe's head names no submodules")
    if recipe.loss not in SMOOTHED and any(float(hyper.label_smoothing) for hyper in hypers):
        raise BadArgument(f"label_smoothing: must be 0 with loss={recipe.loss!r}")
    is_frozen(recipe, hypers)


def is_frozen(recipe: Recipe, hypers: Sequence[Hyper]) -> bool:
    """Return whether only the recipe's head learns: the rate of all else is 0.

    Raises:
        BadArgument: where that is so with some of the scalars only; it is another program.
    """
    rates = sorted({float(hyper.backbone_rate) for hyper in hypers})
    if recipe.head and 0.0 in rates and len(rates) > 1:
        raise BadArgument(
            f"backbone_rate: received {rates}, allowed: 0 in all runs of a sweep or in none"
        )
    return bool(recipe.head) and rates == [0.0]


def check_module(model: Any) -> None:
    """Raise `BadArgument` unless a model is a Linen module that takes `train`, and hashable."""
    name = type(model).__name__
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__}
    if isinstance(model, str):
        raise BadArgument(
            f"model: received {model!r}, a text; allowed: a Linen module, such as "
            f"cnnjax.build({model!r}, num_classes=10)"
        )
    if isinstance(model, type):
        raise BadArgument(f"model: received a class; allowed: a module, such as {model.__name__}()")
    if "flax.linen.module.Module" not in kinds:
        other = " of Flax NNX" if any(kind.startswith("flax.nnx.") for kind in kinds) else ""
        raise BadArgument(f"model: received a {name}{other}; allowed: modules of flax.linen")
    arguments = inspect.signature(type(model).__call__).parameters.values()
    if not any(each.name == "train" or each.kind == each.VAR_KEYWORD for each in arguments):
        raise BadArgument(
            f"model: {name}.__call__ takes no train; allowed: (images, *, train), which says "
            "whether norms and dropout work as in training"
        )
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if not _hashable(value):
            raise BadArgument(
                f"model: {name}.{field.name} is a {type(value).__name__}, which cannot be hashed; "
                "allowed: tuples in place of lists and arrays"
            )


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@functools.lru_cache(maxsize=64)
def _outline(model: Any, image_shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return shapes and dtypes of what a model computes of one image, and of its variables."""
    blank = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    try:
        return jax.eval_shape(functools.partial(model.init_with_output, train=False), key, blank)
    except BadArgument:
        raise
    except Exception as error:  # whatever a user's own code raises
        words = str(error).strip().split("\n")[0]
        raise BadArgument(
            f"model: {type(model).__name__} fails on images {[1, *image_shape]} with train=False: "
            f"{type(error).__name__}: {printable(words)}"
        ) from error


def _check_outline(name: str, logits: Any, variables: Any, dataset: Dataset) -> None:
    others = sorted(set(variables) - {"params", "batch_stats"})
    if others or "params" not in variables:
        found = f"has the collections {others}" if others else "has no parameters"
        raise BadArgument(f"model: {name} {found}; allowed: params and batch_stats")
    if not (hasattr(logits, "shape") and jnp.issubdtype(logits.dtype, jnp.floating)):
        raise BadArgument(f"model: {name} returns a {type(logits).__name__}; allowed: logits")
    classes = dataset.num_classes
    if logits.shape != (1, classes):
        raise BadArgument(
            f"model: {name} gives {list(logits.shape[1:])} logits of an image, "
            f"{dataset.name!r} has {classes} classes; allowed: [{classes}]"
        )


def _check_types(
    recipe: Any, hypers: list[Any], train_set: Any, test_set: Any, validation: Any
) -> None:
    sets = {"train_set": train_set, "test_set": test_set, "validation": validation}
    for name, value in sets.items():
        if not isinstance(value, Dataset) and (value is not None or name == "train_set"):
            raise BadArgument(
                f"{name}: received a {_kind(value)}; allowed: a Dataset, as cnnjax.data.load and "
                "cnnjax.data.Dataset make it"
            )
    if isinstance(recipe, NamedRecipe):
        raise BadArgument(
            "recipe: received a NamedRecipe, which is a Recipe and its Hyper; allowed: a Recipe "
            '(recipe, hyper = RECIPES["default"])'
        )
    if not isinstance(recipe, Recipe):
        raise BadArgument(
            f"recipe: received a {_kind(recipe)}; allowed: a Recipe, such as Recipe(epochs=10)"
        )
    for hyper in hypers:
        if not isinstance(hyper, Hyper):
            raise BadArgument(
                f"hyper: received a {_kind(hyper)}; allowed: a Hyper, such as "
                "Hyper(learning_rate=0.1)"
            )
        try:
            Hyper(**hyper.to_dict())  # arrays are in range as well
        except (TypeError, jax.errors.JAXTypeError) as error:
            raise BadArgument("hyper: allowed: scalars, and none that are traced") from error


def _kind(value: Any) -> str:
    """Return what a value is, in words."""
    return f"text ({value!r})" if isinstance(value, str) else type(value).__name__


def check_keys(keys: Sequence[Any] | Any, argument: str = "key") -> None:
    """Raise `BadArgument` unless all are typed keys, each of one run."""
    for key in keys:
        typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        if not typed or key.shape:
            shown = f"an array {key.dtype}{list(key.shape)}" if hasattr(key, "dtype") else repr(key)
            raise BadArgument(
                f"{argument}: received {shown}; allowed: a key, as jax.random.key(0) makes it"
            )
    kinds = sorted({str(key.dtype) for key in keys})
    if len(kinds) > 1:
        raise BadArgument(f"{argument}: received keys of {kinds}; allowed: of one generator")


def check_surroundings(progress: Any, checkpoint_dir: Any = None, mesh: Any = None) -> None:
    """Raise `BadArgument` unless these arguments of a run are of their types."""
    if hasattr(progress, "__enter__"):
        raise BadArgument(
            "progress: received a context manager; allowed: what it gives "
            "(with show_progress(name) as progress: ...)"
        )
    if progress is not None and not callable(progress):
        raise BadArgument(f"progress: received {progress!r}; allowed: a function of a Report")
    if checkpoint_dir is not None and not isinstance(checkpoint_dir, str | Path):
        raise BadArgument(f"checkpoint_dir: received {checkpoint_dir!r}; allowed: a path")
    if mesh is not None and not (isinstance(mesh, Mesh) and mesh.axis_names == ("batch",)):
        raise BadArgument(f"mesh: received {mesh!r}; allowed: what data_parallel_mesh makes")


def normalisation_of(
    train_set: Dataset, given: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation `[C]` float32: the given ones, or the training set's."""
    if given is None:
        return statistics(train_set)
    channels = train_set.images.shape[-1]
    try:
        mean, std = (np.array(values, np.float32) for values in given)
    except (TypeError, ValueError) as error:
        raise BadArgument(
            f"normalisation: received {given!r}, allowed: mean and deviation of {channels} channels"
        ) from error
    shaped = mean.shape == std.shape == (channels,)
    if not shaped or not np.isfinite(mean).all() or not ((std > 0) & np.isfinite(std)).all():
        raise BadArgument(
            f"normalisation: received {mean.tolist()} and {std.tolist()}, allowed: mean and "
            f"positive deviation of {channels} channels"
        )
    return mean, std


def fitting_variables(variables: Any, state: TrainState) -> Variables:
    """Return variables as those of a state: its dictionaries, and its dtypes.

    Args:
        variables: any tree of mappings with the state's names and shapes; floating-point numbers
            of any type, such as bfloat16.
        state: whose names, shapes and dtypes they get; its leaves may be shapes only.

    Raises:
        BadArgument: for other names, shapes or kinds of numbers, and for what is not finite.
    """
    expected = variables_of(state.params, state.batch_stats)
    if not isinstance(variables, Mapping) or "params" not in variables:
        found = sorted(map(str, variables)) if isinstance(variables, Mapping) else _kind(variables)
        raise BadArgument(f"variables: received {found}, allowed: a mapping with {list(expected)}")
    given, wanted = (
        {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (variables, expected)
    )
    shapes = [{name: np.shape(x) for name, x in leaves.items()} for leaves in (given, wanted)]
    if shapes[0] != shapes[1]:
        differing = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))[:2]
        raise BadArgument(f"variables: not those of the model; they differ in {differing}")
    leaves = [_as(name, given[name], leaf.dtype) for name, leaf in wanted.items()]
    return jax.tree.unflatten(jax.tree.structure(expected), leaves)


def _as(name: str, leaf: Any, dtype: Any) -> jax.Array:
    found = np.asarray(leaf).dtype
    floating = jnp.issubdtype(dtype, jnp.floating)
    if not (jnp.issubdtype(found, jnp.floating) if floating else found == dtype):
        raise BadArgument(f"variables: {name} is {found}, allowed: {dtype} or what becomes it")
    with np.errstate(over="ignore"):
        array = np.asarray(leaf).astype(dtype)
    if floating and not np.isfinite(array).all():
        raise BadArgument(f"variables: {name} has numbers that are not finite as {dtype}")
    return jnp.asarray(array)
