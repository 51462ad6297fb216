"""The filters that a network begins with."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnjax.analysis.trace import trace
from cnnjax.typing import Model

__all__ = ["first_filters"]


def first_filters(
    model: Model, image_shape: tuple[int, ...], params: Mapping[str, Any]
) -> np.ndarray | None:
    """Return the kernel of the convolution that sees the image, if there is one.

    Args:
        model: a Linen module.
        image_shape: `(H, W, C)`.
        params: its parameters.

    Returns:
        `[kh, kw, C, O]` float32; None where the image goes into no convolution, or into one whose
        kernel is computed from parameters.
    """
    traced = trace(model, image_shape)
    paths = {value: path for path, value in traced.leaves.items()}
    of_image = {traced.image}
    for equation in traced.equations:
        if not of_image.intersection(filter(None, equation.inputs)):
            continue
        if equation.primitive != "conv_general_dilated":
            of_image.update(equation.outputs)
            continue
        path = paths.get(equation.inputs[1] or -1)
        if path is None:
            return None
        leaf: Any = params
        for name in path[1:]:
            leaf = leaf[name]
        return np.asarray(leaf, np.float32)
    return None
