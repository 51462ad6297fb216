"""`tune`: a search over the scalars of a recipe, several trials to a compiled program."""

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cnnjax.data import Source, split_off
from cnnjax.errors import BadArgument, Failed, bounded, unknown
from cnnjax.files import Held, locked, printable
from cnnjax.records import command_line, here
from cnnjax.train import Hyper, Progress, Recipe, Run, key_of, sweep
from cnnjax.train.arguments import check
from cnnjax.train.identity import describe
from cnnjax.tune.designs import TPE, Design, check_design
from cnnjax.tune.results import write_search
from cnnjax.tune.space import Domain, Space, check_space
from cnnjax.tune.study import Study, Trial, opened
from cnnjax.typing import Model

__all__ = ["tune"]

_MOST_AT_ONCE = 1_000

ShowRun = Callable[[str], AbstractContextManager[Progress]]


def tune(
    model: Model,
    train_set: Source,
    test_set: Source,
    recipe: Recipe,
    hyper: Hyper,
    space: Space,
    *,
    out: str | Path,
    design: Design = TPE(),  # noqa: B008 (frozen)
    trials: int | None = 16,
    at_once: int = 4,
    validation: float = 0.1,
    metric: str = "accuracy",
    seed: int = 0,
    fresh: int = 3,
    command: str = "",
    say: Callable[[str], None] = print,
    show_run: ShowRun | None = None,
) -> dict[str, Any]:
    """Search for good scalars, then train the best anew on seeds that no trial had.

    Trials are trained several to a program (`cnnjax.train.sweep`), all with the key of `seed`, so
    that they differ in nothing but their scalars, and are judged on images held out of the
    training set after their last epoch. The best score of many is too good to be true: what may
    be claimed of the winner is its `fresh` runs, trained on the same images with other seeds; they
    alone see the test set.

    Called again after an interruption it goes on; several processes that are given one directory
    share the search, and the last to end trains the winner.

    Args:
        model: a Linen module.
        train_set: to learn from.
        test_set: to judge the winner by.
        recipe: of every run.
        hyper: what is not searched.
        space: what is: a domain for each name of a scalar.
        out: directory of the search: new, empty, or of this one.
        design: where to look: `Grid()`, `Random()`, `Sobol()`, `TPE()`, or what has their methods.
        trials: how many, in 1..100,000; None makes all of a `Grid`.
        at_once: trials to a program, in 1..1,000; `TPE` learns from those that ended before.
        validation: share of the training set that is held out, in (0, 1).
        metric: what is searched for: `accuracy`, `loss` (which is minimized), or one of the
            recipe's that is a single number (which is maximized).
        seed: of the design and of every trial, in 0..4294967295.
        fresh: runs of the winner, with seeds `seed + 1`, ..., in 1..1,000.
        command: that makes the results again, for the record.
        say: called with a line about each program of trials.
        show_run: gives a context manager with the progress callback of the runs so called, such
            as `cnnjax.train.show_progress`.

    Returns:
        The content of results.json: `trials`, `importances` and the `winner`, which is None while
        another process still trains.

    Raises:
        BadArgument: for arguments that do not fit, or a directory of another search.
        Failed: if no trial ended well, the directory cannot be written, or Optuna is missing.
    """
    ordered = check_space(space, hyper)
    limit = check_design(design, ordered, trials)
    bounded("at_once", at_once, 1, _MOST_AT_ONCE)
    bounded("fresh", fresh, 1, 1_000)
    key_of(seed + fresh)
    names = ["accuracy", "loss", *(name for name, _ in recipe.reported if name != "accuracy")]
    if metric not in names:
        raise unknown("metric", metric, names)
    fit_set, held_out = split_off(train_set, validation, 0)
    check(model, recipe, [hyper], fit_set, test_set, held_out)
    terms = _Terms(model, fit_set, held_out, test_set, recipe, hyper, metric, seed)
    settings = _settings(terms, ordered, design, fresh)
    directory, maximize = Path(out), metric != "loss"
    search = _Search(terms, directory, limit, fresh, command or command_line())
    with opened(directory, ordered, design, seed, settings, maximize) as study:
        while asked := study.ask(at_once, limit):
            for group in _compatible(asked):
                search.train(study, group, say, show_run)
            search.write(study)
        if all(each.ended for each in study.trials(limit)):
            with contextlib.suppress(Held), locked(directory / "winner"):
                search.conclude(study, at_once, say, show_run)
        return search.write(study)


@dataclasses.dataclass(frozen=True)
class _Terms:
    """What is the same for every run."""

    model: Model
    fit_set: Source
    held_out: Source
    test_set: Source
    recipe: Recipe
    hyper: Hyper
    metric: str
    seed: int

    def runs(
        self, hypers: Sequence[Hyper], seeds: Sequence[int], test: bool, progress: Progress | None
    ) -> list[Run]:
        """Train one program of runs."""
        return sweep(
            self.model,
            self.fit_set,
            self.test_set if test else None,
            self.recipe,
            hypers,
            [key_of(seed) for seed in seeds],
            validation=self.held_out,
            progress=progress,
        )

    def score(self, run: Run) -> float | None:
        """Return what a run is judged by; None where that is no number."""
        if run.failure is not None:
            return None
        value = run.history[-1][f"validation_{self.metric}"]
        if isinstance(value, list):
            raise BadArgument(
                f"metric: {self.metric!r} is {len(value)} numbers, allowed: one that is single"
            )
        return float(value) if math.isfinite(value) else None


