import csv
import json
import os

import pytest

from cnnjax.benchmark import results as module
from cnnjax.benchmark.results import (
    COMPILE_COLUMNS,
    STEP_COLUMNS,
    Results,
    compile_rows,
    geometric_means,
    step_rows,
)
from cnnjax.errors import BadArgument, Failed

ABOUT = {"network": "n", "batch": 8, "image_size": 32, "parameters": 7, "multiply_adds": 5}
MADE = {"date": "2026-01-02T03:04:05+00:00", "command": "it", "commit": None, "asked": ["ours"]}


def entry(**seconds):
    peers = {
        name: {"seconds": list(each), "n": len(each), "warm_up": [1.0]}
        for name, each in seconds.items()
    }
    steps = {"images": 16, "operations": 4_000_000_000, "matmul_flops": 1e10}
    return MADE | steps | {"peers": peers, "absent": {}}


def compiled(**more):
    times = lambda start: {
        "lower_seconds": start + 0.1,
        "compile_seconds": start + 0.2,
        "cpu_seconds": start + 0.3,
    }
    return MADE | {"peers": {"ours": {"cold": times(1), "warm": times(2), "peak_bytes": 5, **more}}}


def test_rows_of_steps_by_hand(tmp_path):
    results = Results(tmp_path / "new")
    steps = entry(ours=[1.0, 2.0, 1.5], torch=[3.0, 4.0, 6.0], stock=[10.0])
    steps["peers"]["ours"]["peak_bytes"] = 100
    steps["peers"]["torch"]["peak_rss_bytes"] = 200
    results.enter("n b8 32px", ABOUT, "train", steps)
    ours, torch, stock = step_rows(results.content)
    assert tuple(ours) == STEP_COLUMNS
    shared = {"network": "n", "batch": 8, "image_size": 32, "mode": "train"}
    assert ours == shared | {
        "peer": "ours",
        "n": 3,
        "median_seconds": 1.5,
        "min_seconds": 1.0,
        "max_seconds": 2.0,
        "images_per_second": 16 / 1.5,
        "ratio_to_first": 1.0,
        "ratio_min": 1.0,
        "ratio_max": 1.0,
        "share_of_matmul": pytest.approx(4e9 / 1.5 / 1e10),
        "peak_bytes": 100,
        "peak_rss_bytes": None,
    }
    assert torch == shared | {
        "peer": "torch",
        "n": 3,
        "median_seconds": 4.0,
        "min_seconds": 3.0,
        "max_seconds": 6.0,
        "images_per_second": 4.0,
        "ratio_to_first": 3.0,  # of 3, 2 and 4, round by round
        "ratio_min": 2.0,
        "ratio_max": 4.0,
        "share_of_matmul": pytest.approx(0.1),
        "peak_bytes": None,
        "peak_rss_bytes": 200,
    }
    assert (stock["n"], stock["ratio_to_first"]) == (1, 10 / 1.5)
    assert (stock["ratio_min"], stock["ratio_max"]) == (5.0, 10.0)
    with (tmp_path / "new" / "steps.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["peer"] for line in lines] == ["ours", "torch", "stock"]
    for line, row in zip(lines, (ours, torch, stock), strict=True):
        for name, value in row.items():
            if isinstance(value, float):
                assert float(line[name]) == pytest.approx(value, rel=1e-5)
            else:
                assert line[name] == ("" if value is None else str(value))


def test_means_are_geometric_and_over_the_cases_that_have_the_peer():
    results = Results(None)
    results.enter("a", ABOUT, "train", entry(ours=[1.0], torch=[4.0]))
    results.enter("b", ABOUT, "train", entry(ours=[1.0], torch=[1.0], stock=[5.0]))
    results.enter("b", ABOUT, "forward", entry(ours=[1.0], torch=[9.0]))
    means = geometric_means(results.content)
    assert means["train"]["torch"] == {"ratio": pytest.approx(2.0), "least": 1.0, "n": 2}
    assert means["train"]["stock"] == {"ratio": pytest.approx(5.0), "least": 5.0, "n": 1}
    assert means["forward"] == {"torch": {"ratio": pytest.approx(9.0), "least": 9.0, "n": 1}}
    assert "ours" not in means["train"]
    assert results.content["geometric_means"] == means


def test_rows_of_compiling_by_hand(tmp_path):
    results = Results(tmp_path)
    results.enter("a", ABOUT, "compile", compiled(peak_rss_bytes=6))
    (row,) = compile_rows(results.content)
    assert tuple(row) == COMPILE_COLUMNS
    assert row == {
        "network": "n",
        "batch": 8,
        "image_size": 32,
        "mode": "train",
        "peer": "ours",
        "cold_lower_seconds": 1.1,
        "cold_compile_seconds": 1.2,
        "cold_cpu_seconds": 1.3,
        "warm_lower_seconds": 2.1,
        "warm_compile_seconds": 2.2,
        "warm_cpu_seconds": 2.3,
        "peak_bytes": 5,
        "peak_rss_bytes": 6,
    }
    assert not list(step_rows(results.content))
    with (tmp_path / "compile.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert line == {name: str(value) for name, value in row.items()}
    results.enter("a", ABOUT, "compile", compiled())
    assert next(compile_rows(results.content))["peak_rss_bytes"] is None


def test_what_was_measured_before_is_kept(tmp_path):
    """With other peers a mode is measured anew; the earlier numbers stay in the file."""
    given = [entry(ours=[1.0], torch=[2.0]), entry(ours=[3.0]), entry(ours=[4.0], stock=[5.0])]
    for each in given:
        Results(tmp_path).enter("n b8 32px", ABOUT, "train", each)
    found = Results(tmp_path).entry("n b8 32px", "train")
    assert found["earlier"] == given[:2]
    assert {k: v for k, v in found.items() if k != "earlier"} == given[2]
    # The tables are of the last.
    assert [row["median_seconds"] for row in step_rows(Results(tmp_path).content)] == [4.0, 5.0]


def test_a_directory_is_of_one_machine_and_one_set_of_versions(tmp_path, monkeypatch):
    Results(tmp_path).enter("a", ABOUT, "train", entry(ours=[1.0]))
    assert Results(tmp_path).entry("a", "train")["peers"]["ours"]["n"] == 1
    assert Results(tmp_path).entry("a", "forward") is None
    assert Results(tmp_path).entry("b", "train") is None
    found = Results(tmp_path).content
    monkeypatch.setattr(module, "versions", lambda: {**found["versions"], "jax": "0.0"})
    with pytest.raises(
        BadArgument, match=r"results of other versions \(its jax is '.*', not '0\.0'"
    ):
        Results(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(module, "hardware", lambda: {**found["hardware"], "cores": 999})
    with pytest.raises(BadArgument, match=r"results of other hardware \(its cores is .*, not 999"):
        Results(tmp_path)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ('{"format": "another"}', BadArgument, "no benchmark"),
        ('{"format": 1, "runs": []}', BadArgument, "no benchmark"),  # a comparison's
        ('{"format": 1, "cases": {}}', Failed, "versions"),
        ("{", Failed, r"results\.json: damaged"),
        ("[]", Failed, r"results\.json: damaged"),
        ("", Failed, r"results\.json: damaged"),
    ],
)
def test_other_files_are_refused(tmp_path, content, error, words):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(error, match=words):
        Results(tmp_path)
    assert (tmp_path / "results.json").read_text() == content


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "results.json")
    with pytest.raises(BadArgument, match="a pipe"):
        Results(tmp_path)


@pytest.mark.parametrize("name", ["steps.csv", "compile.csv", "speed.svg"])
def test_tables_of_somebody_else_are_not_written_over(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(BadArgument, match=rf"holds no benchmark but {name};"):
        Results(tmp_path)


def test_a_reader_never_sees_half_a_file(tmp_path):
    results = Results(tmp_path)
    results.enter("a", ABOUT, "train", entry(ours=[1.0]))
    before = (tmp_path / "results.json").read_text()
    with (tmp_path / "results.json").open() as reader:
        start = reader.read(10)
        results.enter("b", ABOUT, "train", entry(ours=[2.0]))
        assert start + reader.read() == before
    assert set(json.loads((tmp_path / "results.json").read_text())["cases"]) == {"a", "b"}
