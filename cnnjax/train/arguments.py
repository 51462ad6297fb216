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

from cnnjax.data import Source, statistics
from cnnjax.errors import BadArgument
from cnnjax.files import printable
from cnnjax.train.groups import check_groups, resolved
from cnnjax.train.hyper import Hyper
from cnnjax.train.recipe import NamedRecipe, Recipe
from cnnjax.train.state import TrainState, variables_of
from cnnjax.train.traced import check_values
from cnnjax.typing import Variables

__all__ = [
    "check",
    "check_keys",
    "check_module",
    "check_surroundings",
    "fitting_variables",
    "normalization_of",
]


def check(
    model: Any,
    recipe: Recipe,
    hypers: list[Hyper],
    train_set: Source,
    test_set: Source | None,
    validation: Source | None,
) -> Recipe:
    """Return the recipe as these scalars make it, once model, settings and sources fit each other.

    Raises:
        BadArgument: unless they do.
    """
    _check_types(recipe, hypers, train_set, test_set, validation)
    for name, other in (("test_set", test_set), ("validation", validation)):
        if other is None:
            continue
        if tuple(other.image_shape) != tuple(train_set.image_shape):
            raise BadArgument(
                f"{name}: images are {list(other.image_shape)}, "
                f"the training set's {list(train_set.image_shape)}"
            )
        if tuple(other.class_names) != tuple(train_set.class_names):
            raise BadArgument(f"{name}: its classes are not the training set's")
    check_module(model)
    shape = tuple(train_set.image_shape)
    logits, variables = _outline(model, shape)
    _check_outline(type(model).__name__, logits, variables, train_set)
    check_groups(recipe.groups, variables["params"], hypers[0])
    if not recipe.groups and any(float(hyper.backbone_rate) != 1 for hyper in hypers):
        raise BadArgument("backbone_rate: must be 1 where no group of the recipe names it")
    recipe = dataclasses.replace(recipe, groups=resolved(recipe.groups, hypers))
    check_groups(recipe.groups, variables["params"], hypers[0])
    size = min(recipe.batch_size, len(train_set))
    check_values(recipe, hypers[0], shape, size, len(train_set.class_names), variables["params"])
    return recipe


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


def _check_outline(name: str, logits: Any, variables: Any, dataset: Source) -> None:
    others = sorted(set(variables) - {"params", "batch_stats"})
    if others or "params" not in variables:
        found = f"has the collections {others}" if others else "has no parameters"
        raise BadArgument(f"model: {name} {found}; allowed: params and batch_stats")
    if not (hasattr(logits, "shape") and jnp.issubdtype(logits.dtype, jnp.floating)):
        raise BadArgument(f"model: {name} returns a {type(logits).__name__}; allowed: logits")
    classes = len(dataset.class_names)
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
        if not isinstance(value, Source) and (value is not None or name == "train_set"):
            raise BadArgument(
                f"{name}: received a {_kind(value)}; allowed: a Dataset, as cnnjax.data.load and "
                "cnnjax.data.Dataset make it, or another cnnjax.data.Source"
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
            dataclasses.replace(hyper, **hyper.to_dict())  # arrays are in range as well
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


def normalization_of(
    train_set: Source, given: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation `[C]` float32: the given ones, or the training set's."""
    if given is None:
        return statistics(train_set)
    channels = train_set.image_shape[-1]
    try:
        mean, std = (np.array(values, np.float32) for values in given)
    except (TypeError, ValueError) as error:
        raise BadArgument(
            f"normalization: received {given!r}, allowed: mean and deviation of {channels} channels"
        ) from error
    shaped = mean.shape == std.shape == (channels,)
    if not shaped or not np.isfinite(mean).all() or not ((std > 0) & np.isfinite(std)).all():
        raise BadArgument(
            f"normalization: received {mean.tolist()} and {std.tolist()}, allowed: mean and "
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
