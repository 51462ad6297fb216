"""Weights from the hub, with the hub's package replaced: what is asked for, and what goes wrong."""

import sys
import types

import jax
import numpy as np
import pytest

import cnnjax
from cnnjax.cli import main
from cnnjax.errors import BadArgument, Failed
from cnnjax.models import MODELS, build
from cnnjax.weights import save_weights
from cnnjax.weights.hub import is_hub_id

ID = "timm/resnet50.a1_in1k"


class RepositoryNotFoundError(Exception):
    pass


class EntryNotFoundError(Exception):
    pass


class LocalEntryNotFoundError(EntryNotFoundError):
    """As in huggingface_hub, a kind of the other."""


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for huggingface_hub: `files` are what its repositories hold, `asked` the log."""
    package, errors = types.ModuleType("huggingface_hub"), types.ModuleType("errors")
    package.files, package.asked, package.failure = {}, [], None

    def hf_hub_download(repository, name):
        package.asked.append((repository, name))
        if package.failure is not None:
            raise package.failure
        if not any(known == repository for known, _ in package.files):
            raise RepositoryNotFoundError("404 Client Error.\n\nRepository Not Found for url: ...")
        if (repository, name) not in package.files:
            raise EntryNotFoundError("404 Client Error.\n\nEntry Not Found for url: ...")
        return str(package.files[repository, name])

    package.hf_hub_download, package.errors = hf_hub_download, errors
    for error in (RepositoryNotFoundError, EntryNotFoundError, LocalEntryNotFoundError):
        setattr(errors, error.__name__, error)
    monkeypatch.setitem(sys.modules, "huggingface_hub", package)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return package


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of LeNet-5, and what is in it."""
    images = jax.ShapeDtypeStruct((1, 28, 28, 1), np.float32)
    shapes = jax.eval_shape(
        lambda x: build("lenet5").init(jax.random.key(0), x, train=False), images
    )
    draw = np.random.default_rng(0)
    variables = jax.tree.map(lambda s: draw.standard_normal(s.shape).astype(s.dtype), shapes)
    path = tmp_path_factory.mktemp("hub") / "model.safetensors"
    save_weights(variables, path)
    return path, variables


def test_the_file_of_the_repository_is_asked_for_and_read(hub, weights):
    path, variables = weights
    hub.files["owner/lenet", "model.safetensors"] = path
    found = cnnjax.load_weights("lenet5", "owner/lenet")
    np.testing.assert_array_equal(
        found["params"]["fc3"]["bias"], variables["params"]["fc3"]["bias"]
    )
    assert hub.asked == [("owner/lenet", "model.safetensors")]


def test_the_older_name_is_tried_where_the_newer_is_missing(hub, tmp_path):
    hub.files[ID, "pytorch_model.bin"] = tmp_path / "pytorch_model.bin"
    (tmp_path / "pytorch_model.bin").write_bytes(b"no weights")
    with pytest.raises(Failed, match=r"pytorch_model\.bin"):
        cnnjax.load_weights("resnet50", ID)
    assert hub.asked == [(ID, "model.safetensors"), (ID, "pytorch_model.bin")]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (None, f"{ID}: the hub has no such repository, or it is private"),
        (LocalEntryNotFoundError("x\ny"), f"{ID}: not in the local cache, and the hub cannot be"),
        (OSError("403 Client Error.\n\nCannot access"), f"{ID}: the download failed (403 Client"),
    ],
    ids=["no such repository", "offline", "refused"],
)
def test_what_goes_wrong_is_one_line(hub, capsys, failure, told):
    hub.failure = failure
    with pytest.raises(Failed) as error:
        cnnjax.load_weights("resnet50", ID)
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)
    assert main(["weights", "check", "resnet50", ID]) == 1
    assert told[:40] in " ".join(capsys.readouterr().err.split())


def test_a_repository_without_weights_is_told_with_the_names_tried(hub):
    hub.files[ID, "README.md"] = None
    with pytest.raises(Failed, match=r"has none of model\.safetensors, pytorch_model\.bin"):
        cnnjax.load_weights("resnet50", ID)


def test_timms_ids_are_hub_ids_and_files_are_not(hub):
    for name, network in MODELS.items():
        if network.reference == "timm" and network.weights:
            assert is_hub_id(f"timm/{name}.{network.weights}")
    with pytest.raises(BadArgument, match="hub id"):
        cnnjax.load_weights("resnet50", "https://example.org/resnet50")
    assert hub.asked == []
