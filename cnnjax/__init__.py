"""cnnjax: the laboratory for convolutional networks in JAX.

What it has is imported when it is first asked for: JAX takes more than a second, in which the
command could neither answer `--help` nor take an interruption.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnjax import ops
    from cnnjax.classifier import Classifier, load
    from cnnjax.classifier.transfer import transfer
    from cnnjax.models import build, list_models
    from cnnjax.nn import fuse
    from cnnjax.weights import load_model, load_weights, save_weights

__version__ = "0.1.0"
__all__ = [
    "Classifier",
    "__version__",
    "build",
    "fuse",
    "list_models",
    "load",
    "load_model",
    "load_weights",
    "ops",
    "save_weights",
    "transfer",
]

_HOMES = {
    "Classifier": "classifier",
    "build": "models",
    "fuse": "nn",
    "list_models": "models",
    "load": "classifier",
    "load_model": "weights",
    "load_weights": "weights",
    "save_weights": "weights",
    "transfer": "classifier.transfer",
}


def __getattr__(name: str) -> Any:
    if home := _HOMES.get(name):
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        globals()[name] = value  # asked for once only
        return value
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
