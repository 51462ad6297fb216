"""How a width multiplier becomes a number of channels."""

__all__ = ["round_width"]


def round_width(width: float, divisor: int = 8, limit: float = 0.9) -> int:
    """Return the multiple of `divisor` nearest to `width` that is at least `limit` of it.

    The rule of the MobileNets (tensorflow/models, slim/nets/mobilenet) and all that follow them:
    halves go up, and at least one `divisor` is left.

    >>> round_width(32 * 1.3), round_width(11), round_width(1)
    (40, 16, 8)
    """
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < limit * width else rounded
