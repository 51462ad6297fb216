"""How many small faults the tests notice: `make mutate`, or `python -m tests.mutation --help`.

Each mutant is applied to a copy of the tree, and the tests that can see it run there until one
fails: those that ran its line in a run with coverage, the nearest first, then what else the file
of tests beside the mutated file has. A mutant that outlives SECONDS of tests counts as unnoticed.

What is never edited is in `LEFT_ALONE`, and is printed with the result.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from xml.etree import ElementTree

from tests.mutation.mutants import LEFT_ALONE, Mutant, draw, missing

ROOT = Path(__file__).parents[2]
COPIED = ("cnnjax", "experiments", "tests", "pyproject.toml", "README.md", "Makefile", "LICENSE")


def main() -> None:
    """Draw, try and count."""
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
    needing = {path: packages for path in files if (packages := missing(path))}
    files = [path for path in files if path not in needing]
    mutants = draw(files, ROOT, arguments.n, arguments.seed)
    tests = Tests(arguments.out)
    record = arguments.out / f"{digest()}.jsonl"
    results = judged_before(record)
    waiting = [mutant for mutant in mutants if mutant not in results]
    print(f"{len(mutants)} mutants, seed {arguments.seed}, {len(waiting)} to be tried", flush=True)
    for mutant, result in tried(waiting, tests, arguments):
        results[mutant] = bool(result["noticed"])
        with open(record, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"mutant": dataclasses.asdict(mutant), **result}) + "\n")
    for mutant in mutants:
        if not results[mutant]:
            print(f"not noticed: {described(mutant)}")
    print(table([(mutant, results[mutant]) for mutant in mutants]))
    print("never edited:\n  " + LEFT_ALONE.replace("\n", "\n  "))
    for path, packages in needing.items():
        print(f"  {path.relative_to(ROOT)}: needs {', '.join(packages)}")


def judged_before(record: Path) -> dict[Mutant, bool]:
    """Return what an earlier call found out about the same code."""
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    entries = map(json.loads, lines)
    return {Mutant(**entry["mutant"]): entry["noticed"] for entry in entries}


class Tests:
    """Which tests run which lines, and how long they take: from one run with coverage."""

    def __init__(self, out: Path) -> None:
        from coverage import CoverageData

        tree = digest()
        data, times = (out.resolve() / f"{tree}.{kind}" for kind in ("coverage", "xml"))
        if not (data.exists() and times.exists()):
            print("running all tests once with coverage", flush=True)
            options = ["-n2", "--dist=worksteal", "--cov=cnnjax", "--cov-context=test"]
            options += ["--cov-report=", f"--junitxml={times}"]
            with copied() as copy:  # as the mutants are run: what fails there would notice them all
                environment = settings(copy, out) | {"COVERAGE_FILE": str(data)}
                run = subprocess.run(pytest(*options), cwd=copy, env=environment)
            if run.returncode:
                data.unlink(missing_ok=True)
                raise SystemExit("the tests fail without any mutant")
        self.coverage = CoverageData(str(data))
        self.coverage.read()
        self.measured = {
            name.rpartition("cnnjax/")[2]: name for name in self.coverage.measured_files()
        }
        self.names = {each.partition("|")[0] for each in self.coverage.measured_contexts() if each}
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
        at_import = not running  # a default, a table: any test of the file may see it
        rank = lambda test: (
            not at_import and test not in running,
            not test.startswith(near),
            self.seconds.get(test, 0.0),
        )
        beside = {test for test in self.names if test.startswith(near[-1:])}
        if at_import:
            folder = f"tests/{'/'.join(parts[:-1])}/"  # of which one may be all that imports it
            running = everything or {test for test in self.names if test.startswith(folder)}
        order, total = [], 0.0
        for test in sorted(running | everything & beside | beside, key=rank):
            total += self.seconds.get(test, 0.0)
            if order and total > most:
                break
            order.append(test)
        return order


def digest() -> str:
    """Return a few letters that differ for other code: what ran which lines holds for one."""
    content = hashlib.sha256()
    for path in sorted(path for name in COPIED for path in (ROOT / name).rglob("*.py")):
        content.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return content.hexdigest()[:12]


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """Yield a copy of the tree that goes away afterwards."""
    with tempfile.TemporaryDirectory() as copy:
        for name in COPIED:
            source, target = ROOT / name, Path(copy) / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        yield Path(copy)


def settings(copy: Path, out: Path) -> dict[str, str]:
    """Return the environment of tests in a copy: its package, and programs compiled only once."""
    return os.environ | {
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "JAX_COMPILATION_CACHE_DIR": str(out.resolve() / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }


def pytest(*options: str) -> list[str]:
    """Return the command of a run of tests that leaves nothing behind."""
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]


def tried(
    mutants: list[Mutant], tests: Tests, arguments: argparse.Namespace
) -> Iterator[tuple[Mutant, dict[str, object]]]:
    """Yield every mutant with what became of it, some at a time, each in a copy of the tree."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(arguments.jobs) as pool:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for _ in range(arguments.jobs):
            copies.put(stack.enter_context(copied()))

        def judge(mutant: Mutant) -> tuple[Mutant, dict[str, object]]:
            copy = copies.get()
            try:
                return mutant, judged(mutant, tests, copy, arguments)
            finally:
                copies.put(copy)

        for done in as_completed([pool.submit(judge, mutant) for mutant in mutants]):
            yield done.result()


def judged(
    mutant: Mutant, tests: Tests, copy: Path, arguments: argparse.Namespace
) -> dict[str, object]:
    """Return whether a mutant is noticed, by which test, of how many, after how many seconds."""
    chosen = tests.seeing(mutant, arguments.seconds)
    if not chosen:
        return {"noticed": False, "by": "no test runs it", "tests": 0, "seconds": 0.0}
    path = copy / mutant.file
    source = path.read_text(encoding="utf-8")
    start = time.monotonic()
    try:
        path.write_text(mutant.applied(source), encoding="utf-8")
        by = first_failure(chosen, copy, arguments)
    finally:
        path.write_text(source, encoding="utf-8")
    seconds = round(time.monotonic() - start, 1)
    return {"noticed": bool(by), "by": by, "tests": len(chosen), "seconds": seconds}


def first_failure(chosen: list[str], copy: Path, arguments: argparse.Namespace) -> str:
    """Return the first of the chosen tests that fails, "" if none does."""
    (copy / "chosen").write_text("\n".join(chosen), encoding="utf-8")
    try:
        run = subprocess.run(
            pytest("-x", "@chosen"), cwd=copy, env=settings(copy, arguments.out),
            capture_output=True, text=True, timeout=3 * arguments.seconds + 60,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "did not end"
    failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "" if run.returncode == 0 else " ".join(failed[:1]) or run.stdout[-300:]


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
    main()
