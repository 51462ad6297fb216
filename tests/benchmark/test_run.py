"""The whole of it on LeNet-5, with an interpreter that answers as PyTorch's would."""

import ast
import sys
from pathlib import Path

import pytest

from cnnjax.benchmark import Case, Settings, Torch, benchmark, torch_peer
from cnnjax.benchmark.torch_client import TorchPeer
from cnnjax.errors import BadArgument, Failed
from cnnjax.models import MODELS

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
    parameters = MODELS["lenet5"].parameters
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


def test_compile_times_in_processes_of_their_own():
    settings = Settings(modes=("compile",), peers=("ours",))
    entry = benchmark([CASE], settings, say=str)["cases"][CASE.label]["compile"]
    ours = entry["peers"]["ours"]
    assert min(ours["cold"].values()) > 0
    assert ours["peak_rss_bytes"] > ours["peak_bytes"] > 0


@pytest.mark.parametrize(
    "wrong",
    [{"modes": ("trian",)}, {"peers": ("tourch",)}, {"repeats": 0}, {"scan": -1}],
)
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
