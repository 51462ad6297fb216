"""`compare`: the same training for every network, run by run, each entered as it ends."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.analysis.complexity import count
from cnnjax.analysis.evaluation import probabilities
from cnnjax.analysis.filters import first_filters
from cnnjax.compare.entry import Contestant, Contestants, contestants_of
from cnnjax.compare.results import ResultsDirectory, read_results
from cnnjax.compare.schema import SEEDS
from cnnjax.data import Source, split_off, statistics
from cnnjax.errors import BadArgument
from cnnjax.records import here, now
from cnnjax.train import Hyper, NonFiniteLoss, Progress, Recipe, Run, fit, key_of, predict
from cnnjax.train.arguments import check
from cnnjax.train.identity import describe
from cnnjax.train.programs import compiled, initial_program
from cnnjax.typing import Model

__all__ = ["MOST_SEEDS", "compare"]

MOST_SEEDS = 10_000
"""Of a comparison: more is a slip of the finger."""

ShowRun = Callable[[str], AbstractContextManager[Progress]]


def compare(
    contestants: Contestants,
    train_set: Source,
    test_set: Source,
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
    `key_of(seed)`. Called again after an interruption it goes on inside the run under way;
    a run that has ended, well or not, is never trained again. More networks or seeds extend the
    same experiment. The test set is evaluated once a run, after its last step.

    Args:
        contestants: a mapping from labels to Linen modules, whose classes must be as many as the
            data's, or to networks by name; or several of the latter, with different labels. Text
            is read by `parse_contestant`.
        train_set: to learn from.
        test_set: to be judged by.
        recipe: of every run.
        hyper: of every run.
        seeds: different integers in 0..4294967295, where keys begin to repeat; 1 to 10,000 of them.
        out: directory of the results; see `cnnjax.compare.results`.
        validation: share of the training set that is held out (with seed 0, whatever the run's)
            and evaluated after each epoch; 0 holds out none.
        source: the data set's name with its version, for the record.
        command: that makes the results again, for the record.
        show_run: gives a context manager with the progress callback of the run so called, such
            as `cnnjax.train.show_progress`.

    Raises:
        BadArgument: for arguments that do not fit, or a directory of another experiment.
        Failed: if the directory cannot be written, or what it holds is damaged. A loss that is not
            finite ends that run only, which is entered under `failures`.
    """
    entered, seeds = contestants_of(contestants), _checked_seeds(seeds)
    fit_set, held_out = split_off(train_set, validation, 0) if validation else (train_set, None)
    terms = _Terms(fit_set, held_out, test_set, recipe, hyper)
    models, definitions = {}, {}
    for each in entered:
        models[each.label] = model = each.build(len(train_set.class_names))
        check(model, recipe, [hyper], fit_set, test_set, held_out)
        definitions[each.label] = _define(each, model, tuple(train_set.image_shape))
    shared = {
        "data": _describe_data(terms, validation, source),
        "recipe": recipe.to_dict(),
        "hyper": hyper.to_dict(),
    }
    origin = here()
    with ResultsDirectory.opened(out, shared, definitions, command) as directory:
        jobs = [(label, seed) for label in models for seed in seeds]
        for number, (label, seed) in enumerate(jobs, start=1):
            if directory.ended(label, seed):
                continue
            name = f"[{number}/{len(jobs)}] {label} seed {seed}"
            with show_run(name) if show_run else contextlib.nullcontext() as progress:
                place = directory.checkpoint_dir(label, seed)
                run = _train(models[label], terms, seed, progress, place)
            about = {"network": label, "seed": seed, **origin}
            if isinstance(run, Run):
                costs = {k: definitions[label][k] for k in ("parameters", "multiply_adds")}
                arrays = _arrays(models[label], run, terms, seed)
                directory.add(about | _measured(run) | costs, arrays)
            else:
                directory.fail(about | run)
    return read_results(out)


@dataclasses.dataclass(frozen=True)
class _Terms:
    """What is the same for every run."""

    fit_set: Source
    held_out: Source | None
    test_set: Source
    recipe: Recipe
    hyper: Hyper


