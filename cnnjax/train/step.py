"""One training step and one forward pass, as pure functions for `jax.jit` to compile."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnnjax.data.augment import Moment, Normalize, normalize, takes_moment
from cnnjax.errors import BadArgument
from cnnjax.nn import evaluating
from cnnjax.train.groups import frozen, frozen_modules, rates
from cnnjax.train.keys import named_key
from cnnjax.train.losses import smoothed
from cnnjax.train.metrics import totals_of
from cnnjax.train.recipe import Recipe
from cnnjax.train.state import TrainState, variables_of
from cnnjax.typing import Array, Images, Key, Logits, Targets, Variables

__all__ = ["augmented", "forward", "make_train_step", "score"]

Batch = tuple[Images, Targets] | tuple[Images, Targets, Array]
TrainStep = Callable[[TrainState, Batch, Key], tuple[TrainState, dict[str, Array]]]


def augmented(
    recipe: Recipe,
    batch: tuple[Images, Targets],
    mean: Array,
    std: Array,
    key: Key,
    moment: Moment | None = None,
) -> tuple[Images, Targets]:
    """Return a batch as a network is trained on it: augmented and normalized.

    Each value of the chain draws with a key of its own: that of the step, folded with its place.

    Args:
        recipe: whose `augment` is applied.
        batch: images `[B, H, W, C]` uint8 and targets `[B, K]` float32.
        mean: `[C]` float32, of images / 255.
        std: `[C]` float32, of images / 255.
        key: of this step.
        moment: for the values that take one; its key is that of the run.

    Returns:
        Images `[B, H, W, C]` float32 and targets `[B, K]` float32.

    Raises:
        BadArgument: where a value takes a moment and there is none.
    """
    images, targets = batch
    chain = recipe.augment
    if not any(isinstance(each, Normalize) for each in chain):
        chain = (*chain, Normalize())
    for place, each in enumerate(chain):
        if isinstance(each, Normalize):
            images = normalize(images, mean, std)
        elif not takes_moment(each):
            images, targets = each(jax.random.fold_in(key, place), images, targets)
        elif moment is None:
            raise BadArgument(
                f"batch: augment[{place}] needs to know which images it has; allowed: (images, "
                "targets, indices)"
            )
        else:
            now: Any = moment._replace(key=jax.random.fold_in(moment.key, place))
            given: Any = each
            images, targets = given(jax.random.fold_in(key, place), images, targets, moment=now)
    return images, targets


def _moment(recipe: Recipe, batch: Batch, key: Key, step: Array, steps: int) -> Moment | None:
    if len(batch) == 2:
        return None
    epoch = step // max(1, steps // recipe.epochs)
    return Moment(epoch, batch[2], named_key(key, "moment"))


def make_train_step(model: Any, recipe: Recipe, steps: int) -> TrainStep:
    """Return the step of a run: `(state, (images, targets), key) -> (state, metrics)`.

    The step is pure and not yet compiled: `jax.jit(step, donate_argnums=0)`. It takes images
    `[B, H, W, C]` uint8, targets `[B, K]` float32 and the key of the *run*; what it draws depends
    on that key and `state.step` alone. A third part of the batch, the images' places `[B]` int32 in
    the training set, is needed where an augmentation takes a `Moment`. Its metrics are of the
    augmented batch before the update: the scalars `loss`, which is minimized, and `accuracy`,
    float32, and the means of the recipe's.

    A model may have auxiliary classifiers: an attribute `aux_weight`, and among its features in
    training their logits, under names that begin with "aux". The loss of each, times the weight,
    is added to that of the model's own logits.

    Args:
        model: a Linen module: `apply(variables, images, train=True)` gives logits.
        recipe: of the run.
        steps: how many there are in the run, which the schedule stretches to.
    """
    gradient_of = jax.value_and_grad(functools.partial(_loss, model, recipe), has_aux=True)
    if recipe.microbatches > 1:
        gradient_of = functools.partial(_in_parts, gradient_of, recipe.microbatches)

    def step(state: TrainState, batch: Batch, key: Key) -> tuple[TrainState, dict[str, Array]]:
        hyper = state.hyper
        augment_key = jax.random.fold_in(named_key(key, "augment"), state.step)
        dropout_key = jax.random.fold_in(named_key(key, "dropout"), state.step)
        moment = _moment(recipe, batch, key, state.step, steps)
        images, targets = augmented(recipe, batch[:2], state.mean, state.std, augment_key, moment)
        (loss, (logits, batch_stats)), gradients = gradient_of(
            state.params, state, images, targets, dropout_key
        )
        if hasattr(recipe.optimizer, "climbed"):  # statistics and metrics are those of the weights
            climbed = recipe.optimizer.climbed(state.params, gradients)
            _, gradients = gradient_of(climbed, state, images, targets, dropout_key)
        factor = recipe.schedule(state.step, steps)
        updates, opt_state = recipe.optimizer(hyper.learning_rate * factor, hyper).update(
            gradients, state.opt_state, state.params
        )
        if recipe.groups:
            updates = jax.tree.map(
                lambda update, rate: update * rate,
                updates,
                rates(recipe.groups, hyper, state.params),
            )
        params = _learning(recipe, optax.apply_updates(state.params, updates), state.params)
        average: Any = {}
        if recipe.average:
            variables = variables_of(params, batch_stats)
            average = recipe.average(state.average, variables, state.step, steps)
            if hasattr(recipe.average, "resumed"):
                variables = recipe.average.resumed(average, variables, state.step)
                params, batch_stats = variables["params"], variables.get("batch_stats", {})
        new = TrainState(
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            average=average,
            hyper=hyper,
            mean=state.mean,
            std=state.std,
        )
        return new, {"loss": loss, **_means(recipe, logits, targets)}

    return step


def _loss(
    model: Any,
    recipe: Recipe,
    params: Any,
    state: TrainState,
    images: Array,
    targets: Targets,
    dropout_key: Key,
) -> tuple[Array, tuple[Logits, Any]]:
    """Return what is minimized, the logits `[B, K]` and the new statistics of norms."""
    targets = smoothed(targets, state.hyper.label_smoothing)
    still = frozen_modules(frozen(recipe.groups, params)) if recipe.groups else ()
    # What is frozen is taken from the state, so that nothing is differentiated by it.
    params = _learning(recipe, params, state.params)
    weight: Any = getattr(model, "aux_weight", None)
    with evaluating(still) if still else contextlib.nullcontext():
        output, updated = model.apply(
            variables_of(params, state.batch_stats),
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": dropout_key},
            **({} if weight is None else {"features": True}),
        )
    logits, features = (output, {}) if weight is None else output
    loss = recipe.loss(logits, targets).mean()
    for name in features:
        if name.startswith("aux"):
            loss += weight * recipe.loss(features[name], targets).mean()
    return loss, (logits, updated.get("batch_stats", {}))


def _in_parts(
    gradient_of: Any,
    parts: int,
    params: Any,
    state: TrainState,
    images: Array,
    targets: Targets,
    dropout_key: Key,
) -> Any:
    """Return what `gradient_of` does, of so many parts of a batch in turn.

    Part `i` has the images `i, i + parts, ...`: of a batch that devices share, each has its own of
    every part. Each part's statistics of norms move on from those of the one before.
    """
    if len(images) % parts:
        raise BadArgument(
            f"microbatches: received {parts}, allowed: what divides a batch of {len(images)}"
        )

    def split(array: Array) -> Array:
        return array.reshape(len(array) // parts, parts, *array.shape[1:]).swapaxes(0, 1)

    def take(carry: Any, part: Any) -> Any:
        (batch_stats, summed), (index, *batch) = carry, part
        before = dataclasses.replace(state, batch_stats=batch_stats)
        key = jax.random.fold_in(dropout_key, index)
        (loss, (logits, batch_stats)), gradient = gradient_of(params, before, *batch, key)
        return (batch_stats, jax.tree.map(jnp.add, summed, gradient)), (loss, logits)

    zero = (state.batch_stats, jax.tree.map(jnp.zeros_like, params))
    batch = (jnp.arange(parts), split(images), split(targets))
    (batch_stats, summed), (losses, logits) = jax.lax.scan(take, zero, batch)
    logits = logits.swapaxes(0, 1).reshape(len(images), -1)
    mean = jax.tree.map(lambda leaf: leaf / parts, summed)
    return (losses.mean(), (logits, batch_stats)), mean


def _learning(recipe: Recipe, params: Any, before: Any) -> Any:
    """Return parameters, those of frozen groups as they were before.

    0 times an update is not 0 where the update is infinite.
    """
    if not recipe.groups:
        return params
    return jax.tree.map(
        lambda still, new, old: old if still else new,
        frozen(recipe.groups, before),
        params,
        before,
    )


def _means(recipe: Recipe, logits: Logits, targets: Targets) -> dict[str, Array]:
    counted = jnp.ones(len(logits), bool)
    totals = {name: totals_of(metric, logits, targets, counted) for name, metric in recipe.reported}
    return {name: total / weight for name, (total, weight) in totals.items()}


def forward(model: Any, variables: Variables, images: Images, mean: Array, std: Array) -> Logits:
    """Return the logits `[B, K]` float32 of stored images `[B, H, W, C]` uint8, in evaluation."""
    return model.apply(variables, normalize(images, mean, std), train=False)


def score(recipe: Recipe, logits: Logits, targets: Targets, counted: Array) -> dict[str, Array]:
    """Return sums over the counted examples: for each name the total and what it is divided by.

    Args:
        recipe: whose loss, without label smoothing, and metrics.
        logits: `[B, K]` float32.
        targets: `[B, K]` float32.
        counted: `[B]` bool, False for the padding of an incomplete batch.

    Returns:
        `loss`, `accuracy` and the metrics, `[2]` or `[2, M]` float32 each.
    """
    every = (("loss", recipe.loss), *recipe.reported)
    return {name: totals_of(metric, logits, targets, counted) for name, metric in every}
