"""`transfer`: a network with weights, retrained to tell other classes apart."""

import dataclasses
import functools
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.classifier.classifier import Classifier
from cnnjax.classifier.retraining import Retraining, ShowRun
from cnnjax.classifier.saved import load
from cnnjax.data import Source, split_off
from cnnjax.data.augment import HorizontalFlip, RandomCrop
from cnnjax.errors import BadArgument, Failed, bounded, number
from cnnjax.records import Experiment, command_line
from cnnjax.train import AdamW, Group, Hyper, Recipe, backbone_and, norms_frozen
from cnnjax.train.identity import describe, fingerprint
from cnnjax.weights import head_of

__all__ = ["CANDIDATES", "RECIPE", "Transferred", "transfer"]

RECIPE = Recipe(
    epochs=5, batch_size=32, optimizer=AdamW(), augment=(RandomCrop(8), HorizontalFlip())
)
"""How a network is fine-tuned where nothing else is said."""

CANDIDATES = tuple(
    Hyper(learning_rate=rate, weight_decay=0.05, label_smoothing=0.1, backbone_rate=0.3)
    for rate in (1e-3, 3e-3, 3e-4)
)
"""Scalars to choose from on held-out images, the most promising first."""

# A training step is a forward pass and about twice as much backward, with something for the rest.
_STEP_IN_FORWARDS = 3.5

# Seconds that compiling a step of a mid-sized network takes; only to see whether it is worth it.
_COMPILING = 25.0


@dataclasses.dataclass(frozen=True)
class Transferred:
    """What a retraining leaves.

    Attributes:
        classifier: the network retrained; `DIR/weights.safetensors` has it.
        results: what was tried, chosen and found: `found` in results.json.
        logits: `[N, K]` of the test images.
    """

    classifier: Classifier
    results: dict[str, Any]
    logits: np.ndarray


def transfer(
    network: str,
    train_set: Source,
    test_set: Source,
    *,
    out: str | Path,
    weights: Any = "package",
    recipe: Recipe = RECIPE,
    candidates: Sequence[Hyper] = CANDIDATES,
    minutes: float | None = None,
    validation: float = 0.2,
    seeds: int = 1,
    crop_mode: str = "center",
    say: Callable[[str], None] = print,
    show_run: ShowRun | None = None,
) -> Transferred:
    """Retrain a network for the classes of a source, and judge it on images it never saw.

    First a linear probe: the features of the fixed network are computed once, and a linear
    classifier is fitted to them, its penalty chosen on held-out images. Then the whole network is
    fine-tuned with the probe as its head (LP-FT), once for each of the `candidates`; those too are
    judged on the held-out images, and the best of all, which may be the probe, is trained anew on
    all training images. The test set is looked at once, after that.

    Called again after an interruption it goes on after the last part that ended.

    Args:
        network: a name from `cnnjax.list_models()`, or "" where `weights` say it.
        train_set: to learn from; its images have the size that the network is retrained at.
        test_set: to be judged by.
        out: directory for weights.safetensors, results.json and the features.
        weights: see `cnnjax.load`.
        recipe: of fine-tuning; without groups, `Hyper.backbone_rate` is that of all but the head.
        candidates: scalars to choose from; none leaves it at the probe.
        minutes: to be done in, about: fewer epochs, fewer candidates, or the probe alone where
            time is short, by what a forward pass took; None does all. What is done depends on the
            machine then: results.json says it.
        validation: share of the training images to choose by, in (0, 1).
        seeds: trainings of what was chosen, in 1..100; the first is kept.
        crop_mode: how photographs become images of that size, as the sets' images did; of
            `Preprocessing.crop_mode`.
        say: called with a line about each part.
        show_run: gives a context manager with the progress callback of the run so called.

    Raises:
        BadArgument: for arguments that do not fit, or a directory of something else.
        Failed: if a file is damaged, or cannot be read or written.

    Source: Kumar et al. 2022 (arXiv:2202.10054) for LP-FT.
    """
    start = time.monotonic()
    _check(train_set, test_set, candidates, minutes, seeds)
    height, width, channels = train_set.image_shape
    begun = load(
        network,
        weights,
        num_classes=len(train_set.class_names),
        channels=channels,
        pixels=(height, width),
    )
    how = dataclasses.replace(begun.preprocessing, crop=1.0, crop_mode=crop_mode)
    begun = dataclasses.replace(begun, preprocessing=how, class_names=train_set.class_names)
    head = head_of(begun.model, train_set.image_shape)
    if not recipe.groups:
        recipe = dataclasses.replace(recipe, groups=_groups(begun, head))
    fit_set, held_out = split_off(train_set, validation, 0)
    settings = {
        "network": describe(begun.model, "out"),
        "weights": fingerprint({"variables": begun.variables}),
        "recipe": recipe.to_dict(),
        "candidates": [each.to_dict() for each in candidates],
        "minutes": minutes,
        "seeds": seeds,
        "crop_mode": crop_mode,
        "sets": [each.fingerprint() for each in (fit_set, held_out, test_set)],
    }
    with Experiment.opened(out, settings, say) as results:
        sets = (train_set, fit_set, held_out, test_set)
        work = Retraining(begun, head, recipe, *sets, Path(out), show_run)
        found = _all_parts(work, results, candidates, minutes, seeds, start)
        kept = load(out)
        logits = work.judged(kept, test_set)
        results.conclude(found)
        shutil.rmtree(Path(out) / "checkpoints", ignore_errors=True)
    return Transferred(kept, found, logits)


