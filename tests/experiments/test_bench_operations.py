"""The command that writes the table of forms runs from end to end, small."""

import csv
import json
import sys

import pytest

from cnnjax.ops.choose import COLUMNS, read_rules


@pytest.mark.slow  # a minute: some sixty programs are compiled
def test_a_small_table(experiment, tmp_path, monkeypatch, capsys):
    module = experiment("bench_operations")
    call = ["x", "--table", "--small", "--rounds", "1", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", call)
    module.main()
    assert "over_best" in capsys.readouterr().out
    rules = read_rules(tmp_path / "out" / "table.csv")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    table = results["found"]["table"]
    assert {(row["operation"], row["family"], row["dtype"]) for row in table} == set(rules)
    assert set(table[0]) == set(COLUMNS)
    with (tmp_path / "out" / "figures.csv").open(newline="") as stream:
        assert {row["n"] for row in csv.DictReader(stream)} == {"1"}
