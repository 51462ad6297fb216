"""Every example counts once, whatever the batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from cnnjax.errors import BadArgument
from cnnjax.train import (
    CrossEntropy,
    OneVsAll,
    PerClassAccuracy,
    Recipe,
    TopK,
    data_parallel_mesh,
    evaluate,
    predict,
)
from cnnjax.train.evaluate import batches
from cnnjax.train.placement import batch_sharding, one_device, replicated
from cnnjax.train.step import score
from tests.train.test_losses import FORMULAS, LOSSES
from tests.train.toy import Linear, Normed, noise_set

SET = noise_set(11, 4)
MEAN, STD = np.array([0.4], np.float32), np.array([0.3], np.float32)
VARIABLES = Normed().init(jax.random.key(0), np.zeros((1, 4, 4, 1)), train=False)


def logits_in_numpy(variables):
    x = ((SET.images / 255.0 - 0.4) / 0.3).reshape(11, -1)
    params = jax.tree.map(np.float64, variables["params"])
    stats = jax.tree.map(np.float64, variables["batch_stats"]["norm"])
    x = x @ params["body"]["kernel"] + params["body"]["bias"]
    x = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    x = x * params["norm"]["scale"] + params["norm"]["bias"]
    return x @ params["head"]["kernel"] + params["head"]["bias"]


@pytest.mark.parametrize("mesh", [None, data_parallel_mesh(jax.devices()[:2])])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 11, 12, 300])
def test_batches_have_every_example_once_in_order_and_one_shape(batch_size, mesh):
    devices = 1 if mesh is None else 2
    size = batch_size + batch_size % devices
    parts = list(batches(SET, batch_size, mesh))
    assert len(parts) == -(-11 // size)
    assert {part[0].shape for part in parts} == {(size, 4, 4, 1)}
    images, labels, counted = (np.concatenate(column) for column in zip(*parts, strict=True))
    assert (images.dtype, labels.dtype, counted.dtype) == (np.uint8, np.int32, bool)
    assert counted.tolist() == [True] * 11 + [False] * (len(images) - 11)
    np.testing.assert_array_equal(images[counted], SET.images)
    np.testing.assert_array_equal(labels[counted], SET.labels)
    assert not images[~counted].any()
    assert not labels[~counted].any()


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "8", None])
def test_no_batch_is_refused(batch_size):
    with pytest.raises(BadArgument, match=rf"^batch_size: received {batch_size!r}.*from 1"):
        list(batches(SET, batch_size))


@pytest.mark.parametrize("mesh", [None, data_parallel_mesh(jax.devices()[:2])])
def test_figures_are_their_definitions(mesh):
    logits = logits_in_numpy(VARIABLES)
    options = {"mean": MEAN, "std": STD, "batch_size": 4, "mesh": mesh}
    found = predict(Normed(), VARIABLES, SET, **options)
    assert (found.dtype, found.shape) == (np.float32, (11, 3))
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)
    figures = evaluate(Normed(), VARIABLES, SET, **options)
    expected = -scipy.special.log_softmax(logits, axis=1)[np.arange(11), SET.labels].mean()
    assert figures["loss"] == pytest.approx(expected, rel=1e-5)
    assert figures["accuracy"] == pytest.approx((logits.argmax(1) == SET.labels).mean())


def test_another_loss_is_evaluated_by_its_formula():
    logits = logits_in_numpy(VARIABLES)
    loss = evaluate(Normed(), VARIABLES, SET, mean=MEAN, std=STD, loss=OneVsAll(squared=True))[
        "loss"
    ]
    pairs = zip(logits, SET.labels, strict=True)
    assert loss == pytest.approx(
        np.mean([FORMULAS["one_vs_all_squared"](*p) for p in pairs]), rel=1e-5
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_what_does_not_count_may_be_anything(loss):
    logits = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    labels = np.array([0, 1, 2, 0, 1], np.int32)
    counted = np.array([True, True, False, True, False])
    spoiled = np.where(counted[:, None], logits, np.nan)
    recipe = Recipe(loss=LOSSES[loss], metrics={"top2": TopK(2), "recall": PerClassAccuracy()})
    targets = jax.nn.one_hot(labels, 7)
    sums = score(recipe, jnp.asarray(spoiled), targets, jnp.asarray(counted))
    pairs = zip(logits[counted].astype(float), labels[counted], strict=True)
    assert sums["loss"].tolist() == pytest.approx(
        [sum(FORMULAS[loss](*p) for p in pairs), 3], rel=1e-5
    )
    right = logits.argmax(1) == labels
    assert sums["accuracy"].tolist() == [right[counted].sum(), 3]
    best = np.argsort(-logits, axis=1)[:, :2]
    assert sums["top2"].tolist() == [(best == labels[:, None]).any(1)[counted].sum(), 3]
    each = [(right & counted & (labels == k)).sum() for k in range(7)]
    assert sums["recall"].tolist() == [each, np.bincount(labels[counted], minlength=7).tolist()]


def test_metrics_of_a_whole_set_by_name():
    """A class without examples has no recall; the filling of the last batch is of class 0."""
    few = SET.subset(np.flatnonzero(SET.labels != 2))
    found = evaluate(
        Normed(), VARIABLES, few, mean=MEAN, std=STD, batch_size=4,
        metrics={"top2": TopK(2), "recall": PerClassAccuracy(), "top3": TopK(3)},
    )  # fmt: skip
    logits = logits_in_numpy(VARIABLES)[SET.labels != 2]
    right = logits.argmax(1) == few.labels
    best = np.argsort(-logits, axis=1)[:, :2]
    assert found["top2"] == pytest.approx((best == few.labels[:, None]).any(1).mean())
    assert found["top3"] == 1
    expected = [right[few.labels == 0].mean(), right[few.labels == 1].mean(), np.nan]
    np.testing.assert_allclose(found["recall"], expected)


def test_ties_go_to_the_first_class_and_nan_is_never_right():
    logits = jnp.array([[1.0, 1, 0], [1, 1, 0], [np.nan, 0, 1], [0, 0, np.nan]])
    targets = jax.nn.one_hot(jnp.array([0, 1, 2, 0]), 3)
    for k, expected in ((1, [1, 0, 0, 0]), (2, [1, 1, 0, 0])):
        assert TopK(k)(logits, targets).tolist() == [bool(e) for e in expected]


@pytest.mark.parametrize(
    ("model", "loss", "words"),
    [
        ("lenet5", CrossEntropy(), r"model: received 'lenet5'"),
        (Linear, CrossEntropy(), r"model: received a class"),
        (
            Linear(num_classes=2),
            CrossEntropy(),
            r"model: Linear gives 2 logits.*'noise' has 3 classes",
        ),
        (Linear(), "hinge", r"loss: received 'hinge', allowed: a value that can be called"),
        (
            Linear(),
            CrossEntropy,
            r"loss: received a class, allowed: a value such as CrossEntropy\(\)",
        ),
    ],
)
def test_slips_end_in_one_line(model, loss, words):
    variables = {"params": {}}
    if isinstance(model, Linear):
        variables = model.init(jax.random.key(0), np.zeros((1, 4, 4, 1)), train=False)
    with pytest.raises(BadArgument, match=words):
        evaluate(model, variables, SET, mean=MEAN, std=STD, loss=loss)
    if not isinstance(model, Linear):
        with pytest.raises(BadArgument, match=words):
            predict(model, variables, SET, mean=MEAN, std=STD)


def test_more_logits_than_classes_can_be_evaluated():
    """As of a network for 1,000 classes on images of a few of them."""
    model = Linear(num_classes=5)
    variables = model.init(jax.random.key(0), np.zeros((1, 4, 4, 1)), train=False)
    logits = predict(model, variables, SET, mean=MEAN, std=STD)
    figures = evaluate(model, variables, SET, mean=MEAN, std=STD)
    assert figures["accuracy"] == pytest.approx((logits.argmax(1) == SET.labels).mean())


def test_a_mesh_has_all_devices_unless_told():
    mesh = data_parallel_mesh()
    assert mesh.devices.tolist() == jax.devices()
    assert mesh.size == len(jax.devices()) == 2
    assert data_parallel_mesh(jax.devices()[1:]).size == one_device().size == 1
    assert one_device().devices.tolist() == jax.devices()[:1]
    with jax.default_device(jax.devices()[1]):
        assert one_device().devices.tolist() == jax.devices()[1:]
    whole, split = (jax.device_put(np.zeros((4, 3)), s(mesh)) for s in (replicated, batch_sharding))
    assert {part.data.shape for part in whole.addressable_shards} == {(4, 3)}
    assert {part.data.shape for part in split.addressable_shards} == {(2, 3)}
    with pytest.raises(BadArgument, match="devices: received none"):
        data_parallel_mesh([])
