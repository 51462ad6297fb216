import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import build
from cnnjax.benchmark.case import Case
from cnnjax.benchmark.loops import scan_and_steps, vmap_and_runs
from cnnjax.benchmark.programs import (
    LEARNING_RATE,
    MOMENTUM,
    batches,
    compile_mode,
    initial_state,
    train_step_of,
)

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


@pytest.mark.parametrize(
    ("make", "names"), [(scan_and_steps, ("scan", "steps")), (vmap_and_runs, ("vmap", "runs"))]
)
def test_loops_step_again_and_again(make, names):
    ways = make(CASE, 2)
    assert tuple(ways) == names
    for way in ways.values():
        assert way.step() > 0
        assert way.step() > 0
