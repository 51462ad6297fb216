"""`cnnjax train`: one network on one dataset."""

import dataclasses
import importlib.metadata
import json as json_module
import platform
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import tyro

import cnnjax
from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.table import print_json
from cnnjax.data import load, split_off
from cnnjax.errors import BadArgument, unknown
from cnnjax.files import replacing
from cnnjax.models import build
from cnnjax.train import RECIPES, Hyper, Recipe, data_parallel_mesh, fit, show_progress

__all__ = ["train"]


def train(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")],
    *,
    data: Annotated[str, metavar("NAME")],
    out: Annotated[Path, metavar("DIR")],
    seed: Annotated[int, metavar("N")] = 0,
    recipe: Annotated[str, metavar("NAME")] = "default",
    epochs: Annotated[int | None, option("N")] = None,
    batch_size: Annotated[int | None, option("N")] = None,
    loss: Annotated[str | None, option("NAME")] = None,
    optimiser: Annotated[str | None, option("NAME")] = None,
    schedule: Annotated[str | None, option("NAME")] = None,
    warmup: Annotated[float | None, option("SHARE")] = None,
    decay_all: Annotated[bool | None, option("True|False")] = None,
    clip_norm: Annotated[float | None, option("NORM")] = None,
    crop_padding: Annotated[int | None, option("PIXELS")] = None,
    flip: Annotated[bool | None, option("True|False")] = None,
    cutout: Annotated[int | None, option("PIXELS")] = None,
    ema_decay: Annotated[float | None, option("DECAY")] = None,
    learning_rate: Annotated[float | None, option("RATE")] = None,
    momentum: Annotated[float | None, option("M")] = None,
    weight_decay: Annotated[float | None, option("DECAY")] = None,
    label_smoothing: Annotated[float | None, option("S")] = None,
    validation: Annotated[float, metavar("SHARE")] = 0.0,
    data_dir: Annotated[Path | None, option("DIR")] = None,
    spec: Annotated[str | None, option("SPEC")] = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    data_parallel: bool = False,
    json: bool = False,
) -> None:
    """Train a network and leave its weights, history and test accuracy in a directory.

    Called again after an interruption, it goes on after the last complete epoch.

    Example: cnnjax train lenet5 --data mnist5k --epochs 10 --out runs/lenet5

    Args:
        network: a name from `cnnjax models`.
        data: mnist5k, digits, or any name that TFDS knows.
        out: the directory for run.json and checkpoint.safetensors.
        seed: the run's only source of randomness.
        recipe: default, mnist or cifar10: what all settings below are where not given.
        epochs: passes over the training set.
        batch_size: images a step.
        loss: softmax, crammer_singer, crammer_singer_l2, one_vs_all or one_vs_all_l2.
        optimiser: sgd, heavy_ball, adam, adamw, lamb, lion or rmsprop.
        schedule: cosine, onecycle, step or constant.
        warmup: share of the run in which the learning rate rises.
        decay_all: weight decay also for biases and norms.
        clip_norm: largest norm of a gradient.
        crop_padding: pixels around a random crop.
        flip: mirror half of the images.
        cutout: side of a square that is blanked.
        ema_decay: of a moving average of the weights, which is then what is kept.
        learning_rate: at its peak.
        momentum: or beta 1 of the Adam family.
        weight_decay: as the optimiser applies it.
        label_smoothing: with loss softmax.
        validation: share of the training set held out and evaluated after every epoch.
        data_dir: where prepared datasets are, else TFDS_DATA_DIR.
        spec: the layers of the network cnn, such as conv32-relu-pool-fc10.
        dtype: of the computation; parameters stay float32.
        data_parallel: share each batch out over all devices.
        json: print the result as JSON, and no progress.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    if seed < 0:
        raise BadArgument(f"seed: received {seed}, allowed: integers from 0")
    named = RECIPES[recipe]
    settings = dataclasses.replace(named.recipe, **_chosen(Recipe, given))
    hyper = dataclasses.replace(named.hyper, **_chosen(Hyper, given))
    train_set, test_set = load(data, "train", data_dir), load(data, "test", data_dir)
    held_out = None
    if validation:
        # The same images for every seed, so that seeds can be compared.
        train_set, held_out = split_off(train_set, validation, 0)
    overrides = {"spec": spec} if spec is not None else {}
    model: Any = build(
        network, num_classes=train_set.num_classes, dtype=jnp.dtype(dtype).type, **overrides
    )

    def run(progress: Any) -> Any:
        return fit(
            model,
            train_set,
            test_set,
            settings,
            hyper,
            jax.random.key(seed),
            validation=held_out,
            progress=progress,
            checkpoint_dir=out,
            mesh=data_parallel_mesh() if data_parallel else None,
        )

    if json:
        done = run(None)
    else:
        with show_progress(f"{network} on {data}") as progress:
            done = run(progress)
    result = {
        "network": network,
        "spec": spec,
        "data": data,
        "seed": seed,
        "validation": validation,
        "dtype": dtype,
        "recipe": settings.to_dict(),
        "hyper": hyper.to_dict(),
        "test": done.test,
        "history": done.history,
        "compile_seconds": done.compile_seconds,
        "train_seconds": done.train_seconds,
        "versions": {"cnnjax": cnnjax.__version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in ("jax", "flax", "optax")},
        "device": jax.devices()[0].device_kind,
    }
    with replacing(out / "run.json") as stream:
        stream.write((json_module.dumps(result, indent=2) + "\n").encode())
    if json:
        print_json(result)
    else:
        print(
            f"test accuracy {done.test['accuracy']:.2%}, loss {done.test['loss']:.4f}; "
            f"{done.train_seconds:.1f} s of training, {done.compile_seconds:.1f} s of compiling; "
            f"see {out / 'run.json'}"
        )


def _chosen(cls: type, given: dict[str, Any]) -> dict[str, Any]:
    return {f.name: given[f.name] for f in dataclasses.fields(cls) if f.name in given}
