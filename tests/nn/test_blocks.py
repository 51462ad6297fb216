"""The shared modules against what their docstrings say."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import nn

IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 4)).astype(np.float32)


def test_conv_norm_act_names_biases_and_pads_as_it_says():
    block = nn.ConvNormAct(6, 3, strides=2, names=("0", "1"))
    y, variables = block.init_with_output(jax.random.key(0), IMAGES, train=False)
    assert y.shape == (3, 4, 4, 6)
    assert (np.asarray(y) >= 0).all()
    assert set(variables["params"]) == {"0", "1"}
    assert set(variables["params"]["0"]) == {"kernel"}

    bare = nn.ConvNormAct(6, 1, norm=None, act=None)
    y, variables = bare.init_with_output(jax.random.key(0), IMAGES, train=False)
    conv = jax.tree.map(np.asarray, variables["params"]["conv"])
    expected = IMAGES @ conv["kernel"][0, 0] + conv["bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_conv_norm_act_has_the_norm_of_torch_unless_another_is_given():
    block = nn.ConvNormAct(6, 1, act=None)
    y, variables = block.init_with_output(jax.random.key(0), IMAGES, train=False)
    kernel = np.asarray(variables["params"]["conv"]["kernel"], np.float64)[0, 0]
    np.testing.assert_allclose(y, IMAGES @ kernel / np.sqrt(1 + 1e-5), rtol=1e-6, atol=2e-6)
    _, updated = block.apply(variables, IMAGES, train=True, mutable=["batch_stats"])
    expected = 0.1 * (IMAGES @ kernel).mean((0, 1, 2))
    np.testing.assert_allclose(updated["batch_stats"]["bn"]["mean"], expected, rtol=1e-4, atol=1e-6)


def test_symmetric_and_same_padding_differ_at_stride_two():
    symmetric = nn.ConvNormAct(2, 3, strides=2, norm=None, act=None)
    same = nn.ConvNormAct(2, 3, strides=2, norm=None, act=None, padding="SAME")
    variables = symmetric.init(jax.random.key(0), IMAGES, train=False)
    a, b = (m.apply(variables, IMAGES, train=False) for m in (symmetric, same))
    assert a.shape == b.shape
    assert not np.allclose(a, b)


def test_flatten_is_in_pytorch_order():
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(
        nn.flatten(jnp.asarray(x)), x.transpose(0, 3, 1, 2).reshape(2, -1)
    )


def test_remat_changes_neither_names_nor_values():
    class Net(nn.ConvNormAct.__bases__[0]):  # flax.linen.Module
        remat: bool = False

        def setup(self):
            self.block = nn.ConvNormAct(4, 3)

        def __call__(self, x):
            return nn.run(self.block, x, train=False, remat=self.remat)

    plain, again = Net(), Net(remat=True)
    variables = plain.init(jax.random.key(0), IMAGES)
    assert jax.tree.structure(again.init(jax.random.key(0), IMAGES)) == jax.tree.structure(
        variables
    )
    loss = lambda model: lambda v: (model.apply(v, IMAGES) ** 2).sum()
    for a, b in zip(
        jax.tree.leaves(jax.grad(loss(plain))(variables)["params"]),
        jax.tree.leaves(jax.grad(loss(again))(variables)["params"]),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
