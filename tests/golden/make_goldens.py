"""Record what the reference computes, as small files that the tests compare cnnjax with.

Runs in an environment of its own with PyTorch, torchvision and timm (no jax, no cnnjax):

    python3 -m venv .venv-reference
    .venv-reference/bin/pip install torch==2.13.0 torchvision==0.28.0 timm==1.0.31 numpy
    .venv-reference/bin/python tests/golden/make_goldens.py resnet18 'vgg*'   # these cases
    .venv-reference/bin/python tests/golden/make_goldens.py --missing         # those without a file
    .venv-reference/bin/python tests/golden/make_goldens.py                   # all of them
    .venv-reference/bin/python tests/golden/make_goldens.py --names resnet18  # show its names

(Beside a CPU-only PyTorch, torchvision's compiled operators are missing; `--prelude MODULE` imports
a module that declares them first.)

To add a network: add a row to one of the `cases_*.py`, run this script with its name, run
`pytest tests/models/test_goldens.py -k NAME` and commit the row with the file `NAME.npz`.
Where it differs from a network that has a case by numbers only, run
`tests/models/make_by_numbers.py` instead, and commit its table.

Weights and images are drawn from names by `draw.py`, once for a training step and once for
evaluation. Everything is computed in float64, so that a file holds the truth and not the rounding
of one library.

A case with `float64` is compared in float64: any seed will do. One without is compared in float32,
where a ReLU whose input is almost 0, or a maximum that is almost a tie, makes the gradient depend
on the order of a sum. So image seeds are tried until the reference itself agrees with float64 in
float32 (`ROUNDING`), and moving every weight and pixel by relative noise of 3e-6 meets no such
kink: the effects of the noise and of its opposite cancel (`KINKS`). A case that finds no seed needs
more positions in its last stages, a larger `size` or `batch`, or fewer units in the first ones, a
smaller `size`; or `float64`.

A file holds: `names` (every parameter and statistic with its shape, as text), `seed`, `logits` and
`train_logits` (those of auxiliary heads beside them), `statistics` (a projection of the change of
each running statistic by one training step), `gradient` (projections of the gradient of the
training-mode cross-entropy, summed over the heads, with respect to the images), and `rounding`,
the relative error of the reference's own evaluation logits in float32.
"""

import argparse
import importlib
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import draw  # noqa: E402
from cases import CASES, Case  # noqa: E402

ROUNDING = 3e-5
KINKS = 1e-5
NOISE = 3e-6
SEEDS = 30

State = dict[str, np.ndarray]
States = tuple[State, State]  # of training, of evaluation


def build(case: Case) -> torch.nn.Module:
    """Return the reference network in float64, with every random drop off."""
    name = case.reference or case.name
    arguments = {"num_classes": draw.CLASSES, **case.arguments}
    if case.source == "torchvision":
        import torchvision

        model = getattr(torchvision.models, name)(**arguments)
    elif case.source == "timm":
        import timm

        if case.channels != 3:
            arguments["in_chans"] = case.channels
        model = timm.create_model(name, pretrained=False, **arguments)
    else:
        import torch_residual
        import torch_shallow
        import torch_small

        files = (torch_residual, torch_shallow, torch_small)
        (make_network,) = (getattr(file, name) for file in files if hasattr(file, name))
        model = make_network(**arguments)
    for module in model.modules():
        for attribute in ("drop_rate", "drop_prob", "p"):
            if isinstance(getattr(module, attribute, None), float):
                setattr(module, attribute, 0.0)
    return model.double().requires_grad_(False)


