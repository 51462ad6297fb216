"""Does Flax's LayerNorm cost a training step anything, against the formula written out?

Question. `cnnjax.nn.LayerNorm` is Flax's, with the variance of the differences from the mean. A
class of our own stood there before: mean, centered values, their variance, scale and bias. Is a
step of ConvNeXt as fast with either?

Measurement. The same training step of `convnext_atto`, compiled once with each; they take turns,
three steps each of which the third is timed, and the ratio is the median over rounds of the
seconds of the same round.

    python experiments/bench_layer_norm.py --out runs/layer_norm
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp

from cnnjax import build
from cnnjax.benchmark import Case
from cnnjax.benchmark.interleave import interleave, ratios, spread
from cnnjax.benchmark.peers import JaxPeer
from cnnjax.records import Experiment
from cnnjax.runtime import use_huge_pages
from cnnjax.terminal import print_table


class WrittenOut(flax.linen.Module):
    """The norm by its formula, with the parameters that Flax's has."""

    epsilon: float = 1e-6
    dtype: Any = None

    @flax.linen.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Normalize `x` `[..., C]` over its last axis."""
        ones, zeros = flax.linen.initializers.ones_init(), flax.linen.initializers.zeros_init()
        scale = self.param("scale", ones, x.shape[-1:], jnp.float32)
        bias = self.param("bias", zeros, x.shape[-1:], jnp.float32)
        values = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        centered = values - values.mean(-1, keepdims=True)
        var = jnp.square(centered).mean(-1, keepdims=True)
        shape = (1,) * (x.ndim - 1) + (-1,)
        y = centered * jax.lax.rsqrt(var + self.epsilon)
        return (y * scale.reshape(shape) + bias.reshape(shape)).astype(self.dtype or x.dtype)


def steps(network: str, batch: int, pixels: int, stack: ExitStack) -> dict[str, JaxPeer]:
    """Return the compiled training step with each norm."""
    model = build(network)
    own = model.clone(norm=WrittenOut)
    cases = {"flax": Case(model, batch, pixels, name="flax")}
    cases["formula"] = Case(own, batch, pixels, name="formula")
    return {n: stack.enter_context(JaxPeer(c, "train", stock=False)) for n, c in cases.items()}


def main(network: str, batch: int, pixels: int, rounds: int, out: Path) -> None:
    """Time both, write results.json, print the table."""
    settings = {"network": network, "batch": batch, "pixels": pixels, "rounds": rounds}
    with Experiment.opened(out, settings) as results:
        with ExitStack() as stack:
            timed = lambda: interleave(steps(network, batch, pixels, stack), rounds, 60.0)
            taken = results.remembered("step", timed)
        seconds = {name: taken[name]["seconds"] for name in ("flax", "formula")}
        found = ratios(seconds["flax"], seconds["formula"])
        results.conclude({"flax_by_formula": found, "n": rounds})
    rows = [
        [name, *(f"{1000 * value:.1f}" for value in spread(each).values()), str(len(each))]
        for name, each in seconds.items()
    ]
    print_table(["norm", ">ms", ">min", ">max", ">n"], rows)
    print("flax / formula: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory of the results")
    parser.add_argument("--network", default="convnext_atto")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    use_huge_pages()
    sys.exit(main(**vars(options)))
