"""What a network is made of, in the words of `tests/golden/make_settings.py`.

A network is traced once, in training mode, in float64; nothing is compiled. Whatever calls one of
the operations below leaves a line, and lines are counted: their order is the implementation's.
Parameters are zeros there and batch norms the identity: half of a trace would go into them.
"""

import functools
import gc
from collections import Counter
from contextlib import ExitStack
from unittest import mock

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import Scope
from jax import lax

from cnnjax import ops
from cnnjax.models import build, facts_of
from cnnjax.nn import BatchNorm, GroupNorm, LayerNorm, norm

# As `cnnjax.nn.activations` spells them, and PyTorch's names.
ACTIVATIONS = {
    (jax.nn, "relu"): "relu",
    (jax.nn, "relu6"): "relu6",
    (jax.nn, "leaky_relu"): "leaky_relu",
    (jax.nn, "silu"): "silu",
    (jax.nn, "elu"): "elu",
    (jax.nn, "hard_sigmoid"): "hardsigmoid",
    (jax.nn, "hard_swish"): "hardswish",
    (jax.nn, "sigmoid"): "sigmoid",
    (lax, "erf"): "gelu",
    (jnp, "tanh"): "tanh",
}
# The settings under which a network shows how its rates grow, where it has them.
RATES = {"dropout_rate": 0.25, "drop_path_rate": 0.125}


def _number(value):
    return f"{value:.6g}"


def _pair(value):
    return "x".join(map(str, value if isinstance(value, tuple | list) else (value, value)))


class Recorder:
    """Counts the lines of one trace."""

    def __init__(self):
        self.lines = Counter()
        self.initial = {}

    def parameter(self, function):
        def spy(module, leaf, init, *rest, **keywords):
            shape, *dtype = rest or ((),)
            self.initial["params", *module.path, leaf] = init, tuple(shape)
            zeros = lambda key, *_: jnp.zeros(shape, *dtype) if rest else init(key)
            return function(module, leaf, zeros, *rest, **keywords)

        return spy

    def activation(self, name, function):
        def spy(x, *arguments, **keywords):
            slope = f" {_number(arguments[0])}" if name == "leaky_relu" else ""
            self.lines[name + slope] += 1
            return function(x, *arguments, **keywords)

        return spy

    def conv(self, function):
        def spy(x, kernel, strides, padding, **options):
            groups = options.get("feature_group_count", 1)
            *size, inputs, outputs = kernel.shape
            if len(size) == 2:
                sides = ",".join(str(side) for axis in padding for side in axis)
                spread = _pair(tuple(options.get("rhs_dilation") or (1, 1)))
                self.lines[
                    f"conv {_pair(tuple(size))} {inputs * groups}>{outputs} stride "
                    f"{_pair(tuple(strides))} dilation {spread} groups {groups} padding {sides}"
                ] += 1
            return function(x, kernel, strides, padding, **options)

        return spy

    def pool(self, function):
        def spy(x, start, operation, window_dimensions, window_strides, padding):
            window, strides = window_dimensions, window_strides
            name = "max_pool" if operation is lax.max else "avg_pool"
            self.lines[f"{name} {_pair(window[1:3])} stride {_pair(strides[1:3])}"] += 1
            return function(x, start, operation, window, strides, padding)

        return spy

    def module(self, call, arguments, keywords, context):
        module = context.module
        if context.method_name == "__call__":
            channels = getattr(arguments[0], "shape", (0,))[-1] if arguments else 0
            if isinstance(module, BatchNorm):
                assert keywords["train"], f"{module.name} evaluates in training"
                settings = f"{_number(module.epsilon)} momentum {_number(1 - module.momentum)}"
                self.lines[f"batch_norm {channels} epsilon {settings}"] += 1
            elif isinstance(module, LayerNorm):
                self.lines[f"layer_norm {channels} epsilon {_number(module.epsilon)}"] += 1
            elif isinstance(module, GroupNorm):
                settings = f"{module.num_groups} epsilon {_number(module.epsilon)}"
                self.lines[f"group_norm {channels} groups {settings}"] += 1
            elif isinstance(module, nn.Dense):
                self.lines[f"linear {channels}>{module.features}"] += 1
            elif isinstance(module, nn.Dropout) and module.rate > 0:
                kind = "drop_path" if module.broadcast_dims else "dropout"
                self.lines[f"{kind} {_number(module.rate)}"] += 1
        return call(*arguments, **keywords)


@functools.cache
def record(name, **fields):
    """Trace a network; returns as `record_model`."""
    facts = facts_of(name)
    model = build(name, dtype=jnp.float64, **fields)
    return record_model(model, (2, facts.input_size, facts.input_size, facts.channels))


def record_model(model, shape):
    """Trace a module that computes in float64, on images of a shape `[B, H, W, C]`.

    Returns its lines, the types and shapes of (logits, stages) and of the variables that `init`
    gives, and for the path of every parameter its initializer and shape.
    """
    recorder, key = Recorder(), jax.random.key(0)

    def init(images):
        keys = {"params": key, "dropout": key}
        return model.init_with_output(keys, images, train=True, features=True)

    with ExitStack() as stack:
        patch = lambda place, what, spy: stack.enter_context(mock.patch.object(place, what, spy))
        for (place, what), spelled in ACTIVATIONS.items():
            patch(place, what, recorder.activation(spelled, getattr(place, what)))
        patch(nn.Module, "param", recorder.parameter(nn.Module.param))
        patch(Scope, "make_rng", lambda scope, name="params": key)
        patch(norm, "batch_norm", lambda x, scale, bias, **epsilon: (x, scale, bias))
        patch(lax, "conv_general_dilated", recorder.conv(lax.conv_general_dilated))
        patch(lax, "reduce_window", recorder.pool(lax.reduce_window))
        stack.enter_context(nn.intercept_methods(recorder.module))
        stack.enter_context(ops.stock())
        stack.enter_context(jax.enable_x64(True))
        gc.disable()  # a third of the rest: tracing allocates much and drops nothing
        stack.callback(gc.enable)
        images = jax.ShapeDtypeStruct(shape, jnp.float64)
        outputs, variables = jax.eval_shape(init, images)
    return dict(recorder.lines), outputs, variables, recorder.initial
