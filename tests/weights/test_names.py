"""Names that publishers give to the variables of one architecture, by hand and of whole files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.models import facts_of
from cnnjax.models.regnet import Line
from cnnjax.weights import load_weights, save_weights
from cnnjax.weights.names import names_of, publisher, renamed, shapes_of, source_of
from cnnjax.weights.read import read_state_dict
from cnnjax.weights.torch_names import to_state_dict, torch_shapes

# Ours, and those of the files that torchvision publishes, by hand.
TORCHVISION = {
    "convnext_tiny": {
        "stem.0.weight": "features.0.0.weight",
        "stem.1.bias": "features.0.1.bias",
        "stages.0.blocks.2.conv_dw.weight": "features.1.2.block.0.weight",
        "stages.0.blocks.2.norm.weight": "features.1.2.block.2.weight",
        "stages.2.downsample.0.weight": "features.4.0.weight",
        "stages.2.downsample.1.bias": "features.4.1.bias",
        "stages.3.blocks.0.mlp.fc1.weight": "features.7.0.block.3.weight",
        "stages.3.blocks.0.mlp.fc2.bias": "features.7.0.block.5.bias",
        "stages.3.blocks.0.gamma": "features.7.0.layer_scale",
        "head.norm.weight": "classifier.0.weight",
        "head.fc.bias": "classifier.2.bias",
    },
    "mobilenet_v2": {
        "conv_stem.weight": "features.0.0.weight",
        "bn1.running_mean": "features.0.1.running_mean",
        "blocks.0.0.conv_dw.weight": "features.1.conv.0.0.weight",
        "blocks.0.0.bn1.weight": "features.1.conv.0.1.weight",
        "blocks.0.0.conv_pw.weight": "features.1.conv.1.weight",
        "blocks.0.0.bn2.bias": "features.1.conv.2.bias",
        "blocks.1.1.conv_pw.weight": "features.3.conv.0.0.weight",
        "blocks.1.1.conv_dw.weight": "features.3.conv.1.0.weight",
        "blocks.1.1.bn2.running_var": "features.3.conv.1.1.running_var",
        "blocks.1.1.conv_pwl.weight": "features.3.conv.2.weight",
        "blocks.1.1.bn3.weight": "features.3.conv.3.weight",
        "conv_head.weight": "features.18.0.weight",
        "bn2.weight": "features.18.1.weight",
        "classifier.bias": "classifier.1.bias",
    },
    "mobilenet_v3_small": {
        "conv_stem.weight": "features.0.0.weight",
        "blocks.0.0.conv_dw.weight": "features.1.block.0.0.weight",
        "blocks.0.0.se.conv_reduce.weight": "features.1.block.1.fc1.weight",
        "blocks.0.0.conv_pw.weight": "features.1.block.2.0.weight",
        "blocks.0.0.bn2.bias": "features.1.block.2.1.bias",
        "blocks.1.0.conv_pwl.weight": "features.2.block.2.0.weight",
        "blocks.2.0.se.conv_expand.bias": "features.4.block.2.fc2.bias",
        "blocks.2.0.conv_pwl.weight": "features.4.block.3.0.weight",
        "blocks.5.0.conv.weight": "features.12.0.weight",
        "blocks.5.0.bn1.running_var": "features.12.1.running_var",
        "conv_head.weight": "classifier.0.weight",
        "conv_head.bias": "classifier.0.bias",
        "classifier.weight": "classifier.3.weight",
    },
    "mnasnet0_5": {
        "conv_stem.weight": "layers.0.weight",
        "bn1.weight": "layers.1.weight",
        "blocks.0.0.conv_dw.weight": "layers.3.weight",
        "blocks.0.0.bn1.weight": "layers.4.weight",
        "blocks.0.0.conv_pw.weight": "layers.6.weight",
        "blocks.0.0.bn2.weight": "layers.7.weight",
        "blocks.1.2.conv_pw.weight": "layers.8.2.layers.0.weight",
        "blocks.1.2.conv_dw.weight": "layers.8.2.layers.3.weight",
        "blocks.6.0.bn3.running_mean": "layers.13.0.layers.7.running_mean",
        "conv_head.weight": "layers.14.weight",
        "bn2.bias": "layers.15.bias",
        "classifier.weight": "classifier.1.weight",
    },
    "efficientnet_b0": {
        "bn1.weight": "features.0.1.weight",
        "blocks.0.0.conv_dw.weight": "features.1.0.block.0.0.weight",
        "blocks.0.0.se.conv_expand.weight": "features.1.0.block.1.fc2.weight",
        "blocks.0.0.conv_pw.weight": "features.1.0.block.2.0.weight",
        "blocks.3.2.bn2.running_var": "features.4.2.block.1.1.running_var",
        "blocks.6.0.conv_pwl.weight": "features.7.0.block.3.0.weight",
        "conv_head.weight": "features.8.0.weight",
        "bn2.weight": "features.8.1.weight",
        "classifier.bias": "classifier.1.bias",
    },
    "efficientnet_v2_s": {
        "blocks.0.1.conv.weight": "features.1.1.block.0.0.weight",
        "blocks.0.1.bn1.weight": "features.1.1.block.0.1.weight",
        "blocks.1.0.conv_exp.weight": "features.2.0.block.0.0.weight",
        "blocks.1.0.bn1.weight": "features.2.0.block.0.1.weight",
        "blocks.1.0.conv_pwl.weight": "features.2.0.block.1.0.weight",
        "blocks.1.0.bn2.weight": "features.2.0.block.1.1.weight",
        "conv_head.weight": "features.7.0.weight",
    },
    "regnet_y_400mf": {
        "stem.conv.weight": "stem.0.weight",
        "stem.bn.running_var": "stem.1.running_var",
        "s1.b1.conv1.conv.weight": "trunk_output.block1.block1-0.f.a.0.weight",
        "s3.b6.conv2.bn.running_mean": "trunk_output.block3.block3-5.f.b.1.running_mean",
        "s3.b6.se.fc1.bias": "trunk_output.block3.block3-5.f.se.fc1.bias",
        "s3.b6.conv3.bn.weight": "trunk_output.block3.block3-5.f.c.1.weight",
        "s4.b1.downsample.conv.weight": "trunk_output.block4.block4-0.proj.0.weight",
        "s4.b1.downsample.bn.bias": "trunk_output.block4.block4-0.proj.1.bias",
        "head.fc.weight": "fc.weight",
    },
}
# A network of each family that two publishers have, made small where that is possible.
SHALLOW = {
    "convnext_tiny": {"depths": (1, 1, 1, 1), "widths": (8, 16, 16, 16)},
    "efficientnet_b0": {},
    "efficientnet_v2_s": {},
    "mnasnet0_5": {},
    "mobilenet_v2": {},
    "mobilenet_v3_small": {},
    "regnet_y_400mf": {"line": Line(4, 48, 28.8, 1.5, 8)},
}


def test_names_by_hand():
    for network, names in TORCHVISION.items():
        ours = torch_shapes(abstract(network))
        there = names_of("torchvision", network, ours)
        assert {name: there[name] for name in names} == names
        assert len(set(there.values())) == len(there)
        assert not set(there.values()) & set(ours), "a name that says two things"


def abstract(network, **fields):
    model, size = cnnjax.build(network, **fields), facts_of(network).input_size
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.key(0), images)


def numbered(tree):
    leaves, structure = jax.tree.flatten(tree)
    values = [jnp.full(leaf.shape, i, jnp.float32) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, values)


@pytest.mark.parametrize("network", SHALLOW)
def test_both_names_load_and_files_have_those_of_the_publisher(network, tmp_path):
    fields = SHALLOW[network]
    variables = numbered(abstract(network, **fields))
    ours = to_state_dict(variables)
    there = names_of("torchvision", network, ours)
    assert publisher(network) == "torchvision"
    published = renamed(ours, there)
    assert {name: array.shape for name, array in published.items()} == shapes_of(
        torch_shapes(variables), there
    )
    # What versions with a class for each publisher wrote of such a network is the same file.
    save_weights(variables, tmp_path / "theirs.safetensors", network=network)
    assert read_state_dict(tmp_path / "theirs.safetensors").keys() == published.keys()
    save_weights(variables, tmp_path / "ours.safetensors")
    assert read_state_dict(tmp_path / "ours.safetensors").keys() == ours.keys()
    for source in (ours, published, tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"):
        loaded = load_weights(network, source, **fields)
        assert jax.tree.all(jax.tree.map(np.array_equal, loaded, variables))


def test_a_file_that_does_not_fit_is_told_in_its_own_names():
    fields = SHALLOW["convnext_tiny"]
    ours = to_state_dict(numbered(abstract("convnext_tiny", **fields)))
    theirs = renamed(ours, names_of("torchvision", "convnext_tiny", ours))
    del theirs["features.1.0.layer_scale"], ours["stages.0.blocks.0.gamma"]
    for state, told in (
        (theirs, r"features\.1\.0\.layer_scale \(8, 1, 1\)"),
        (ours, r"gamma \(8,\)"),
    ):
        with pytest.raises(cnnjax.errors.BadArgument, match=rf"1 missing: .*{told}"):
            load_weights("convnext_tiny", state, **fields)


def test_names_of_blocks_that_are_numbered_through():
    """Of Google's EfficientNet in lukemelas' port, by hand: two groups, the first of one block."""
    there = {
        "conv_stem.weight": "_conv_stem.weight",
        "bn1.running_mean": "_bn0.running_mean",
        "conv_head.weight": "_conv_head.weight",
        "bn2.bias": "_bn1.bias",
        "classifier.weight": "_fc.weight",
        "blocks.0.0.conv_dw.weight": "_blocks.0._depthwise_conv.weight",
        "blocks.0.0.bn1.weight": "_blocks.0._bn1.weight",
        "blocks.0.0.conv_pw.weight": "_blocks.0._project_conv.weight",
        "blocks.0.0.bn2.weight": "_blocks.0._bn2.weight",
        "blocks.1.0.bn1.weight": "_blocks.1._bn1.weight",
        "blocks.1.1.conv_pw.weight": "_blocks.2._expand_conv.weight",
        "blocks.1.1.bn1.weight": "_blocks.2._bn0.weight",
        "blocks.1.1.conv_dw.weight": "_blocks.2._depthwise_conv.weight",
        "blocks.1.1.bn2.weight": "_blocks.2._bn1.weight",
        "blocks.1.1.conv_pwl.weight": "_blocks.2._project_conv.weight",
        "blocks.1.1.bn3.weight": "_blocks.2._bn2.weight",
        "blocks.1.1.another.weight": "_blocks.2.another.weight",
    }
    assert names_of("lukemelas", "efficientnet_lite0", there) == there
    assert source_of("efficientnet_lite0", there.values(), there) == "lukemelas"
    assert source_of("efficientnet_lite0", there, there) == ""
    assert names_of("lukemelas", "resnet18", there) == {name: name for name in there}