def _settings(
    terms: _Terms, space: dict[str, Domain], design: Design, fresh: int
) -> dict[str, Any]:
    """Return all that decides the results; not how many trials, since more extend a search."""
    return {
        "model": describe(terms.model, "out"),
        "recipe": terms.recipe.to_dict(),
        "hyper": terms.hyper.to_dict(),
        "space": {name: describe(domain, "space", name) for name, domain in space.items()},
        "design": describe(design, "design"),
        "metric": terms.metric,
        "seed": terms.seed,
        "fresh": fresh,
        "train_set": terms.fit_set.fingerprint(),
        "validation": terms.held_out.fingerprint(),
        "test_set": terms.test_set.fingerprint(),
    }


def _compatible(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Return trials in groups that one program can hold: a rate of 0 freezes, in all or in none."""
    zeros = lambda trial: tuple(name for name, value in trial.scalars.items() if value == 0)
    return [list(group) for _, group in itertools.groupby(sorted(trials, key=zeros), key=zeros)]


@dataclasses.dataclass(frozen=True)
class _Search:
    """A search in a directory."""

    terms: _Terms
    directory: Path
    limit: int
    fresh: int
    command: str

    def train(
        self,
        study: Study,
        trials: Sequence[Trial],
        say: Callable[[str], None],
        show_run: ShowRun | None,
    ) -> None:
        """Train some trials in one program and enter each."""
        terms = self.terms
        hypers = [dataclasses.replace(terms.hyper, **trial.scalars) for trial in trials]
        name = f"trials {', '.join(str(trial.number) for trial in trials)} of {self.limit}"
        with show_run(name) if show_run else contextlib.nullcontext() as progress:
            runs = terms.runs(hypers, [terms.seed], False, progress)
        scores = [terms.score(run) for run in runs]
        for trial, run, score in zip(trials, runs, scores, strict=True):
            history = [epoch[f"validation_{terms.metric}"] for epoch in run.history]
            about = {
                "history": history,
                "failure": str(run.failure) if run.failure else None,
                "program": len(runs),
                "seconds": run.train_seconds + run.compile_seconds,
                **here(),
            }
            study.tell(trial, score, about)
        shown = ", ".join("none" if score is None else f"{score:.4g}" for score in scores)
        say(f"{name}: {terms.metric} {shown}; {runs[0].train_seconds:.1f} s")

    def best(self, study: Study) -> Trial:
        """Return the trial with the best score, of equal ones the first."""
        found = [each for each in study.trials(self.limit) if each.score is not None]
        if not found:
            raise Failed("no trial ended well; try a space with smaller learning rates")
        sign = 1 if self.terms.metric == "loss" else -1
        return min(found, key=lambda each: (sign * (each.score or 0.0), each.number))

    def conclude(
        self, study: Study, at_once: int, say: Callable[[str], None], show_run: ShowRun | None
    ) -> None:
        """Train the winner on fresh seeds, each entered as its program ends."""
        best, terms = self.best(study), self.terms
        entered = study.remembered("winner") or {"number": best.number, "fresh": []}
        if entered["number"] != best.number:  # more trials found a better one
            entered = {"number": best.number, "fresh": []}
        hyper = dataclasses.replace(terms.hyper, **best.scalars)
        done = [each["seed"] for each in entered["fresh"]]
        seeds = [terms.seed + 1 + n for n in range(self.fresh)]
        waiting = [seed for seed in seeds if seed not in done]
        for chosen in (waiting[n : n + at_once] for n in range(0, len(waiting), at_once)):
            name = f"the winner, trial {best.number}, on seeds {', '.join(map(str, chosen))}"
            with show_run(name) if show_run else contextlib.nullcontext() as progress:
                runs = terms.runs([hyper], chosen, True, progress)
            for seed, run in zip(chosen, runs, strict=True):
                about = {"seed": seed, "score": terms.score(run), "test": run.test}
                entered["fresh"].append({**about, "seconds": run.train_seconds, **here()})
            study.remember("winner", entered)
            accuracies = [run.test.get("accuracy", math.nan) for run in runs]
            say(f"{name}: test accuracy {', '.join(f'{each:.2%}' for each in accuracies)}")

    def write(self, study: Study) -> dict[str, Any]:
        """Write results.json of what the journal has by now, and return its content."""
        trials = study.trials(self.limit)
        entered = study.remembered("winner")
        winner = None
        if entered:
            won = trials[entered["number"]]
            winner = {"number": won.number, "scalars": won.scalars, "score": won.score}
            winner |= {"fresh": entered["fresh"]}
        return write_search(
            self.directory,
            {
                "command": printable(self.command),
                "settings": study.remembered("settings"),
                "metric": self.terms.metric,
                "maximize": self.terms.metric != "loss",
                "trials": [dataclasses.asdict(each) for each in trials],
                "importances": study.importances(),
                "winner": winner,
            },
        )
