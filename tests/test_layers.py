"""The house rules of DESIGN: imports point down the table only."""

import ast
from pathlib import Path

import pytest

import cnnjax

PACKAGE = Path(cnnjax.__file__).parent
EXPERIMENTS = Path(__file__).parents[1] / "experiments"

# What each part may import besides itself. What those may import is allowed as well.
MAY_IMPORT = {
    "errors": set(),
    "runtime": {"errors"},
    "files": {"errors"},
    "tensors": {"files"},
    "terminal": {"files"},
    "typing": {"errors"},
    "ops": {"typing", "runtime"},
    "nn": {"ops"},
    "data": {"typing", "files", "runtime"},
    "models": {"nn"},
    "weights": {"models", "data", "tensors"},
    "classifier": {"weights", "train", "analysis", "records"},
    "train": {"models", "data", "tensors", "records"},
    "analysis": {"models", "data"},
    "plot": {"typing", "files"},
    "records": {"files", "runtime"},
    "compare": {"train", "analysis", "records", "__init__"},
    "tune": {"train", "records"},
    "report": {"compare", "plot", "classifier"},
    "benchmark": {"train", "analysis", "records", "runtime", "plot", "terminal", "__init__"},
    "cli": {"report", "benchmark", "classifier", "terminal", "tune"},
    "__main__": {"cli"},
    "__init__": {"models", "classifier"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def allowed(part: str) -> set[str]:
    below = {part}
    while more := {each for known in below for each in MAY_IMPORT[known]} - below:
        below |= more
    return below


def part_of(module: str) -> str:
    """The part of a dotted name below `cnnjax`; the package itself is "__init__"."""
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


def imports(path: Path) -> list[tuple[int, str]]:
    """Line and dotted name of everything that a file imports, functions' insides included."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    package = parts[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join((*base, *filter(None, [node.module])))
            # `from cnnjax import ops` names a part; `from cnnjax.ops import x` already does.
            names = [f"{name}.{alias.name}" if name == "cnnjax" else name for alias in node.names]
            found += [(node.lineno, each) for each in names]
    return found


def identifier(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=identifier)
def test_imports_point_down(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert part in MAY_IMPORT, f"{part} is not in the table of layers"
    for line, name in imports(path):
        if name == "cnnjax.__version__":  # a string, not a layer
            continue
        if name.split(".")[0] == "cnnjax":
            imported = part_of(name)
            assert imported in allowed(part), f"{path}:{line}: {part} imports {imported}"
        if name.startswith(("flax.linen", "flax.nnx")) or name == "flax":
            assert part in ("nn", "models"), f"{path}:{line}: only nn and models import {name}"


def test_the_table_has_no_circle():
    for part, below in MAY_IMPORT.items():
        assert not any(part in allowed(each) for each in below)


@pytest.mark.parametrize("path", MODULES, ids=identifier)
def test_names_say_what_is_inside(path):
    vague = {"utils", "util", "helpers", "common", "base", "misc", "core"}
    assert not vague & {part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts}


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.rglob("*.py")), ids=lambda path: path.name)
def test_experiments_import_no_command(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    assert not [name for name in named if name.startswith("cnnjax.cli")]
