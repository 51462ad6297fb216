"""What a network costs, what it sees, what it gets wrong, and how sure a comparison is."""

from cnnjax.analysis import evaluation, statistics
from cnnjax.analysis.complexity import Complexity, count
from cnnjax.analysis.summary import Layer, Summary, summarise

__all__ = ["Complexity", "Layer", "Summary", "count", "evaluation", "statistics", "summarise"]
