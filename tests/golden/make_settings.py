"""Record what the reference's networks are made of: `reference_settings.csv` of the tests.

Runs where `make_goldens.py` does. A network is traced on PyTorch's meta device, in training mode,
with its rates of dropout and stochastic depth set where its constructor takes them; nothing is
computed.

    .venv-reference/bin/python tests/golden/make_settings.py --prelude MODULE NAMES > FILE

A line of the file is a network, how often, and an operation with everything that is chosen there:

    resnet50,3,conv 3x3 64>64 stride 1x1 dilation 1x1 groups 1 padding 1,1,1,1
"""

import argparse
import csv
import importlib
import sys
from collections import Counter
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

sys.path.insert(0, str(Path(__file__).parent))
from cases import CASES

# A dropout and a stochastic depth of each reference, and what they are set to.
RATES = {"drop_rate": 0.25, "drop_path_rate": 0.125}
SAME = {
    "relu_": "relu",
    "silu_": "silu",
    "hardtanh": "relu6",
    "sigmoid_": "sigmoid",
    "leaky_relu_": "leaky_relu",
    "elu_": "elu",
    "hardswish_": "hardswish",
    "tanh_": "tanh",
}
NAMES = {"relu", "relu6", "silu", "gelu", "elu", "hardsigmoid", "hardswish", "sigmoid", "tanh"}


def _pair(value: Any) -> str:
    return "x".join(map(str, value if isinstance(value, tuple | list) else (value, value)))


def _number(value: float) -> str:
    return f"{value:.6g}"


