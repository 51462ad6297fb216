"""`benchmark`: every mode of every case, each entered in the results as soon as it is measured."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cnnjax.benchmark.case import Case, Cost, cases_of, cost
from cnnjax.benchmark.fresh import check_named, measure_fresh
from cnnjax.benchmark.interleave import interleave, matmul_rate
from cnnjax.benchmark.loops import scan_and_steps, vmap_and_runs
from cnnjax.benchmark.peers import PEERS, JaxPeer, Peer
from cnnjax.benchmark.results import Results
from cnnjax.benchmark.torch_client import Torch, TorchPeer
from cnnjax.errors import BadArgument, Failed, unknown
from cnnjax.files import printable
from cnnjax.records import commit, hardware, now
from cnnjax.records.store import as_json
from cnnjax.runtime import cores
from cnnjax.typing import Model

__all__ = ["ALL_MODES", "MOST", "Settings", "benchmark"]

ALL_MODES = {
    "train": "a training step",
    "forward": "a forward pass in evaluation mode",
    "compile": "compile time of the training step, with an empty and a filled cache",
}

MOST = 1_000_000
"""Rounds, seconds, steps and seeds."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        modes: keys of `ALL_MODES`.
        peers: keys of `PEERS`; "ours" is always measured and comes first.
        repeats: rounds, 1..1000000; one step of every peer each.
        patience: seconds, 0..1000000; a peer whose first step takes longer takes no other.
        scan: steps in one `lax.scan` against the same one by one, to 1000000; 0 for neither.
        seeds: runs under `vmap` against the same one by one, to 1000000; 0 for neither.
        torch: the interpreter that has PyTorch; None leaves its columns out.

    Raises:
        BadArgument: for unknown names or numbers out of range.
    """

    modes: Sequence[str] = ("train", "forward")
    peers: Sequence[str] = ("ours", "stock")
    repeats: int = 5
    patience: float = 30.0
    scan: int = 0
    seeds: int = 0
    torch: Torch | None = None

    def __post_init__(self) -> None:
        """Check names and numbers."""
        names: tuple[tuple[str, Sequence[str], Mapping[str, str]], ...] = (
            ("mode", self.modes, ALL_MODES),
            ("peers", self.peers, PEERS),
        )
        for argument, given, allowed in names:
            for name in given:
                if name not in allowed:
                    raise unknown(argument, name, allowed)
        numbers = {"repeats": 1, "patience": 0, "scan": 0, "seeds": 0}
        for argument, least in numbers.items():
            value = getattr(self, argument)
            if not least <= value <= MOST:
                raise BadArgument(f"{argument}: got {value}; it must be in {least}..{MOST}")


def benchmark(
    cases: Sequence[Case] | Mapping[str, Case | Model],
    settings: Settings,
    *,
    batch: int = 32,
    image_size: int = 32,
    out: Path | None = None,
    command: str = "",
    say: Say = print,
) -> dict[str, Any]:
    """Measure every case and return the results.

    What the directory has already, with the same peers, is not measured again, and what it has
    with others is kept; a peer that fails is named with its reason and the others go on.

    Args:
        cases: networks and batches, or a mapping from names to these or to Linen modules.
        settings: how.
        batch: images a step, of the modules in a mapping.
        image_size: pixels, of these; they have three channels. A `Case` says otherwise.
        out: the directory of the results, written after every mode of a case; None for nowhere.
        command: that led here, for the record.
        say: called with a line about each thing that is done.

    Returns:
        What `results.json` holds; see `cnnjax.benchmark.results`.

    Raises:
        BadArgument: for a directory with results of another machine, other versions or another
            module of that name; for a module that nothing identifies, where there is a directory.
        Failed: if `ours` cannot be measured, or nothing written, or what was written is damaged.
    """
    if settings.torch is not None:  # where it lies says nothing and belongs to one machine
        command = command.replace(settings.torch.python, "PYTHON")
    command = printable(command)
    listed = cases_of(cases, batch, image_size)
    if "compile" in settings.modes:
        for case in listed:
            check_named(case)
    # In memory a module may be anything; in a directory it must be known again.
    about = {case.label: _about(case, identified=out is not None) for case in listed}
    with Results.opened(out) as results:
        for case in listed:
            results.check_same(case.label, about[case.label])
        for case in listed:
            _measure_case(case, about[case.label], settings, results, command, say)
    return results.content


def _about(case: Case, *, identified: bool) -> dict[str, Any]:
    costs = cost(case)
    definition = case.definition() if identified else None
    return {
        "network": case.name,
        "batch": case.batch,
        "image_size": case.image_size,
        "parameters": costs.parameters,
        "multiply_adds": costs.multiply_adds,
        **({} if definition is None else {"definition": as_json(definition)}),
    }


def _measure_case(
    case: Case,
    about: Mapping[str, Any],
    settings: Settings,
    results: Results,
    command: str,
    say: Say,
) -> None:
    """Measure what is missing of a case, and enter each mode as soon as it is there."""
    costs = Cost(about["parameters"], about["multiply_adds"])
    _check_memory(case, settings)
    for mode, measure in _plan(case, costs, settings):
        before = results.entry(case.label, mode)
        if before is not None and before["asked"] == _asked(mode, settings):
            say(f"{case.label} {mode}: measured before")
            continue
        entry = {
            "date": now(),
            "command": command,
            "commit": commit(),
            "asked": _asked(mode, settings),
            **measure(),
        }
        results.enter(case.label, about, mode, entry)
        say(f"{case.label} {mode}: {_in_short(entry)}")
        for peer, reason in entry.get("absent", {}).items():
            say(f"  {peer} is absent: {printable(reason)}")


def _check_memory(case: Case, settings: Settings) -> None:
    """Raise `Failed` where the images alone would not fit into this machine."""
    there = hardware()["memory_bytes"]
    batches = max(1, settings.scan, settings.seeds)
    # Bytes, and the numbers that a step makes of one batch of them.
    needed = math.prod(case.image_shape) * case.batch * (batches + 4)
    if there is not None and needed > there:
        raise Failed(
            f"{case.label}: {batches:,} batches of images are {needed / 2**30:,.1f} GiB, and this "
            f"machine has {there / 2**30:,.1f}"
        )


def _plan(
    case: Case, costs: Cost, settings: Settings
) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """Return the modes of a case with what measures each."""
    plan: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    for mode in settings.modes:
        if mode == "compile":
            plan.append((mode, partial(_compile_times, case, settings)))
        else:
            plan.append((mode, partial(_steps, case, costs, mode, settings)))
    training = costs.operations(case, "train")
    for word, number, ways in (
        ("scan", settings.scan, scan_and_steps),
        ("seeds", settings.seeds, vmap_and_runs),
    ):
        if number:
            measure = partial(_loop, case, ways, settings, number, training)
            plan.append((f"{word} {number}", measure))
    return plan


def _asked(mode: str, settings: Settings) -> list[str]:
    """Return what a measurement must have tried to be the one asked for."""
    # Version 0.1.0 timed a step of its own, and its entries say nothing of it.
    step = [] if mode == "forward" else ["train.step"]
    if mode in ("train", "forward"):
        with_torch = "with torch" if settings.torch else "without torch"
        return [*(name for name in PEERS if name in settings.peers), with_torch, *step]
    return [*(name for name in ("ours", "stock") if name in settings.peers), *step]


def _steps(case: Case, costs: Cost, mode: str, settings: Settings) -> dict[str, Any]:
    absent: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        peers: dict[str, Peer] = {}
        for name in PEERS:
            if name not in settings.peers and name != "ours":
                continue
            peer = _peer(name, case, costs, mode, settings)
            if isinstance(peer, str):
                absent[name] = peer
                continue
            try:
                peers[name] = stack.enter_context(peer)
            except Failed as error:
                if name == "ours":
                    raise
                absent[name] = str(error)
        rate = matmul_rate()
        taken = interleave(peers, settings.repeats, settings.patience)
        for name, peer in peers.items():
            taken[name].update(peer.facts())
    return {
        "images": case.batch,
        "operations": costs.operations(case, mode),
        "matmul_flops": rate,
        "peers": taken,
        "absent": absent,
    }


def _peer(name: str, case: Case, costs: Cost, mode: str, settings: Settings) -> Peer | str:
    """Return a peer that is ready to be entered, or why there is none."""
    if name in ("ours", "stock"):
        return JaxPeer(case, mode, stock=name == "stock")
    if settings.torch is None:
        return "no interpreter with PyTorch was given (--torch PYTHON)"
    if not isinstance(case.network, str):
        return "PyTorch has networks by name only, and this one is a module"
    if not case.has_usual_step:
        return "PyTorch has the usual training step only, and this one has a recipe of its own"
    return TorchPeer(
        settings.torch,
        case,
        mode,
        compiled=name == "torch-compile",
        parameters=costs.parameters,
        threads=cores() or 1,
    )


def _compile_times(case: Case, settings: Settings) -> dict[str, Any]:
    peers = {}
    for name in ("ours", "stock"):
        if name in settings.peers or name == "ours":
            # A stock step can take minutes, and XLA's account of its memory is exact enough.
            peers[name] = measure_fresh(case, "train", stock=name == "stock", run=name == "ours")
    return {"peers": peers}


def _loop(
    case: Case, make: Callable[..., Any], settings: Settings, count: int, training: int
) -> dict[str, Any]:
    ways = make(case, count)
    rate = matmul_rate()
    taken = interleave(ways, settings.repeats, settings.patience)
    for name, way in ways.items():
        taken[name].update(way.known)
    return {
        "images": case.batch * count,
        "operations": training * count,
        "matmul_flops": rate,
        "peers": taken,
    }


def _in_short(entry: Mapping[str, Any]) -> str:
    if "images" not in entry:
        return ", ".join(
            f"{name} {found['cold']['compile_seconds']:.1f} s cold, "
            f"{found['warm']['compile_seconds']:.1f} s warm"
            for name, found in entry["peers"].items()
        )
    return ", ".join(
        f"{name} {sorted(found['seconds'])[found['n'] // 2]:.3f} s (n={found['n']})"
        for name, found in entry["peers"].items()
    )
