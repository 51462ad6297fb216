import json

import pytest

from cnnjax.cli import main


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")


QUICK = ("--batch", "2", "--repeats", "1")


def test_table_files_and_json(tmp_path, capsys):
    out = str(tmp_path / "out")
    call = ["bench", "lenet5", *QUICK, "--mode", "train", "--out", out]
    assert main(call) == 0
    captured = capsys.readouterr()
    assert "lenet5 b2" in captured.out
    assert "torch-compile is absent" in captured.out
    assert "Geometric means" in captured.out
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [".lock", "compile.csv", "results.json", "speed.svg", "steps.csv"]
    assert main([*call, "--json"]) == 0
    captured = capsys.readouterr()
    assert "measured before" in captured.err
    results = json.loads(captured.out)
    assert results == json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["cases"]["lenet5 b2 28px"]["train"]["command"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("resnet81",),
        ("lenet5", "--peers", "ours,tensorflow"),
        ("lenet5", "--mode", "backward"),
        ("lenet5", "--batch", "0"),
        ("lenet5", "--batch", "10000000000"),
        ("lenet5", "--image-size", "10000000000"),
        ("lenet5", "--scan", "10000000000"),
        ("lenet5", "--repeats", "0"),
        ("lenet5", "--torch", "nowhere/python"),
    ],
)
def test_bad_arguments(wrong, capsys):
    assert main(["bench", *wrong]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.count("\n") == 1
