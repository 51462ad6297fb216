"""The trials of a search, in a journal that several processes and machines may share.

The journal is Optuna's, one file that is only ever appended to, in a directory that all of them
see; no server. It is the truth: results.json is made of it. A process that searches is a worker,
with the least number that no other has; what a worker left under way when it died, the next that
has its number trains again.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.errors import BadArgument, Failed, missing_extra
from cnnjax.files import Held, locked, printable, writing
from cnnjax.records.store import as_json, difference
from cnnjax.tune.designs import Design, Planned
from cnnjax.tune.space import Space

__all__ = ["JOURNAL", "Study", "Trial", "opened"]

JOURNAL = "journal.log"

_MOST_WORKERS = 10_000


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: from 0.
        scalars: the values of what is searched, by name.
        score: of the last epoch; None where it did not end, or not well.
        about: what else its worker wrote when it ended; `{}` before.
    """

    number: int
    scalars: dict[str, float]
    score: float | None
    about: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether it was trained, well or not."""
        return bool(self.about)


class Study:
    """The journal of a search, as one worker sees it."""

    def __init__(self, study: Any, space: Space, worker: int) -> None:
        self._study, self._space, self._worker = study, space, worker

    def ask(self, count: int, limit: int) -> list[Trial]:
        """Return up to so many trials to be trained by this worker.

        Those first that an earlier process left under way. There are no more than `limit` in all.
        """
        taken = [
            _trial(each, self._space)
            for each in self._study.get_trials(deepcopy=False)
            if not each.state.is_finished() and each.user_attrs.get("worker") == self._worker
        ][:count]
        while len(taken) < count and len(self._study.get_trials(deepcopy=False)) < limit:
            asked = self._study.ask(_distributions(self._space))
            if asked.number >= limit:  # another worker had the last one at the same moment
                self._study.tell(asked, state=_states().PRUNED)
                break
            asked.set_user_attr("worker", self._worker)
            taken.append(_trial(self._study.get_trials(deepcopy=False)[asked.number], self._space))
        return taken

    def tell(self, trial: Trial, score: float | None, about: Mapping[str, Any]) -> None:
        """Enter a trial that ended; `score` None for one that came to nothing."""
        identifier = self._study.get_trials(deepcopy=False)[trial.number]._trial_id
        self._study._storage.set_trial_user_attr(identifier, "about", as_json(about))
        if score is None:
            self._study.tell(trial.number, state=_states().FAIL)
        else:
            self._study.tell(trial.number, score)

    def trials(self, limit: int) -> list[Trial]:
        """Return all trials by number."""
        every = self._study.get_trials(deepcopy=False)[:limit]
        return [_trial(each, self._space) for each in every]

    def remember(self, name: str, value: Any) -> None:
        """Enter something about the whole search."""
        self._study.set_user_attr(name, as_json(value))

    def remembered(self, name: str) -> Any:
        """Return what was entered under that name; None where nothing was."""
        return self._study.user_attrs.get(name)

    def importances(self) -> dict[str, float]:
        """Return how much of the score each scalar decides, in 0..1 and 1 together.

        By PED-ANOVA: how far the best tenth of the trials lies from all of them, scalar by scalar
        (Watanabe et al. 2023, arXiv:2304.10255). `{}` for fewer than ten trials that ended well.
        """
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        scores = [each.value for each in self._study.get_trials(states=[_states().COMPLETE])]
        if len(scores) < 10 or len(set(scores)) == 1:
            return {}
        found = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())
        return {name: float(found[name]) for name in self._space}


@contextlib.contextmanager
def opened(
    out: Path, space: Space, design: Design, seed: int, settings: Mapping[str, Any], maximize: bool
) -> Iterator[Study]:
    """Hold a worker's place in a search's directory, new or of the same settings.

    Raises:
        BadArgument: if it holds something else, or a search of other settings.
        Failed: if it cannot be written or read, or Optuna is missing.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise missing_extra("optuna", "sweep") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = out / JOURNAL
    if out.exists() and not path.exists() and any(out.iterdir()):
        raise BadArgument(f"out: {printable(str(out))} holds something else than a search")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        path.touch()
    with _worker(out) as worker:
        try:
            study = optuna.create_study(
                study_name="search",
                storage=JournalStorage(JournalFileBackend(str(path))),
                sampler=_sampler(space, design, seed),
                direction="maximize" if maximize else "minimize",
                load_if_exists=True,
            )
        except (ValueError, KeyError, json.JSONDecodeError) as error:
            raise Failed(f"out: {printable(str(path))} is damaged: {error}") from error
        found = study.user_attrs.get("settings")
        if found is None:
            study.set_user_attr("settings", as_json(settings))
        elif words := difference(found, as_json(settings), "its"):
            raise BadArgument(
                f"out: {printable(str(out))} holds a search of other settings: "
                f"{printable(words)}; choose another directory"
            )
        yield Study(study, space, worker)


@contextlib.contextmanager
def _worker(out: Path) -> Iterator[int]:
    """Hold the least number that no other process has."""
    for number in range(_MOST_WORKERS):
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(out / "workers" / str(number)))
            except Held:
                continue
            yield number
            return
    raise Failed(f"out: {_MOST_WORKERS} processes search in {printable(str(out))}")


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState


def _distributions(space: Space) -> dict[str, Any]:
    from optuna.distributions import FloatDistribution

    return {name: FloatDistribution(0.0, 1.0) for name in space}


def _trial(frozen: Any, space: Space) -> Trial:
    scalars = {name: float(space[name].at(share)) for name, share in frozen.params.items()}
    return Trial(frozen.number, scalars, frozen.value, frozen.user_attrs.get("about", {}))


def _sampler(space: Space, design: Design, seed: int) -> Any:
    """Return Optuna's sampler of a design: a trial's point depends on what ended before it alone.

    Samplers of Optuna go on drawing from one generator: a process that was started again would
    draw what it had drawn before.
    """
    from optuna.samplers import BaseSampler

    def of(number: int) -> Any:
        assert not isinstance(design, Planned)
        return design.sampler(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))

    class Sampler(BaseSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return _distributions(space)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            if isinstance(design, Planned):
                # One beyond the last is asked for where two workers race for it, and thrown away.
                number = min(trial.number, design.size(space) - 1)
                return dict(zip(space, design.point(space, seed, number), strict=True))
            sampler = of(trial.number)
            found = sampler.sample_relative(study, trial, search_space)
            return {
                name: found[name]
                if name in found
                else sampler.sample_independent(study, trial, name, distribution)
                for name, distribution in search_space.items()
            }

        def sample_independent(self, study: Any, trial: Any, name: str, kind: Any) -> Any:
            raise AssertionError(f"{name} is sampled with the others")

    return Sampler()
