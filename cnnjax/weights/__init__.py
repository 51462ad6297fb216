"""Weights of other people: read, checked, converted by name, and written back."""

from cnnjax.weights.about import WEIGHTS, About, read_about
from cnnjax.weights.adapt import head_of
from cnnjax.weights.export import export_network
from cnnjax.weights.load import load_model, load_weights
from cnnjax.weights.packages import PACKAGE, PACKAGES
from cnnjax.weights.preprocessing import preprocessing_of
from cnnjax.weights.read import read_state_dict
from cnnjax.weights.write import save_weights

__all__ = [
    "PACKAGE",
    "PACKAGES",
    "WEIGHTS",
    "About",
    "export_network",
    "head_of",
    "load_model",
    "load_weights",
    "preprocessing_of",
    "read_about",
    "read_state_dict",
    "save_weights",
]
