"""`cnnjax models`: the table of networks."""

from typing import Annotated, Any

import tyro

from cnnjax.cli.arguments import metavar
from cnnjax.errors import unknown
from cnnjax.models import FAMILIES, MODELS, facts_of, list_models
from cnnjax.terminal import print_json, print_table, whole

__all__ = ["models"]


def models(
    pattern: Annotated[str, tyro.conf.Positional, metavar("PATTERN")] = "*",
    json: bool = False,
) -> None:
    """List the networks: size, cost, published accuracy and whose definition they follow.

    Multiply-adds are those of convolutions and matrix products for one image of the input size; the
    table has them in units of 10^9 (G).

    Example: cnnjax models 'resnet*'

    Args:
        pattern: a shell pattern of names.
        json: print JSON.
    """
    names = list_models(pattern)
    if not names:
        raise unknown("pattern", pattern, MODELS)
    rows = [_row(name) for name in names]
    if json:
        print_json(rows)
        return
    print_table(
        [
            "network",
            "family",
            ">parameters",
            ">G mult-adds",
            ">input",
            ">top-1 %",
            "on",
            "definition",
        ],
        [_cells(row) for row in rows],
        totals=[f"{len(rows)} network{'s' if len(rows) != 1 else ''}", *[""] * 7],
        spare=("family", "definition", "on", ">input", ">G mult-adds", ">top-1 %", ">parameters"),
    )


def _cells(row: dict[str, Any]) -> list[str]:
    accuracy, cost = row["accuracy"], row["multiply_adds"]
    return [
        row["name"],
        row["family"],
        whole(row["parameters"]),
        f"{cost / 1e9:.4g}",
        f"{row['input_size']}x{row['input_size']}x{row['channels']}",
        "" if accuracy is None else f"{accuracy:.2f}",
        "" if accuracy is None else row["dataset"],
        row["reference"],
    ]


def _row(name: str) -> dict[str, Any]:
    return {"name": name, "family": FAMILIES[name], **vars(facts_of(name))}
