"""The committed versions cover what the project asks for, on every Python that it names."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = [
    found[1]
    for line in PROJECT["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
]


def pinned(python: str) -> dict[str, str]:
    path = ROOT / "tests" / "constraints" / f"{python}.txt"
    return dict(line.split("==") for line in path.read_text(encoding="utf-8").splitlines())


def test_the_classifiers_name_this_python():
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in PYTHONS


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_pinned_within_its_range(python):
    versions = pinned(python)
    # `wandb` brings twenty packages more, and `make test` installs it nowhere.
    extras = [texts for name, texts in EXTRAS.items() if name != "wandb"]
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    for requirement in map(Requirement, texts):
        if requirement.name != "cnnjax":
            name = requirement.name.lower().replace("_", "-")
            assert versions[name] in requirement.specifier, f"{python}: {requirement}"
