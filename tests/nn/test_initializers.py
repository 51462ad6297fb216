"""Initializers: the deviation that each names, and the bound of the uniform ones."""

import jax
import numpy as np
import pytest

from cnnjax import nn

SHAPE = (3, 3, 24, 96)
FAN_IN, FAN_OUT = 3 * 3 * 24, 3 * 3 * 96


@pytest.mark.parametrize(
    ("init", "deviation", "bound"),
    [
        (nn.kaiming_normal, (2 / FAN_OUT) ** 0.5, np.inf),
        (nn.kaiming_fan_in, (2 / FAN_IN) ** 0.5, np.inf),
        # A group of four puts out a quarter of the channels.
        (nn.grouped(4), (2 / (FAN_OUT / 4)) ** 0.5, np.inf),
        (nn.ungrouped(4), (2 / FAN_OUT) ** 0.5, np.inf),
        (nn.uniform, (1 / 3 / FAN_IN) ** 0.5, FAN_IN**-0.5),
        (nn.uniform_fan_out, (1 / 3 / FAN_OUT) ** 0.5, FAN_OUT**-0.5),
        (nn.uniform_bias(10), (1 / 3 / 10) ** 0.5, 10**-0.5),
        (nn.zero_bias(10), 0.0, 0.0),
    ],
)
def test_deviation_and_bound(init, deviation, bound):
    values = np.asarray(init(jax.random.key(0), SHAPE, np.float32))
    assert abs(values.mean()) <= 5 * deviation / values.size**0.5
    # Five standard errors of a normal's deviation; a uniform's has a smaller one.
    assert abs(values.std() - deviation) <= 5 * deviation / (2 * values.size) ** 0.5
    assert abs(values).max() <= bound * (1 + 1e-6) if bound < np.inf else True
