import json

import numpy as np
import pytest

from cnnjax.errors import BadArgument, Failed
from cnnjax.records import Experiment, here, read_experiment

SETTINGS = {"rates": (0.1, 0.2), "network": "lenet5"}


def test_each_result_is_computed_once_and_says_where_it_comes_from(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"accuracy": np.float32(0.5), "losses": (1.0, float("nan"))}

    said = []
    with Experiment.opened(tmp_path / "out", SETTINGS, said.append) as store:
        first = store.remembered("a, seed 0", compute)
        # Written before the block ends: a killed process loses nothing.
        assert list(read_experiment(tmp_path / "out")["computed"]) == ["a, seed 0"]
    with Experiment.opened(tmp_path / "out", SETTINGS) as store:
        assert store.remembered("a, seed 0", compute) == first
        store.remembered("b", lambda: {"accuracy": 0})
        store.conclude({"best": "a"})
    assert calls == [1]
    assert said == [f"a, seed 0: {first['seconds']:.1f} s, accuracy 0.5"]
    assert (first["accuracy"], first["losses"]) == (0.5, [1.0, None])
    assert first["seconds"] > 0
    content = read_experiment(tmp_path / "out")
    assert content["settings"] == {"rates": [0.1, 0.2], "network": "lenet5"}
    assert content["found"] == {"best": "a"}
    entry = content["computed"]["a, seed 0"]
    assert entry["hardware"] == here()["hardware"]
    assert entry["versions"] == here()["versions"]


def test_a_computation_that_fails_is_no_result(tmp_path):
    with (
        Experiment.opened(tmp_path, SETTINGS) as store,
        pytest.raises(ZeroDivisionError),
    ):
        store.remembered("a", lambda: {"x": 1 / 0})
    assert read_experiment(tmp_path)["computed"] == {}


def test_other_settings_and_other_files_are_refused_and_untouched(tmp_path):
    with Experiment.opened(tmp_path / "out", SETTINGS):
        pass
    before = (tmp_path / "out" / "results.json").read_bytes()
    with (
        pytest.raises(
            BadArgument, match=r"other settings: its rates is \[0.1, 0.2\], not \[0.1\];"
        ),
        Experiment.opened(tmp_path / "out", SETTINGS | {"rates": [0.1]}),
    ):
        pass
    assert (tmp_path / "out" / "results.json").read_bytes() == before
    with (
        pytest.raises(BadArgument, match="holds no experiment but out;"),
        Experiment.opened(tmp_path, SETTINGS),
    ):
        pass


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"format": 1, "runs": []}, BadArgument),  # a comparison's
        ({"format": 2, "computed": {}}, BadArgument),
        ({"format": 1, "computed": {}}, Failed),
        ({"format": 1, "command": "", "settings": {}, "computed": {"a": {"seconds": 1}}}, Failed),
    ],
)
def test_what_is_no_experiment_s_is_refused(tmp_path, content, error):
    (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(error, match=r"results\.json"):
        read_experiment(tmp_path)
