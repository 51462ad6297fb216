"""The networks compared with their reference, read by the script and by the test."""

import cases_small
import cases_timm
import cases_torchvision
from case import Case

__all__ = ["CASES", "Case"]

CASES = (*cases_torchvision.CASES, *cases_small.CASES, *cases_timm.CASES)
