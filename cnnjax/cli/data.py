"""`cnnjax data`: the data sets, and what is in one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.text import Text

from cnnjax.cli.arguments import metavar, option
from cnnjax.data import catalogue, examine, resize_images
from cnnjax.data.describe import Examined
from cnnjax.data.stratified import stratified_order
from cnnjax.errors import BadArgument
from cnnjax.files import printable, replacing
from cnnjax.plot import contact_sheet
from cnnjax.terminal import console, print_json, print_table, tell, whole

__all__ = ["data", "list_", "show"]

_USUAL = ("train", "test")

_COLUMNS, _MOST_ROWS, _TILE = 10, 100, 112
"""Of a sheet: images a class, classes, and pixels of an image that has more."""


def list_(
    data_dir: Annotated[Path | None, option("DIR")] = None,
    json: bool = False,
) -> None:
    """List the data sets that need no network, and those that are prepared.

    Example: cnnjax data list

    Args:
        data_dir: where prepared datasets are (default: $TFDS_DATA_DIR, else
            ~/tensorflow_datasets).
        json: print JSON.
    """
    rows = catalogue(data_dir)
    if json:
        print_json(rows)
    else:
        _print_catalogue(rows)


def show(
    name: Annotated[str, tyro.conf.Positional, metavar("NAME")],
    data_dir: Annotated[Path | None, option("DIR")] = None,
    resize: Annotated[str | None, option("PIXELS[:MODE]")] = None,
    sheet: Annotated[Path | None, option("FILE.png")] = None,
    json: bool = False,
) -> None:
    """Show what is in a data set, prepared first if need be: classes, sizes, what is odd.

    Example: cnnjax data show mnist5k

    Args:
        name: an embedded data set, any that TFDS knows, folder:PATH or list:FILE.
        data_dir: where prepared datasets are (default: $TFDS_DATA_DIR, else
            ~/tensorflow_datasets).
        resize: side of the images in pixels, all then square; of the longer side the middle is
            kept, with :squash or :pad all. By default they stay as they are.
        sheet: a picture to write, some training images of each class.
        json: print JSON.
    """
    if sheet is not None and sheet.suffix != ".png":
        raise BadArgument(f"sheet: received {str(sheet)!r}, allowed: a name ending in .png")
    found = examine(name, data_dir, resize=resize)
    if sheet is not None:
        _write_sheet(found, sheet)
    if json:
        print_json(found.about)
    else:
        _print_description(found.about)
        for note in (*found.about["notes"], *map(_leak, found.about["shared"])):
            tell(note)
        if sheet is not None:
            print(f"{sheet} shows images of each class")


data: Mapping[str, Callable[..., None]] = {"list": list_, "show": show}


def _write_sheet(found: Examined, path: Path) -> None:
    """Draw some images of each class, of the training set where there is one."""
    dataset = found.sets.get("train") or next(iter(found.sets.values()))
    order = stratified_order(dataset.labels, dataset.num_classes, 0)
    rows = []
    for label in range(min(dataset.num_classes, _MOST_ROWS)):
        chosen = order[dataset.labels[order] == label][:_COLUMNS]
        images = dataset.take(chosen)
        if len(chosen) and max(dataset.image_shape) > _TILE:
            images = resize_images(images, _TILE, mode="pad")
        rows.append(images if images.shape[-1] in (1, 3) else images[..., :1])
    figure = contact_sheet(rows, dataset.class_names[: len(rows)])
    with replacing(path, "sheet") as stream:
        figure.savefig(stream, format="png", dpi=150, facecolor="white")


def _leak(pair: dict[str, Any]) -> str:
    one, other = pair["splits"]
    return (
        f"{pair['images']:,} images of {other!r} are in {one!r} as well, such as number "
        f"{pair['examples'][0][1]} = number {pair['examples'][0][0]}"
    )


def _print_catalogue(rows: list[dict[str, Any]]) -> None:
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
    named = f"{about['name']} {about['version']}".strip()
    title = f"{named}, {_shape(about['shape'])}"
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
    sized = any("sizes" in split for split in splits.values())
    columns = ["split", ">mean", ">standard deviation", "fingerprint"]
    print_table(
        [*columns, *([">sizes", ">smallest", ">median", ">largest"] if sized else [])],
        [
            [
                key,
                _numbers(split["mean"]),
                _numbers(split["std"]),
                split["fingerprint"][:16],
                *(_sizes(split["sizes"]) if sized else []),
            ]
            for key, split in splits.items()
        ],
        spare=("fingerprint",),
    )


def _sizes(sizes: dict[str, Any]) -> list[str]:
    ends = [_shape(sizes[end]) for end in ("smallest", "median", "largest")]
    return [f"{sizes['different']:,}", *ends]


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def _shape(shape: list[int | None]) -> str:
    return "x".join("?" if length is None else str(length) for length in shape)
