"""How many small faults the tests notice: `make mutate`, or `python -m tests.mutation --help`.

Each mutant is applied to a copy of the tree, and the tests that can see it run there until one
fails: those that ran its line in a run with coverage, the nearest first, then what else the file
of tests beside the mutated file has. A mutant that outlives SECONDS of tests counts as unnoticed.
"""

import argparse
import dataclasses
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from tests.mutation.mutants import Mutant, draw

ROOT = Path(__file__).parents[2]
COPIED = ("cnnjax", "experiments", "tests", "pyproject.toml", "README.md", "Makefile", "LICENSE")


def main() -> int:
    """Draw, try and count; the status is 1 if a mutant was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="*", default=["cnnjax"], help="files or folders to mutate")
    parser.add_argument("-n", type=int, default=200, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--seconds", type=float, default=120, help="of tests for one mutant")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "mutation")
    arguments = parser.parse_args()
    files = [ROOT / name for name in arguments.files]
    files = [f for path in files for f in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    arguments.out.mkdir(parents=True, exist_ok=True)
    mutants = draw(files, ROOT, arguments.n, arguments.seed)
    tests = Tests(arguments.out)
    print(f"{len(mutants)} mutants, seed {arguments.seed}", flush=True)
    with open(arguments.out / "mutants.jsonl", "w", encoding="utf-8") as record:
        results = []
        for mutant, result in tried(mutants, tests, arguments):
            results.append((mutant, result["noticed"]))
            record.write(json.dumps(dataclasses.asdict(mutant) | result) + "\n")
            record.flush()
            if not result["noticed"]:
                print(f"NOT NOTICED {described(mutant)}", flush=True)
    print(table(results))
    return int(not all(noticed for _, noticed in results))


class Tests:
    """Which tests run which lines, and how long they take: from one run with coverage."""

    def __init__(self, out: Path) -> None:
        from coverage import CoverageData

        data, times = out / "coverage", out / "times.xml"
        if not (data.exists() and times.exists()):
            print("running all tests once with coverage", flush=True)
            options = ["-n2", "--dist=worksteal", "--cov=cnnjax", "--cov-context=test"]
            options += ["--cov-report=", f"--junitxml={times}"]
            environment = os.environ | {"COVERAGE_FILE": str(data)}
            run = subprocess.run(pytest(*options), cwd=ROOT, env=environment)
            if run.returncode:
                raise SystemExit("the tests fail without any mutant")
        self.coverage = CoverageData(str(data))
        self.coverage.read()
        self.measured = {
            name.rpartition("cnnjax/")[2]: name for name in self.coverage.measured_files()
        }
        self.seconds = {
            f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}": float(
                case.get("time", 0)
            )
            for case in ElementTree.parse(times).iter("testcase")
        }

    def seeing(self, mutant: Mutant, most: float) -> list[str]:
        """Return the tests that can see a mutant, in the order to run them, of `most` seconds."""
        inside = mutant.file.removeprefix("cnnjax/")
        lines = self.coverage.contexts_by_lineno(self.measured.get(inside, ""))
        span = range(mutant.line, mutant.line + mutant.before.count("\n") + 1)
        running = {c.partition("|")[0] for line in span for c in lines.get(line, ()) if c}
        everything = {c.partition("|")[0] for found in lines.values() for c in found if c}
        parts = Path(inside).with_suffix("").parts
        near = tuple(f"tests/{'/'.join(parts[:-1])}/test_{part}" for part in parts)
        rank = lambda test: (
            test not in running, not test.startswith(near), self.seconds.get(test, 0.0)
        )  # fmt: skip
        beside = {test for test in self.seconds if test.startswith(near[-1:])}
        order, total = [], 0.0
        for test in sorted(running | everything & beside | beside, key=rank):
            total += self.seconds.get(test, 0.0)
            if order and total > most:
                break
            order.append(test)
        return order


def pytest(*options: str) -> list[str]:
    """Return the command of a run of tests that leaves nothing behind."""
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]


def tried(
    mutants: list[Mutant], tests: Tests, arguments: argparse.Namespace
) -> Iterator[tuple[Mutant, dict[str, object]]]:
    """Yield every mutant with what became of it, some at a time, each in a copy of the tree."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Mutant, dict[str, object]]] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)

    def work() -> None:
        with tempfile.TemporaryDirectory() as copy:
            for name in COPIED:
                source, target = ROOT / name, Path(copy) / name
                (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
            while True:
                try:
                    mutant = waiting.get_nowait()
                except queue.Empty:
                    return
                done.put((mutant, judged(mutant, tests, Path(copy), arguments)))

    for _ in range(arguments.jobs):
        threading.Thread(target=work, daemon=True).start()
    for _ in mutants:
        yield done.get()


def judged(
    mutant: Mutant, tests: Tests, copy: Path, arguments: argparse.Namespace
) -> dict[str, object]:
    """Return whether a mutant is noticed, by which test, of how many, after how many seconds."""
    chosen = tests.seeing(mutant, arguments.seconds)
    if not chosen:
        return {"noticed": False, "by": "no test runs it", "tests": 0, "seconds": 0.0}
    path = copy / mutant.file
    source = path.read_text(encoding="utf-8")
    (copy / "chosen").write_text("\n".join(chosen), encoding="utf-8")
    cache = {
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "JAX_COMPILATION_CACHE_DIR": str(arguments.out.resolve() / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }
    start = time.monotonic()
    try:
        path.write_text(mutant.applied(source), encoding="utf-8")
        run = subprocess.run(
            pytest("-x", "@chosen"), cwd=copy, env=os.environ | cache, capture_output=True,
            text=True, timeout=3 * arguments.seconds + 60,
        )  # fmt: skip
        failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        by = "" if run.returncode == 0 else " ".join(failed[:1]) or run.stdout[-300:]
        if run.returncode in (4, 5):
            raise SystemExit(f"pytest could not run the tests: {run.stdout}{run.stderr}")
    except subprocess.TimeoutExpired:
        by = "did not end"
    finally:
        path.write_text(source, encoding="utf-8")
    seconds = round(time.monotonic() - start, 1)
    return {"noticed": bool(by), "by": by, "tests": len(chosen), "seconds": seconds}


def described(mutant: Mutant) -> str:
    """Return a mutant on one line."""
    before, after = (" ".join(text.split())[:70] for text in (mutant.before, mutant.after))
    return f"{mutant.file}:{mutant.line} {mutant.kind}: {before!r} -> {after!r}"


def table(results: list[tuple[Mutant, bool]]) -> str:
    """Return the share noticed for each folder and in all."""
    folder = lambda mutant: mutant.file.split("/")[1].removesuffix(".py")
    drawn = Counter(folder(mutant) for mutant, _ in results)
    noticed = Counter(folder(mutant) for mutant, seen in results if seen)
    rows = [(name, noticed[name], drawn[name]) for name in sorted(drawn)]
    rows.append(("all", noticed.total(), drawn.total()))
    return "\n".join(
        ["folder        noticed  drawn  share"]
        + [f"{name:<12}  {seen:>7}  {of:>5}  {seen / of:>5.0%}" for name, seen, of in rows]
    )


if __name__ == "__main__":
    sys.exit(main())
