import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import cnnjax
from cnnjax.classifier.probe import Probe, fit_probe, with_head
from cnnjax.errors import BadArgument
from cnnjax.weights import head_of

RNG = np.random.default_rng(0)


def test_a_probe_is_logistic_regression_on_features_of_deviation_one():
    features = (RNG.normal(size=(90, 6)) * [1, 10, 0.1, 3, 1, 1] + [0, 5, -2, 1, 0, 9]).astype("f4")
    labels = RNG.integers(0, 3, 90)
    probe = fit_probe(features, labels, 3, 0.1)
    scaled = (features - features.mean(0)) / features.std(0)
    # scikit-learn adds C times the sum to half the squared norm: C = 1 / (N penalty).
    peer = LogisticRegression(C=1 / (90 * 0.1), tol=1e-8, max_iter=10_000).fit(scaled, labels)
    likely = np.exp(probe.logits(features))
    likely /= likely.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(likely, peer.predict_proba(scaled), atol=2e-3)
    assert probe.penalty == 0.1


@pytest.mark.parametrize(
    ("name", "pixels"),
    [("efficientnet_lite0", 32), ("convnext_atto", 32), ("mobilenet_v3_small", 32), ("lenet5", 28)],
)
def test_a_probe_becomes_the_networks_head(name, pixels):
    model = cnnjax.build(name, num_classes=3)
    images = RNG.normal(size=(2, pixels, pixels, 1 if name == "lenet5" else 3)).astype("f4")
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    variables = jax.tree.map(lambda leaf: abs(RNG.normal(size=leaf.shape)).astype("f4") / 9, shapes)
    apply = jax.jit(lambda v: model.apply(v, images, train=False, features=True))
    before, stages = apply(variables)
    features = np.asarray(stages["pre_logits"])
    width = features.shape[1]
    probe = Probe(RNG.normal(size=(width, 3)).astype("f4"), np.float32([1, 2, 3]), 0.0)
    logits, _ = apply(with_head(variables, head_of(model, images.shape[1:]), probe))
    assert logits.shape == before.shape == (2, 3)
    np.testing.assert_allclose(logits, probe.logits(features), rtol=1e-3, atol=1e-3)


def test_what_is_no_single_linear_layer_takes_no_probe():
    probe = Probe(np.zeros((4, 3), "f4"), np.zeros(3, "f4"), 0.0)
    layer = {"kernel": np.zeros((4, 3)), "bias": np.zeros(3)}
    for head in ({"a": layer, "b": layer}, {"a": {"kernel": np.zeros((5, 3))}}, {"a": {}}):
        with pytest.raises(BadArgument, match=r"head: .* linear layers from 4 features to 3"):
            with_head({"params": head}, tuple(head), probe)
