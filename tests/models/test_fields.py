"""A class of many fields, or of many yes and no, is two classes, or says why it is not."""

import ast
import re
from pathlib import Path

import pytest

import cnnjax.models

MOST_FIELDS, MOST_BOOLEANS = 10, 4
FILES = sorted(Path(cnnjax.models.__file__).parent.glob("*.py"))


def large(source):
    """The classes with more than so many fields, and whether a comment says how many there are."""
    lines, found = source.splitlines(), {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
        booleans = [each for each in fields if ast.unparse(each.annotation) == "bool"]
        if len(fields) > MOST_FIELDS or len(booleans) > MOST_BOOLEANS:
            first = min(node.lineno, *(each.lineno for each in node.decorator_list or [node]))
            beside = lines[max(first - 2, 0) : fields[0].lineno - 1]
            found[node.name] = any(re.match(r" *# [A-Z]\w+ fields: \w+", line) for line in beside)
    return found


def test_a_class_of_many_fields_says_why():
    silent = {name for file in FILES for name, says in large(file.read_text()).items() if not says}
    assert not silent, "split it, or say '# Eleven fields: ...' above the first"


@pytest.mark.parametrize(
    ("fields", "comment", "found"),
    [
        (["a: int"] * 10, "", {}),
        (["a: int"] * 11, "", {"A": False}),
        (["a: int"] * 11, "# Eleven fields: a table has so many columns.", {"A": True}),
        (["a: int"] * 11, "# Some words.", {"A": False}),
        (["a: bool = False"] * 4, "", {}),
        (["a: bool = False"] * 5, "", {"A": False}),
    ],
)
def test_large_classes_are_found(fields, comment, found):
    body = "".join(f"    {line}\n" for line in [comment, *fields])
    assert large(f"class A:\n{body}") == found
