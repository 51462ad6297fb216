"""`compare`: the same training for every network, run by run, each entered as it ends."""

import contextlib
import datetime
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.analysis.complexity import count
from cnnjax.analysis.evaluation import probabilities
from cnnjax.analysis.filters import first_filters
from cnnjax.analysis.provenance import commit, hardware, versions
from cnnjax.data import Dataset, split_off, statistics
from cnnjax.errors import BadArgument
from cnnjax.experiment.contestant import Contestant
from cnnjax.experiment.results import ResultsDirectory, read_results
from cnnjax.train import Hyper, NonFiniteLoss, Progress, Recipe, Run, fit, predict
from cnnjax.train.checkpoint import describe
from cnnjax.train.programs import compiled, create_program
from cnnjax.train.state import images_to_start_from

__all__ = ["compare"]

ShowRun = Callable[[str], AbstractContextManager[Progress]]


def compare(
    contestants: Sequence[Contestant],
    train_set: Dataset,
    test_set: Dataset,
    recipe: Recipe,
    hyper: Hyper,
    *,
    seeds: Sequence[int],
    out: str | Path,
    validation: float = 0.0,
    source: str = "",
    command: str = "",
    show_run: ShowRun | None = None,
) -> dict[str, Any]:
    """Train every network with every seed in the same way, and return the content of results.json.

    Recipe, scalars, epochs, images and their order are the same for all; a run's key is
    `jax.random.key(seed)`. Called again after an interruption it goes on inside the run under way;
    a run that has ended, well or not, is never trained again. More networks or seeds extend the
    same experiment. The test set is evaluated once a run, after its last step.

    Args:
        contestants: with different labels.
        train_set: to learn from.
        test_set: to be judged by.
        recipe: of every run.
        hyper: of every run.
        seeds: non-negative and different.
        out: directory of the results; see `cnnjax.experiment.results`.
        validation: share of the training set that is held out (with seed 0, whatever the run's)
            and evaluated after each epoch; 0 holds out none.
        source: the data set's name with its version, for the record.
        command: that makes the results again, for the record.
        show_run: gives a context manager with the progress callback of the run so called, such
            as `cnnjax.train.show_progress`.

    Raises:
        BadArgument: for arguments that do not fit, or a directory of another experiment.
        Failed: if the directory cannot be written. A loss that is not finite ends that run only,
            which is entered under `failures`.
    """
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise BadArgument(f"seeds: {list(seeds)}; allowed: different integers from 0, at least one")
    image_shape = tuple(train_set.images.shape[1:])
    models, definitions = {}, {}
    for contestant in contestants:
        models[contestant.label] = model = contestant.build(train_set.num_classes)
        definitions[contestant.label] = _define(contestant, model, image_shape)
    fit_set, held_out = split_off(train_set, validation, 0) if validation else (train_set, None)
    shared = {
        "data": _describe_data(fit_set, held_out, test_set, validation, source),
        "recipe": recipe.to_dict(),
        "hyper": hyper.to_dict(),
    }
    here = {"versions": versions(), "commit": commit(), "hardware": hardware()}
    with ResultsDirectory.opened(out, shared, definitions, command) as directory:
        jobs = [(label, seed) for label in models for seed in seeds]
        for number, (label, seed) in enumerate(jobs, start=1):
            if directory.ended(label, seed):
                continue
            name = f"[{number}/{len(jobs)}] {label} seed {seed}"
            with show_run(name) if show_run else contextlib.nullcontext() as progress:
                try:
                    run = fit(
                        models[label],
                        fit_set,
                        test_set,
                        recipe,
                        hyper,
                        jax.random.key(seed),
                        validation=held_out,
                        progress=progress,
                        checkpoint_dir=directory.checkpoint_dir(label, seed),
                    )
                except NonFiniteLoss as error:
                    failure = {"network": label, "seed": seed, "step": error.step}
                    failure |= {"epoch": error.epoch, "error": str(error)}
                    directory.fail(failure | here)
                    continue
            entry = {"network": label, "seed": seed, **_measured(run), **here}
            costs = {k: definitions[label][k] for k in ("parameters", "multiply_adds")}
            arrays = _arrays(models[label], run, fit_set, test_set, recipe, hyper, seed)
            directory.add(entry | costs, arrays)
    return read_results(out)


def _define(contestant: Contestant, model: Any, image_shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what a network is, as JSON, and what it costs; the check that it can run at all."""
    try:
        cost = count(model, image_shape)
    except BadArgument:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        if not contestant.fields:
            raise
        # An override of another type than the field's shows only when the network is traced.
        message = f"network: {contestant.argument!r} cannot be built: {error}"
        raise BadArgument(message) from error
    return {
        "argument": contestant.argument,
        "model": contestant.model,
        "fields": dict(contestant.fields),
        "definition": describe(model),
        "parameters": cost.parameters,
        "batch_statistics": cost.batch_statistics,
        "multiply_adds": cost.multiply_adds,
    }


def _describe_data(
    fit_set: Dataset, held_out: Dataset | None, test_set: Dataset, fraction: float, source: str
) -> dict[str, Any]:
    mean, std = statistics(fit_set)
    parts = {"train": fit_set, "validation": held_out, "test": test_set}
    return {
        "name": fit_set.name,
        "source": source,
        "image_shape": list(fit_set.images.shape[1:]),
        "class_names": list(fit_set.class_names),
        "validation_fraction": fraction,
        "sizes": {name: len(part) for name, part in parts.items() if part is not None},
        "fingerprints": {n: part.fingerprint() for n, part in parts.items() if part is not None},
        "mean": [round(float(value), 8) for value in mean],
        "std": [round(float(value), 8) for value in std],
    }


def _measured(run: Run) -> dict[str, Any]:
    return {
        "test_accuracy": run.test["accuracy"],
        "test_loss": run.test["loss"],
        "history": run.history,
        "train_seconds": run.train_seconds,
        "compile_seconds": run.compile_seconds,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _arrays(
    model: Any,
    run: Run,
    fit_set: Dataset,
    test_set: Dataset,
    recipe: Recipe,
    hyper: Hyper,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return predictions on the test set, and the first filters before and after training."""
    logits = predict(model, run.variables, test_set, mean=run.mean, std=run.std)
    arrays = {
        "predicted": logits.argmax(axis=1).astype(np.int32),
        "confidence": probabilities(logits).max(axis=1).astype(np.float32),
    }
    shape = tuple(fit_set.images.shape[1:])
    after = first_filters(model, shape, run.variables["params"])
    if after is not None:
        before = first_filters(model, shape, _initial(model, run, recipe, hyper, seed, fit_set))
        assert before is not None
        arrays |= {"filters_before": before, "filters_after": after}
    return arrays


def _initial(
    model: Any, run: Run, recipe: Recipe, hyper: Hyper, seed: int, fit_set: Dataset
) -> Mapping[str, Any]:
    """Return the parameters that a run began with, from the program that the run compiled."""
    key, scalars = jax.random.key(seed), jax.tree.map(jnp.float32, hyper)
    images = images_to_start_from(model, fit_set.images)
    arguments = (images, scalars, jnp.asarray(run.mean), jnp.asarray(run.std), key)
    create, _ = compiled(create_program(model, recipe, False), *arguments)
    return create(*arguments).params
