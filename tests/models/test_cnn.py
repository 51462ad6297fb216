"""The network from a spec."""

import jax
import jax.numpy as jnp
import pytest

from cnnjax.errors import BadArgument
from cnnjax.models import build
from cnnjax.models.cnn import parse


def outputs(spec, size=16, channels=3):
    model = build("cnn", spec=spec)
    images = jnp.zeros((2, size, size, channels))
    return jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x, train=False, features=True), images
    )


def test_layers_do_what_they_say():
    (logits, stages), variables = outputs(
        "conv8k5s2-bn-relu-dwconvk3-silu-maxpool3s2-conv16-tanh-avgpool2-fc12-relu-dropout0.1"
    )
    assert logits.shape == (2, 10)
    params = variables["params"]
    assert params["0.conv8k5s2"]["kernel"].shape == (5, 5, 3, 8)
    assert params["3.dwconvk3"]["kernel"].shape == (3, 3, 1, 8)
    assert stages["stage1"].shape == (2, 8, 8, 8)
    assert stages["stage2"].shape == (2, 3, 3, 16)
    assert params["9.fc12"]["kernel"].shape == (16, 12)


def test_global_average_pooling_takes_any_size():
    for size in (5, 16):
        (logits, _), _ = outputs("conv8-relu-conv8-relu-gap", size)
        assert logits.shape == (2, 10)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "empty"),
        ("conv32-rleu", "did you mean 'relu'"),
        ("conv-relu", "conv"),
        ("conv32k0", "at least 1"),
        ("conv0", "no channels"),
        ("fc10k3", "neither kernel nor stride"),
        ("pool0", "empty window"),
        ("poolk3", "pool3"),
        ("dropout1.5", r"\[0, 1\)"),
        ("fc10-relu-conv3", "left no image"),
        ("gap-conv3", "left no image"),
        ("conv8--relu", "unknown name ''"),
    ],
)
def test_wrong_specs_are_refused_before_anything_is_traced(spec, told):
    with pytest.raises(BadArgument, match=told):
        build("cnn", spec=spec)


def test_pooling_below_one_pixel_names_the_layer_and_the_size():
    with pytest.raises(BadArgument, match=r"'pool' gets an image of 1x1"):
        outputs("conv8-relu-pool-pool-pool", size=4)


def test_two_convolutions_without_a_non_linearity_are_a_warning():
    parse.cache_clear()
    with pytest.warns(UserWarning, match="no non-linearity between 'conv8' and 'conv16'"):
        parse("conv8-bn-conv16-relu")
    parse("conv8-relu-conv16-maxpool2-conv8-relu-fc10")
