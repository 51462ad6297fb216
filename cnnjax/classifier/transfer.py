"""`transfer`: a network with weights, retrained to tell other classes apart."""

import contextlib
import dataclasses
import functools
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.analysis.evaluation import probabilities
from cnnjax.analysis.neighbors import nearest_neighbors
from cnnjax.classifier.classifier import Classifier
from cnnjax.classifier.features import features_of
from cnnjax.classifier.probe import PENALTIES, Probe, fit_probe, with_head
from cnnjax.classifier.saved import load
from cnnjax.data import Source, split_off
from cnnjax.data.augment import HorizontalFlip, RandomCrop
from cnnjax.errors import BadArgument, Failed, bounded, number
from cnnjax.records import Experiment, command_line
from cnnjax.train import (
    AdamW,
    Group,
    Hyper,
    NonFiniteLoss,
    Progress,
    Recipe,
    backbone_and,
    fit,
    key_of,
    norms_frozen,
    predict,
)
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

_NEIGHBORS = 5

# A training step is a forward pass and about twice as much backward, with something for the rest.
_STEP_IN_FORWARDS = 3.5

# Seconds that compiling a step of a mid-sized network takes; only to see whether it is worth it.
_COMPILING = 25.0

ShowRun = Callable[[str], AbstractContextManager[Progress]]


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
        work = _Work(begun, head, recipe, train_set, fit_set, held_out, test_set, Path(out))
        found = _all_parts(work, results, candidates, minutes, seeds, start, show_run)
        kept = load(out)
        logits = work.judged(kept, test_set)
        results.conclude(found)
        shutil.rmtree(Path(out) / "checkpoints", ignore_errors=True)
    return Transferred(kept, found, logits)


@dataclasses.dataclass(frozen=True)
class _Work:
    """The network before, and the images."""

    begun: Classifier
    head: tuple[str, ...]
    recipe: Recipe
    train_set: Source
    fit_set: Source
    held_out: Source
    test_set: Source
    out: Path

    def features(self, source: Source) -> np.ndarray:
        return features_of(self.begun, source, cache=self.out / "features")

    def probe(self, source: Source, penalty: float) -> Probe:
        classes = len(self.train_set.class_names)
        return fit_probe(self.features(source), np.asarray(source.labels), classes, penalty)

    @functools.cached_property
    def takes_probe(self) -> bool:
        """Whether a probe can be the network's head: some have two, or one of several layers."""
        width = self.features(self.held_out).shape[1]
        classes = len(self.train_set.class_names)
        blank = Probe(np.zeros((width, classes), np.float32), np.zeros(classes, np.float32), 0.0)
        try:
            with_head(self.begun.variables, self.head, blank)
        except BadArgument:
            return False
        return True

    def started(self, probe: Probe) -> Classifier:
        """Return the network with a probe as its head; with a head at 0 where none can be."""
        if not self.takes_probe:
            return self.begun
        variables = with_head(self.begun.variables, self.head, probe)
        return dataclasses.replace(self.begun, variables=variables)

    def tuned(
        self,
        source: Source,
        penalty: float,
        hyper: Hyper,
        epochs: int,
        seed: int,
        name: str,
        show_run: ShowRun | None,
    ) -> tuple[Classifier, dict[str, Any]]:
        """Return the network fine-tuned on a source from its probe, and how the run went."""
        start = self.started(self.probe(source, penalty))
        judged = self.held_out if source is self.fit_set else None
        with show_run(name) if show_run else contextlib.nullcontext() as progress:
            run = fit(
                start.model,
                source,
                None,
                dataclasses.replace(self.recipe, epochs=epochs),
                hyper,
                key_of(seed),
                validation=judged,
                variables=start.variables,
                normalization=start.normalization,
                progress=progress,
                checkpoint_dir=self.out / "checkpoints" / name.replace(" ", "_"),
            )
        about = {"history": run.history, "seconds": run.train_seconds + run.compile_seconds}
        return dataclasses.replace(start, variables=run.variables), about

    def judged(self, classifier: Classifier, source: Source) -> np.ndarray:
        """Return the logits `[N, K]` of a source."""
        mean, std = classifier.normalization
        return predict(classifier.model, classifier.variables, source, mean=mean, std=std)


def _all_parts(
    work: _Work,
    results: Experiment,
    candidates: Sequence[Hyper],
    minutes: float | None,
    seeds: int,
    start: float,
    show_run: ShowRun | None,
) -> dict[str, Any]:
    """Probe, fine-tune, choose, train on everything, and look at the test images."""
    probed = results.remembered("probe", functools.partial(_probe_part, work))
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
        part = functools.partial(
            _candidate, work, probed["penalty"], hyper, plan["epochs"], name, show_run
        )
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
        part = functools.partial(
            _chosen, work, probed["penalty"], chosen, plan["epochs"], seed, name, show_run
        )
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


def _chosen(
    work: _Work,
    penalty: float,
    hyper: Hyper | None,
    epochs: int,
    seed: int,
    name: str,
    show_run: ShowRun | None,
) -> dict[str, Any]:
    """Train what was chosen on all training images, and judge it; that of seed 0 is saved."""
    about: dict[str, Any] = {}
    if hyper is None:
        final = work.started(work.probe(work.train_set, penalty))
    else:
        final, about = work.tuned(work.train_set, penalty, hyper, epochs, seed, name, show_run)
    if seed == 0:
        final.save(work.out)
    scores = _judgement(work.judged(final, work.test_set), np.asarray(work.test_set.labels))
    return {**about, **scores}


def _probe_part(work: _Work) -> dict[str, Any]:
    """Choose the penalty of the probe on the held-out images."""
    begun = time.monotonic()
    known = work.features(work.fit_set)
    seconds = time.monotonic() - begun
    asked = work.features(work.held_out)
    labels, wanted = np.asarray(work.fit_set.labels), np.asarray(work.held_out.labels)
    classes = len(work.train_set.class_names)
    scores = []
    for penalty in PENALTIES:
        probe = fit_probe(known, labels, classes, penalty)
        scores.append({"penalty": penalty, **_judgement(probe.logits(asked), wanted)})
    best = min(scores, key=lambda each: (-each["accuracy"], each["loss"]))
    k = min(_NEIGHBORS, len(labels))
    near = nearest_neighbors(known, labels, asked, classes=classes, k=k)
    neighbors = {"k": k, "accuracy": float((near == wanted).mean())}
    return {**best, "penalties": scores, "neighbors": neighbors, "feature_seconds": seconds}


def _candidate(
    work: _Work,
    penalty: float,
    hyper: Hyper,
    epochs: int,
    name: str,
    show_run: ShowRun | None,
) -> dict[str, Any]:
    """Fine-tune with some scalars and judge that on the held-out images."""
    try:
        tuned, about = work.tuned(work.fit_set, penalty, hyper, epochs, 0, name, show_run)
    except NonFiniteLoss as error:
        return {"failure": str(error), "accuracy": 0.0, "loss": math.inf, "seconds": 0.0}
    scores = _judgement(work.judged(tuned, work.held_out), np.asarray(work.held_out.labels))
    return {"failure": None, **scores, **about}


def _plan(
    work: _Work, candidates: int, minutes: float, probed: Mapping[str, Any], start: float
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


def _judgement(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    likely = probabilities(np.asarray(logits, np.float64))
    right = likely[np.arange(len(labels)), labels]
    accuracy = float((likely.argmax(axis=1) == labels).mean())
    return {"accuracy": accuracy, "loss": float(-np.log(np.maximum(right, 1e-30)).mean())}


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
