"""The golden cases, and the networks that they compare."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import cnnjax
from cnnjax.models import MODELS
from tests.models.small import first_blocks

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
import draw  # noqa: E402
from case import Slow  # noqa: E402
from cases import CASES, Case  # noqa: E402

__all__ = ["CASES", "GOLDEN", "Case", "Slow", "draw", "network_of"]


def network_of(case: Case, dtype: Any) -> Any:
    """Return a case's network with every random drop off."""
    name = case.network or case.name
    fields = [f.name for f in dataclasses.fields(MODELS[name].family)]
    rates = {f: 0.0 for f in fields if f.endswith("_rate") or f.startswith("drop")}
    settings = {"num_classes": draw.CLASSES, "dtype": dtype, **rates}
    usual = cnnjax.build(name)
    for key, value in case.overrides.items():
        if key == "blocks" and key not in fields:
            settings["stages"] = first_blocks(usual.stages, value)
            continue
        if value == "four blocks":
            settings["stages"] = _four_blocks(usual.stages)
            continue
        field, _, inner = key.partition(".")
        whole = settings.get(field, getattr(usual, field, None))
        settings[field] = dataclasses.replace(whole, **{inner: value}) if inner else value
    return cnnjax.build(name, **settings)


def _four_blocks(stages: Any) -> Any:
    """Return four of the small MobileNetV3's blocks, and the layer after them."""
    first, second, third, *_, last = stages
    third = (third[0], dataclasses.replace(third[1], repeats=1))
    return first, second[:1], third, (dataclasses.replace(last[0], width=6 * 40),)
