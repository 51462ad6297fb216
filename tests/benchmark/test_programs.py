import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import build
from cnnjax.benchmark import programs
from cnnjax.benchmark.case import Case
from cnnjax.benchmark.programs import (
    LEARNING_RATE,
    MOMENTUM,
    batches,
    compile_mode,
    compile_program,
    forward_of,
    initial_state,
    train_step_of,
)
from cnnjax.ops.switch import is_stock

CASE = Case("lenet5", 3)


def test_the_step_is_sgd_with_momentum():
    model = build("lenet5")
    state = initial_state(model, CASE.image_shape)
    images, labels = batches(CASE, 2, 10)
    step = jax.jit(train_step_of(model))
    transform = optax.sgd(LEARNING_RATE, MOMENTUM)
    params, opt_state = state["params"], transform.init(state["params"])

    def loss_of(params, index):
        logits = model.apply({"params": params}, images[index], train=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels[index]).mean()

    for index in range(2):
        state, loss = step(state, images[index], labels[index])
        expected, gradients = jax.value_and_grad(loss_of)(params, index)
        updates, opt_state = transform.update(gradients, opt_state)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for ours, theirs in zip(jax.tree.leaves(state["params"]), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    assert state["step"] == 2


def test_the_state_has_the_shapes_of_init_and_random_kernels():
    model = build("resnet8_cifar")
    state = initial_state(model, (32, 32, 3))
    blank = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), blank)
    for collection in ("params", "batch_stats"):
        found = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state[collection])
        assert found == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes[collection])
    assert all(np.all(leaf == 1) for leaf in _named(state, "var"))
    assert all(np.std(leaf) > 0 for leaf in _named(state, "kernel"))


def _named(tree, name):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [leaf for path, leaf in leaves if path[-1].key == name and path[0].key != "velocity"]


def test_the_step_has_the_constants_of_its_documentation():
    assert (MOMENTUM, LEARNING_RATE) == (0.9, 1e-3)


@pytest.mark.parametrize("mode", ["train", "forward"])
def test_ours_and_stock_compute_the_same(mode):
    results = []
    for stock in (False, True):
        program, state, images, labels = compile_mode(CASE, mode, stock=stock)
        inputs = (images, labels) if mode == "train" else (images,)
        results.append(program.call(state, *inputs))
        assert program.peak_bytes > sum(x.nbytes for x in inputs)
        assert min(program.lower_seconds, program.compile_seconds) > 0
    for ours, theirs in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_statistics_follow_the_batch():
    """As `apply` gives them for one batch."""
    model = build("cnn", spec="conv4-bn-relu-gap", num_classes=10)
    images, labels = batches(CASE, 1, 10)
    state = initial_state(model, CASE.image_shape)
    variables = {name: state[name] for name in ("params", "batch_stats")}
    apply = jax.jit(lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"]))
    _, updated = apply(variables, images[0])
    after, _ = jax.jit(train_step_of(model))(state, images[0], labels[0])
    for ours, theirs in zip(
        *map(jax.tree.leaves, (after["batch_stats"], updated["batch_stats"])), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


class Dropping:
    """A model whose loss tells which key its dropout had."""

    def apply(self, variables, images, *, train, mutable, rngs):
        assert train
        assert mutable == ["batch_stats"]
        drawn = jax.random.normal(rngs["dropout"], (len(images), 10))
        return drawn + variables["params"]["bias"][None], {}


def test_every_step_draws_its_dropout_anew():
    images, labels = batches(CASE, 1, 10)
    state = {"params": {"bias": jnp.zeros(10)}, "batch_stats": {}}
    state |= {"velocity": jax.tree.map(jnp.zeros_like, state["params"])}
    losses = []
    for step in (0, 1, 0):
        _, loss = train_step_of(Dropping())(state | {"step": jnp.int32(step)}, images[0], labels[0])
        losses.append(float(loss))
    assert losses[0] == losses[2] != losses[1]


def test_a_forward_pass_is_that_of_evaluation():
    model = build("cnn", spec="conv4-bn-relu-gap", num_classes=10)
    images, _ = batches(CASE, 1, 10)
    state = initial_state(model, CASE.image_shape)
    variables = {name: state[name] for name in ("params", "batch_stats")}
    expected = model.apply(variables, images[0], train=False)
    np.testing.assert_array_equal(forward_of(model)(state, images[0]), expected)


def test_kernels_have_variance_2_by_fan_in_and_all_else_its_place():
    model = build("cnn", spec="conv64-bn-relu-fc50", num_classes=10)
    state = initial_state(model, (28, 28, 3), seed=1)
    params = state["params"]
    kernels = _named(state, "kernel")
    assert len(kernels) == 3
    for kernel in kernels:
        fan_in = kernel.size / kernel.shape[-1]
        assert np.std(kernel) == pytest.approx(np.sqrt(2 / fan_in), rel=0.1)
        assert abs(np.mean(kernel)) < 5 * np.sqrt(2 / fan_in / kernel.size)
    assert all(np.all(leaf == 1) for leaf in (*_named(state, "scale"), *_named(state, "var")))
    assert all(np.all(leaf == 0) for leaf in (*_named(state, "bias"), *_named(state, "mean")))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state["velocity"]))
    assert jax.tree.structure(state["velocity"]) == jax.tree.structure(params)
    assert state["step"] == 0
    again, other = (initial_state(model, (28, 28, 3), seed=seed) for seed in (1, 2))
    first = lambda state: np.asarray(_named(state, "kernel")[0])
    np.testing.assert_array_equal(first(again), first(state))
    assert (first(other) != first(state)).any()