def names(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    state = model.state_dict()
    return {n: tuple(t.shape) for n, t in state.items() if not n.endswith("num_batches_tracked")}


def load(model: torch.nn.Module, state: State) -> None:
    # Not `load_state_dict`: MNASNet's wants a version that plain tensors do not carry.
    for name, tensor in model.state_dict().items():
        if name in state:
            tensor.copy_(torch.as_tensor(state[name]))


def record(model: torch.nn.Module, states: States, images: torch.Tensor) -> dict[str, np.ndarray]:
    """Run one training step, then evaluation, and return their results, full size."""
    training, evaluation = states
    labels = torch.from_numpy(draw.labels(len(images))).long()
    load(model, training)
    images = images.clone().requires_grad_()
    outputs = model.train()(images)
    # torchvision returns auxiliary heads in front of the main one's, the last first.
    heads = [outputs[0], *reversed(outputs[1:])] if isinstance(outputs, tuple) else [outputs]
    loss = sum(torch.nn.functional.cross_entropy(logits, labels) for logits in heads)
    (gradient,) = torch.autograd.grad(loss, images)
    results = {"train_logits": torch.cat(heads, 1).detach().numpy(), "gradient": gradient.numpy()}
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            results[name] = tensor.numpy() - training[name]
    return results | {"logits": evaluate(model, evaluation, images)}


def evaluate(model: torch.nn.Module, state: State, images: torch.Tensor) -> np.ndarray:
    load(model, state)
    with torch.no_grad():
        return model.eval()(images).numpy()


def difference(
    a: dict[str, np.ndarray], b: dict[str, np.ndarray], by: dict[str, np.ndarray]
) -> tuple[float, str]:
    """Return the largest norm-wise difference relative to `by`, and where it is."""
    return max((float(np.linalg.norm(a[n] - b[n]) / np.linalg.norm(by[n])), n) for n in by)


def steady(
    case: Case, model: torch.nn.Module, states: States, seed: int, truth: dict[str, np.ndarray]
) -> bool:
    """Tell whether what float64 finds for `seed`, `truth`, can be found in float32."""
    images = draw.images(case.name, seed, case.shape)
    rounded = record(model.float(), states, torch.from_numpy(images))
    model.double()
    rounding, where = difference(rounded, truth, truth)
    kinks = np.inf
    if rounding < ROUNDING:
        random = np.random.default_rng(0)
        noise = [{n: NOISE * random.standard_normal(a.shape) for n, a in s.items()} for s in states]
        pixels = NOISE * random.standard_normal(case.shape)

        def moved(sign: float) -> dict[str, np.ndarray]:
            training, evaluation = (
                {name: array * (1 + sign * by[name]) for name, array in state.items()}
                for state, by in zip(states, noise, strict=True)
            )
            shaken = torch.from_numpy(images * (1 + sign * pixels))
            return record(model, (training, evaluation), shaken)

        up, down = moved(1), moved(-1)
        kinks, where = difference({n: (up[n] + down[n]) / 2 for n in truth}, truth, truth)
    print(f"  {case.name}: seed {seed}: {rounding:.1e}, {kinks:.1e} in {where}", flush=True)
    return kinks < KINKS


def make(case: Case) -> None:
    start = time.perf_counter()
    torch.manual_seed(0)
    model = build(case)
    shapes = names(model)
    states = draw.state(shapes, "training"), draw.state(shapes, "evaluation")
    for seed in range(SEEDS):
        images = torch.from_numpy(draw.images(case.name, seed, case.shape))
        truth = record(model, states, images.double())
        if case.float64 or steady(case, model, states, seed, truth):
            break
    else:
        raise SystemExit(f"{case.name}: no steady seed; try another size or batch, or float64")
    logits = truth["logits"]
    rounded = evaluate(model.float(), states[1], images)
    statistics = [
        draw.projections(name, truth[name])[0] for name in sorted(shapes) if name in truth
    ]
    lines = "\n".join(f"{name} {','.join(map(str, shapes[name]))}" for name in sorted(shapes))
    path = HERE / f"{case.name}.npz"
    with open(path, "wb") as file:
        np.savez_compressed(
            file,
            names=np.frombuffer(lines.encode(), np.uint8),
            seed=np.int32(seed),
            logits=logits,
            train_logits=truth["train_logits"],
            statistics=np.float64(statistics),
            gradient=draw.projections("gradient", truth["gradient"], 32),
            rounding=np.linalg.norm(rounded - logits) / np.linalg.norm(logits),
        )
    apart = np.linalg.norm(logits - logits.mean(0)) / np.linalg.norm(logits)
    print(
        f"{path.name}: {path.stat().st_size} bytes, logits {logits.std():.2g} (training "
        f"{truth['train_logits'].std():.2g}), between images {apart:.2g}, "
        f"{time.perf_counter() - start:.0f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("patterns", nargs="*", default=["*"], help="names or shell patterns")
    parser.add_argument("--missing", action="store_true", help="only cases that have no file")
    parser.add_argument(
        "--names", action="store_true", help="print names and shapes, write nothing"
    )
    parser.add_argument("--prelude", help="a module to import before torchvision")
    options = parser.parse_args()
    if options.prelude:
        importlib.import_module(options.prelude)
    for case in CASES:
        if not any(fnmatchcase(case.name, pattern) for pattern in options.patterns):
            continue
        if options.names:
            print(case.name, *(f"  {n} {s}" for n, s in names(build(case)).items()), sep="\n")
        elif not (options.missing and (HERE / f"{case.name}.npz").exists()):
            make(case)


if __name__ == "__main__":
    main()
