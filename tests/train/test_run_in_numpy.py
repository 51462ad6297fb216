"""A whole run of a small network against the same run in numpy."""

import jax
import numpy as np
import pytest
import scipy.special

from cnnjax.train import EMA, SGD, Hyper, OneCycle, Recipe, backbone_and, fit
from cnnjax.train.keys import named_key
from tests.train.toy import Linear, toy_set

KEY = jax.random.key(3)
TRAIN, TEST = toy_set(20, "train"), toy_set(11, "test", seed=1)
HYPER = {"learning_rate": 0.3, "momentum": 0.8, "weight_decay": 0.02, "label_smoothing": 0.1}
EPOCHS, BATCH, CLIP = 2, 6, 0.7


def forward(params, x):
    hidden = x @ params["body"]["kernel"] + params["body"]["bias"]
    return hidden, hidden @ params["head"]["kernel"] + params["head"]["bias"]


def loss_and_gradient(params, x, labels, smoothing):
    hidden, logits = forward(params, x)
    target = (1 - smoothing) * np.eye(3)[labels] + smoothing / 3
    loss = -(target * scipy.special.log_softmax(logits, axis=1)).sum(axis=1).mean()
    of_logits = (scipy.special.softmax(logits, axis=1) - target) / len(x)
    of_hidden = of_logits @ params["head"]["kernel"].T
    gradient = {
        "body": {"kernel": x.T @ of_hidden, "bias": of_hidden.sum(0)},
        "head": {"kernel": hidden.T @ of_logits, "bias": of_logits.sum(0)},
    }
    return loss, (logits.argmax(1) == labels).mean(), gradient


def each(function, *trees):
    return {
        a: {b: function(*(tree[a][b] for tree in trees)) for b in trees[0][a]} for a in trees[0]
    }


def run_in_numpy(params, images, labels, *, rates, ema, frozen):
    """Nesterov SGD with clipping, decay of kernels, a triangular rate and a moving average."""
    trace, average, history, step = each(np.zeros_like, params), params, [], 0
    steps = EPOCHS * (len(labels) // BATCH)
    rising = round(0.25 * steps)
    for epoch in range(EPOCHS):
        key = jax.random.fold_in(named_key(KEY, "order"), epoch)
        order = np.asarray(jax.random.permutation(key, len(labels)))
        losses, rights = [], []
        for start in range(0, len(labels) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            loss, right, gradient = loss_and_gradient(params, images[chosen], labels[chosen], 0.1)
            losses.append(loss)
            rights.append(right)
            if frozen:
                gradient["body"] = {name: 0 * g for name, g in gradient["body"].items()}
            norm = np.sqrt(sum((g**2).sum() for part in gradient.values() for g in part.values()))
            gradient = each(lambda g, n=norm: g * min(1, CLIP / n), gradient)
            gradient = each(lambda g, p: g + 0.02 * p * (p.ndim > 1), gradient, params)
            trace = each(lambda t, g: 0.8 * t + g, trace, gradient)
            update = each(lambda t, g: g + 0.8 * t, trace, gradient)
            rise = min(1, (step + 1) / rising)
            rate = 0.3 * rise * (1 - max(0, step - rising) / (steps - rising))
            params = {
                name: {k: p - rates[name] * rate * update[name][k] for k, p in part.items()}
                for name, part in params.items()
            }
            kept = min(ema, (1 + step) / (10 + step))
            average = each(lambda a, p, k=kept: k * a + (1 - k) * p, average, params)
            step += 1
        history.append((np.mean(losses), np.mean(rights), average if ema else params))
    return params, average if ema else {}, history


@pytest.mark.parametrize(
    ("ema", "head", "backbone_rate"),
    [(0.15, ("head",), 0.3), (0.0, (), 1.0), (0.9, ("head",), 0.0)],
    ids=["averaged", "plain", "frozen"],
)
def test_a_run_equals_the_same_run_in_numpy(ema, head, backbone_rate):
    recipe = Recipe(
        epochs=EPOCHS,
        batch_size=BATCH,
        schedule=OneCycle(warmup=0.25),
        optimizer=SGD(clip_norm=CLIP),
        average=EMA(ema) if ema else None,
        groups=backbone_and(head) if head else (),
    )
    hyper = Hyper(**HYPER, backbone_rate=backbone_rate)
    run = fit(Linear(), TRAIN, TEST, recipe, hyper, KEY, validation=TEST)
    begun = Linear().init(named_key(KEY, "init"), np.zeros((1, 8, 8, 1), np.float32), train=False)
    pixels = TRAIN.images.astype(float) / 255
    mean, std = pixels.mean(), pixels.std()
    params, average, history = run_in_numpy(
        each(lambda p: np.asarray(p, np.float64), begun["params"]),
        ((pixels - mean) / std).reshape(len(TRAIN), -1),
        TRAIN.labels,
        rates={"head": 1.0, "body": backbone_rate},
        ema=ema,
        frozen=backbone_rate == 0,
    )
    close = {"rtol": 1e-4, "atol": 1e-5}
    each(lambda a, b: np.testing.assert_allclose(a, b, **close), run.state.params, params)
    assert bool(run.state.average) == bool(average)
    evaluated = average or params
    each(lambda a, b: np.testing.assert_allclose(a, b, **close), run.variables["params"], evaluated)
    unseen = ((TEST.images.astype(float) / 255 - mean) / std).reshape(len(TEST), -1)
    for entry, (loss, accuracy, of_epoch) in zip(run.history, history, strict=True):
        assert entry["train_loss"] == pytest.approx(loss, rel=1e-4)
        assert entry["train_accuracy"] == pytest.approx(accuracy)
        _, logits = forward(of_epoch, unseen)
        found = -scipy.special.log_softmax(logits, axis=1)[np.arange(11), TEST.labels].mean()
        assert entry["validation_loss"] == pytest.approx(found, rel=1e-4)
        assert entry["validation_accuracy"] == (logits.argmax(1) == TEST.labels).mean()
    assert run.test["loss"] == run.history[-1]["validation_loss"]
    assert run.test["accuracy"] == run.history[-1]["validation_accuracy"]
    assert [entry["epoch"] for entry in run.history] == [1, 2]
    np.testing.assert_allclose(run.mean, [mean], rtol=1e-6)
    np.testing.assert_allclose(run.std, [std], rtol=1e-6)
    if backbone_rate == 0:
        for found in (run.state.params, run.variables["params"]):
            each(np.testing.assert_array_equal, {"body": found["body"]}, begun["params"])
