"""`cnnjax data`: the datasets, and what is in one."""

from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.text import Text

from cnnjax.cli.arguments import option
from cnnjax.data import catalogue, describe
from cnnjax.files import printable
from cnnjax.terminal import console, print_json, print_table, whole

__all__ = ["data"]

_USUAL = ("train", "test")


def data(
    name: Annotated[str, tyro.conf.Positional, option("NAME")] = "",
    data_dir: Annotated[Path | None, option("DIR")] = None,
    json: bool = False,
) -> None:
    """List the datasets that need no network, or show what is in one, prepared first if need be.

    Example: cnnjax data mnist5k

    Args:
        name: a dataset: an embedded one, or any that TFDS knows; without it, list them.
        data_dir: where prepared datasets are (default: $TFDS_DATA_DIR, else
            ~/tensorflow_datasets).
        json: print JSON.
    """
    if not name:
        _print_catalogue(catalogue(data_dir), json)
    elif json:
        print_json(describe(name, data_dir))
    else:
        _print_description(describe(name, data_dir))


def _print_catalogue(rows: list[dict[str, Any]], json: bool) -> None:
    if json:
        print_json(rows)
        return
    print_table(
        ["dataset", ">train", ">test", "other splits", ">image", ">classes", "version", "prepared"],
        [
            [
                row["name"],
                whole(row["splits"].get("train")),
                whole(row["splits"].get("test")),
                ", ".join(f"{key} {n:,}" for key, n in row["splits"].items() if key not in _USUAL),
                _shape(row["shape"]),
                whole(row["classes"]),
                row["version"],
                "yes" if row["prepared"] else "on first use",
            ]
            for row in rows
        ],
        spare=("other splits", "version"),
    )


def _print_description(about: dict[str, Any]) -> None:
    screen = console()
    splits = about["splits"]
    title = f"{about['name']} {about['version']}, {_shape(about['shape'])}"
    screen.print(Text(printable(title), "bold"))
    # Long lines wrap where the terminal ends, and brackets in them are not markup.
    for text in (about["description"], about["homepage"], about["citation"], about["directory"]):
        if text:
            screen.print("\n".join(map(printable, text.splitlines())), markup=False)
    counts = [
        [name, *(f"{split['per_class'][index]:,}" for split in splits.values())]
        for index, name in enumerate(about["class_names"])
    ]
    totals = ["all", *(f"{split['images']:,}" for split in splits.values())]
    screen.print()
    print_table(["class", *(f">{key}" for key in splits)], counts, totals=totals)
    screen.print()
    print_table(
        ["split", ">mean", ">standard deviation", "fingerprint"],
        [
            [key, _numbers(split["mean"]), _numbers(split["std"]), split["fingerprint"][:16]]
            for key, split in splits.items()
        ],
    )


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def _shape(shape: list[int | None]) -> str:
    return "x".join("?" if length is None else str(length) for length in shape)
