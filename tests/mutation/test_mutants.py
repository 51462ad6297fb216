from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.mutants import draw, mutants_of

SOURCE = '''
"""A docstring with 1 + 1."""

__all__ = ["f"]
LIMIT = 3


def f(x: int = 1, *, on: bool = True) -> "list[int]":
    """Another: 2."""
    if not on and x >= LIMIT:
        raise ValueError("never 4")
    total = min(x, 0.5)  # é, two bytes
    total -= abs(
        -x
    )
    return g(x, total, key="a")
'''


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "package" / "f.py"
    path.parent.mkdir()
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_every_mutant_is_one_edit_where_it_says(file, tmp_path):
    mutants = list(mutants_of(file, tmp_path))
    assert len(set(mutants)) == len(mutants)
    for mutant in mutants:
        changed = mutant.applied(SOURCE)
        assert changed != SOURCE
        assert SOURCE.count("\n", 0, mutant.start) + 1 == mutant.line
        compile(changed, "f", "exec")


def test_each_kind_is_made_and_words_are_left_alone(file, tmp_path):
    edits = Counter((m.kind, m.before, m.after) for m in mutants_of(file, tmp_path))
    expected = {
        ("number", "3", "4"), ("number", "3", "2"), ("number", "0.5", "1.0"),
        ("number", "1", "2"), ("number", "1", "0"), ("number", "0.5", "0.45"),
        ("bool", "True", "False"), ("operator", ">=", ">"), ("operator", "and", "or"),
        ("sign", "not on", "(on)"), ("sign", "-x", "(x)"), ("twin", "min", "max"),
        ("condition", "not on and x >= LIMIT", "(not (not on and x >= LIMIT))"),
        ("statement", "total -= abs(\n        -x\n    )", "pass"), ("text", '"a"', "'ax'"),
        ("keyword", ', key="a"', ""), ("order", "x, total", "total, x"),
    }  # fmt: skip
    assert set(edits) == expected


def test_a_draw_is_without_repetition_and_by_its_seed(file, tmp_path):
    first, again = (draw([file], tmp_path, 10, seed=3) for _ in range(2))
    assert first == again
    assert len(set(first)) == 10
    assert first != draw([file], tmp_path, 10, seed=4)
    assert len(draw([file], tmp_path, 1000, seed=0)) == len(list(mutants_of(file, tmp_path)))


def test_rows_of_networks_are_data(tmp_path):
    path = tmp_path / "models" / "net.py"
    path.parent.mkdir()
    path.write_text("ROWS = {'a': 1}\n\n\nclass Net:\n    depth: int = 2\n", encoding="utf-8")
    assert {mutant.before for mutant in mutants_of(path, tmp_path)} == {"2"}