def _all_parts(
    work: Retraining,
    results: Experiment,
    candidates: Sequence[Hyper],
    minutes: float | None,
    seeds: int,
    start: float,
) -> dict[str, Any]:
    """Probe, fine-tune, choose, train on everything, and look at the test images."""
    probed = results.remembered("probe", work.probed)
    plan = {"candidates": len(candidates), "epochs": work.recipe.epochs}
    if minutes is not None:
        part = functools.partial(_plan, work, len(candidates), minutes, probed, start)
        plan = results.remembered("plan", part)
    first = {name: probed[name] for name in ("accuracy", "loss", "seconds")}
    tried: list[dict[str, Any]] = [{"method": "probe", "failure": None, **first}]
    for index, hyper in enumerate(candidates[: plan["candidates"]]):
        name = f"candidate {index}"
        late = index and _late(minutes, start, tried[-1]["seconds"])
        if late and name not in results:
            break
        part = functools.partial(work.candidate, probed["penalty"], hyper, plan["epochs"], name)
        tried.append({"method": "fine-tuned", **hyper.to_dict(), **results.remembered(name, part)})
    can_be = [
        index
        for index, each in enumerate(tried)
        if each["failure"] is None and (index or work.takes_probe)
    ]
    if not can_be:
        raise Failed(
            f"{work.begun.network or 'the network'}: its head is not one linear layer, so a probe "
            "cannot be it, and no fine-tuning ended well; give it more minutes, or smaller rates"
        )
    best = min(can_be, key=lambda i: (-tried[i]["accuracy"], tried[i]["loss"], i))
    chosen = candidates[best - 1] if best else None
    runs = []
    for seed in range(seeds if chosen else 1):
        name = f"chosen, seed {seed}"
        part = functools.partial(work.chosen, probed["penalty"], chosen, plan["epochs"], seed, name)
        runs.append({"seed": seed, **results.remembered(name, part)})
    images = {"train": work.train_set, "held_out": work.held_out, "test": work.test_set}
    return {
        "tried": tried,
        "chosen": best,
        "penalty": probed["penalty"],
        "epochs": plan["epochs"],
        "neighbors": probed["neighbors"],
        "runs": runs,
        "class_names": list(work.train_set.class_names),
        "images": {name: len(source) for name, source in images.items()},
        "image_shape": list(work.train_set.image_shape),
        "network": work.begun.network,
        "command": command_line(),
    }


def _plan(
    work: Retraining, candidates: int, minutes: float, probed: Mapping[str, Any], start: float
) -> dict[str, Any]:
    """Return how many candidates there is time for, and how many epochs of each."""
    epochs = work.recipe.epochs
    left = 60 * minutes - (time.monotonic() - start) - 2 * _COMPILING
    an_image = _STEP_IN_FORWARDS * probed["feature_seconds"] / len(work.fit_set)
    of_fit, of_all = an_image * len(work.fit_set), an_image * len(work.train_set)
    for many in range(candidates, 0, -1):
        affordable = left / (many * of_fit + of_all)
        # More candidates are worth it only where each is trained to its end.
        if affordable >= (epochs if many > 1 else 1):
            return {"candidates": many, "epochs": min(epochs, int(affordable))}
    return {"candidates": 0, "epochs": 0}


def _late(minutes: float | None, start: float, one: float) -> bool:
    """Whether another candidate, and the last training after it, would end too late."""
    return minutes is not None and time.monotonic() - start + 2 * one > 60 * minutes


def _groups(begun: Classifier, head: Sequence[str]) -> tuple[Group, ...]:
    return (*norms_frozen(begun.variables), *backbone_and(head))


def _check(
    train_set: Source,
    test_set: Source,
    candidates: Sequence[Hyper],
    minutes: float | None,
    seeds: int,
) -> None:
    if train_set.class_names != test_set.class_names:
        raise BadArgument("test_set: it has other classes than train_set; allowed: the same")
    if tuple(train_set.image_shape) != tuple(test_set.image_shape):
        raise BadArgument(
            f"test_set: images {list(test_set.image_shape)}, allowed: those of train_set, "
            f"{list(train_set.image_shape)}"
        )
    if len(train_set.class_names) < 2:
        raise BadArgument("train_set: received one class, allowed: two or more")
    for index, each in enumerate(candidates):
        if not isinstance(each, Hyper):
            raise BadArgument(f"candidates[{index}]: received {each!r}, allowed: a Hyper")
    if minutes is not None:
        number("minutes", minutes, above_zero=True)
    bounded("seeds", seeds, 1, 100)
