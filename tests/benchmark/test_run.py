"""The whole of it on LeNet-5, with an interpreter that answers as PyTorch's would."""

import ast
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from flax import linen as nn

from cnnjax.benchmark import Case, Settings, Torch, benchmark, run, torch_peer
from cnnjax.benchmark.torch_client import TorchPeer
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import locked
from cnnjax.models import facts_of

CASE = Case("lenet5", 2)

ANSWERS = """#!{python}
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "prepare":
        if request["compile"]:
            print("no compiler", file=sys.stderr)
            sys.exit(1)
        same = request["parameters"] == {parameters}
        answer = {{"torch": "9.9"}} if same else {{"error": "not the same network"}}
    elif request["do"] == "step":
        answer = {{"seconds": 0.5}}
    else:
        answer = {{"peak_rss_bytes": 1000}}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def torch(tmp_path):
    path = tmp_path / "python"
    parameters = facts_of("lenet5").parameters
    path.write_text(ANSWERS.format(python=sys.executable, parameters=parameters))
    path.chmod(0o755)
    return Torch(str(path))


def test_all_peers_and_once_only(tmp_path, torch):
    peers = ("ours", "stock", "torch", "torch-compile")
    settings = Settings(modes=("train",), peers=peers, repeats=2, torch=torch)
    said = []
    out = tmp_path / "out"
    found = benchmark([CASE], settings, out=out, command="it", say=said.append)
    entry = found["cases"][CASE.label]["train"]
    assert list(entry["peers"]) == ["ours", "stock", "torch"]
    assert all(peer["n"] == 2 for peer in entry["peers"].values())
    assert entry["peers"]["torch"]["peak_rss_bytes"] == 1000
    assert "no compiler" in entry["absent"]["torch-compile"]
    assert any("torch-compile is absent" in line for line in said)
    assert (entry["command"], entry["images"]) == ("it", 2)
    said.clear()
    assert benchmark([CASE], settings, out=out, say=said.append) == found
    assert said == [f"{CASE.label} train: measured before"]


def test_without_pytorch_its_columns_are_absent_and_said_to_be():
    settings = Settings(modes=("forward",), peers=("torch",), repeats=1)
    entry = benchmark([CASE], settings, say=str)["cases"][CASE.label]["forward"]
    assert list(entry["peers"]) == ["ours"]
    assert "--torch" in entry["absent"]["torch"]


def test_another_network_is_not_compared(torch):
    peer = TorchPeer(torch, CASE, "train", compiled=False, parameters=1, threads=1)
    with pytest.raises(Failed, match="not the same network"), peer:
        pass


class Ready:
    """A peer that is there at once and takes a known time."""

    made: ClassVar[list] = []

    def __init__(self, case, mode, *, stock):
        self.made.append((case.label, mode, stock))
        self.seconds = 2.5 if stock else 2.0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def step(self):
        return self.seconds

    def facts(self):
        return {"peak_bytes": 7}


@pytest.fixture
def ready(monkeypatch):
    """Peers that need no compilation; the list of those that were made."""
    monkeypatch.setattr(Ready, "made", [])
    monkeypatch.setattr(run, "JaxPeer", Ready)
    monkeypatch.setattr(run, "matmul_rate", lambda: 1e9)
    return Ready.made


def test_an_entry_says_what_was_measured(tmp_path, ready):
    settings = Settings(modes=("train", "forward"), peers=("stock", "ours"), repeats=2)
    found = benchmark([CASE], settings, out=tmp_path, command="it \x1b", say=str)
    case = found["cases"]["lenet5 b2 28px"]
    count = facts_of("lenet5").parameters, 416_520
    assert (case["network"], case["batch"], case["image_size"]) == ("lenet5", 2, 28)
    assert (case["parameters"], case["multiply_adds"]) == count
    for mode, passes in (("train", 3), ("forward", 1)):
        entry = case[mode]
        step = ["train.step"] if mode == "train" else []
        assert entry["asked"] == ["ours", "stock", "without torch", *step]
        assert entry["operations"] == 2 * 416_520 * 2 * passes
        assert (entry["images"], entry["matmul_flops"]) == (2, 1e9)
        assert (entry["command"], entry["absent"]) == (r"it \x1b", {})
        assert entry["commit"] is None or len(entry["commit"]["hash"]) == 40
        assert list(entry["peers"]) == ["ours", "stock"]  # ours first, whatever was asked first
        assert entry["peers"]["ours"] == {
            "seconds": [2.0, 2.0], "warm_up": [2.0], "n": 2, "peak_bytes": 7,
        }  # fmt: skip
    label = CASE.label
    assert ready == [(label, mode, stock) for mode in settings.modes for stock in (False, True)]
    ratios = {mode: means["stock"]["ratio"] for mode, means in found["geometric_means"].items()}
    assert ratios == pytest.approx({"train": 1.25, "forward": 1.25})


def test_other_peers_are_measured_anew_and_the_earlier_kept(tmp_path, ready):
    """Only what was tried with the very same peers counts as measured."""
    asked = [("ours", "stock"), ("ours",), ("ours", "torch"), ("ours", "stock")]
    for number, peers in enumerate(asked):
        settings = Settings(modes=("train",), peers=peers, repeats=1)
        found = benchmark([CASE], settings, out=tmp_path, say=str)
        entry = found["cases"][CASE.label]["train"]
        assert [name for name in entry["asked"] if name in peers] == list(peers)
        assert len(entry.get("earlier", [])) == number
    kept = [list(each["peers"]) for each in entry["earlier"]]
    assert kept == [["ours", "stock"], ["ours"], ["ours"]]
    made = len(ready)
    said = []
    settings = Settings(modes=("train",), peers=("stock", "ours"), repeats=9)
    benchmark([CASE], settings, out=tmp_path, say=said.append)
    assert len(ready) == made
    assert said == [f"{CASE.label} train: measured before"]


class Mine(nn.Module):
    """A network that is in no table."""

    width: int = 2
    act: object = nn.relu

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(self.width, (3, 3))(images))
        return nn.Dense(5)(self.act(x).mean((1, 2)))


def test_modules_of_no_table_are_timed_and_known_again(tmp_path):
    settings = Settings(repeats=1)
    found = benchmark({"mine": Mine()}, settings, batch=2, image_size=8, out=tmp_path, say=str)
    case = found["cases"]["mine b2 8px"]
    parameters = 3 * 9 * 2 + 2 + 2 * 2 + 2 * 5 + 5
    assert (case["network"], case["parameters"]) == ("mine", parameters)
    assert case["multiply_adds"] == 64 * 9 * 3 * 2 + 2 * 5
    for mode in ("train", "forward"):
        assert list(case[mode]["peers"]) == ["ours", "stock"]
    said = []
    again = benchmark([Case(Mine(), 2, 8, name="mine")], settings, out=tmp_path, say=said.append)
    assert again == found
    assert said == ["mine b2 8px train: measured before", "mine b2 8px forward: measured before"]
    before = (tmp_path / "results.json").read_bytes()
    lambdas = Mine(act=lambda x: x)
    for module, words in (
        (Mine(3), "holds another network: 'mine b2 8px': .*width is 2, not 3"),
        (lambdas, "out: model.act is .* a lambda"),
    ):
        with pytest.raises(BadArgument, match=words):
            benchmark({"mine": Case(module, 2, 8, name="x")}, settings, out=tmp_path, say=str)
    assert (tmp_path / "results.json").read_bytes() == before
    # In memory nothing has to be known again.
    forward = Settings(modes=("forward",), peers=("torch",), repeats=1)
    entry = benchmark({"any": lambdas}, forward, batch=1, image_size=4, say=str)["cases"]
    assert entry["any b1 4px"]["forward"]["peers"]["ours"]["n"] == 1


def test_what_a_module_cannot_have_is_said(torch):
    compiled = Settings(modes=("train", "compile"))
    with pytest.raises(BadArgument, match=r"mode: compile makes .* anew .* 'mine' is a module"):
        benchmark({"mine": Mine()}, compiled, say=str)
    peers = Settings(modes=("forward",), peers=("torch",), repeats=1, torch=torch)
    found = benchmark({"mine": Mine()}, peers, batch=1, image_size=4, say=str)
    absent = found["cases"]["mine b1 4px"]["forward"]["absent"]
    assert absent == {"torch": "PyTorch has networks by name only, and this one is a module"}
    for given in ([Mine()], {"a": "lenet5"}, [5]):
        with pytest.raises(BadArgument, match=r"cases: received .* allowed: several of Case"):
            benchmark(given, peers, say=str)


def test_an_interpreter_makes_it_another_measurement(tmp_path, ready, torch):
    peers = {"modes": ("train",), "peers": ("ours", "torch"), "repeats": 1}
    benchmark([CASE], Settings(**peers), out=tmp_path / "out", say=str)
    found = benchmark(
        [CASE],
        Settings(**peers, torch=torch),
        out=tmp_path / "out",
        say=str,
        command=f"x {torch.python}",
    )
    entry = found["cases"][CASE.label]["train"]
    assert list(entry["peers"]) == ["ours", "torch"]
    assert entry["peers"]["torch"]["seconds"] == [0.5]
    assert entry["command"] == "x PYTHON"
    assert entry["earlier"][0]["absent"] == {
        "torch": "no interpreter with PyTorch was given (--torch PYTHON)"
    }


def test_loops_count_all_their_images(tmp_path, monkeypatch):
    class Way:
        known = {"peak_bytes": 3}  # noqa: RUF012

        def step(self):
            return 4.0

    made = []
    ways = lambda *names: lambda case, count: made.append(count) or {n: Way() for n in names}
    monkeypatch.setattr(run, "scan_and_steps", ways("scan", "steps"))
    monkeypatch.setattr(run, "vmap_and_runs", ways("vmap", "runs"))
    monkeypatch.setattr(run, "matmul_rate", lambda: 1e9)
    settings = Settings(modes=(), repeats=2, scan=8, seeds=3)
    case = benchmark([CASE], settings, out=tmp_path, say=str)["cases"][CASE.label]
    assert made == [8, 3]
    for mode, count, names in (("scan 8", 8, ["scan", "steps"]), ("seeds 3", 3, ["vmap", "runs"])):
        entry = case[mode]
        assert entry["images"] == 2 * count
        assert entry["operations"] == 6 * 416_520 * 2 * count
        assert list(entry["peers"]) == names
        assert entry["peers"][names[0]] == {
            "seconds": [4.0, 4.0], "warm_up": [4.0], "n": 2, "peak_bytes": 3,
        }  # fmt: skip


def test_without_ours_there_is_no_result(tmp_path, ready, monkeypatch):
    def broken(self):
        raise Failed("it cannot be compiled")

    monkeypatch.setattr(Ready, "__enter__", broken)
    settings = Settings(modes=("train",), peers=("ours", "stock"))
    with pytest.raises(Failed, match="cannot be compiled"):
        benchmark([CASE], settings, out=tmp_path, say=str)
    assert not (tmp_path / "results.json").exists()


def test_a_directory_that_cannot_be_used_is_refused_before_anything_is_measured(tmp_path, ready):
    (tmp_path / "file").write_text("x")
    (tmp_path / "steps.csv").write_text("mine")
    settings = Settings(modes=("train",))
    with pytest.raises(BadArgument, match="is not a directory"):
        benchmark([CASE], settings, out=tmp_path / "file", say=str)
    with pytest.raises(BadArgument, match=r"holds no benchmark but file, steps\.csv; allowed"):
        benchmark([CASE], settings, out=tmp_path, say=str)
    for name in "xyz":
        (tmp_path / name).touch()
    with pytest.raises(BadArgument, match=r"but file, steps\.csv, x; allowed"):  # three say enough
        benchmark([CASE], settings, out=tmp_path, say=str)
    with locked(tmp_path / "held"), pytest.raises(Failed, match="another run"):
        benchmark([CASE], settings, out=tmp_path / "held", say=str)
    assert ready == []
    assert not (tmp_path / ".lock").exists()


def test_more_images_than_the_machine_has_memory_for(ready, monkeypatch):
    there = {"memory_bytes": 28 * 28 * 2 * (10 + 4)}  # stored, and as the numbers of a step
    monkeypatch.setattr(run, "hardware", lambda: there)
    benchmark([CASE], Settings(modes=("train",)), say=str)
    with pytest.raises(Failed, match="lenet5 b2 28px: 11 batches of images are"):
        benchmark([CASE], Settings(modes=(), scan=11), say=str)
    with pytest.raises(Failed, match="12 batches"):
        benchmark([CASE], Settings(modes=(), seeds=12), say=str)


ODD = """#!{python}
import sys
for line in sys.stdin:
    print({answer!r} if '"step"' in line else '{{}}', flush=True)