class Recorder(TorchFunctionMode):
    """Counts the lines of one forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: Counter[str] = Counter()

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        method = getattr(self, f"see_{SAME.get(name, name)}", None)
        if method is not None:
            method(*args, **kwargs)
        elif SAME.get(name, name) in NAMES:
            self.lines[SAME.get(name, name)] += 1
        # What a function of `torch.nn.functional` calls in its turn is not seen again.
        result = function(*args, **kwargs)
        if name == "pad" and isinstance(result, torch.Tensor):
            result.pads = args[1]  # left, right, top, bottom
        return result

    def see_leaky_relu(self, x: Any, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.lines[f"leaky_relu {_number(negative_slope)}"] += 1

    def see_conv2d(
        self, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> None:  # fmt: skip
        outputs, inputs, *size = weight.shape
        spread = dilation if isinstance(dilation, tuple | list) else (dilation, dilation)
        if padding == "same":
            padding = [(k - 1) * d // 2 for k, d in zip(size, spread, strict=True)]
        padding = padding if isinstance(padding, tuple | list) else (padding, padding)
        left, right, top, bottom = (*getattr(x, "pads", ()), 0, 0, 0, 0)[:4]
        down, across = padding
        sides = f"{top + down},{bottom + down},{left + across},{right + across}"
        self.lines[
            f"conv {_pair(size)} {inputs * groups}>{outputs} stride {_pair(stride)} dilation "
            f"{_pair(dilation)} groups {groups} padding {sides}"
        ] += 1

    def see_linear(self, x: Any, weight: Any, bias: Any = None) -> None:
        self.lines[f"linear {weight.shape[1]}>{weight.shape[0]}"] += 1

    def see_batch_norm(
        self, x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None,
        training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
    ) -> None:  # fmt: skip
        settings = f"{_number(eps)} momentum {_number(momentum)}"
        if mean is not None:  # else it standardises a kernel
            self.lines[f"batch_norm {x.shape[1]} epsilon {settings}"] += 1

    def see_layer_norm(
        self, x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
    ) -> None:
        self.lines[f"layer_norm {shape[0]} epsilon {_number(eps)}"] += 1

    def see_group_norm(
        self, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
    ) -> None:
        self.lines[f"group_norm {x.shape[1]} groups {groups} epsilon {_number(eps)}"] += 1

    def see_dropout(self, x: Any, p: float = 0.5, *rest: Any, **options: Any) -> None:
        if p:
            self.lines[f"dropout {_number(p)}"] += 1

    def see_max_pool2d(
        self, x: Any, kernel_size: Any, stride: Any = None, *rest: Any, **o: Any
    ) -> None:
        self.lines[f"max_pool {_pair(kernel_size)} stride {_pair(stride or kernel_size)}"] += 1

    def see_avg_pool2d(
        self, x: Any, kernel_size: Any, stride: Any = None, *rest: Any, **o: Any
    ) -> None:
        self.lines[f"avg_pool {_pair(kernel_size)} stride {_pair(stride or kernel_size)}"] += 1

    def stochastic_depth(self, module: torch.nn.Module, arguments: Any) -> None:
        rate = getattr(module, "drop_prob", getattr(module, "p", 0.0))
        if rate:
            self.lines[f"drop_path {_number(rate)}"] += 1


def build(name: str, initialized: bool = False) -> torch.nn.Module:
    """Return the reference of that name, with its rates where it takes them.

    `initialized`: also where torchvision spends a minute on it.
    """
    import timm
    import torchvision

    if name in torchvision.models.list_models():
        arguments = {}
        if name in ("googlenet", "inception_v3"):
            arguments = {"init_weights": initialized, "aux_logits": False}
        return getattr(torchvision.models, name)(**arguments)
    if name in timm.list_models():
        for taken in (RATES, {"drop_rate": RATES["drop_rate"]}, {}):
            try:
                return timm.create_model(name, **taken)
            except TypeError:
                continue
    for case in CASES:
        if case.name == name and not set(case.overrides) - {"aux_heads", "shake"}:
            import torch_residual
            import torch_shallow
            import torch_small

            files = (torch_residual, torch_shallow, torch_small)
            called = case.reference or case.name
            (make,) = (getattr(file, called) for file in files if hasattr(file, called))
            takes = "num_classes" in signature(make).parameters
            return make(**({"num_classes": 10} if takes else {}), **case.arguments)
    raise LookupError(f"{name}: no reference as a whole")


def usual(name: str) -> Counter[str]:
    """Return the rates that timm's constructor has where it is not told any, where it has some."""
    import timm

    lines: Counter[str] = Counter()
    if name in timm.list_models():
        with torch.device("meta"):
            model = timm.create_model(name)
        if rate := getattr(model, "drop_rate", 0.0):
            lines[f"usual dropout {_number(rate)}"] = 1
        kinds = [m for m in model.modules() if type(m).__name__ == "DropPath"]
        if rate := max((m.drop_prob for m in kinds), default=0.0):
            lines[f"usual drop_path {_number(rate)}"] = 1
    return lines


def settings(name: str, size: int, channels: int) -> Counter[str]:
    """Return how often a network does what."""
    try:
        with torch.device("meta"):
            model = build(name)
    except NotImplementedError:  # its constructor computes widths with tensors
        model = build(name).to("meta")
    recorder = Recorder()
    for module in model.train().modules():
        if type(module).__name__ in ("DropPath", "StochasticDepth"):
            module.register_forward_pre_hook(recorder.stochastic_depth)
    with torch.device("meta"), recorder:
        model(torch.empty(2, channels, size, size))
    return recorder.lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="+", help="NAME:PIXELS:CHANNELS")
    parser.add_argument("--prelude", help="a module to import before torchvision")
    options = parser.parse_args()
    if options.prelude:
        importlib.import_module(options.prelude)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["network", "times", "what"])
    for network in options.networks:
        name, size, channels = network.split(":")
        try:
            lines = settings(name, int(size), int(channels)) + usual(name)
        except Exception as error:
            print(name, type(error).__name__, str(error)[:200], file=sys.stderr)
            continue
        rows.writerows([name, lines[what], what] for what in sorted(lines))


if __name__ == "__main__":
    main()
