import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import build
from cnnjax.benchmark import programs
from cnnjax.benchmark.case import HYPER, RECIPE, Case
from cnnjax.benchmark.programs import (
    batches,
    compile_mode,
    compile_program,
    forward_of,
    initial_state,
    train_step_of,
)
from cnnjax.ops.switch import is_stock
from cnnjax.train import SGD, AdamW, CrossEntropy, Hyper, OneVsAll, Recipe, make_train_step

CASE = Case("lenet5", 3)


def case_of(model):
    """A module on the batches of `CASE`."""
    return Case(model, CASE.batch, CASE.image_size, CASE.channels, "module")


def test_the_step_is_sgd_with_momentum():
    """The step of `train`, with nothing in it but the network, the loss and the optimizer."""
    model = build("lenet5")
    state = initial_state(case_of(model))
    images, targets = batches(CASE, 2)
    step = jax.jit(train_step_of(case_of(model)))
    transform = optax.sgd(1e-3, 0.9)
    params, opt_state = state.params, transform.init(state.params)
    normal = (images / 255 - 0.5) * 12**0.5

    def loss_of(params, index):
        logits = model.apply({"params": params}, normal[index], train=True)
        return optax.softmax_cross_entropy(logits, targets[index]).mean()

    for index in range(2):
        batch = images[index], targets[index]
        state, metrics = step(state, batch, jax.random.key(0))
        expected, gradients = jax.value_and_grad(loss_of)(params, index)
        updates, opt_state = transform.update(gradients, opt_state)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
    for ours, theirs in zip(jax.tree.leaves(state.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    assert state.step == 2


def test_the_step_is_that_of_train():
    """What users run: the same program as `make_train_step` of the recipe gives."""
    model, key = build("cnn", spec="conv2-bn-relu-gap", num_classes=10), jax.random.key(0)
    state = initial_state(case_of(model))
    batch = jax.tree.map(lambda each: each[0], batches(CASE, 1))
    theirs = make_train_step(model, RECIPE, 1000)
    programs_of = [
        str(jax.make_jaxpr(f)(state, batch, key)) for f in (train_step_of(case_of(model)), theirs)
    ]
    assert programs_of[0] == programs_of[1]
    assert (RECIPE.augment, RECIPE.optimizer, RECIPE.loss) == (
        (),
        SGD(nesterov=False),
        CrossEntropy(),
    )
    assert (HYPER.momentum, HYPER.learning_rate, HYPER.weight_decay) == (0.9, 1e-3, 0)


def test_the_state_has_the_shapes_of_init_and_random_kernels():
    model = build("resnet8_cifar")
    state = initial_state(Case(model, 2, 32, 3, "x"))
    blank = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), blank)
    for collection in ("params", "batch_stats"):
        found = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), getattr(state, collection))
        assert found == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes[collection])
    assert all(np.all(leaf == 1) for leaf in _named(state, "var"))
    assert all(np.std(leaf) > 0 for leaf in _named(state, "kernel"))


def _named(tree, name):
    leaves = jax.tree_util.tree_leaves_with_path(tree.variables)
    return [leaf for path, leaf in leaves if path[-1].key == name]


