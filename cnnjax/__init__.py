"""cnnjax: the laboratory for convolutional networks in JAX."""

from cnnjax import ops
from cnnjax.classifier import Classifier, load
from cnnjax.models import build, list_models
from cnnjax.weights import load_model, load_weights, save_weights

__version__ = "0.1.0"
__all__ = [
    "Classifier",
    "__version__",
    "build",
    "list_models",
    "load",
    "load_model",
    "load_weights",
    "ops",
    "save_weights",
]