"""


@pytest.mark.parametrize(
    "answer",
    ["", "nonsense", "[]", "{}", '{"seconds": "1"}', '{"seconds": 0}', '{"seconds": -1}',
     '{"seconds": null}', '{"seconds": NaN}', '{"error": "\x1b"}'],
)  # fmt: skip
def test_odd_answers_of_the_interpreter_are_worded(tmp_path, answer):
    path = tmp_path / "python"
    path.write_text(ODD.format(python=sys.executable, answer=answer))
    path.chmod(0o755)
    torch = Torch(str(path))
    with TorchPeer(torch, CASE, "train", compiled=False, parameters=1, threads=1) as peer:
        with pytest.raises(Failed, match="torch: lenet5 b2 28px: ") as caught:
            peer.step()
        assert str(caught.value).isprintable()


def test_what_the_interpreter_is_asked(tmp_path):
    path = tmp_path / "python"
    path.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"open({str(tmp_path / 'threads')!r}, 'w').write(os.environ['OMP_NUM_THREADS'])\n"
        "for line in sys.stdin: print(line, flush=True)\n"
    )
    path.chmod(0o755)
    torch = Torch(str(path), "prelude")
    case = Case("resnet20_cifar", 3, 40)
    peer = TorchPeer(torch, case, "forward", compiled=True, parameters=5, threads=7)
    with peer:
        assert (tmp_path / "threads").read_text() == "7"
        assert peer._prepared == {
            "do": "prepare", "network": "resnet20_cifar", "batch": 3, "image_size": 40,
            "channels": 3, "mode": "forward", "compile": True, "parameters": 5, "threads": 7,
            "prelude": "prelude",
        }  # fmt: skip


def test_compile_times_in_processes_of_their_own():
    settings = Settings(modes=("compile",), peers=("ours",))
    entry = benchmark([CASE], settings, say=str)["cases"][CASE.label]["compile"]
    ours = entry["peers"]["ours"]
    assert min(ours["cold"].values()) > 0
    assert ours["peak_rss_bytes"] > ours["peak_bytes"] > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"modes": ("trian",)}, {"peers": ("tourch",)}, {"repeats": 0}, {"scan": -1}, {"seeds": -1},
        {"patience": -0.1}, {"patience": float("nan")}, {"repeats": 10**10}, {"scan": 10**10},
        {"seeds": 10**10},
    ],
)  # fmt: skip
def test_bad_settings(wrong):
    with pytest.raises(BadArgument, match=next(iter(wrong)).removesuffix("s")):
        Settings(**wrong)


def test_the_interpreter_must_exist(tmp_path):
    for path in (tmp_path, tmp_path / "python"):
        with pytest.raises(BadArgument, match="not an interpreter"):
            Torch(str(path))


def test_the_torch_side_imports_nothing_of_ours():
    for name in ("torch_peer.py", "torch_networks.py"):
        tree = ast.parse((Path(torch_peer.__file__).parent / name).read_text())
        imported = {
            getattr(node, "module", None) or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not {name.partition(".")[0] for name in imported} & {"jax", "flax", "cnnjax"}
