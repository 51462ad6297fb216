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

To add a network: add a row to `cases.py`, run this script with its name, run
`pytest tests/models/test_goldens.py -k NAME` and commit the row with the file `NAME.npz`.

Weights and images are drawn from names by `draw.py`. Everything is computed in float64, so that a
file holds the truth and not the rounding of one library. In float32 a ReLU whose input is almost
0, or a maximum that is almost a tie, makes the gradient depend on the order of a sum. So image
seeds are tried until the reference itself agrees with float64 in float32 (`ROUNDING`), and moving
every weight and pixel by relative noise of 3e-6 meets no such kink: the effects of the noise and
of its opposite cancel (`KINKS`). A case that finds no seed needs more positions in its last stages,
a larger `size` or `batch`, or fewer units in the first ones, a smaller `size`.

Evaluation uses as running statistics those of the batch itself (see `evaluation_statistics`):
arbitrary ones would let a constant swamp the images after a few layers.

A file holds: `names` (every parameter and statistic with its shape, as text), `seed`, `momentum`
(PyTorch's, of every BatchNorm), `logits` and `train_logits`, `statistics` (two projections of the
change of each running statistic by one training step, and its norm), `gradient` (projections of the
gradient of the training-mode cross-entropy with respect to the images).
"""

import argparse
import importlib
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import draw  # noqa: E402
from cases import CASES, Case  # noqa: E402

ROUNDING = 3e-5
KINKS = 1e-5
NOISE = 3e-6
SEEDS = 30


def build(case: Case) -> torch.nn.Module:
    """Return the reference network in float64, with every random drop off."""
    name = case.reference or case.name
    arguments = {"num_classes": draw.CLASSES, **case.arguments}
    if case.source == "torchvision":
        import torchvision

        model = torchvision.models.get_model(name, weights=None, **arguments)
    elif case.source == "timm":
        import timm

        if case.channels != 3:
            arguments["in_chans"] = case.channels
        model = timm.create_model(name, pretrained=False, **arguments)
    else:
        import torch_small

        model = getattr(torch_small, name)(**arguments)
    for module in model.modules():
        for attribute in ("drop_rate", "drop_prob", "p"):
            if isinstance(getattr(module, attribute, None), float):
                setattr(module, attribute, 0.0)
        if case.momentum is not None and isinstance(module, _BatchNorm):
            module.momentum = case.momentum
    return model.double().requires_grad_(False)


def names(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    state = model.state_dict()
    return {n: tuple(t.shape) for n, t in state.items() if not n.endswith("num_batches_tracked")}


def load(model: torch.nn.Module, state: dict[str, np.ndarray]) -> None:
    # Not `load_state_dict`: MNASNet's wants a version that plain tensors do not carry.
    for name, tensor in model.state_dict().items():
        if name in state:
            tensor.copy_(torch.as_tensor(state[name]))


def record(
    model: torch.nn.Module,
    state: dict[str, np.ndarray],
    images: torch.Tensor,
    labels: torch.Tensor,
    momentum: float,
) -> dict[str, np.ndarray]:
    """Run one training step, then evaluation, and return their results, full size."""
    load(model, state)
    images = images.clone().requires_grad_()
    logits = model.train()(images)
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), images)
    results = {"train_logits": logits.detach().numpy(), "gradient": gradient.numpy()}
    changed = {n: t.numpy().copy() for n, t in model.state_dict().items() if n in state}
    running = {n: a for n, a in changed.items() if n.endswith(("running_mean", "running_var"))}
    results |= {name: array - state[name] for name, array in running.items()}
    fitted = draw.evaluation_statistics(state, results, momentum)
    load(model, fitted)
    with torch.no_grad():
        results["logits"] = model.eval()(images).numpy()
    return results


def difference(
    a: dict[str, np.ndarray], b: dict[str, np.ndarray], by: dict[str, np.ndarray]
) -> tuple[float, str]:
    """Return the largest norm-wise difference relative to `by`, and where it is."""
    return max((float(np.linalg.norm(a[n] - b[n]) / np.linalg.norm(by[n])), n) for n in by)


def make(case: Case) -> None:
    start = time.perf_counter()
    torch.manual_seed(0)
    model = build(case)
    shapes = names(model)
    momenta = {m.momentum for m in model.modules() if isinstance(m, _BatchNorm)} or {0.1}
    (momentum,) = momenta
    single = draw.state(shapes)
    state = {name: array.astype(np.float64) for name, array in single.items()}
    noise = np.random.default_rng(0)
    shaken = {n: NOISE * a * noise.standard_normal(a.shape) for n, a in state.items()}
    shape = (case.batch, case.channels, case.size, case.size)
    pixel_noise = NOISE * noise.standard_normal(shape)
    labels = torch.from_numpy(draw.labels(case.batch)).long()

    def results(seed: int, sign: float) -> dict[str, np.ndarray]:
        images = draw.images(case.name, seed, shape).astype(np.float64)
        moved = {name: array + sign * shaken[name] for name, array in state.items()}
        pixels = torch.from_numpy(images * (1 + sign * pixel_noise))
        return record(model, moved, pixels, labels, momentum)

    for seed in range(SEEDS):
        truth = results(seed, 0)
        images = torch.from_numpy(draw.images(case.name, seed, shape))
        rounded = record(model.float(), single, images, labels, momentum)
        rounding, where = difference(rounded, truth, truth)
        model.double()
        kinks = np.inf
        if rounding < ROUNDING:
            up, down = results(seed, 1), results(seed, -1)
            middle = {name: (up[name] + down[name]) / 2 for name in truth}
            kinks, where = difference(middle, truth, truth)
        print(f"  {case.name}: seed {seed}: {rounding:.1e}, {kinks:.1e} in {where}", flush=True)
        if kinks < KINKS:
            break
    else:
        raise SystemExit(f"{case.name}: no steady seed; try another size or batch")
    statistics = [
        np.append(draw.projections(name, truth[name], 2), np.linalg.norm(truth[name]))
        for name in sorted(shapes)
        if name in truth
    ]
    lines = "\n".join(f"{name} {','.join(map(str, shapes[name]))}" for name in sorted(shapes))
    path = HERE / f"{case.name}.npz"
    with open(path, "wb") as file:
        np.savez_compressed(
            file,
            names=np.frombuffer(lines.encode(), np.uint8),
            seed=np.int32(seed),
            momentum=np.float32(momentum),
            logits=np.float32(truth["logits"]),
            train_logits=np.float32(truth["train_logits"]),
            statistics=np.float32(statistics).reshape(-1, 3),
            gradient=np.float32(draw.projections("gradient", truth["gradient"], 32)),
        )
    logits = truth["logits"]
    apart = np.linalg.norm(logits - logits.mean(0)) / np.linalg.norm(logits)
    print(
        f"{path.name}: {path.stat().st_size} bytes, logits {logits.std():.2f} (training "
        f"{truth['train_logits'].std():.2f}), between images {apart:.2f}, "
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
