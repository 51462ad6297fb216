"""Networks with weights as one value: what every command that has weights works with."""

from cnnjax.classifier.check import check_weights
from cnnjax.classifier.classifier import Classifier
from cnnjax.classifier.saved import load

__all__ = ["Classifier", "check_weights", "load"]