@pytest.mark.parametrize("mode", ["train", "forward"])
def test_ours_and_stock_compute_the_same(mode):
    results = []
    for stock in (False, True):
        program, state, inputs = compile_mode(CASE, mode, stock=stock)
        results.append(program.call(state, *inputs))
        assert program.peak_bytes > sum(x.nbytes for x in jax.tree.leaves(inputs[0]))
        assert min(program.lower_seconds, program.compile_seconds) > 0
    for ours, theirs in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_statistics_follow_the_batch():
    """As `apply` gives them for one batch."""
    model = build("cnn", spec="conv4-bn-relu-gap", num_classes=10)
    images, targets = (each[0] for each in batches(CASE, 1))
    state = initial_state(case_of(model))
    apply = jax.jit(lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"]))
    _, updated = apply(state.variables, (images / 255 - 0.5) * 12**0.5)
    after, _ = jax.jit(train_step_of(case_of(model)))(state, (images, targets), jax.random.key(0))
    for ours, theirs in zip(
        *map(jax.tree.leaves, (after.batch_stats, updated["batch_stats"])), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_forward_pass_is_that_of_evaluation():
    model = build("cnn", spec="conv4-bn-relu-gap", num_classes=10)
    images, _ = batches(CASE, 1)
    state = initial_state(case_of(model))
    expected = model.apply(state.variables, (images[0] / 255 - 0.5) * 12**0.5, train=False)
    np.testing.assert_allclose(forward_of(model)(state, images[0]), expected, rtol=1e-4, atol=1e-5)


def test_kernels_have_variance_2_by_fan_in_and_all_else_its_place():
    model = build("cnn", spec="conv64-bn-relu-fc50", num_classes=10)
    state = initial_state(Case(model, 2, 28, 3, "x"), seed=1)
    params = state.params
    kernels = _named(state, "kernel")
    assert len(kernels) == 3
    for kernel in kernels:
        fan_in = kernel.size / kernel.shape[-1]
        assert np.std(kernel) == pytest.approx(np.sqrt(2 / fan_in), rel=0.1)
        assert abs(np.mean(kernel)) < 5 * np.sqrt(2 / fan_in / kernel.size)
    assert all(np.all(leaf == 1) for leaf in (*_named(state, "scale"), *_named(state, "var")))
    assert all(np.all(leaf == 0) for leaf in (*_named(state, "bias"), *_named(state, "mean")))
    velocity = jax.tree.leaves(state.opt_state)
    assert [leaf.shape for leaf in velocity] == [leaf.shape for leaf in jax.tree.leaves(params)]
    assert not any(np.any(leaf) for leaf in velocity)
    assert state.step == 0
    again, other = (initial_state(Case(model, 2, 28, 3, "x"), seed=seed) for seed in (1, 2))
    first = lambda state: np.asarray(_named(state, "kernel")[0])
    np.testing.assert_array_equal(first(again), first(state))
    assert (first(other) != first(state)).any()


def test_batches_are_bytes_with_targets_of_every_class():
    case = Case(build("cnn", spec="gap", num_classes=7), 50, 32, 3, name="small")
    images, targets = batches(case, 4, seed=3)
    assert (images.shape, images.dtype) == ((4, 50, 32, 32, 3), np.uint8)
    assert (targets.shape, targets.dtype) == ((4, 50, 7), np.float32)
    assert float(images.mean()) == pytest.approx(127.5, abs=0.5)
    assert float(images.std()) == pytest.approx((256**2 / 12) ** 0.5, abs=0.5)
    assert (int(images.min()), int(images.max())) == (0, 255)
    assert (targets.sum(-1) == 1).all()
    assert (targets.sum((0, 1)) > 10).all()
    assert (images[0] != images[1]).any()
    again, other = (batches(case, 4, seed=seed)[0] for seed in (3, 4))
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
    _, state, inputs = compile_mode(CASE, mode, stock=True)
    ((arguments, how),) = given
    assert how == {"stock": True, "donate": mode == "train"}
    assert arguments == (state, *inputs)
    images = inputs[0][0] if mode == "train" else inputs[0]
    assert (images.shape, images.dtype) == ((3, 28, 28, 1), np.uint8)
    assert len(inputs) == (2 if mode == "train" else 1)


def test_a_case_may_have_a_recipe_of_its_own():
    """Its own loss and optimizer are in the step, and tell it from the usual one."""
    recipe = Recipe(loss=OneVsAll(), optimizer=AdamW())
    own = dataclasses.replace(CASE, recipe=recipe, hyper=Hyper(learning_rate=0.1))
    state = initial_state(own)
    batch = jax.tree.map(lambda each: each[0], batches(own, 1))
    after, metrics = jax.jit(train_step_of(own))(state, batch, jax.random.key(0))
    logits = forward_of(own.model)(state, batch[0])
    expected = OneVsAll()(logits, batch[1]).mean()
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-4)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), after.params, state.params)
    # Adam's first step moves by the rate: that of the first of 200 steps of warm-up.
    assert max(jax.tree.leaves(moved)) == pytest.approx(0.1 / 200, rel=0.05)
    assert CASE.definition() is None
    assert own.definition() != dataclasses.replace(own, hyper=HYPER).definition()
    assert (CASE.has_usual_step, own.has_usual_step) == (True, False)
