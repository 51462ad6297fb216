"""The README's examples work as they are written."""

import contextlib
import io
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_first_example_runs_as_written(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    example = re.search(r"```python\n(.*?)```", README.read_text(), re.S)[1]
    assert len([line for line in example.splitlines() if line.strip()]) <= 16
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {})
    accuracy = float(re.search(r"test accuracy (\d+\.\d)%", printed.getvalue())[1])
    assert accuracy > 90
    assert "'stage4': (1, 2, 2, 512)" in printed.getvalue()


def test_your_own_everything_runs_as_written(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    section = README.read_text().split("## Your own network, loss, augmentation, data")[1]
    example = re.search(r"```python\n(.*?)```", section, re.S)[1]
    names = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(example, "README.md", "exec"), names)
    test, run = names["run"].test, names["run"]
    assert len(run.history) == 3
    assert 0 <= test["accuracy"] <= test["top3"] <= 1
    assert test["top3"] > 0.8
