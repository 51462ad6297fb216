"""Checkpoints as disks, copies and strangers leave them: refused, or restored exactly."""

import dataclasses
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.errors import BadArgument, Failed
from cnnjax.train import Hyper, TrainState
from cnnjax.train.checkpoint import path_of, prepare, restore, taken_off, write_checkpoint
from cnnjax.train.standing import Standing

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


def saved(directory, number=1.0, dtype=jnp.float32, run=RUN, **rest):
    """Write the checkpoint after step 7 and return its path and the standing that is in it."""
    seen = {"loss": np.float32([0.25, np.nan]), "accuracy": np.float32([0, 1])}
    standing = Standing(
        state(number, dtype=dtype), **{"history": HISTORY, "seen": seen, "seconds": 2.5, **rest}
    )
    prepare(directory)
    write_checkpoint(path_of(directory, 7), taken_off(standing), standing, run)
    return path_of(directory, 7), standing


def assert_equal(found, standing):
    assert same(found.state, standing.state)
    assert repr(found.history) == repr(standing.history)
    assert found.seen.keys() == standing.seen.keys()
    for name, values in standing.seen.items():
        np.testing.assert_array_equal(found.seen[name], values, strict=True)
    assert (found.seconds, found.failures) == (standing.seconds, standing.failures)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_what_was_saved_is_restored(tmp_path, dtype):
    assert restore(tmp_path, state(), RUN) is None
    history = [HISTORY[0] | {"validation_loss": float("nan"), "validation_accuracy": 0.5}]
    _, standing = saved(tmp_path, 2.5, dtype, history=history, failures={3: (5, 1.5)})
    assert_equal(restore(tmp_path, state(dtype=dtype), RUN), standing)


def test_what_was_saved_of_several_runs_is_restored(tmp_path):
    history = [HISTORY[0] | {"train_loss": np.arange(2.0), "train_accuracy": np.ones(2)}]
    _, standing = saved(tmp_path, history=history, seen={})
    found = restore(tmp_path, state(), RUN, many=True)
    assert_equal(found, standing)


def test_arrays_without_elements_are_kept(tmp_path):
    def emptied(number):
        return dataclasses.replace(state(number), params={"none": jnp.zeros((0, 3))})

    standing = Standing(emptied(2.0))
    write_checkpoint(path_of(tmp_path, 7), taken_off(standing), standing, RUN)
    assert_equal(restore(tmp_path, emptied(1.0), RUN), standing)


def damaged(content, draw):
    """Return content that is another, in one of many ways."""
    where, length = int(draw.integers(len(content))), int(draw.integers(1, 40))
    noise = draw.integers(0, 256, length).astype(np.uint8).tobytes()
    bit = bytes([content[where] ^ (1 << int(draw.integers(8)))])
    return [
        content[:where] + bit + content[where + 1 :],
        content[:where],
        content + noise,
        content[:where] + noise + content[where + length :],
        content[:where] + noise + content[where:],
        content[:where] + content[where + length :],
        b"\0" * len(content),
        content[: where // 2],
    ][int(draw.integers(8))]


# Orbax leaves coroutines behind where it fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_damage_is_refused_or_does_no_harm(tmp_path):
    path, standing = saved(tmp_path)
    every = [each for each in sorted(path.rglob("*")) if each.is_file() and each.stat().st_size]
    draw = np.random.default_rng(0)
    refused = 0
    for index in range(60):
        chosen = every[index % len(every)]
        content = chosen.read_bytes()
        chosen.write_bytes(damaged(content, draw))
        try:
            assert_equal(restore(tmp_path, state(), RUN), standing)
        except (Failed, BadArgument):
            refused += 1
        chosen.write_bytes(content)
    assert refused > 15
    assert_equal(restore(tmp_path, state(), RUN), standing)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path, _ = saved(tmp_path)
    os.mkfifo(path / "pipe")
    with pytest.raises(BadArgument, match=r"checkpoint_dir: .*pipe is no file of a checkpoint"):
        restore(tmp_path, state(), RUN)
    (path / "pipe").unlink()
    with open(path / "large", "wb") as stream:
        stream.truncate(2**28 + 10_000)  # a sparse file: no byte of it is read
    with pytest.raises(Failed, match="more than what belongs there"):
        restore(tmp_path, state(), RUN)
    path.rename(tmp_path / "elsewhere")
    path.write_bytes(b"")
    with pytest.raises(BadArgument, match="no file of a checkpoint"):
        restore(tmp_path, state(), RUN)
    path.unlink()
    path.mkdir()
    with pytest.raises(Failed, match="damaged"):
        restore(tmp_path, state(), RUN)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (None, "another run"),
        (RUN | {"seed": 4}, "its seed is 4, not 3"),
        (RUN | {"seed": 3.0}, "its seed is 3.0, not 3"),
        (
            RUN | {"model": {"Net": {"width": True, "rates": [0.1, 0.2]}}},
            "its model.Net.width is true, not 1",
        ),
        (
            RUN | {"model": {"Net": {"width": 1, "rates": [0.1, 0.3]}}},
            r"its model.Net.rates\[1\] is 0.3, not 0.2",
        ),
        ({"seed": 3}, "another run"),
    ],
)
def test_another_run_is_refused_in_words(tmp_path, run, words):
    saved(tmp_path, run=run)
    with pytest.raises(BadArgument, match=words):
        restore(tmp_path, state(), RUN)


def test_a_text_that_was_changed_is_refused(tmp_path):
    """Every number of it is under a digest, the history's too."""
    path, _ = saved(tmp_path)
    file = path / "about" / "metadata"
    text = json.loads(file.read_text())
    text["history"][1]["train_loss"] = 0.25
    file.write_text(json.dumps(text))
    with pytest.raises(Failed, match="damaged: it is not what was written"):
        restore(tmp_path, state(), RUN)


@pytest.mark.parametrize(
    "other", [state(width=4), state(dtype=jnp.bfloat16), state(dtype=jnp.int32)]
)
def test_a_state_of_other_shapes_or_dtypes_is_refused(tmp_path, other):
    saved(tmp_path)
    with pytest.raises(BadArgument, match=r"another state than this run: .*opt_state\[0\]"):
        restore(tmp_path, other, RUN)


def test_a_directory_is_made_and_tried_and_cleared_of_what_was_cut_off(tmp_path):
    prepare(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b" / "checkpoints") == []
    path, _ = saved(tmp_path)
    (path.parent / "000000009.orbax-checkpoint-tmp").mkdir()
    prepare(tmp_path)
    assert os.listdir(path.parent) == [path.name]
    (tmp_path / "file").touch()
    with pytest.raises(Failed, match="checkpoint_dir: cannot write"):
        prepare(tmp_path / "file")
