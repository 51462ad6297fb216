"""`cnnjax train`: one network on one dataset."""

import contextlib
import dataclasses
import importlib.util
import json as json_module
from pathlib import Path
from typing import Annotated, Any, Literal

import jax.numpy as jnp
import numpy as np
import tyro

from cnnjax.classifier import Classifier
from cnnjax.classifier import load as load_classifier
from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.images import SharedImages
from cnnjax.cli.preemption import TERMINATED, Terminated, ended_by_sigterm
from cnnjax.cli.settings import Settings, SharedSettings
from cnnjax.data import Preprocessing, split_off
from cnnjax.files import replacing
from cnnjax.models import build
from cnnjax.records import (
    Logger,
    TensorBoard,
    WeightsAndBiases,
    command_line,
    hardware,
    versions,
)
from cnnjax.terminal import print_json, tell
from cnnjax.train import Progress, Run, backbone_and, data_parallel_mesh, fit, key_of, show_progress
from cnnjax.weights import head_of

__all__ = ["train"]


def train(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")],
    *,
    source: SharedImages,
    out: Annotated[Path, metavar("DIR")],
    seed: Annotated[int, metavar("N")] = 0,
    weights: Annotated[str | None, option("SOURCE")] = None,
    validation: Annotated[float, metavar("SHARE")] = 0.0,
    spec: Annotated[str | None, option("SPEC")] = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    data_parallel: bool = False,
    log: Literal["tensorboard", "wandb"] | None = None,
    log_every: Annotated[int, metavar("STEPS")] = 100,
    json: bool = False,
    settings: SharedSettings = Settings(),  # noqa: B008 (frozen)
) -> int:
    """Train a network and leave its weights, history and test accuracy in a directory.

    Called again after an interruption, it goes on where it was saved, inside of an epoch too. On
    SIGTERM it saves and ends with status 75, on which a scheduler is to call it again. What it
    leaves in weights.safetensors the other commands take as `--weights`, and PyTorch as a state
    dict.

    Example: cnnjax train lenet5 --data mnist5k --epochs 10 --out runs/lenet5

    Args:
        network: a name from `cnnjax models`.
        source: of the images to learn from, and to be judged by.
        out: the directory for run.json, weights.safetensors, metrics.jsonl, checkpoints and, with
            the extra report, curves.svg.
        seed: the run's only source of randomness.
        weights: what to start from: package, a file of weights, a directory that this command left,
            or a hub id; a head for another number of classes is new and starts at zero.
        validation: share of the training set held out and evaluated after every epoch.
        spec: the layers of the network cnn, such as conv32-relu-pool-fc10.
        dtype: of the computation; parameters stay float32.
        data_parallel: share each batch out over all devices.
        log: to whom besides metrics.jsonl, an extra of the same name.
        log_every: steps from one line of metrics.jsonl to the next.
        json: print the result as JSON, and no progress.
        settings: of the run.
    """
    recipe, hyper = settings.chosen()
    key = key_of(seed)
    parts = source.splits()
    train_set, test_set = parts.train, parts.test
    held_out = None
    if validation:
        # The same images for every seed, so that seeds can be compared.
        train_set, held_out = split_off(train_set, validation, 0)
    height, width, channels = train_set.image_shape
    built: dict[str, Any] = {"num_classes": train_set.num_classes, "dtype": jnp.dtype(dtype).type}
    built |= {} if spec is None else {"spec": spec}
    start = None
    if weights is not None:
        start = load_classifier(
            network, weights, channels=channels, pixels=(height, width), key=key, **built
        )
    model: Any = build(network, **built) if start is None else start.model
    if settings.backbone_rate is not None and not recipe.groups:
        groups = backbone_and(head_of(model, (height, width, channels)))
        recipe = dataclasses.replace(recipe, groups=groups)

    loggers: list[Logger] = []
    if log == "tensorboard":
        loggers.append(TensorBoard(out / "tensorboard"))
    elif log == "wandb":
        loggers.append(WeightsAndBiases("cnnjax", out.absolute().name, out))

    def run(progress: Progress | None) -> Run:
        return fit(
            model,
            train_set,
            test_set,
            recipe,
            hyper,
            key,
            validation=held_out,
            variables=None if start is None else start.variables,
            normalization=None if start is None else start.normalization,
            progress=progress,
            checkpoint_dir=out,
            loggers=loggers,
            log_every=log_every,
            mesh=data_parallel_mesh() if data_parallel else None,
        )

    shown = contextlib.nullcontext() if json else show_progress(f"{network} on {source.data}")
    try:
        with shown as progress, ended_by_sigterm(progress) as watched:
            done = run(watched)
    except Terminated:
        tell(f"terminated; {out} is saved, the same command goes on from there")
        return TERMINATED
    if not watched.told and (out / "run.json").exists():
        tell(f"{out} is finished")
    how = Preprocessing(
        height,
        width,
        1.0,
        "bicubic",
        tuple(done.mean.tolist()),
        tuple(done.std.tolist()),
        parts.crop_mode,
    )
    classifier = Classifier(model, done.variables, how, train_set.class_names, network)
    classifier.save(out)
    result = {
        "network": network,
        **classifier.fields,
        "weights": weights,
        "data": source.data,
        "train_split": train_set.split,
        "test_split": test_set.split,
        "image_shape": [height, width, channels],
        "seed": seed,
        "validation": validation,
        "dtype": dtype,
        "recipe": recipe.to_dict(),
        "hyper": hyper.to_dict(),
        "test": done.test,
        "history": done.history,
        "compile_seconds": done.compile_seconds,
        "train_seconds": done.train_seconds,
        "command": command_line(),
        "versions": versions(),
        "hardware": hardware(),
    }
    with replacing(out / "run.json") as stream:
        stream.write((json_module.dumps(result, indent=2) + "\n").encode())
    if done.history and importlib.util.find_spec("matplotlib"):
        with replacing(out / "curves.svg") as stream:
            stream.write(_curves(done.history).encode())
    if json:
        print_json(result)
    else:
        print(
            f"test accuracy {done.test['accuracy']:.2%}, loss {done.test['loss']:.4f}; "
            f"{done.train_seconds:.1f} s of training, {done.compile_seconds:.1f} s of compiling; "
            f"{out} has run.json and weights.safetensors"
        )
    return 0


def _curves(history: list[dict[str, Any]]) -> str:
    """Return the losses of a history by epochs, as SVG."""
    from cnnjax import plot

    curves = {
        part: np.array([[entry[f"{part}_loss"] for entry in history]])
        for part in ("train", "validation")
        if f"{part}_loss" in history[0]
    }
    figure = plot.learning_curves(curves, ylabel="loss")
    return plot.to_svg(figure, "Loss by epochs.", "curves")
