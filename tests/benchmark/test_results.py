import csv
import json

import pytest

from cnnjax.benchmark import results as module
from cnnjax.benchmark.results import Results, compile_rows, geometric_means, step_rows
from cnnjax.errors import BadArgument, Failed

ABOUT = {"network": "n", "batch": 8, "image_size": 32}


def entry(**seconds):
    peers = {name: {"seconds": list(each), "n": len(each)} for name, each in seconds.items()}
    return {"images": 8, "operations": 4e9, "matmul_flops": 1e10, "peers": peers, "absent": {}}


def test_rows_of_steps(tmp_path):
    results = Results(tmp_path / "new")
    peers = {"ours": [1.0, 2.0, 1.0], "torch": [3.0, 4.0, 3.0], "stock": [10.0]}
    results.enter("n b8", ABOUT, "train", entry(**peers))
    ours, torch, stock = step_rows(results.content)
    assert (ours["n"], ours["median_seconds"], ours["images_per_second"]) == (3, 1.0, 8.0)
    assert ours["share_of_matmul"] == pytest.approx(0.4)
    assert (ours["ratio_to_first"], torch["ratio_to_first"]) == (1.0, 3.0)
    assert (torch["ratio_min"], torch["ratio_max"]) == (2.0, 3.0)
    assert (stock["n"], stock["ratio_to_first"]) == (1, 10.0)
    with (tmp_path / "new" / "steps.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["peer"] for line in lines] == ["ours", "torch", "stock"]
    assert all(int(line["n"]) for line in lines)


def test_means_are_geometric_and_over_the_cases_that_have_the_peer():
    results = Results(None)
    results.enter("a", ABOUT, "train", entry(ours=[1.0], torch=[4.0]))
    results.enter("b", ABOUT, "train", entry(ours=[1.0], torch=[1.0], stock=[5.0]))
    means = geometric_means(results.content)["train"]
    assert means["torch"] == {"ratio": pytest.approx(2.0), "least": 1.0, "n": 2}
    assert means["stock"]["n"] == 1
    assert "ours" not in means


def test_compile_rows():
    found = {"lower_seconds": 1.0, "compile_seconds": 2.0, "cpu_seconds": 3.0}
    results = Results(None)
    peers = {"ours": {"cold": found, "warm": found, "peak_bytes": 5}}
    results.enter("a", ABOUT, "compile", {"peers": peers})
    (row,) = compile_rows(results.content)
    assert row["cold_compile_seconds"] == 2.0
    assert row["peak_rss_bytes"] is None
    assert not list(step_rows(results.content))


def test_a_directory_is_of_one_machine_and_one_set_of_versions(tmp_path, monkeypatch):
    Results(tmp_path).enter("a", ABOUT, "train", entry(ours=[1.0]))
    assert Results(tmp_path).entry("a", "train")["peers"]["ours"]["n"] == 1
    assert Results(tmp_path).entry("a", "forward") is None
    found = Results(tmp_path).content
    monkeypatch.setattr(module, "versions", lambda: {**found["versions"], "jax": "0.0"})
    with pytest.raises(BadArgument, match=r"jax.* 0\.0 here"):
        Results(tmp_path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"format": "another"}))
    with pytest.raises(BadArgument, match="no benchmark"):
        Results(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(Failed, match="cannot read"):
        Results(tmp_path)
