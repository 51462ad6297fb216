"""Write `cnnjax/models/facts.csv`, what is known of each network, from the references.

Its sources lie beside this file:

    reference_facts.csv          counts, sizes, accuracies and weights, as references print them
    reference_preprocessing.csv  how they prepare images (written by tests/golden/make_published.py)
    reference_multiply_adds.csv  multiply-adds, rounded
    counted.csv                  integers, by `cnnjax.analysis.count`
    papers.csv                   what only papers have; kept by hand, and the only one that is

A count that a reference prints is that one, and counted.csv must agree. Multiply-adds are the
integers of counted.csv: references round theirs. `multiply_adds_source` names the references whose
figures, counted their way and rounded as they are, `test_multiply_adds.py` finds them to be; it
is "counted" where none prints one.

A new network takes a row in papers.csv, or one in each of the reference's two files, and

    python tests/models/make_facts.py --count NAME

which counts it again, seconds for a network, and writes both tables. Without `--count` nothing is
built.
"""

import argparse
import csv
import sys
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "cnnjax" / "models" / "facts.csv"
COLUMNS = (
    *("network", "parameters", "batch_statistics", "multiply_adds", "multiply_adds_source"),
    *("input_size", "channels", "reference", "accuracy", "accuracy_source", "dataset", "weights"),
    *("size", "crop", "interpolation", "mean", "std", "crop_mode"),
)
COUNTS = ("parameters", "batch_statistics", "multiply_adds")

# Networks for small images have no weights: mean and deviation of the data set, nothing cut off.
_OF = {
    "MNIST": {"mean": "0.1307", "std": "0.3081"},
    "CIFAR-10": {"mean": "0.485 0.456 0.406", "std": "0.229 0.224 0.225"},
}


def read(name: str) -> dict[str, dict[str, str]]:
    """Return the rows of a source by network."""
    with open(HERE / name, newline="") as lines:
        return {row["network"]: row for row in csv.DictReader(lines)}


def of_papers(row: dict[str, str]) -> dict[str, str]:
    size = row["input_size"]
    prepared = {"size": size, "crop": "1.0", "interpolation": "bicubic", "crop_mode": "center"}
    return {**row, **prepared, **_OF[row["dataset"]]}


def of_reference(row: dict[str, str], stated: dict[str, str], paper: dict[str, str]):
    """Return the row of a network of torchvision or timm; `paper` says what they do not."""
    whose = "torchvision" if row["weights"].startswith("IMAGENET1K") else "timm"
    accuracy = paper.get("accuracy") or stated["accuracy"]
    return {
        **row,
        "reference": whose,
        "dataset": "ImageNet-1k",
        "input_size": stated["pixels"],
        "channels": str(len(row["mean"].split())),
        "accuracy": accuracy,
        "accuracy_source": paper.get("accuracy_source") or (row["weights"] if accuracy else ""),
    }


def printers() -> dict[str, str]:
    """Return the references that print multiply-adds of a network, by network."""
    found: dict[str, str] = {}
    with open(HERE / "reference_multiply_adds.csv", newline="") as lines:
        for row in csv.DictReader(lines):
            found[row["network"]] = f"{found.get(row['network'], '')} {row['source']}".strip()
    return found


def table() -> list[dict[str, str]]:
    """Return the rows of `facts.csv`."""
    stated, prepared = read("reference_facts.csv"), read("reference_preprocessing.csv")
    papers, printed = read("papers.csv"), printers()
    rows = []
    for name, counted in sorted(read("counted.csv").items()):
        paper, reference = papers.get(name, {}), stated.get(name, {})
        for count in COUNTS[:2]:
            if reference.get(count, "") not in ("", counted[count]):
                raise SystemExit(f"{name}: {counted[count]} {count}, not {reference[count]}")
        if name in prepared:
            row = of_reference(prepared[name], reference, paper)
        elif name in papers:
            row = of_papers(paper)
        else:
            raise SystemExit(f"{name}: neither papers.csv nor reference_preprocessing.csv has it")
        row |= {**counted, "multiply_adds_source": printed.get(name, "counted")}
        rows.append({column: row.get(column, "") for column in COLUMNS})
    unknown = (set(prepared) | set(papers) | set(stated)) - {row["network"] for row in rows}
    if unknown:
        raise SystemExit(f"not counted: {', '.join(sorted(unknown))}")
    return rows


def write(path: Path, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def count_again(names: list[str]) -> None:
    """Count networks as `build` returns them, and write `counted.csv`."""
    from cnnjax.analysis import count
    from cnnjax.models import build

    rows, sizes = read("counted.csv"), read("reference_facts.csv")
    papers = read("papers.csv")
    for name in names:
        size = int(sizes[name]["pixels"] if name in sizes else papers[name]["input_size"])
        channels = int(papers.get(name, {}).get("channels") or 3)
        found = count(build(name), (size, size, channels))
        rows[name] = {"network": name, **{c: str(getattr(found, c)) for c in COUNTS}}
    write(HERE / "counted.csv", ("network", *COUNTS), [rows[name] for name in sorted(rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", nargs="+", default=[], metavar="NAME", help="count these again")
    parser.add_argument("--to", type=Path, default=TABLE, help="the table to write")
    options = parser.parse_args()
    if options.count:
        count_again(options.count)
    write(options.to, COLUMNS, table())


if __name__ == "__main__":
    sys.exit(main())
