"""One training step and one forward pass, as pure functions for `jax.jit` to compile."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax.data.augment import cutout, normalise, random_crop, random_flip
from cnnjax.errors import unknown
from cnnjax.train.keys import named_key
from cnnjax.train.losses import LOSSES
from cnnjax.train.optimisers import learning_rate_factor
from cnnjax.train.recipe import Recipe
from cnnjax.train.state import TrainState, optimiser_of, variables_of
from cnnjax.typing import Array, Images, Key, Labels, Logits, Variables

__all__ = ["augment", "forward", "make_train_step", "metrics_of"]

Batch = tuple[Images, Labels]
TrainStep = Callable[[TrainState, Batch, Key], tuple[TrainState, dict[str, Array]]]


def augment(key: Key, images: Images, mean: Array, std: Array, recipe: Recipe) -> Array:
    """Return stored images as a network is trained on them: cropped, flipped, normalised, cut.

    One key serves all: each function folds a constant of its own into it.

    Args:
        key: of this step.
        images: `[B, H, W, C]` uint8.
        mean: `[C]` float32, of images / 255.
        std: `[C]` float32, of images / 255.
        recipe: says which of it.

    Returns:
        `[B, H, W, C]` float32.
    """
    if recipe.crop_padding:
        images = random_crop(key, images, recipe.crop_padding)
    if recipe.flip:
        images = random_flip(key, images)
    images = normalise(images, mean, std)
    if recipe.cutout:
        # After normalisation, where 0 is the mean colour, as in the paper.
        images = cutout(key, images, recipe.cutout)
    return images


def make_train_step(model: Any, recipe: Recipe, steps: int, *, frozen: bool = False) -> TrainStep:
    """Return the step of a run: `(state, (images, labels), key) -> (state, metrics)`.

    The step is pure and not yet compiled: `jax.jit(step, donate_argnums=0)`. It takes images
    `[B, H, W, C]` uint8, labels `[B]` int32 and the key of the *run*; what it draws depends on
    that key and `state.step` alone. Its metrics are the scalars `loss`, which is minimised, and
    `accuracy` of the augmented batch, float32, before the update.

    A model may have auxiliary classifiers: an attribute `aux_weight`, and among its features in
    training their logits, under names that begin with "aux". The loss of each, times the weight,
    is added to that of the model's own logits.

    Args:
        model: a Linen module: `apply(variables, images, train=True)` gives logits.
        recipe: of the run.
        steps: how many there are in the run, which the schedule stretches to.
        frozen: only the recipe's head learns, and the network runs as in evaluation; what a
            `Hyper.backbone_rate` of 0 means.
    """

    loss_of = functools.partial(_loss, model, recipe, frozen)

    def step(state: TrainState, batch: Batch, key: Key) -> tuple[TrainState, dict[str, Array]]:
        images, labels = batch
        hyper = state.hyper
        augment_key = jax.random.fold_in(named_key(key, "augment"), state.step)
        dropout_key = jax.random.fold_in(named_key(key, "dropout"), state.step)
        images = augment(augment_key, images, state.mean, state.std, recipe)
        (loss, (logits, batch_stats)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            state.params, state, images, labels, dropout_key
        )
        updates, opt_state = optimiser_of(recipe, hyper).update(
            gradients, state.opt_state, state.params
        )
        factor = learning_rate_factor(
            recipe.schedule, state.step, steps=steps, warmup=recipe.warmup
        )
        rate = hyper.learning_rate * factor
        params = _moved(state.params, updates, rate, hyper.backbone_rate, recipe.head)
        if frozen:  # 0 times an update is not 0 where the update is infinite
            params = _with_head_of(params, state.params, recipe.head)
        new = TrainState(
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            average=_averaged(state, variables_of(params, batch_stats), recipe.ema_decay),
            hyper=hyper,
            mean=state.mean,
            std=state.std,
        )
        return new, {"loss": loss, "accuracy": jnp.mean(logits.argmax(axis=-1) == labels)}

    return step


def _loss(
    model: Any,
    recipe: Recipe,
    frozen: bool,
    params: Any,
    state: TrainState,
    images: Array,
    labels: Labels,
    dropout_key: Key,
) -> tuple[Array, tuple[Logits, Any]]:
    """Return what is minimised, the logits `[B, K]` and the new statistics of norms."""

    def mean_loss(logits: Logits) -> Array:
        return LOSSES[recipe.loss](logits, labels, state.hyper.label_smoothing).mean()

    if frozen:
        params = _with_head_of(params, state.params, recipe.head)
        logits = model.apply(variables_of(params, state.batch_stats), images, train=False)
        return mean_loss(logits), (logits, state.batch_stats)
    weight: Any = getattr(model, "aux_weight", None)
    output, updated = model.apply(
        variables_of(params, state.batch_stats),
        images,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": dropout_key},
        **({} if weight is None else {"features": True}),
    )
    logits, features = (output, {}) if weight is None else output
    loss = mean_loss(logits)
    for name in features:
        if name.startswith("aux"):
            loss += weight * mean_loss(features[name])
    return loss, (logits, updated.get("batch_stats", {}))


def _with_head_of(params: Any, others: Any, head: tuple[str, ...]) -> Any:
    """Return the head of one tree of parameters and all else of another's."""
    _check_head(params, head)
    return {name: params[name] if name in head else others[name] for name in params}


def _check_head(params: Any, head: tuple[str, ...]) -> None:
    for name in head:
        if name not in params:
            raise unknown("head", name, params)


def _moved(
    params: Any, updates: Any, rate: Array, backbone_rate: Array | float, head: tuple[str, ...]
) -> Any:
    """Return `params - rate * updates`, at a rate of its own outside of the head."""
    if not head:
        return jax.tree.map(lambda p, u: p - rate * u, params, updates)
    _check_head(params, head)
    return {
        name: jax.tree.map(
            lambda p, u, r=rate if name in head else rate * backbone_rate: p - r * u,
            params[name],
            updates[name],
        )
        for name in params
    }


def _averaged(state: TrainState, variables: Variables, decay: float) -> Any:
    if not decay:
        return {}
    # A short memory at first, else the random initial weights stay in the average for
    # 1 / (1 - decay) steps.
    kept = jnp.minimum(decay, (1 + state.step) / (10 + state.step))
    return jax.tree.map(lambda old, new: new + kept * (old - new), state.average, variables)


def forward(model: Any, variables: Variables, images: Images, mean: Array, std: Array) -> Logits:
    """Return the logits `[B, K]` float32 of stored images `[B, H, W, C]` uint8, in evaluation."""
    return model.apply(variables, normalise(images, mean, std), train=False)


def metrics_of(logits: Logits, labels: Labels, counted: Array, loss: str) -> dict[str, Array]:
    """Return the sums of losses and of right answers over the counted examples.

    Args:
        logits: `[B, K]` float32.
        labels: `[B]` int32.
        counted: `[B]` bool, False for the padding of an incomplete batch.
        loss: a key of `LOSSES`.

    Returns:
        `loss` and `accuracy`, float32 scalars.
    """
    # `where` and not a product: what is not counted may be NaN.
    losses = jnp.where(counted, LOSSES[loss](logits, labels, 0.0), 0.0)
    right = counted & (logits.argmax(axis=-1) == labels)
    return {"loss": losses.sum(), "accuracy": right.sum().astype(jnp.float32)}
