"""Checkpoints as disks, copies and strangers leave them: refused, or restored exactly."""

import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from cnnjax.errors import BadArgument, Failed
from cnnjax.tensors import canonical, sealed
from cnnjax.train import Hyper, TrainState
from cnnjax.train.checkpoint import CHECKPOINT, prepare, restore, save_checkpoint

RUN = {"model": {"Net": {"width": 1, "rates": [0.1, 0.2]}}, "seed": 3}
HISTORY = [
    {
        "epoch": e,
        "train_loss": 0.5,
        "train_accuracy": 0.25,
        "seconds": 1.5,
        "images_per_second": 9.0,
    }
    for e in (1, 2)
]


def state(number=1.0, width=3, dtype=jnp.float32):
    params = {"kernel": jnp.full((2, width), number, dtype), "bias": jnp.arange(3, dtype=dtype)}
    hyper = Hyper(*jnp.linspace(0, 0.5, 5))
    return TrainState(
        jnp.int32(7), params, {}, (params, {"count": jnp.int32(7)}), {}, hyper, jnp.zeros(1),
        jnp.ones(1),
    )  # fmt: skip


def same(one, other):
    leaves = [jax.tree.leaves(each) for each in (one, other)]
    return all(
        a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
        for a, b in zip(*leaves, strict=True)
    )


@pytest.fixture
def content(tmp_path):
    save_checkpoint(tmp_path, state(), HISTORY, RUN)
    return (tmp_path / CHECKPOINT).read_bytes()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_what_was_saved_is_restored(tmp_path, dtype):
    assert restore(tmp_path, state(), RUN) is None
    history = [HISTORY[0] | {"validation_loss": float("nan"), "validation_accuracy": 0.5}]
    save_checkpoint(tmp_path, state(2.5, dtype=dtype), history, RUN)
    found, entries = restore(tmp_path, state(dtype=dtype), RUN)
    assert same(found, state(2.5, dtype=dtype))
    assert repr(entries) == repr(history)
    with safe_open(tmp_path / CHECKPOINT, framework="numpy") as file:  # anybody can read it
        assert json.loads(file.metadata()["run"]) == RUN
        assert ".params['kernel']" in list(file.keys())


def test_equal_states_make_equal_files(tmp_path, content):
    for _ in range(10):
        save_checkpoint(tmp_path, state(), HISTORY, RUN)
        assert (tmp_path / CHECKPOINT).read_bytes() == content
    save_checkpoint(tmp_path, state(), HISTORY[:1], RUN)
    assert (tmp_path / CHECKPOINT).read_bytes() != content


def damaged(content, draw):
    """Return content that is another, in one of many ways."""
    where, length = int(draw.integers(len(content))), int(draw.integers(1, 40))
    noise = draw.integers(0, 256, length).astype(np.uint8).tobytes()
    header = 8 + int.from_bytes(content[:8], "little")
    bit = bytes([content[where] ^ (1 << int(draw.integers(8)))])
    in_header = int(draw.integers(header))
    return [
        content[:where] + bit + content[where + 1 :],
        content[:where],
        content + noise,
        content[:where] + noise + content[where + length :],
        content[:where] + noise + content[where:],
        content[:where] + content[where + length :],
        content[:where] + content[where : where + length][::-1] + content[where + length :],
        content[:in_header] + bit + content[in_header + 1 :],
        content.replace(b"F32", draw.choice([b"I32", b"F16", b"U32", b"X99"]), 1),
        content.replace(b"[2,3]", b"[3,2]"),
        content.replace(b'"seed', b'"sead'),
        content[:header] + content[header:][::-1],
        int(draw.integers(2**63)).to_bytes(8, "little") + content[8:],
        b"\0" * len(content),
        content.replace(b'\\"epoch\\": 2', b'\\"epoch\\": 3'),
    ][int(draw.integers(15))]


def test_damage_is_refused_or_does_no_harm(tmp_path, content):
    draw = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        found = damaged(content, draw)
        (tmp_path / CHECKPOINT).write_bytes(found)
        try:
            restored, history = restore(tmp_path, state(), RUN)
        except (Failed, BadArgument):
            refused += 1
            continue
        assert same(restored, state())
        assert history == HISTORY
        assert found == content
    assert refused > 380


