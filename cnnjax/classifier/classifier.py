"""`Classifier`: a network, its weights, how images are prepared for it and what it tells apart."""

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import BadArgument, Failed
from cnnjax.models import facts_of
from cnnjax.typing import Images, Key, Logits, Variables
from cnnjax.weights.load import load_with_facts
from cnnjax.weights.preprocessing import Preprocessing, known_preprocessing

__all__ = ["Classifier", "load"]

_log = logging.getLogger("cnnjax")


@dataclass(frozen=True)
class Classifier:
    """A network with weights, and what belongs to them.

    Attributes:
        model: a Linen module: `model.apply(variables, images, train=False)` gives logits `[B, K]`.
        variables: its weights, `{"params": ..., "batch_stats": ...}`.
        preprocessing: how an image becomes its input.
        class_names: one for each of the K logits.
    """

    model: Any
    variables: Variables
    preprocessing: Preprocessing
    class_names: tuple[str, ...]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)` of the images that it takes."""
        return self.preprocessing.image_shape

    @property
    def normalization(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of images / 255, `[C]` float32 each, as `cnnjax.train.fit` takes."""
        how = self.preprocessing
        return np.array(how.mean, np.float32), np.array(how.std, np.float32)

    def logits(self, images: Images | np.ndarray) -> Logits:
        """Return the logits of images.

        Args:
            images: `[B, H, W, C]` of `image_shape`: uint8 in 0..255, which are normalised here, or
                a float type, normalised.

        Returns:
            `[B, K]`, float32 at least.

        Raises:
            BadArgument: for another shape or dtype.
        """
        return _logits(self.model, self.variables, self._checked(images))

    def stages(self, images: Images | np.ndarray) -> dict[str, jax.Array]:
        """Return what each stage computes, in the network's order, the logits last.

        Arguments and errors as those of `logits`, but images may be of another height and width
        where the network takes them.
        """
        images = self._checked(images, any_size=True)
        order: list[str] = []

        def apply(variables: Variables, images: Images) -> dict[str, jax.Array]:
            logits, stages = self.model.apply(variables, images, train=False, features=True)
            order[:] = [*stages, "logits"]  # jit sorts a dictionary
            return {**stages, "logits": logits}

        try:
            jax.eval_shape(apply, self.variables, images)
        except BadArgument:
            raise
        except Exception as error:  # flax, numpy and jax: whatever a layer of another size raises
            size, own = ("x".join(map(str, s[:2])) for s in (images.shape[1:], self.image_shape))
            raise BadArgument(
                f"images: {size} pixels, which these weights cannot take; they are for {own}"
            ) from error
        computed = jax.jit(apply)(self.variables, images)
        return {name: computed[name] for name in order}

    def _checked(self, images: Any, any_size: bool = False) -> jax.Array:
        """Return images as the network's input, if they have the shape and a dtype that fits."""
        shape: tuple[int, ...] = getattr(images, "shape", ())
        dtype = np.dtype(getattr(images, "dtype", object))
        own = self.image_shape
        fits = shape[3:] == own[2:] if any_size else shape[1:] == own
        if len(shape) != 4 or not fits or 0 in shape:
            size = "H, W" if any_size else f"{own[0]}, {own[1]}"
            raise BadArgument(f"images: shape {list(shape)}, allowed: [B, {size}, {own[2]}]")
        if jnp.issubdtype(dtype, jnp.floating):
            return jnp.asarray(images)
        if dtype != np.uint8:
            raise BadArgument(f"images: dtype {dtype}, allowed: uint8 in 0..255, a float type")
        mean, std = (each.reshape(1, 1, 1, -1) for each in self.normalization)
        return (jnp.asarray(images, jnp.float32) / 255 - mean) / std

    def read(self, path: str | Path) -> np.ndarray:
        """Return the image in a file as the network's input `[H, W, C]` float32.

        Raises:
            BadArgument: for a network whose images have neither one channel nor three.
            Failed: for a file that is not there, is damaged or is not an image.
        """
        from cnnjax.data.photographs import prepare_photograph, read_photograph

        how = self.preprocessing
        height, width, channels = self.image_shape
        if channels not in (1, 3):
            raise BadArgument(
                f"image: these weights are for images of {channels} channels; image files have "
                "1 or 3 (in Python: cnnjax.load(...).logits(images))"
            )
        return prepare_photograph(
            read_photograph(path, channels),
            size=(height, width),
            crop=how.crop,
            interpolation=how.interpolation,
            mean=how.mean,
            std=how.std,
            crop_mode=how.crop_mode,
        )

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Return how likely each class is, `[K]` float64, on one image `[H, W, C]`.

        Raises:
            Failed: where the network computes something that is not finite.
        """
        likely = np.asarray(jax.nn.softmax(self.logits(image[None])[0]), np.float64)
        if not np.isfinite(likely).all():
            raise Failed("the network's logits are not finite: its weights are damaged")
        return likely


@functools.partial(jax.jit, static_argnums=0)
def _logits(model: Any, variables: Variables, images: Images) -> Logits:
    return model.apply(variables, images, train=False)


def load(
    name: str,
    source: str | Path | Mapping[str, np.ndarray],
    *,
    num_classes: int | None = None,
    channels: int | None = None,
    pixels: int | tuple[int, int] | None = None,
    key: Key | None = None,
    **overrides: Any,
) -> Classifier:
    """Return the network `name` with the weights in `source`, and all that belongs to them.

    What the file says (`About`) comes before what the table of networks says of the weights that it
    names, and what the arguments say before both.

    Args:
        name: of `cnnjax.list_models()`.
        source: a file of weights, a directory that `cnnjax train` left, a hub id, "package", or a
            state dict; see `load_weights`.
        num_classes: None takes the file's; another number makes a new head, whose classes are
            "class 0", "class 1", ...
        channels: of the images; None takes the file's.
        pixels: side of the images, or `(height, width)`; None takes the file's.
        key: for what is drawn of a new head.
        **overrides: fields of the network's family.

    Raises:
        BadArgument: for weights that do not fit, or a source that is none.
        Failed: for a damaged file, or a failed download.
    """
    found = load_with_facts(
        name,
        source,
        num_classes=num_classes,
        channels=channels,
        pixels=pixels,
        key=key,
        **overrides,
    )
    own = known_preprocessing(name, source, found.about, found.tensorflow_born)
    asked = (pixels, pixels) if isinstance(pixels, int) else pixels
    height, width = own.image_shape[:2] if asked is None else asked
    names: tuple[str, ...] | None = None if found.about is None else found.about.class_names
    if names is None or found.has_new_head:
        names = _names(facts_of(name).dataset, found.model.num_classes, found.has_new_head)
    return Classifier(
        found.model,
        found.variables,
        own.for_images(height, width, found.image_shape[2]),
        names,
    )


def _names(dataset: str, number: int, is_new: bool) -> tuple[str, ...]:
    """Return names of the classes; where the package that has them is missing, numbers."""
    from cnnjax.data import class_names

    try:
        return class_names("" if is_new else dataset, number)
    except Failed as error:
        _log.warning("the classes are called by their numbers: %s", error)
        return class_names("", number)
