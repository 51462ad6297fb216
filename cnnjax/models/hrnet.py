"""HRNet: branches of four resolutions side by side, which exchange what they know.

Wang et al. 2019 (arXiv:1908.07919), as timm.models.hrnet defines it. The "ssld" networks have no
bias in the convolutions of the head (Cui et al. 2021, arXiv:2103.05959).
"""

from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.models.resnet import BasicBlock, Bottleneck
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    classify,
    kaiming_normal,
    relu,
    run,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "HighResolutionModule", "HighResolutionNet"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_layer = partial(ConvNormAct, names=("0", "1"))


class HighResolutionModule(nn.Module):
    """`depth` residual blocks in every branch, then each branch becomes the sum of all."""

    depth: int = 4
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, branches: Sequence[Array], *, train: bool) -> list[Array]:
        """Map branches `[B, H / 2**i, W / 2**i, C * 2**i]` to the same shapes."""
        outputs = []
        for branch, x in enumerate(branches):
            for index in range(self.depth):
                block = BasicBlock(x.shape[-1], dtype=self.dtype, name=f"branches.{branch}.{index}")
                x = run(block, x, train=train, remat=self.remat)
            outputs.append(x)
        fused = []
        for target, like in enumerate(outputs):
            parts = [
                _resize(x, like, source, target, self.dtype, train)
                for source, x in enumerate(outputs)
            ]
            fused.append(relu(sum(parts[1:], start=parts[0])))
        return fused


def _resize(x: Array, like: Array, source: int, target: int, dtype: DType, train: bool) -> Array:
    """Return branch `source` in the shape of branch `target`."""
    name, width = f"fuse_layers.{target}.{source}", like.shape[-1]
    if source > target:
        x = _layer(width, 1, act=None, dtype=dtype, name=name)(x, train=train)
        factor = 2 ** (source - target)
        # A finer branch of odd size is less than `factor` times as large.
        return x.repeat(factor, 1).repeat(factor, 2)[:, : like.shape[1], : like.shape[2]]
    for step in range(target - source):
        last = step == target - source - 1
        x = _layer(
            width if last else x.shape[-1],
            3,
            2,
            act=None if last else relu,
            dtype=dtype,
            name=f"{name}.{step}",
        )(x, train=train)
    return x


class HighResolutionNet(nn.Module):
    """A stem, bottlenecks, then two, three and four branches; a pyramid to 2048 channels; a head.

    Branch i has `width * 2**i` channels. `first` has the width and the number of the bottlenecks;
    `modules` counts the `HighResolutionModule`s of each further stage, of `depth` blocks a branch.
    `head_bias` says whether the head's convolutions before their norms have a bias.
    """

    width: int
    first: tuple[int, int] = (64, 4)
    modules: tuple[int, ...] = (1, 4, 3)
    depth: int = 4
    head_bias: bool = True
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        Stage i is what the head makes of branch i: strides 4 to 32, 128 to 1024 channels.
        """
        check_images(self, images)
        dtype = self.dtype
        conv = partial(Conv, kernel_init=kaiming_normal, dtype=dtype)
        x = conv(64, (3, 3), 2, padding=1, use_bias=False, name="conv1")(images)
        x = relu(_norm(dtype=dtype, name="bn1")(x, train=train))
        stages = {"stem": x}
        x = conv(64, (3, 3), 2, padding=1, use_bias=False, name="conv2")(x)
        x = relu(_norm(dtype=dtype, name="bn2")(x, train=train))
        width, depth = self.first
        for index in range(depth):
            block = Bottleneck(width, dtype=dtype, name=f"layer1.{index}")
            x = run(block, x, train=train, remat=self.remat)

        branches = [_layer(self.width, dtype=dtype, name="transition1.0")(x, train=train)]
        for index, modules in enumerate(self.modules, start=1):
            name = f"transition{index}.{index}.0"
            new = _layer(self.width * 2**index, 3, 2, dtype=dtype, name=name)
            branches.append(new(x, train=train))
            for module in range(modules):
                name = f"stage{index + 1}.{module}"
                exchange = HighResolutionModule(self.depth, self.remat, dtype, name=name)
                branches = exchange(branches, train=train)
            x = branches[-1]

        def layer(x: Array, width: int, size: int, strides: int, name: str) -> Array:
            x = conv(
                width,
                (size, size),
                strides,
                padding=size // 2,
                use_bias=self.head_bias,
                bias_init=uniform_bias(size * size * x.shape[-1]),
                name=f"{name}.0",
            )(x)
            return relu(_norm(dtype=dtype, name=f"{name}.1")(x, train=train))

        for index, branch in enumerate(branches):
            block = Bottleneck(32 * 2**index, dtype=dtype, name=f"incre_modules.{index}.0")
            y = stages[f"stage{index + 1}"] = block(branch, train=train)
            if index > 0:
                y = y + layer(x, y.shape[-1], 3, 2, f"downsamp_modules.{index - 1}")
            x = y
        x = layer(x, 2048, 1, 1, "final_layer")
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier",
            dtype=dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


# fmt: off
NETWORKS = {
    "hrnet_w18_small": Network(HighResolutionNet, {"width": 16, "first": (32, 1), "modules": (1, 1, 1), "depth": 2}),
    "hrnet_w18_small_v2": Network(HighResolutionNet, {"width": 18, "first": (64, 2), "modules": (1, 3, 2), "depth": 2}),
    "hrnet_w18": Network(HighResolutionNet, {"width": 18}),
    "hrnet_w30": Network(HighResolutionNet, {"width": 30}),
    "hrnet_w32": Network(HighResolutionNet, {"width": 32}),
    "hrnet_w40": Network(HighResolutionNet, {"width": 40}),
    "hrnet_w44": Network(HighResolutionNet, {"width": 44}),
    "hrnet_w48": Network(HighResolutionNet, {"width": 48}),
    "hrnet_w64": Network(HighResolutionNet, {"width": 64}),
    "hrnet_w18_ssld": Network(HighResolutionNet, {"width": 18, "head_bias": False}),
    "hrnet_w48_ssld": Network(HighResolutionNet, {"width": 48, "head_bias": False}),
}
# fmt: on
