"""A network from one line: `build("cnn", spec="conv32-relu-conv32-relu-pool-fc128-relu")`.

The layers, joined by dashes:

| layer | meaning |
|---|---|
| `conv32`, `conv32k5s2` | convolution to 32 channels, 3x3 or k x k, stride 1 or s, padded by k // 2 |
| `dwconv`, `dwconvk5s2` | depthwise convolution, a filter for each channel |
| `pool`, `maxpool3s2`, `avgpool2` | pooling over k x k, 2x2 by default, stride k or s |
| `gap` | global average pooling to `[B, C]` |
| `fc128` | linear layer to 128 features; flattens the image first |
| `bn`, `dropout0.5` | batch normalization; dropout at that rate (0.5 by default) |
| `relu`, `tanh`, `silu`, ... | any activation of `cnnjax.nn.ACTIVATIONS` |

The linear layer to the classes comes last by itself.
"""

import re
import warnings
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.errors import BadArgument, unknown
from cnnjax.models.network import Network, check_images
from cnnjax.nn import ACTIVATIONS, BatchNorm, Conv, classify, flatten
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "Layer", "SpecNetwork", "check_size", "parse"]

_LAYERS = ("conv", "dwconv", "pool", "maxpool", "avgpool", "gap", "fc", "bn", "dropout")
_SIZED = re.compile(r"(conv|fc)(\d+)|(dwconv)|(pool|maxpool|avgpool)(\d*)")
_OPTIONS = re.compile(r"(?:k(\d+))?(?:s(\d+))?")


class Layer(NamedTuple):
    """One layer of a spec: `size` is channels, features or a window, by kind."""

    text: str
    kind: str
    size: int = 0
    kernel: int = 0
    strides: int = 1
    rate: float = 0.0


def _layer(text: str) -> Layer:
    """Read one layer, or raise `BadArgument`."""
    if text in ACTIVATIONS:
        return Layer(text, "activation")
    if text in ("gap", "bn"):
        return Layer(text, text)
    if match := re.fullmatch(r"dropout(\d*\.?\d*)", text):
        rate = float(match[1] or 0.5)
        if not 0 <= rate < 1:
            raise BadArgument(f"spec: {text!r} has rate {rate:g}; it must be in [0, 1)")
        return Layer(text, "dropout", rate=rate)
    head = _SIZED.match(text)
    tail = _OPTIONS.fullmatch(text[head.end() :]) if head else None
    if head is None or tail is None:
        raise unknown("spec: layer", text, (*_LAYERS, *ACTIVATIONS))
    kernel, strides = (int(value) if value else None for value in tail.groups())
    if 0 in (kernel, strides):
        raise BadArgument(f"spec: {text!r}: kernel and stride must be at least 1")
    if head[1] == "fc" and (kernel or strides):
        raise BadArgument(f"spec: {text!r}: a linear layer has neither kernel nor stride")
    if head[1]:
        if int(head[2]) == 0:
            raise BadArgument(f"spec: {text!r} has no channels; use at least 1")
        return Layer(text, head[1], int(head[2]), kernel or 3, strides or 1)
    if head[3]:
        return Layer(text, "dwconv", 0, kernel or 3, strides or 1)
    if kernel:
        raise BadArgument(f"spec: {text!r}: write the window as {head[4]}{kernel}")
    window = int(head[5] or 2)
    if window == 0:
        raise BadArgument(f"spec: {text!r} has an empty window; use at least 1")
    return Layer(
        text, "avgpool" if head[4] == "avgpool" else "maxpool", window, 0, strides or window
    )


