from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.mutants import draw, missing, mutants_of

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


def test_what_changes_nothing_is_left_alone(tmp_path):
    path = tmp_path / "f.py"
    path.write_text(
        "def f(x):\n"
        "    y = jit(x.shape[-1], donate=True, maxsize=3) * x.mean(-1)\n"
        "    y = y.at(0, axis=-1)[..., -1]\n"
        "    return y.reshape(-1), 'one two', 'these are four words'\n"
    )
    found = {(m.kind, m.before, m.after) for m in mutants_of(path, tmp_path)}
    assert [pair for pair in found if pair[0] == "sign"] == [("sign", "-1", "(1)")]
    assert ("number", "1", "2") in found
    assert ("text", "'one two'", "'one twox'") in found
    assert not [m for m in found if "donate" in m[1] or "3" in m[1] or "four" in m[1]]


def test_files_that_need_what_is_not_here_are_named(tmp_path):
    path = tmp_path / "f.py"
    path.write_text(
        "import json\nfrom nowhere_at_all.x import y\ntry:\n    import nor_this\n"
        "except ImportError:\n    pass\n\n\ndef f():\n    import nor_that.part\n"
    )
    assert missing(path) == ["nor_that", "nowhere_at_all"]
