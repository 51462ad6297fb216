"""Weights of other people: read, checked, converted by name, and written back."""

from cnnjax.weights.check import check_weights
from cnnjax.weights.load import load_model, load_weights
from cnnjax.weights.read import read_state_dict
from cnnjax.weights.write import save_weights

__all__ = ["check_weights", "load_model", "load_weights", "read_state_dict", "save_weights"]
