"""Weights from the hub, with the hub's package replaced: what is asked for, and what goes wrong."""

import json
import logging
import sys
import types

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

import cnnjax
from cnnjax.cli import main
from cnnjax.errors import BadArgument, Failed
from cnnjax.models import MODELS, build, facts_of
from cnnjax.weights import read_state_dict, save_weights
from cnnjax.weights.hub import download, is_hub_id

ID = "timm/resnet50.a1_in1k"


class HfHubHTTPError(OSError):
    pass


class RepositoryNotFoundError(HfHubHTTPError):
    pass


class EntryNotFoundError(Exception):
    pass


class LocalEntryNotFoundError(FileNotFoundError, EntryNotFoundError):
    """As in huggingface_hub, a kind of the other."""


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for huggingface_hub.

    `files` are what its repositories hold, `cached` the keys of those in the cache, `asked` and
    `fetched` the log, `failure` what every question to the hub ends in.
    """
    package, errors = types.ModuleType("huggingface_hub"), types.ModuleType("errors")
    package.files, package.cached, package.failure = {}, set(), None
    package.asked, package.fetched = [], []

    def get_hf_file_metadata(url, *, timeout):
        assert 1 <= timeout <= 30
        package.asked.append(url)
        if package.failure is not None:
            raise package.failure
        if not any(known == url[0] for known, _ in package.files):
            raise RepositoryNotFoundError("404 Client Error.\n\nRepository Not Found for url: ...")
        if url not in package.files:
            raise EntryNotFoundError("404 Client Error.\n\nEntry Not Found for url: ...")

    def hf_hub_download(repository, name, *, local_files_only=False):
        if (repository, name) not in package.cached:
            if local_files_only:
                raise LocalEntryNotFoundError("Cannot find the requested files in the disk cache.")
            logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
            package.fetched.append((repository, name))
            if package.failure is not None:
                raise package.failure
        return str(package.files[repository, name])

    package.hf_hub_url = lambda repository, name: (repository, name)
    package.get_hf_file_metadata, package.hf_hub_download = get_hf_file_metadata, hf_hub_download
    package.errors = errors
    for error in (HfHubHTTPError, RepositoryNotFoundError, EntryNotFoundError):
        setattr(errors, error.__name__, error)
    errors.LocalEntryNotFoundError = LocalEntryNotFoundError
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
    assert hub.asked == hub.fetched == [("owner/lenet", "model.safetensors")]


def test_the_cache_is_asked_first_for_every_name(hub, weights, caplog):
    """Nothing goes over the network for what is there, whatever the hub would have besides."""
    path, _ = weights
    hub.files |= {(ID, "model.safetensors"): path, (ID, "pytorch_model.bin"): path}
    hub.cached.add((ID, "pytorch_model.bin"))
    assert download(ID) == path
    assert hub.asked == hub.fetched == []
    assert not caplog.text


def test_the_packages_own_warnings_are_left_out_while_it_is_used(hub, weights, caplog):
    logger = logging.getLogger("huggingface_hub")
    for level in (logging.NOTSET, logging.INFO):
        logger.setLevel(level)
        hub.files["owner/lenet", "model.safetensors"] = weights[0]
        download("owner/lenet")
        hub.failure = ConnectionError("no route")
        with pytest.raises(Failed):
            download("owner/other")
        hub.failure = None
        assert logger.level == level
    logger.setLevel(logging.NOTSET)
    assert hub.fetched
    assert "Retrying" not in caplog.text


def test_a_prefix_chooses_in_what_was_downloaded(hub, tmp_path, weights):
    path, variables = weights
    arrays = read_state_dict(path)
    both = {f"model.{name}": array for name, array in arrays.items()}
    both |= {f"model_ema.{name}": array + 1 for name, array in arrays.items()}
    save_file(both, tmp_path / "both.safetensors")
    hub.files["owner/lenet", "model.safetensors"] = tmp_path / "both.safetensors"
    found = cnnjax.load_weights("lenet5", "owner/lenet#model_ema")["params"]["fc3"]["bias"]
    np.testing.assert_array_equal(found, variables["params"]["fc3"]["bias"] + 1)


def test_an_index_comes_with_its_shards(hub, tmp_path, weights):
    path, variables = weights
    items = list(read_state_dict(path).items())
    shards = {"a.safetensors": dict(items[:4]), "b.safetensors": dict(items[4:])}
    weight_map = {name: shard for shard, arrays in shards.items() for name in arrays}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    for shard, arrays in shards.items():
        save_file(arrays, tmp_path / shard)
        hub.files[ID, shard] = tmp_path / shard
    hub.files[ID, index.name] = index
    hub.cached.add((ID, "a.safetensors"))
    found = cnnjax.load_weights("lenet5", ID)
    assert hub.fetched == [(ID, index.name), (ID, "b.safetensors")]
    assert hub.asked[-1] == (ID, index.name)
    np.testing.assert_array_equal(
        found["params"]["conv2"]["kernel"], variables["params"]["conv2"]["kernel"]
    )
    index.write_text('{"weight_map": {"a": "../../b"}}')
    with pytest.raises(Failed, match="no file beside it"):
        download(ID)


def test_the_older_name_is_tried_where_the_newer_is_missing(hub, tmp_path):
    hub.files[ID, "pytorch_model.bin"] = tmp_path / "pytorch_model.bin"
    (tmp_path / "pytorch_model.bin").write_bytes(b"no weights")
    with pytest.raises(Failed, match=r"pytorch_model\.bin"):
        cnnjax.load_weights("resnet50", ID)
    assert hub.asked == [(ID, "model.safetensors"), (ID, "pytorch_model.bin")]
    assert hub.fetched == [(ID, "pytorch_model.bin")]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (None, f"{ID}: the hub has no such repository, or it is private"),
        (LocalEntryNotFoundError("x\ny"), f"{ID}: not in the local cache, and the hub cannot be"),
        (Exception("[Errno -2] Name"), f"{ID}: not in the local cache, and the hub cannot be reac"),
        (ConnectionResetError(104, "x"), f"{ID}: not in the local cache, and the hub cannot be r"),
        (OSError("no answer"), f"{ID}: not in the local cache, and the hub cannot be reached; dow"),
        (HfHubHTTPError("403 Client.\n\nCannot"), f"{ID}: the download failed (403 Client.)"),
        (HfHubHTTPError("\x1b[2J"), f"{ID}: the download failed (\\x1b[2J)"),
        (OSError(28, "No space left"), f"{ID}: the download failed ([Errno 28] No space left)"),
        (ValueError("Repo id must be"), f"{ID}: the download failed (Repo id must be)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_goes_wrong_is_one_line(hub, capsys, failure, told):
    hub.failure = failure
    with pytest.raises(Failed) as error:
        cnnjax.load_weights("resnet50", ID)
    assert str(error.value).startswith(told)
    assert str(error.value).isprintable()
    assert hub.asked == [(ID, "model.safetensors")]  # once, and no other name
    assert main(["weights", "check", "resnet50", ID]) == 1
    assert told[:40] in " ".join(capsys.readouterr().err.split())


def test_a_repository_without_weights_is_told_with_the_names_tried(hub):
    hub.files[ID, "README.md"] = None
    with pytest.raises(Failed, match=r"none of model\.safetensors, pytorch_model\.bin, mod"):
        cnnjax.load_weights("resnet50", ID)


def test_timms_ids_are_hub_ids_and_files_are_not(hub):
    for name in MODELS:
        facts = facts_of(name)
        if facts.reference == "timm" and facts.weights:
            assert is_hub_id(f"timm/{name}.{facts.weights}")
    with pytest.raises(BadArgument, match="hub id"):
        cnnjax.load_weights("resnet50", "https://example.org/resnet50")
    assert hub.asked == []
