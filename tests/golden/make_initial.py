"""Record how the reference's parameters start: `reference_initial.csv.gz` of the tests.

Runs where `make_goldens.py` does, on the networks named. A line is a network, a parameter by its
name there, how many numbers it has, their mean, standard deviation and largest absolute value.

    .venv-reference/bin/python tests/golden/make_initial.py --prelude MODULE NAMES | gzip > FILE
"""

import argparse
import csv
import importlib
import sys

import torch
from make_settings import build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--prelude", help="a module to import before torchvision")
    options = parser.parse_args()
    if options.prelude:
        importlib.import_module(options.prelude)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["network", "parameter", "size", "mean", "deviation", "largest"])
    for name in options.networks:
        torch.manual_seed(0)
        # torchvision leaves these two as they are unless it is told otherwise.
        model = build(name, initialized=True)
        for parameter, tensor in model.named_parameters():
            values = tensor.detach().double()
            numbers = (values.mean(), values.std(correction=0), values.abs().max())
            rows.writerow([name, parameter, values.numel(), *(f"{n:.5g}" for n in numbers)])


if __name__ == "__main__":
    main()
