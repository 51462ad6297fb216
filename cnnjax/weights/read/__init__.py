"""Files of weights: what is inside, which of it are the weights, and their numbers."""

from cnnjax.weights.read.shards import read_index
from cnnjax.weights.read.state_dict import SUFFIXES, opened, read_state_dict, split_choice

__all__ = ["SUFFIXES", "opened", "read_index", "read_state_dict", "split_choice"]
