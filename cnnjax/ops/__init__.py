"""Operations on images `[B, H, W, C]`: fast on a CPU, the stock operation elsewhere."""

from cnnjax.ops.adaptive import adaptive_avg_pool
from cnnjax.ops.conv import conv2d, conv_general_dilated
from cnnjax.ops.pool import avg_pool, blur_pool, global_avg_pool, max_pool
from cnnjax.ops.switch import is_stock, stock

__all__ = [
    "adaptive_avg_pool",
    "avg_pool",
    "blur_pool",
    "conv2d",
    "conv_general_dilated",
    "global_avg_pool",
    "is_stock",
    "max_pool",
    "stock",
]
