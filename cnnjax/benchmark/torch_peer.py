"""The other end of the pipe: PyTorch's steps, for an interpreter without jax and cnnjax.

Run as a script. A line of JSON in, a line of JSON out:

    {"do": "prepare", "network": ..., "batch": ..., ...}  ->  {"parameters": ..., ...}
    {"do": "step"}                                        ->  {"seconds": ...}
    {"do": "facts"}                                       ->  {"peak_rss_bytes": ..., ...}

and {"error": ...} for what fails. Between two requests the process sleeps.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["main", "prepare"]

MOMENTUM, LEARNING_RATE = 0.9, 1e-3


def prepare(request: dict[str, Any]) -> tuple[Callable[[], Any], dict[str, Any]]:
    """Build a network and return its step and what is known of it.

    Channels-last memory for weights and images, gradients set to None, the fused form of SGD:
    what PyTorch's own tuning guide recommends for a CPU.

    Raises `ValueError` if the network has another number of parameters than asked for.
    """
    import torch
    from torch.nn.functional import cross_entropy

    if request["prelude"]:
        importlib.import_module(request["prelude"])
    torch.set_num_threads(request["threads"])
    torch.manual_seed(0)
    model = _network(request["network"])
    parameters = sum(each.numel() for each in model.parameters())
    if parameters != request["parameters"]:
        raise ValueError(
            f"its {request['network']} has {parameters:,} parameters, ours "
            f"{request['parameters']:,}: not the same network"
        )
    model = model.to(memory_format=torch.channels_last)
    shape = (request["batch"], request["channels"], request["image_size"], request["image_size"])
    images = torch.randn(shape).contiguous(memory_format=torch.channels_last)
    called: Any = torch.compile(model) if request["compile"] else model

    def train() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(called(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    def forward() -> Any:
        with torch.inference_mode():
            return called(images)

    model.eval()
    with torch.inference_mode():
        classes = model(images[:1]).shape[1]
    labels = torch.randint(0, classes, (request["batch"],))
    model.train(request["mode"] == "train")
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, MOMENTUM, fused=True)
    step = train if request["mode"] == "train" else forward
    known = {"parameters": parameters, "torch": torch.__version__}
    if request["compile"]:
        start = time.perf_counter()
        step()
        known["first_step_seconds"] = time.perf_counter() - start
    return step, known


def _network(name: str) -> Any:
    import torch_networks  # beside this file

    if name in torch_networks.NETWORKS:
        return torch_networks.NETWORKS[name]()
    try:
        import torchvision

        return torchvision.models.get_model(name)
    except (ImportError, ValueError):
        import timm

        return timm.create_model(name)


def _peak_rss_bytes() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Answer requests until standard input ends."""
    # Nothing that a library prints may come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    step: Callable[[], Any] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                step, answer = prepare(request)
            elif request["do"] == "step":
                assert step is not None, "not prepared"
                start = time.perf_counter()
                result = step()
                seconds = time.perf_counter() - start
                if not bool(result.isfinite().all()):
                    raise ValueError("the result of a timed step is not finite")
                answer = {"seconds": seconds}
            else:
                answer = {"peak_rss_bytes": _peak_rss_bytes()}
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            answer = {"error": f"{type(error).__name__}: {first}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
