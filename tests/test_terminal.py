"""Tables: nothing that is shown is cut while something else could be left out."""

import json

import pytest

from cnnjax.terminal import console, print_json, print_table, tell, whole

COLUMNS = ["name", "kind", ">count", "words", ">rest"]
ROWS = [
    ["a_rather_long_name_of_a_network", "conv", "1,234,567", "some words to wrap around", "9"],
    ["short", "linear", "12", "few", "10,000"],
]
FULL = 31 + 6 + 9 + 25 + 6 + 4 * 2 + 1
"""What the table takes: its columns, two blanks between them and one at the end."""


def shown(capsys, monkeypatch, width, **more):
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(COLUMNS, ROWS, **more)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    return lines


def test_all_of_it_where_it_fits(capsys, monkeypatch):
    lines = shown(capsys, monkeypatch, FULL)
    assert lines[0].split() == ["name", "kind", "count", "words", "rest"]
    assert set(lines[1]) == {"─"}
    assert lines[2].split() == [ROWS[0][0], "conv", "1,234,567", *ROWS[0][3].split(), "9"]
    assert lines[3].split() == ["short", "linear", "12", "few", "10,000"]
    assert len(lines) == 4
    # Numbers to the right, text to the left.
    assert lines[3].index("12") + 2 == lines[2].index("1,234,567") + 9
    assert lines[3].index("few") == lines[2].index("some")


def test_words_wrap_first(capsys, monkeypatch):
    lines = shown(capsys, monkeypatch, FULL - 1)
    assert len(lines) == 5
    assert "some words to wrap" in lines[2]
    assert lines[3].split() == ["around"]


def test_then_columns_go_in_their_order(capsys, monkeypatch):
    least = FULL - 25 + 6  # "around"
    spare = ("words", "kind", ">rest")
    assert "words" in shown(capsys, monkeypatch, least, spare=spare)[0]
    heads = [
        shown(capsys, monkeypatch, width, spare=spare)[0].split()
        for width in (least - 1, 31 + 6 + 9 + 6 + 7 - 1, 31 + 9 + 6 + 5 - 1, 31 + 9 + 3)
    ]
    assert heads == [
        ["name", "kind", "count", "rest"],
        ["name", "count", "rest"],
        ["name", "count"],
        ["name", "count"],
    ]
    lines = shown(capsys, monkeypatch, 43, spare=spare)
    assert lines[2].split() == ["a_rather_long_name_of_a_network", "1,234,567"]


def test_at_last_what_is_left_is_folded(capsys, monkeypatch):
    lines = shown(capsys, monkeypatch, 30, spare=("words", "kind", ">rest"))
    assert any("a_rather" in line for line in lines)


def test_no_limit_where_nobody_looks(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(["x", "y"], [["a" * 300, "b " * 100]])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_totals_title_and_escapes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    print_table(
        ["name[b]", ">n"],
        [["a\x1b[2J", "1"], ["[red]x", "22"]],
        title="about\x07 [i]",
        totals=["all", "23"],
        styles=["", "dim"],
    )
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == r"about\x07 [i]"
    assert lines[1].split() == ["name[b]", "n"]
    assert lines[3].split() == [r"a\x1b[2J", "1"]
    assert lines[4].split() == ["[red]x", "22"]
    assert lines[-1].split() == ["all", "23"]


@pytest.mark.parametrize(("value", "text"), [(0, ""), (None, ""), (7, "7"), (1234567, "1,234,567")])
def test_whole_numbers(value, text):
    assert whole(value) == text


def test_json_and_what_is_told(capsys):
    print_json({"a": [1, "é\x1b"]})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": [1, "é\x1b"]}
    assert out == '{\n  "a": [\n    1,\n    "\\u00e9\\u001b"\n  ]\n}\n'
    tell("")
    tell("a\x1b b")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "cnnjax: a\\x1b b\n")


def test_numbers_have_no_colors_of_their_own(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    console().print("12 True 'text'")
    assert capsys.readouterr().out == "12 True 'text'\n"
