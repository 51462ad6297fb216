"""Every public name is listed, documented, and its examples are true."""

import ast
import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import cnnjax

PACKAGE = Path(cnnjax.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py")


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = [dotted(path) for path in FILES]


def defined(path: Path) -> set[str]:
    """Public functions and classes at the top of a file."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {each.name for each in body if isinstance(each, kinds) and each.name[0] != "_"}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_public_names_are_listed_and_documented(path):
    module = importlib.import_module(dotted(path))
    assert module.__doc__, "the module has no docstring"
    listed = getattr(module, "__all__", [])
    assert sorted(set(listed)) == sorted(listed), "a name is listed twice"
    assert defined(path) <= set(listed)
    for name in listed:
        value = getattr(module, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), f"{name} has no docstring"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_examples(path):
    if ">>>" not in path.read_text(encoding="utf-8"):
        return
    module = importlib.import_module(dotted(path))
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert not result.failed
