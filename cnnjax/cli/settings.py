"""The options of a training run, which several commands share."""

import dataclasses
from typing import Annotated, Any

import tyro

from cnnjax.cli.arguments import metavar, option
from cnnjax.errors import unknown
from cnnjax.train import RECIPES, Hyper, Recipe
from cnnjax.train.losses import SMOOTHED

__all__ = ["Settings", "SharedSettings"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Training settings.

    Attributes:
        recipe: default, mnist or cifar10: what all settings below are where not given.
        epochs: passes over the training set.
        batch_size: images a step.
        loss: softmax, crammer_singer, crammer_singer_l2, one_vs_all or one_vs_all_l2.
        optimiser: sgd, heavy_ball, adam, adamw, lamb, lion or rmsprop.
        schedule: cosine, onecycle, step or constant.
        warmup: share of the run in which the learning rate rises.
        decay_all: weight decay also for biases and norms.
        clip_norm: largest norm of a gradient.
        crop_padding: pixels around a random crop.
        flip: mirror half of the images.
        cutout: side of a square that is blanked.
        ema_decay: of a moving average of the weights, which is then what is kept.
        learning_rate: at its peak.
        momentum: or beta 1 of the Adam family.
        weight_decay: as the optimiser applies it.
        label_smoothing: with loss softmax.
    """

    recipe: Annotated[str, metavar("NAME")] = "default"
    epochs: Annotated[int | None, option("N")] = None
    batch_size: Annotated[int | None, option("N")] = None
    loss: Annotated[str | None, option("NAME")] = None
    optimiser: Annotated[str | None, option("NAME")] = None
    schedule: Annotated[str | None, option("NAME")] = None
    warmup: Annotated[float | None, option("SHARE")] = None
    decay_all: Annotated[bool | None, option("True|False")] = None
    clip_norm: Annotated[float | None, option("NORM")] = None
    crop_padding: Annotated[int | None, option("PIXELS")] = None
    flip: Annotated[bool | None, option("True|False")] = None
    cutout: Annotated[int | None, option("PIXELS")] = None
    ema_decay: Annotated[float | None, option("DECAY")] = None
    learning_rate: Annotated[float | None, option("RATE")] = None
    momentum: Annotated[float | None, option("M")] = None
    weight_decay: Annotated[float | None, option("DECAY")] = None
    label_smoothing: Annotated[float | None, option("S")] = None

    def chosen(self) -> tuple[Recipe, Hyper]:
        """Return the recipe of that name and its scalars, with what else was given.

        Raises `BadArgument` for an unknown name, and for what `Recipe` and `Hyper` refuse.
        """
        if self.recipe not in RECIPES:
            raise unknown("recipe", self.recipe, RECIPES)
        named = RECIPES[self.recipe]
        recipe = dataclasses.replace(named.recipe, **self._given(Recipe))
        # The recipe's own smoothing is nobody's wish where the loss has none.
        smoothing = {} if recipe.loss in SMOOTHED else {"label_smoothing": 0.0}
        hyper = dataclasses.replace(named.hyper, **smoothing)
        return recipe, dataclasses.replace(hyper, **self._given(Hyper))

    def _given(self, cls: type) -> dict[str, Any]:
        names = {field.name for field in dataclasses.fields(cls)}
        given = {name: value for name, value in vars(self).items() if value is not None}
        return {name: value for name, value in given.items() if name in names}


SharedSettings = Annotated[Settings, tyro.conf.OmitArgPrefixes]
"""The annotation of a command's argument that has all these options."""