def test_what_is_not_a_file_of_a_run_is_refused(tmp_path, content):
    path = tmp_path / CHECKPOINT
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadArgument, match=r"checkpoint_dir: .*a pipe"):
        restore(tmp_path, state(), RUN)
    path.unlink()
    path.mkdir()
    with pytest.raises(BadArgument, match=r"checkpoint_dir: .*a directory"):
        restore(tmp_path, state(), RUN)
    path.rmdir()
    path.write_bytes(b"")
    with pytest.raises(Failed, match="damaged"):
        restore(tmp_path, state(), RUN)
    with open(path, "wb") as stream:
        stream.truncate(2**28 + 10_000)  # a sparse file: no byte of it is read
    with pytest.raises(Failed, match="more than what belongs there"):
        restore(tmp_path, state(), RUN)


def rewritten(tmp_path, metadata, number=1.0):
    """Write a checkpoint whose seal is right, with other metadata."""
    save_checkpoint(tmp_path, state(number), HISTORY, RUN)
    with safe_open(tmp_path / CHECKPOINT, framework="numpy") as file:
        texts = {k: v for k, v in file.metadata().items() if k != "sha256"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    texts = {name: v for name, v in (texts | metadata).items() if v is not None}
    (tmp_path / CHECKPOINT).write_bytes(sealed(tensors, texts))
    return tensors, texts


@pytest.mark.parametrize(
    ("metadata", "error", "words"),
    [
        ({"format": "2"}, BadArgument, "its format is 2, this version of cnnjax reads 3"),
        ({"format": None}, BadArgument, "cnnjax 0.1.0 wrote it"),
        ({"format": "two"}, BadArgument, "not a checkpoint"),
        ({"format": None, "run": None}, BadArgument, "not a checkpoint"),
        ({"history": None}, Failed, "damaged"),
        ({"history": "[" * 100_000}, Failed, "damaged"),
        ({"history": '[{"epoch": 1}]'}, Failed, "damaged"),
        ({"history": json.dumps([HISTORY[0] | {"epoch": "1"}])}, Failed, "damaged"),
        ({"history": json.dumps([HISTORY[0] | {"train_loss": None}])}, Failed, "damaged"),
        ({"history": "{}"}, Failed, "damaged"),
        ({"run": "{"}, Failed, "damaged"),
        ({"run": "null"}, BadArgument, "another run"),
        ({"run": json.dumps(RUN | {"seed": 4})}, BadArgument, "its seed is 4, not 3"),
        ({"run": json.dumps(RUN | {"seed": 3.0})}, BadArgument, "its seed is 3.0, not 3"),
        (
            {"run": json.dumps(RUN | {"model": {"Net": {"width": True, "rates": [0.1, 0.2]}}})},
            BadArgument,
            "its model.Net.width is true, not 1",
        ),
        (
            {"run": json.dumps(RUN | {"model": {"Net": {"width": 1, "rates": [0.1, 0.3]}}})},
            BadArgument,
            r"its model.Net.rates\[1\] is 0.3, not 0.2",
        ),
        ({"run": json.dumps({"seed": 3})}, BadArgument, "another run"),
    ],
)
def test_metadata_that_are_another_s_are_refused_in_words(tmp_path, metadata, error, words):
    rewritten(tmp_path, metadata)
    with pytest.raises(error, match=words):
        restore(tmp_path, state(), RUN)


def test_a_file_of_0_1_0_is_refused_whole(tmp_path):
    """It has no seal and no format."""
    tensors, texts = rewritten(tmp_path, {"format": None})
    (tmp_path / CHECKPOINT).write_bytes(canonical(save(tensors, texts)))
    with pytest.raises(BadArgument, match=r"cnnjax 0\.1\.0 wrote it.*another directory"):
        restore(tmp_path, state(), RUN)


@pytest.mark.parametrize(
    "other", [state(width=4), state(dtype=jnp.bfloat16), state(dtype=jnp.int32)]
)
def test_a_state_of_other_shapes_or_dtypes_is_refused(tmp_path, other):
    save_checkpoint(tmp_path, state(), HISTORY, RUN)
    with pytest.raises(BadArgument, match=r"another state than this run: .*opt_state\[0\]"):
        restore(tmp_path, other, RUN)


def test_a_state_that_the_format_has_no_place_for_is_refused_before_training(tmp_path):
    with pytest.raises(BadArgument, match=r"checkpoint_dir: .* is complex64; allowed: .*float32"):
        restore(tmp_path, state(dtype=jnp.complex64), RUN)


def test_a_directory_is_made_and_tried(tmp_path):
    prepare(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []
    (tmp_path / "file").touch()
    with pytest.raises(Failed, match="checkpoint_dir: cannot write"):
        prepare(tmp_path / "file")
