"""The parts of a retraining: features and probes of the fixed network, fine-tuning from them."""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.analysis.evaluation import probabilities
from cnnjax.analysis.neighbors import nearest_neighbors
from cnnjax.classifier.classifier import Classifier
from cnnjax.classifier.features import features_of
from cnnjax.classifier.probe import PENALTIES, Probe, fit_probe, with_head
from cnnjax.data import Source
from cnnjax.errors import BadArgument
from cnnjax.train import Hyper, NonFiniteLoss, Progress, Recipe, fit, key_of, predict

__all__ = ["Retraining", "ShowRun"]

_NEIGHBORS = 5

ShowRun = Callable[[str], AbstractContextManager[Progress]]
"""Gives a context manager with the progress callback of the run so called."""


@dataclasses.dataclass(frozen=True)
class Retraining:
    """A network to be retrained, and the images.

    Attributes:
        begun: the network with the weights that it comes with, and a new head at 0.
        head: the submodules that depend on the number of classes.
        recipe: of fine-tuning.
        train_set: all that may be learned from.
        fit_set: what the candidates learn from.
        held_out: the rest, which they are chosen by.
        test_set: to judge what was chosen by.
        out: directory of the features, the checkpoints and the weights.
        show_run: gives the progress callback of a run; None shows nothing.
    """

    begun: Classifier
    head: tuple[str, ...]
    recipe: Recipe
    train_set: Source
    fit_set: Source
    held_out: Source
    test_set: Source
    out: Path
    show_run: ShowRun | None

    def features(self, source: Source) -> np.ndarray:
        """Return what the fixed network's last layer is given, `[N, F]`, computed once."""
        return features_of(self.begun, source, cache=self.out / "features")

    def probe(self, source: Source, penalty: float) -> Probe:
        """Return the linear classifier on those features."""
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
    ) -> tuple[Classifier, dict[str, Any]]:
        """Return the network fine-tuned on a source from its probe, and how the run went."""
        start = self.started(self.probe(source, penalty))
        judged = self.held_out if source is self.fit_set else None
        with self.show_run(name) if self.show_run else contextlib.nullcontext() as progress:
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

    def probed(self) -> dict[str, Any]:
        """Choose the penalty of the probe on the held-out images."""
        begun = time.monotonic()
        known = self.features(self.fit_set)
        seconds = time.monotonic() - begun
        asked = self.features(self.held_out)
        labels, wanted = np.asarray(self.fit_set.labels), np.asarray(self.held_out.labels)
        classes = len(self.train_set.class_names)
        scores = []
        for penalty in PENALTIES:
            probe = fit_probe(known, labels, classes, penalty)
            scores.append({"penalty": penalty, **_judgement(probe.logits(asked), wanted)})
        best = min(scores, key=lambda each: (-each["accuracy"], each["loss"]))
        k = min(_NEIGHBORS, len(labels))
        near = nearest_neighbors(known, labels, asked, classes=classes, k=k)
        neighbors = {"k": k, "accuracy": float((near == wanted).mean())}
        return {**best, "penalties": scores, "neighbors": neighbors, "feature_seconds": seconds}

    def candidate(self, penalty: float, hyper: Hyper, epochs: int, name: str) -> dict[str, Any]:
        """Fine-tune with some scalars and judge that on the held-out images."""
        try:
            tuned, about = self.tuned(self.fit_set, penalty, hyper, epochs, 0, name)
        except NonFiniteLoss as error:
            return {"failure": str(error), "accuracy": 0.0, "loss": math.inf, "seconds": 0.0}
        scores = _judgement(self.judged(tuned, self.held_out), np.asarray(self.held_out.labels))
        return {"failure": None, **scores, **about}

    def chosen(
        self, penalty: float, hyper: Hyper | None, epochs: int, seed: int, name: str
    ) -> dict[str, Any]:
        """Train what was chosen on all training images, and judge it; that of seed 0 is saved."""
        about: dict[str, Any] = {}
        if hyper is None:
            final = self.started(self.probe(self.train_set, penalty))
        else:
            final, about = self.tuned(self.train_set, penalty, hyper, epochs, seed, name)
        if seed == 0:
            final.save(self.out)
        scores = _judgement(self.judged(final, self.test_set), np.asarray(self.test_set.labels))
        return {**about, **scores}


def _judgement(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    likely = probabilities(np.asarray(logits, np.float64))
    right = likely[np.arange(len(labels)), labels]
    accuracy = float((likely.argmax(axis=1) == labels).mean())
    return {"accuracy": accuracy, "loss": float(-np.log(np.maximum(right, 1e-30)).mean())}
