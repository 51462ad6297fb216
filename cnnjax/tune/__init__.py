"""Searching for the scalars of a recipe: spaces, designs, and `tune`, which several may share."""

from cnnjax.tune.designs import TPE, Adaptive, Design, Grid, Planned, Random, Sobol
from cnnjax.tune.results import read_search
from cnnjax.tune.run import tune
from cnnjax.tune.space import Choice, Domain, LogUniform, Space, Uniform

__all__ = [
    "TPE",
    "Adaptive",
    "Choice",
    "Design",
    "Domain",
    "Grid",
    "LogUniform",
    "Planned",
    "Random",
    "Sobol",
    "Space",
    "Uniform",
    "read_search",
    "tune",
]
