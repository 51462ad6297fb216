"""The README's first example works as it is written."""

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