def test_batches_are_standard_normal_with_labels_of_every_class():
    images, labels = batches(Case("resnet20_cifar", 50), 4, 7, seed=3)
    assert (images.shape, images.dtype) == ((4, 50, 32, 32, 3), np.float32)
    assert (labels.shape, labels.dtype) == ((4, 50), np.int32)
    assert float(images.mean()) == pytest.approx(0, abs=0.01)
    assert float(images.std()) == pytest.approx(1, abs=0.01)
    assert set(np.asarray(labels).ravel().tolist()) == set(range(7))
    assert (images[0] != images[1]).any()
    again, other = (batches(Case("resnet20_cifar", 50), 4, 7, seed=seed)[0] for seed in (3, 4))
    assert (again == images).all()
    assert (other != images).any()


@pytest.mark.parametrize("stock", [False, True])
@pytest.mark.parametrize("donate", [False, True])
def test_programs_are_traced_with_the_operations_asked_for(stock, donate):
    traced = []

    def function(x, y):
        traced.append(is_stock())
        return x + y

    arguments = (jnp.ones((64, 64)), jnp.ones((64, 64)))
    program = compile_program(function, arguments, stock=stock, donate=donate)
    assert traced == [stock]
    assert not is_stock()
    assert (program.memory["aliased"] > 0) == donate
    # Two matrices in, one out, which takes the place of one where it is donated.
    assert program.peak_bytes == pytest.approx((2 if donate else 3) * 64 * 64 * 4, abs=1000)
    assert np.all(program.call(*arguments) == 2)
    assert arguments[0].is_deleted() == donate


@pytest.mark.parametrize("mode", ["train", "forward"])
def test_a_mode_donates_only_what_it_gives_back(monkeypatch, mode):
    given = []
    monkeypatch.setattr(
        programs,
        "compile_program",
        lambda function, arguments, **how: given.append((arguments, how)),
    )
    _, state, images, labels = compile_mode(CASE, mode, stock=True)
    ((arguments, how),) = given
    assert how == {"stock": True, "donate": mode == "train"}
    assert len(arguments) == (3 if mode == "train" else 2)
    assert arguments[0] is state
    assert (images.shape, labels.shape) == ((3, 28, 28, 1), (3,))
