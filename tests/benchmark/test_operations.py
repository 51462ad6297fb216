"""Layers of networks, and the times of the forms that can compute them."""

import jax.numpy as jnp
import pytest

from cnnjax import build
from cnnjax.benchmark import operations
from cnnjax.benchmark.operations import Shape, layers_of, measure, spread_out
from cnnjax.ops.candidates import CANDIDATES
from cnnjax.ops.geometry import Geometry, Layer


def shape(channels, outputs, size=8, stride=1, kernel=3, groups=1, batch=2):
    edge = (kernel // 2, kernel // 2)
    geometry = Geometry((stride, stride), (edge, edge), (1, 1), groups)
    return Shape(batch, channels, outputs, Layer(geometry, (size, size), (kernel, kernel)))


def test_the_layers_of_a_network_once_each():
    found = layers_of(build("resnet20_cifar"), (32, 32, 3), 4)
    # He et al. 2015, section 4.2: three stages of 16, 32 and 64 channels, whose shortcuts pad.
    wanted = [
        shape(3, 16, 32), shape(16, 16, 32), shape(16, 32, 32, 2), shape(32, 32, 16),
        shape(32, 64, 16, 2), shape(64, 64, 8),
    ]  # fmt: skip
    assert [(s.channels, s.outputs, s.layer) for s in found] == [
        (s.channels, s.outputs, s.layer) for s in wanted
    ]
    assert {s.batch for s in found} == {4}


def test_families_widths_and_names():
    assert shape(3, 16).family == "3x3"
    assert (shape(3, 16).width, shape(16, 3).width) == (3, 3)
    assert shape(3, 16, 9, 2).pixels == 25
    assert shape(8, 8, groups=8).family == "depthwise"
    assert shape(3, 16).label == "3x3/1 3-16 8x8 b2 p1.1.1.1"
    assert shape(8, 8, groups=8).label.endswith(" g8")


def test_shapes_that_are_chosen_lie_apart():
    every = [shape(c, c) for c in (16, 18, 17, 64, 60)] + [shape(4, 4, stride=2)]
    two = spread_out([*every, *every], {"3x3": 2, "dense": 5})
    assert [s.width for s in two] == [16, 64, 4]
    assert len(spread_out(every, {"3x3": 99})) == 5
    assert spread_out(every, {}) == []


@pytest.mark.parametrize("layer", [shape(4, 4), shape(4, 4, kernel=1), shape(4, 4, groups=4)])
def test_every_form_that_fits_is_timed(layer):
    times = measure(layer, jnp.bfloat16, 2, 30.0)
    assert list(times) == list(CANDIDATES)
    for operation, found in times.items():
        fits = [n for n, f in CANDIDATES[operation].items() if f.fits(layer.layer, 4)]
        assert "stock" in fits
        if layer.layer.geometry.groups > 1:
            fits.remove("stock")
        assert list(found) == fits
        assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in found.values())


def test_rounds_and_patience_are_those_asked_for(monkeypatch):
    seen = []
    monkeypatch.setattr(operations, "interleave", lambda *a: seen.append(a[1:]) or {})
    with pytest.raises(KeyError):
        measure(shape(4, 4), jnp.float32, 5, 0.25)
    assert seen == [(5, 0.25)]
