"""Training: recipes, steps, whole runs and sweeps of them, evaluation, checkpoints."""

from cnnjax.train.evaluate import evaluate, predict
from cnnjax.train.fit import NonFiniteLoss, Run, fit
from cnnjax.train.keys import key_of
from cnnjax.train.progress import Progress, Report, show_progress
from cnnjax.train.recipe import RECIPES, Hyper, NamedRecipe, Recipe
from cnnjax.train.sharding import data_parallel_mesh
from cnnjax.train.state import TrainState, create_state
from cnnjax.train.step import make_train_step
from cnnjax.train.sweep import sweep

__all__ = [
    "RECIPES",
    "Hyper",
    "NamedRecipe",
    "NonFiniteLoss",
    "Progress",
    "Recipe",
    "Report",
    "Run",
    "TrainState",
    "create_state",
    "data_parallel_mesh",
    "evaluate",
    "fit",
    "key_of",
    "make_train_step",
    "predict",
    "show_progress",
    "sweep",
]
