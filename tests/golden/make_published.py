"""Record how torchvision and timm prepare images, as `tests/models/reference_preprocessing.csv`.

Runs in the environment of `make_goldens.py`. The table names networks and their weights; this
script fills in the rest of each row, in its order. To add a network, add `NAME,WEIGHTS,,,,,,` (no
WEIGHTS where the reference has none) and run

    .venv-reference/bin/python tests/golden/make_published.py [--check] [--prelude MODULE]

and then `tests/models/make_facts.py`, which makes the table of the package of it.

`--check` writes nothing and prints the rows that differ from what the references say.
"""

import argparse
import csv
import importlib
import sys
from pathlib import Path

TABLE = Path(__file__).parents[1] / "models" / "reference_preprocessing.csv"
COLUMNS = ("network", "weights", "size", "crop", "interpolation", "mean", "std", "crop_mode")


def prepared(network: str, weights: str) -> tuple[object, ...]:
    """Return size, crop, interpolation, mean, deviation and crop mode, as the references do."""
    import timm
    import torchvision

    if weights.startswith("IMAGENET1K") or not timm.is_model(network):
        found = torchvision.models.get_model_weights(network)[weights or "DEFAULT"].transforms()
        (size,), (side,) = found.crop_size, found.resize_size
        return size, size / side, found.interpolation.value, found.mean, found.std, "center"
    name = f"{network}.{weights}" if weights else network
    found = timm.models.get_pretrained_cfg(name, allow_unregistered=not weights)
    _, size, width = found.input_size
    if size != width:
        raise SystemExit(f"{name}: images of {size}x{width}; the table knows squares only")
    crop = (found.crop_pct, found.interpolation)
    return size, *crop, found.mean, found.std, found.crop_mode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, print differences")
    parser.add_argument("--prelude", help="a module to import before torchvision")
    options = parser.parse_args()
    if options.prelude:
        importlib.import_module(options.prelude)
    with open(TABLE, newline="") as file:
        rows = list(csv.DictReader(file))
    made = []
    for row in rows:
        size, crop, interpolation, *both, mode = prepared(row["network"], row["weights"])
        numbers = [" ".join(repr(float(number)) for number in each) for each in both]
        values = (row["network"], row["weights"], size, crop, interpolation, *numbers, mode)
        made.append(dict(zip(COLUMNS, map(str, values), strict=True)))
    different = [(old, new) for old, new in zip(rows, made, strict=True) if old != new]
    if options.check:
        for old, new in different:
            print(old, new, sep="\n  ")
        print(f"{len(different)} of {len(rows)} rows differ")
        return int(bool(different))
    with open(TABLE, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
