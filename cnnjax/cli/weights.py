"""`cnnjax weights`: published weights, looked at in the network that they are for."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from cnnjax.classifier import check_weights, load
from cnnjax.cli.arguments import metavar, option
from cnnjax.terminal import print_json, print_table

__all__ = ["check", "weights"]


def check(
    name: Annotated[str, tyro.conf.Positional, metavar("NAME")],
    file: Annotated[str, tyro.conf.Positional, metavar("FILE")],
    reference: Annotated[Path | None, option("ACTIVATIONS.npz")] = None,
    json: bool = False,
) -> None:
    """Check that weights fit a network, and show what each of its stages computes with them.

    Example: cnnjax weights check resnet50 resnet50-11ad3fa6.pth

    Args:
        name: a name from `cnnjax models`.
        file: a file of weights, a directory that `cnnjax train` left, package, or a hub id such as
            timm/resnet50.a1_in1k; FILE#KEY takes those under a key of a checkpoint, such as EMA.
        reference: a file with `images` and activations by stage, to show the largest difference.
        json: print JSON.
    """
    rows = check_weights(load(name, file), reference=reference)
    if json:
        print_json(rows)
        return
    columns = ["stage", ">shape", ">mean", ">spread"]
    if reference is not None:
        columns.append(">largest difference")
    print_table(columns, [_cells(row)[: len(columns)] for row in rows], title=f"{name}, {file}")


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["stage"],
        "x".join(map(str, row["shape"])),
        f"{row['mean']:.4g}",
        f"{row['spread']:.4g}",
        f"{row['difference']:.2e}" if "difference" in row else "",
    ]


weights: Mapping[str, Callable[..., None]] = {"check": check}
