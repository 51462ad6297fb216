"""`Classifier`: a network, its weights, how images are prepared for it and what it tells apart."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data import Preprocessing
from cnnjax.data.photographs import decode_photograph, in_threads, prepare_photograph, quiet
from cnnjax.errors import BadArgument, Failed, bounded
from cnnjax.models import build
from cnnjax.typing import Images, Logits, Variables, check_features
from cnnjax.weights import WEIGHTS, About, save_weights
from cnnjax.weights.about import FLOAT32

__all__ = ["BATCH_SIZE", "Classifier"]

BATCH_SIZE = 32
"""Image files that are read and looked at together where nothing else is said."""

_MOST_IMAGES = 65_536
_NO_FIELDS = ("name", "parent", "num_classes", "dtype")  # Linen's own; the head's; the arithmetic


@dataclass(frozen=True)
class Classifier:
    """A network with weights, and what belongs to them.

    Attributes:
        model: a Linen module: `model.apply(variables, images, train=False)` gives logits `[B, K]`.
        variables: its weights, `{"params": ..., "batch_stats": ...}`.
        preprocessing: how an image becomes its input.
        class_names: one for each of the K logits.
        network: the name that `cnnjax.build` was given; "" for a module of one's own.
    """

    model: Any
    variables: Variables
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    network: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """In what the network differs from the one that its name alone builds; none without one.

        The number of classes is left out, and the type that it computes in: `model.dtype`.

        Raises:
            BadArgument: for a name of no network, or of one of another class.
        """
        if not self.network:
            return {}
        model, usual = self.model, build(self.network)
        if type(model) is not type(usual):
            raise BadArgument(
                f"network: {self.network!r} is a {type(usual).__name__}, the model is a "
                f"{type(model).__name__}; allowed for a module of your own: ''"
            )
        values = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
        return {
            name: value
            for name, value in values.items()
            if name not in _NO_FIELDS and value != getattr(usual, name)
        }

    def save(self, directory: str | Path) -> None:
        """Write `weights.safetensors`, complete or not at all, with all that belongs to it.

        `cnnjax.load(directory)` gives it back, computing in the same type unless it is told
        `dtype=`. Of a module of one's own the file holds no definition:
        `cnnjax.load(directory, model=module)` takes that again. PyTorch reads the file as a state
        dict.

        Args:
            directory: made where it is not there.

        Raises:
            BadArgument: for variables or fields of the network that a file cannot hold.
            Failed: where it cannot be written.
        """
        fields = self.fields  # refused before the type is asked for
        # The type of a module of one's own is the module's, which is given again.
        dtype = jnp.dtype(self.model.dtype).name if self.network else FLOAT32
        about = About(self.class_names, self.preprocessing, fields, self.network, dtype)
        save_weights(self.variables, Path(directory) / WEIGHTS, about=about)

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
            images: `[B, H, W, C]` of `image_shape`: uint8 in 0..255, which are normalized here, or
                a float type, normalized.

        Returns:
            `[B, K]`, float32 at least.

        Raises:
            BadArgument: for another shape or dtype.
        """
        return _logits(self.model, self.variables, self._checked(images))

    def features(self, images: Images | np.ndarray) -> jax.Array:
        """Return what the network's last linear layer is given, `features["pre_logits"]`.

        Arguments as those of `logits`.

        Returns:
            `[B, C]`.

        Raises:
            BadArgument: for images as `logits` does; for a module that has no such features.
        """
        images = self._checked(images)
        check_features(self.model)
        return _pre_logits(self.model, self.variables, images)

    def stages(self, images: Images | np.ndarray) -> dict[str, jax.Array]:
        """Return what each stage computes, in the network's order, the logits last.

        Arguments and errors as those of `logits`, but images may be of another height and width
        where the network takes them.
        """
        images = self._checked(images, any_size=True)
        check_features(self.model)
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
        with quiet():
            return self._input(path)

    def _input(self, photograph: str | Path | np.ndarray) -> np.ndarray:
        """Do what `read` does, inside of `quiet`, of a file or of an image `[H, W, C]` uint8."""
        how = self.preprocessing
        height, width, channels = self.image_shape
        if channels not in (1, 3):
            raise BadArgument(
                f"image: these weights are for images of {channels} channels; image files have "
                "1 or 3 (in Python: cnnjax.load(...).logits(images))"
            )
        if not isinstance(photograph, np.ndarray):
            photograph = decode_photograph(photograph, channels)
        return prepare_photograph(
            photograph,
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
        return self._likely(image[None])[0]

    def _likely(self, images: np.ndarray) -> np.ndarray:
        likely = np.asarray(jax.nn.softmax(self.logits(images)), np.float64)
        if not np.isfinite(likely).all():
            raise Failed("the network's logits are not finite: its weights are damaged")
        return likely

    def predict(self, files: Sequence[str | Path], *, batch_size: int = BATCH_SIZE) -> np.ndarray:
        """Return how likely each class is on the image in each file.

        Args:
            files: image files.
            batch_size: how many are read and looked at together, from 1.

        Returns:
            `[N, K]` float64, each row summing to 1.

        Raises:
            BadArgument: for images of the network that no file holds, or a batch size below 1.
            Failed: for a file that is not there, is damaged or is not an image; where the network
                computes something that is not finite.
        """
        rows = []
        for _, found in self.predictions(files, batch_size=batch_size):
            if isinstance(found, Failed):
                raise found
            rows.append(found)
        return np.stack(rows) if rows else np.empty((0, len(self.class_names)))

    def predictions(
        self, files: Sequence[str | Path], *, batch_size: int = BATCH_SIZE
    ) -> Iterator[tuple[str | Path, np.ndarray | Failed]]:
        """Yield each file with its `[K]` probabilities, or with the reason why it cannot be read.

        Arguments and other errors as those of `predict`. All batches have the same shape.
        """
        for some, images, faults in self.inputs(files, batch_size=batch_size):
            likely = np.empty(0) if all(faults) else self._likely(images)
            for index, (file, fault) in enumerate(zip(some, faults, strict=True)):
                yield file, likely[index] if fault is None else fault

    def inputs(
        self, photographs: Sequence[Any], *, batch_size: int = BATCH_SIZE
    ) -> Iterator[tuple[Sequence[Any], np.ndarray, list[Failed | None]]]:
        """Yield photographs in batches, as the network's input, read by several threads.

        Args:
            photographs: image files, or images `[H, W, C]` uint8 of any size.
            batch_size: how many at a time, from 1.

        Yields:
            Up to `batch_size` of them; the input `[batch_size, H, W, C]` float32, zeros where there
            is none, so that all batches have one shape; and for each the reason why it cannot be
            read, or None.

        Raises:
            BadArgument: for images of the network that no file holds, or a batch size below 1.
        """
        bounded("batch_size", batch_size, 1, _MOST_IMAGES)
        size = min(batch_size, len(photographs))
        for start in range(0, len(photographs), size or 1):
            some = photographs[start : start + size]
            read = in_threads(self._input_or_reason, some)
            images = np.zeros((size, *self.image_shape), np.float32)
            for place, each in zip(images, read, strict=False):
                if isinstance(each, np.ndarray):
                    place[:] = each
            yield some, images, [each if isinstance(each, Failed) else None for each in read]

    def _input_or_reason(self, photograph: Any) -> np.ndarray | Failed:
        try:
            return self._input(photograph)
        except Failed as error:
            return error


@functools.partial(jax.jit, static_argnums=0)
def _logits(model: Any, variables: Variables, images: Images) -> Logits:
    return model.apply(variables, images, train=False)


@functools.partial(jax.jit, static_argnums=0)
def _pre_logits(model: Any, variables: Variables, images: Images) -> jax.Array:
    _, features = model.apply(variables, images, train=False, features=True)
    if "pre_logits" not in features:
        raise BadArgument(
            f"model: {type(model).__name__} has no feature 'pre_logits', only {', '.join(features)}"
        )
    return features["pre_logits"]
