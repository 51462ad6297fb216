"""cnnjax: the laboratory for convolutional networks in JAX."""

from cnnjax import ops
from cnnjax.models import build, list_models

__version__ = "0.1.0"
__all__ = ["__version__", "build", "list_models", "ops"]