@lru_cache(maxsize=256)
def parse(spec: str) -> tuple[Layer, ...]:
    """Return the layers of `spec`; raise `BadArgument` for what no image could make valid.

    Warns where two convolutions or linear layers follow each other without a non-linearity, which
    makes them one linear map.

    >>> [layer.kind for layer in parse("conv8k5-relu-pool-fc10")]
    ['conv', 'activation', 'maxpool', 'fc']
    """
    if not spec:
        raise BadArgument(
            "spec is empty; for example: conv32-relu-pool-conv64-relu-pool-fc128-relu"
        )
    layers = tuple(_layer(text) for text in spec.split("-"))
    flat, linear = "", ""
    for layer in layers:
        spatial = layer.kind in ("conv", "dwconv", "maxpool", "avgpool", "gap")
        if spatial and flat:
            raise BadArgument(f"spec: {layer.text!r} follows {flat!r}, which left no image")
        if layer.kind in ("fc", "gap"):
            flat = layer.text
        if layer.kind in ("conv", "dwconv", "fc"):
            if linear:
                warnings.warn(
                    f"spec: no non-linearity between {linear!r} and {layer.text!r}; "
                    "together they are one linear map",
                    stacklevel=3,
                )
            linear = layer.text
        elif layer.kind in ("activation", "maxpool") and layer.text != "identity":
            linear = ""
    return layers


def check_size(spec: str, height: int, width: int) -> None:
    """Raise `BadArgument` where a layer of `spec` would leave less than one pixel."""
    for layer in parse(spec):
        if layer.kind in ("conv", "dwconv"):
            margin = 2 * (layer.kernel // 2) - layer.kernel
        elif layer.kind in ("maxpool", "avgpool"):
            margin = -layer.size
        else:
            continue
        new = [(size + margin) // layer.strides + 1 for size in (height, width)]
        if min(new) < 1:
            raise BadArgument(
                f"spec: {layer.text!r} gets an image of {height}x{width} and would leave less than "
                "1x1; use fewer poolings or strides, or larger images"
            )
        height, width = new


class SpecNetwork(nn.Module):
    """The layers of `spec` in order, and a linear layer to the classes (see the module's table)."""

    spec: str = "conv32-relu-conv32-relu-pool-conv64-relu-pool-fc128-relu"
    num_classes: int = 10
    dtype: DType = jnp.float32

    def __post_init__(self) -> None:
        """Check the spec."""
        parse(self.spec)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" is the output of the first activation; a stage is what one pooling receives.
        """
        check_images(self, images)
        check_size(self.spec, *images.shape[1:3])
        x = images
        stages: dict[str, Array] = {}
        for number, layer in enumerate(parse(self.spec)):
            if layer.kind in ("maxpool", "avgpool", "gap", "fc") and x.ndim == 4:
                stages[f"stage{len(stages) + ('stem' not in stages)}"] = x
            x = self._apply(x, layer, f"{number}.{layer.text}", train)
            if layer.kind == "activation":
                stages.setdefault("stem", x)
        if x.ndim == 4:
            x = flatten(x)
        logits, stages["pre_logits"] = classify(
            x, self.num_classes, train=train, name="classifier", dtype=self.dtype
        )
        return (logits, stages) if features else logits

    def _apply(self, x: Array, layer: Layer, name: str, train: bool) -> Array:
        he = nn.initializers.he_normal()
        match layer.kind:
            case "conv" | "dwconv":
                return Conv(
                    layer.size or x.shape[-1],
                    (layer.kernel, layer.kernel),
                    layer.strides,
                    padding=layer.kernel // 2,
                    feature_group_count=x.shape[-1] if layer.kind == "dwconv" else 1,
                    kernel_init=he,
                    dtype=self.dtype,
                    name=name,
                )(x)
            case "fc":
                x = flatten(x) if x.ndim == 4 else x
                return nn.Dense(layer.size, kernel_init=he, dtype=self.dtype, name=name)(x)
            case "maxpool":
                return ops.max_pool(x, layer.size, strides=layer.strides)
            case "avgpool":
                return ops.avg_pool(x, layer.size, strides=layer.strides)
            case "gap":
                return ops.global_avg_pool(x)
            case "bn":
                return BatchNorm(0.9, 1e-5, dtype=self.dtype, name=name)(x, train=train)
            case "dropout":
                return nn.Dropout(layer.rate, deterministic=not train)(x)
            case _:
                return ACTIVATIONS[layer.text](x)


NETWORKS = {"cnn": Network(SpecNetwork)}
