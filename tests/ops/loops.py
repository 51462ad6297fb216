"""Convolution and pooling as loops of numpy over float64: what the tests of `ops` compare with.

Written from the formulas in the public docstrings, and "SAME" from TensorFlow's guide: `ceil(size /
stride)` outputs, `max((outputs - 1) * stride + extent - size, 0)` zeros, the odd one at the end.
"""

import math

import numpy as np


def same_padding(size, taps, stride, dilation=1):
    """The zeros before and after an axis."""
    outputs = math.ceil(size / stride)
    total = max((outputs - 1) * stride + (taps - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def sides(padding, size, taps, strides, dilation=(1, 1)):
    """Padding as ((top, bottom), (left, right))."""
    if padding == "SAME":
        return tuple(map(same_padding, size, taps, strides, dilation))
    if padding == "VALID":
        return (0, 0), (0, 0)
    if isinstance(padding, int):
        return ((padding, padding),) * 2
    if isinstance(padding[0], int):
        return tuple((side, side) for side in padding)
    return padding


def windows(size, taps, strides, padding, dilation):
    """Every (output position, tap, pixel) of an axis whose pixel is inside the image."""
    (low, high), extent = padding, (taps - 1) * dilation + 1
    outputs = (size + low + high - extent) // strides + 1
    places = [(y, i, y * strides + i * dilation - low) for y in range(outputs) for i in range(taps)]
    return outputs, [place for place in places if 0 <= place[2] < size]


def conv2d(x, w, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """The sum of `ops.conv2d`'s docstring, over groups, output positions and taps."""
    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    taps, inputs, outputs = w.shape[:2], w.shape[2], w.shape[3] // groups
    axes = [windows(*a) for a in zip(x.shape[1:3], taps, strides, padding, dilation, strict=True)]
    (height, rows), (width, columns) = axes
    out = np.zeros((x.shape[0], height, width, w.shape[3]))
    for group in range(groups):
        of, to = (
            slice(group * inputs, (group + 1) * inputs),
            slice(group * outputs, (group + 1) * outputs),
        )
        for y, i, row in rows:
            for z, j, column in columns:
                out[:, y, z, to] += x[:, row, column, of] @ w[i, j, :, to]
    return out
