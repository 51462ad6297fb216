"""Write `by_numbers.csv`: the networks without a golden, and the golden case that each stands by.

Such a network differs from the case's by numbers only: by widths, depths, kernel sizes and strides
that the case has too, resolutions, rates; not by another kind of block, activation, norm, pooling,
attention or padding, nor by an epsilon or a momentum. It is of the same class; all of its fields
but numbers are the case's; and all that a training step of it runs, numbers of channels aside, the
case runs as well. The script ends with an error for a network of which this holds for no case: that
one needs a golden of its own, see `tests/golden/make_goldens.py`.

    PYTHONPATH=. python tests/models/make_by_numbers.py

takes some minutes: networks are traced, as `test_record.py` does.
"""

import csv
import dataclasses
import functools
import itertools
from pathlib import Path

import jax.numpy as jnp

from cnnjax.models import MODELS, build
from tests.models.golden import CASES, network_of
from tests.models.record import record, record_model

TABLE = Path(__file__).with_name("by_numbers.csv")
HEADER = ("network", "case")
BY_NAME = {case.name: case for case in CASES}

# Linen's own, the head's width, the arithmetic, and what is drawn in training.
_LEFT_OUT = {"name", "parent", "num_classes", "dtype", "dropout_rate", "drop_path_rate"}
# Numbers that are no widths or depths.
_EXACT = {"epsilon", "momentum"}


def without_golden():
    """Return the names of networks that no case is of."""
    return sorted(set(MODELS) - {case.network or case.name for case in CASES})


def kinds(value, where=""):
    """Return what a module's fields say besides numbers, of which 0 is told from others.

    A row of a table counts as a whole: two things in one row are not two rows with one each.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f.name for f in dataclasses.fields(value) if f.init and f.name not in _LEFT_OUT]
        said = [kinds(getattr(value, field), f"{where}.{field}") for field in fields]
        return {f"{where} {type(value).__qualname__}"}.union(*said)
    if isinstance(value, tuple):
        said = [
            kinds(item, where) if _is_table(item) else {" & ".join(sorted(kinds(item, where)))}
            for item in value
        ]
        return set().union(*said) or {f"{where} ()"}
    if isinstance(value, functools.partial):
        parts = {"": value.func, "()": value.args}
        parts |= {f"({key})": given for key, given in value.keywords.items()}
        return set().union(*(kinds(part, where + key) for key, part in parts.items()))
    if isinstance(value, bool | str) or value is None or callable(value):
        return {f"{where} {getattr(value, '__qualname__', value)}"}
    exact = where.rpartition(".")[2] in _EXACT or value == 0
    return {f"{where} {value if exact else 'number'}"}


def _is_table(value):
    return isinstance(value, tuple) and any(
        isinstance(row, tuple) or dataclasses.is_dataclass(row) for row in value
    )


def operations(lines):
    """Return what a trace's lines say without numbers of channels, rates and resolutions."""
    return {said for said in map(_operation, lines) if said}


def _operation(line):
    kind, *words = line.split()
    if kind == "conv":
        size, channels, _, strides, _, dilation, _, groups, _, padding = words
        inputs, groups = int(channels.partition(">")[0]), int(groups)
        connected = "dense" if groups == 1 else "depthwise" if groups == inputs else "grouped"
        # "SAME" is 0,1 or 1,1 by the size of the image; which it is, a field says.
        padded = "padded" if set(padding) - set("0,") else "valid"
        return f"conv {size} stride {strides} dilation {dilation} {connected} {padded}"
    if kind in ("batch_norm", "layer_norm", "group_norm"):
        return " ".join([kind, *words[words.index("epsilon") :]])
    if kind in ("dropout", "drop_path"):
        return None
    return kind if kind == "linear" else line


@functools.cache
def _of_case(name):
    model = network_of(BY_NAME[name], jnp.float32)
    return kinds(model), type(model)


@functools.cache
def _case_operations(name):
    batch, channels, size, _ = BY_NAME[name].shape
    shape = (batch, size, size, channels)
    return operations(record_model(network_of(BY_NAME[name], jnp.float64), shape)[0])


def same_fields(network, case):
    """Whether a network is of the class of a case, and of no other kinds by its fields."""
    model, (allowed, family) = build(network), _of_case(case)
    return type(model) is family and kinds(model) <= allowed


def same_operations(network, case):
    """Whether a training step of a network runs nothing that the case's does not."""
    return operations(record(network)[0]) <= _case_operations(case)


def case_for(network):
    """Return the case that a network stands by, the one with least beside, or None."""
    own = kinds(build(network))
    cases = [case.name for case in CASES if same_fields(network, case.name)]
    beside = {case: len(_of_case(case)[0] - own) for case in cases}
    for case in sorted(cases, key=lambda case: (beside[case], BY_NAME[case].slow is True)):
        if same_operations(network, case):
            return case
    return None


def read():
    """Return the case of every network in the table."""
    with open(TABLE, newline="") as lines:
        return {row["network"]: row["case"] for row in csv.DictReader(lines)}


def main():
    rows = [(network, case_for(network)) for network in without_golden()]
    if alone := [network for network, case in rows if case is None]:
        raise SystemExit(f"no case has all that these have, give them a golden: {' '.join(alone)}")
    with open(TABLE, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(itertools.chain([HEADER], rows))


if __name__ == "__main__":
    main()