def _checked_seeds(seeds: Sequence[int]) -> list[int]:
    # Looked at before it is gone through: a range may be of any length.
    countable = isinstance(seeds, Sequence | np.ndarray) and not isinstance(seeds, str)
    given = list(seeds[: MOST_SEEDS + 1]) if countable else []
    whole = all(isinstance(seed, int | np.integer) and not isinstance(seed, bool) for seed in given)
    if (
        not (given and whole)
        or len(given) > MOST_SEEDS
        or len(set(given)) < len(given)
        or not 0 <= min(given) <= max(given) < SEEDS
    ):
        raise BadArgument(
            f"seeds: {repr(seeds)[:60]}; allowed: different integers in 0..{SEEDS - 1}, "
            f"1 to {MOST_SEEDS:,} of them"
        )
    return [int(seed) for seed in given]


def _train(
    model: Model, terms: _Terms, seed: int, progress: Progress | None, checkpoint_dir: Path
) -> Run | dict[str, Any]:
    """Return a run, or where and why it came to nothing."""
    try:
        run = fit(
            model,
            terms.fit_set,
            terms.test_set,
            terms.recipe,
            terms.hyper,
            key_of(seed),
            validation=terms.held_out,
            progress=progress,
            checkpoint_dir=checkpoint_dir,
        )
    except NonFiniteLoss as error:
        return {"step": error.step, "epoch": error.epoch, "error": str(error)}
    loss = run.test["loss"]
    if not math.isfinite(loss):  # the last step alone can do that
        words = f"the test loss is {loss} after the last step; try a smaller learning_rate"
        return {"step": int(run.state.step) - 1, "epoch": terms.recipe.epochs, "error": words}
    return run


def _define(contestant: Contestant, model: Model, image_shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what a network is, as JSON, and what it costs."""
    cost = count(model, image_shape)
    return {
        **contestant.described(),
        "definition": describe(model, "out"),
        "parameters": cost.parameters,
        "batch_statistics": cost.batch_statistics,
        "multiply_adds": cost.multiply_adds,
    }


def _describe_data(terms: _Terms, fraction: float, source: str) -> dict[str, Any]:
    fit_set = terms.fit_set
    mean, std = statistics(fit_set)
    every = {"train": fit_set, "validation": terms.held_out, "test": terms.test_set}
    parts = {name: part for name, part in every.items() if part is not None}
    return {
        "name": fit_set.name,
        "source": source,
        "image_shape": list(fit_set.image_shape),
        "class_names": list(fit_set.class_names),
        "validation_fraction": fraction,
        "sizes": {name: len(part) for name, part in parts.items()},
        "fingerprints": {name: part.fingerprint() for name, part in parts.items()},
        "mean": [round(float(value), 8) for value in mean],
        "std": [round(float(value), 8) for value in std],
    }


def _measured(run: Run) -> dict[str, Any]:
    return {
        "test_accuracy": run.test["accuracy"],
        "test_loss": run.test["loss"],
        "test_metrics": {k: v for k, v in run.test.items() if k not in ("loss", "accuracy")},
        "history": run.history,
        "train_seconds": run.train_seconds,
        "compile_seconds": run.compile_seconds,
        "finished": now(),
    }


def _arrays(model: Model, run: Run, terms: _Terms, seed: int) -> dict[str, np.ndarray]:
    """Return predictions on the test set, and the first filters before and after training."""
    logits = predict(model, run.variables, terms.test_set, mean=run.mean, std=run.std)
    arrays = {
        "predicted": logits.argmax(axis=1).astype(np.int32),
        "confidence": probabilities(logits).max(axis=1).astype(np.float32),
    }
    shape = tuple(terms.fit_set.image_shape)
    after = first_filters(model, shape, run.variables["params"])
    if after is not None:
        before = first_filters(model, shape, _initial(model, terms, seed))
        assert before is not None
        arrays |= {"filters_before": before, "filters_after": after}
    return arrays


def _initial(model: Model, terms: _Terms, seed: int) -> Mapping[str, Any]:
    """Return the parameters that a run began with: they are drawn again."""
    key = key_of(seed)
    draw, _ = compiled(initial_program(model, tuple(terms.fit_set.image_shape)), key, quick=True)
    return draw(key)["params"]
