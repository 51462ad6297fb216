"""`cnnjax sweep`: search for the scalars of a recipe, several trials to a compiled program."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.images import SharedImages
from cnnjax.cli.settings import Settings, SharedSettings
from cnnjax.cli.values import VALUES, read_space, read_value
from cnnjax.errors import Failed
from cnnjax.files import replacing
from cnnjax.models import build
from cnnjax.plot import parallel_coordinates, shares_of_importance
from cnnjax.records import command_line
from cnnjax.terminal import print_json, print_table, tell
from cnnjax.train import show_progress
from cnnjax.tune import tune

__all__ = ["sweep"]

_SHOWN = 10


def sweep(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")],
    *,
    source: SharedImages,
    over: Annotated[str, metavar("SCALAR=DOMAIN,...")],
    out: Annotated[Path, metavar("DIR")],
    design: Annotated[str, metavar("VALUE")] = "tpe",
    trials: Annotated[int | None, option("N")] = None,
    at_once: Annotated[int, metavar("N")] = 4,
    metric: Annotated[str, metavar("NAME")] = "accuracy",
    fresh: Annotated[int, metavar("N")] = 3,
    seed: Annotated[int, metavar("N")] = 0,
    validation: Annotated[float, metavar("SHARE")] = 0.1,
    spec: Annotated[str | None, option("SPEC")] = None,
    json: bool = False,
    settings: SharedSettings = Settings(),  # noqa: B008 (frozen)
) -> None:
    """Search for the learning rate and other scalars of a network's training.

    Trials are judged on images held out of the training set. The winner is trained anew, on
    seeds that no trial had; the test set is seen then only, and that is the figure to quote. Leaves
    results.json, journal.log and plots in a directory.

    Called again after an interruption, it goes on; called by several processes or machines with
    one directory that they share, they share the search.

    Example: cnnjax sweep lenet5 --data mnist5k --over learning_rate=loguniform:low=0.01,high=0.5
    --trials 16 --epochs 3 --out runs/rates

    Args:
        network: a name from `cnnjax models`.
        source: of the images to learn from, and to be judged by.
        over: what is searched: a domain for each scalar, of uniform:low=0,high=1,
            loguniform:low=0.01,high=1 and choice:values=(0,0.1).
        out: the directory for the results: new, empty, or of this search.
        design: where to look: grid:points=3, random, sobol or tpe:startup=10.
        trials: how many; by default all of a grid, and 16 of the others.
        at_once: trials that are trained in one program.
        metric: what decides: accuracy, loss, or one of --metrics that is a single number.
        fresh: runs of the winner.
        seed: of the design and of the trials; those after it are the winner's.
        validation: share of the training set held out for the scores.
        spec: the layers of the network cnn, such as conv32-relu-pool-fc10.
        json: print results.json, and neither progress nor tables.
        settings: of each run; what is searched overrides them.
    """
    recipe, hyper = settings.chosen()
    space, chosen = read_space(over), read_value("design", design)
    if trials is None and not isinstance(chosen, VALUES["design"]["grid"]):  # type: ignore[arg-type]
        trials = 16
    parts = source.splits()
    fields: dict[str, Any] = {"num_classes": parts.train.num_classes}
    results = tune(
        build(network, **fields, **({} if spec is None else {"spec": spec})),
        parts.train,
        parts.test,
        recipe,
        hyper,
        space,
        out=out,
        design=chosen,
        trials=trials,
        at_once=at_once,
        validation=validation,
        metric=metric,
        seed=seed,
        fresh=fresh,
        command=command_line(),
        say=(lambda line: None) if json else print,
        show_run=None if json else show_progress,
    )
    _draw(results, out)
    if json:
        print_json(results)
    else:
        _print(results, out)


def _print(results: dict[str, Any], out: Path) -> None:
    sign = -1 if results["maximize"] else 1
    ended = [each for each in results["trials"] if each["score"] is not None]
    ended.sort(key=lambda each: (sign * each["score"], each["number"]))
    names = list(ended[0]["scalars"]) if ended else []
    print_table(
        [">trial", *(f">{name}" for name in names), f">validation {results['metric']}"],
        [
            [
                str(each["number"]),
                *(f"{each['scalars'][name]:.4g}" for name in names),
                f"{each['score']:.4f}",
            ]
            for each in ended[:_SHOWN]
        ],
    )
    failed = sum(bool(each["about"].get("failure")) for each in results["trials"])
    print(
        f"the best {min(_SHOWN, len(ended))} of {len(results['trials'])} trials"
        + (f"; {failed} diverged" if failed else "")
    )
    for name, share in sorted(results["importances"].items(), key=lambda item: -item[1]):
        print(f"{name} decides {share:.0%} of what sets good trials apart")
    winner = results["winner"]
    if winner is None:
        print("another process still trains; the last one to end trains the winner")
        return
    accuracy = 100 * np.array([run["test"]["accuracy"] for run in winner["fresh"]], float)
    deviation = f" ± {accuracy.std(ddof=1):.2f}" if len(accuracy) > 1 else ""
    scalars = ", ".join(f"{name} {value:.4g}" for name, value in winner["scalars"].items())
    print(
        f"trial {winner['number']} ({scalars}) on {len(accuracy)} fresh seeds: test accuracy "
        f"{accuracy.mean():.2f}{deviation} %; {out} has results.json and the plots"
    )


def _draw(results: dict[str, Any], out: Path) -> None:
    """Draw the trials, and what decides them, where matplotlib is there."""
    ended = [each for each in results["trials"] if each["score"] is not None]
    if not ended:
        return
    scalars = {name: [each["scalars"][name] for each in ended] for name in ended[0]["scalars"]}
    scores = [each["score"] for each in ended]
    try:
        figures = {
            "trials": parallel_coordinates(
                scalars,
                scores,
                score=f"validation {results['metric']}",
                maximize=results["maximize"],
            )
        }
        if results["importances"]:
            figures["importances"] = shares_of_importance(results["importances"])
    except Failed as error:
        tell(f"no plots: {error}")
        return
    for name, figure in figures.items():
        with replacing(out / f"{name}.svg") as stream:
            figure.savefig(stream, format="svg", facecolor="white", metadata={"Date": None})
