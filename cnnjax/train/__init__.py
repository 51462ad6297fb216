"""Training: recipes, steps, whole runs and sweeps of them, evaluation, checkpoints."""

from cnnjax.train.averages import EMA, SWA, Average, Lookahead
from cnnjax.train.course import NonFiniteLoss
from cnnjax.train.evaluate import evaluate, predict
from cnnjax.train.fit import Run, fit
from cnnjax.train.groups import Group, backbone_and, norms_frozen
from cnnjax.train.hyper import Hyper
from cnnjax.train.keys import key_of
from cnnjax.train.losses import (
    BinaryCrossEntropy,
    ClassWeighted,
    CrammerSinger,
    CrossEntropy,
    Focal,
    Loss,
    OneVsAll,
    Tempered,
)
from cnnjax.train.metrics import Metric, PerClassAccuracy, TopK
from cnnjax.train.optimizers import LAMB, SAM, SGD, Adam, AdamW, Lion, Optimizer, RMSProp
from cnnjax.train.placement import data_parallel_mesh
from cnnjax.train.progress import Progress, Report, StopTraining, show_progress
from cnnjax.train.recipe import RECIPES, NamedRecipe, Recipe
from cnnjax.train.saving import Checkpointing
from cnnjax.train.schedules import (
    Constant,
    Cosine,
    Exponential,
    FromOptax,
    OneCycle,
    Polynomial,
    Schedule,
    Steps,
)
from cnnjax.train.state import TrainState, create_state
from cnnjax.train.step import make_train_step
from cnnjax.train.sweep import sweep

__all__ = [
    "EMA",
    "LAMB",
    "RECIPES",
    "SAM",
    "SGD",
    "SWA",
    "Adam",
    "AdamW",
    "Average",
    "BinaryCrossEntropy",
    "Checkpointing",
    "ClassWeighted",
    "Constant",
    "Cosine",
    "CrammerSinger",
    "CrossEntropy",
    "Exponential",
    "Focal",
    "FromOptax",
    "Group",
    "Hyper",
    "Lion",
    "Lookahead",
    "Loss",
    "Metric",
    "NamedRecipe",
    "NonFiniteLoss",
    "OneCycle",
    "OneVsAll",
    "Optimizer",
    "PerClassAccuracy",
    "Polynomial",
    "Progress",
    "RMSProp",
    "Recipe",
    "Report",
    "Run",
    "Schedule",
    "Steps",
    "StopTraining",
    "Tempered",
    "TopK",
    "TrainState",
    "backbone_and",
    "create_state",
    "data_parallel_mesh",
    "evaluate",
    "fit",
    "key_of",
    "make_train_step",
    "norms_frozen",
    "predict",
    "show_progress",
    "sweep",
]
