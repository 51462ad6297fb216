"""What people see of a benchmark: the picture and the tables have the numbers of the results."""

from cnnjax.benchmark import Results
from cnnjax.benchmark.shown import draw, print_results
from cnnjax.plot import speed
from cnnjax.plot.style import new_figure
from cnnjax.runtime import processor
from tests.benchmark.test_results import ABOUT, compiled, entry


def test_the_picture_has_the_ratios_of_training(tmp_path, monkeypatch):
    """How many times as long each peer took, for every network; nothing of other modes."""
    results, given = Results(None), []
    results.enter("a", ABOUT, "train", entry(ours=[1.0, 2.0], stock=[3.0, 4.0], torch=[0.5, 1.0]))
    results.enter("b", {**ABOUT, "network": "m"}, "train", entry(ours=[1.0], stock=[5.0]))
    results.enter("b", ABOUT, "forward", entry(ours=[1.0], stock=[9.0]))
    monkeypatch.setattr(
        speed, "relative_speed", lambda *a, **k: given.append((a, k)) or new_figure(1, 1)
    )
    assert draw(results.content, tmp_path) == tmp_path / "speed.svg"
    assert (tmp_path / "speed.svg").read_bytes().startswith(b"<?xml")
    (((ratios,), words),) = given
    assert words == {"xlabel": "times as fast, training step"}
    assert ratios == {
        "than stock": {"n b8": (2.5, 2.0, 3.0), "m b8": (5.0, 5.0, 5.0)},
        "than torch": {"n b8": (0.5, 0.5, 0.5)},
    }
    assert draw(Results(None).content, tmp_path / "absent") is None
    assert not (tmp_path / "absent").exists()


def test_what_the_tables_say(capsys):
    results = Results(None)
    steps = entry(ours=[0.001, 0.002], stock=[0.003, 0.008])
    steps["peers"]["ours"]["peak_bytes"] = 5 * 2**20
    steps["peers"]["stock"]["peak_rss_bytes"] = 2 * 2**30
    results.enter("a", ABOUT, "train", steps)
    results.enter("a", ABOUT, "compile", compiled(peak_rss_bytes=7 * 2**20))
    print_results(results.content)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for heads in (
        "network mode peer n ms min max images/s x first matmul MiB",
        "network peer trace s cold s cpu s warm s MiB resident MiB",
        "mode peer x first least networks",
    ):
        assert heads in lines
    # n, median, least, largest in ms; images a second; ratio; share of the product; MiB.
    ours, stock = (f"{4e9 / seconds / 1e10:.0%}" for seconds in (0.0015, 0.0055))
    assert f"n b8 train ours 2 1.5 1.0 2.0 10,666.7 1.00 {ours} 5" in lines
    assert f"n b8 train stock 2 5.5 3.0 8.0 2,909.1 3.50 {stock} 2,048" in lines
    assert "n b8 ours 1.1 1.2 1.3 2.2 0 7" in lines
    assert "train stock 3.50 3.50 1" in lines
    assert any(line.endswith(f"forms chosen for: {processor()}") for line in lines)
