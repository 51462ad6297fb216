"""How many files an addition touches, shown by making one of each kind in a copy of the project.

A file is a place. What a script writes of it (`facts.csv`, a golden's numbers) is not counted.
`tests/cli/test_values.py` adds values without a copy, and `test_own_values.py` shows what needs
no place at all: whatever is passed to `fit` and not named on a command line.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOSSES, VALUES = "cnnjax/train/losses.py", "cnnjax/cli/values.py"
PAPERS, CASES = "tests/models/papers.csv", "tests/golden/cases_small.py"

VALUE = '''

@dataclasses.dataclass(frozen=True)
class Added:
    """What was added.

    Attributes:
        factor: of nothing.
    """

    factor: float = 1.0

    def __call__(self, {arguments}):
        return {result}
'''
FAMILY = '''"""A family of one network."""

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, classify, relu


class Added(nn.Module):
    """A strided convolution and a linear layer."""

    width: int = 8
    num_classes: int = 10
    dtype: object = jnp.float32

    @nn.compact
    def __call__(self, images, *, train, features=False):
        check_images(self, images)
        stages = {}
        for name in ("stem", "stage1"):
            images = relu(Conv(self.width, (3, 3), strides=2, dtype=self.dtype, name=name)(images))
            stages[name] = images
        logits, stages["pre_logits"] = classify(
            images, self.num_classes, train=train, name="head", dtype=self.dtype
        )
        return (logits, stages) if features else logits


NETWORKS = {"added_cifar": Network(Added)}
'''
KIND = '''"""A folder by another name."""

import dataclasses

from cnnjax.data.folder import read_folder


def read_added(path):
    return dataclasses.replace(read_folder(path), name="added")
'''
# An insertion goes behind the text it names, or, behind none, to the end of its file.
Addition = dict[str, list[tuple[str, str]]]


def value(field: str, file: str, arguments: str, result: str) -> Addition:
    """Return a class with `__call__`, and its row on the command line."""
    module = file.removesuffix(".py").replace("/", ".")
    name = f"Added{field.title()}"
    return {
        file: [("", VALUE.format(arguments=arguments, result=result))],
        VALUES: [
            ("import functools\n", f"from {module} import Added as {name}\n"),
            (f'    "{field}": {{', f'"added": {name},'),
        ],
    }


def known_to_a_paper(name: str) -> str:
    return f"{name},nobody,CIFAR-10,32,3,,\n"


# Where each kind of value is, what it is given, and what the one that is added returns of that.
KINDS = {
    "loss": (LOSSES, "logits, targets", "-(logits * targets).sum(axis=-1)"),
    "metrics": ("cnnjax/train/metrics.py", "logits, targets", "logits.max(axis=-1)"),
    "optimizer": ("cnnjax/train/optimizers.py", "learning_rate, hyper", "optax.sgd(learning_rate)"),
    "schedule": ("cnnjax/train/schedules.py", "step, steps", "1 + 0 * step"),
    "average": ("cnnjax/train/averages.py", "average, variables, step", "variables"),
    "augment": ("cnnjax/data/augment/geometry.py", "key, images, targets", "images, targets"),
}
ADDITIONS: dict[str, tuple[int, Addition]] = {
    **{field: (2, value(field, *kind)) for field, kind in KINDS.items()},
    "a kind of source": (
        2,
        {
            "cnnjax/data/added.py": [("", KIND)],
            "cnnjax/data/collection.py": [
                ("import urllib.parse\n", "from cnnjax.data.added import read_added\n"),
                ("frozenset[str]]] = {\n", '    "added": (read_added, frozenset({"strict"})),\n'),
            ],
        },
    ),
    "a network of a known family that a paper has": (
        3,
        {
            "cnnjax/models/resnet_cifar.py": [
                ("\nNETWORKS = {\n", '    "resnet26_cifar": Network(ResNetCifar, _plain(4)),\n')
            ],
            CASES: [("\nCASES = (\n", "    _plain(4),\n")],
            PAPERS: [("", known_to_a_paper("resnet26_cifar"))],
        },
    ),
    "a family that a paper has": (
        5,
        {
            "cnnjax/models/added.py": [("", FAMILY)],
            "cnnjax/models/__init__.py": [
                ("from cnnjax.models import (\n", "    added,\n"),
                ("_FILES = (\n", "    added,\n"),
            ],
            "tests/models/small.py": [
                ("\nROWS = (\n", '    Small("added_cifar", 16, LECUN, LECUN, light=True),\n')
            ],
            CASES: [("\nCASES = (\n", '    Case("added_cifar", **_SMALL),\n')],
            PAPERS: [("", known_to_a_paper("added_cifar"))],
        },
    ),
}


@pytest.mark.parametrize(("places", "addition"), ADDITIONS.values(), ids=ADDITIONS)
def test_an_addition_touches_so_many_files(places, addition):
    assert len(addition) == places


def make(root: Path) -> None:
    """Copy what is needed of the project to `root` and make all additions there."""
    left_out = shutil.ignore_patterns("__pycache__", "*.npz")
    for part in ("cnnjax", "tests/models", "tests/golden"):
        shutil.copytree(ROOT / part, root / part, ignore=left_out)
    for part in ("tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / part, root / part)
    for _, addition in ADDITIONS.values():
        for file, insertions in addition.items():
            text = (root / file).read_text() if (root / file).exists() else ""
            for behind, added in insertions:
                before, found, after = text.partition(behind) if behind else (text, "", "")
                assert bool(found) == bool(behind), f"{file} has no {behind!r}"
                text = before + found + added + after
            (root / file).write_text(text)


SEEN = """
import json, pathlib, sys, zlib
import jax, jax.numpy as jnp, numpy as np
from PIL import Image
import cnnjax
from cnnjax.cli.settings import Settings
from cnnjax.data import Preprocessing, load
from cnnjax.train import Recipe
from tests.models.golden import CASES
from tests.models.make_by_numbers import without_golden
from tests.models.small import SMALL

texts = {field: ("mine=" if field == "metrics" else "") + "added:factor=2" for field in FIELDS}
recipe, _ = Settings(**texts).chosen()
assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
for name in ("a/0", "a/1", "b/0", "b/1"):
    file = pathlib.Path(sys.argv[1], "pictures", f"{name}.png")
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), zlib.crc32(name.encode()) % 256, np.uint8)).save(file)
assert load(f"added:{sys.argv[1]}/pictures?strict").name == "added"
assert "added_cifar" in SMALL
assert not {"added_cifar", "resnet26_cifar"} & set(without_golden())
how = Preprocessing(32, 32, 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
for name in ("added_cifar", "resnet26_cifar"):
    model = cnnjax.build(name)
    variables = model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)
    classifier = cnnjax.Classifier(model, variables, how, tuple("abcdefghij"), name)
    classifier.save(f"{sys.argv[1]}/{name}")
    assert cnnjax.load(f"{sys.argv[1]}/{name}").model == model
print(*[getattr(recipe, field) for field in FIELDS])
"""


def ran(root: Path, *arguments: str) -> tuple[int, str]:
    """Return status and output of a Python that has the copy's package."""
    own = {"PYTHONPATH": str(root), "CNNJAX_CACHE_DIR": str(root / "kept"), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **own},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def checked(root: Path, *files: str, what: str) -> tuple[int, str]:
    paths = [f"tests/models/{file}.py" for file in files]
    return ran(root, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths, "-k", what)


@pytest.mark.slow
def test_and_all_that_lists_or_checks_its_kind_has_it(tmp_path):
    make(tmp_path)

    def run(*arguments):
        status, printed = ran(tmp_path, *arguments)
        assert status == 0, printed
        return printed

    run("tests/models/make_facts.py", "--count", "added_cifar", "resnet26_cifar")
    shown = json.loads(run("-m", "cnnjax", "models", "*_cifar", "--json"))
    found = {row["name"]: row for row in shown}
    assert found["added_cifar"]["family"] == "added"
    assert found["added_cifar"]["parameters"] == (27 * 8 + 8) + (72 * 8 + 8) + (8 * 10 + 10)
    assert found["resnet26_cifar"]["family"] == "resnet_cifar"
    # Four blocks of two layers a stage, their norms, the stem and the classifier.
    kernels = 9 * (3 * 16 + 8 * 16**2 + (16 * 32 + 7 * 32**2) + (32 * 64 + 7 * 64**2))
    norms, classifier = 2 * (16 + 8 * (16 + 32 + 64)), 64 * 10 + 10
    assert found["resnet26_cifar"]["parameters"] == kernels + norms + classifier
    text = re.sub(r"[\s│]+", " ", run("-m", "cnnjax", "train", "--help"))
    assert len(re.findall(r"Of: added,", text)) == len(KINDS)
    script = SEEN.replace("FIELDS", repr(list(KINDS)))
    assert run("-c", script, str(tmp_path)).count("Added(factor=2") == len(KINDS)
    files = ("test_networks", "test_pre_logits", "test_initialization")
    assert " passed" in checked(tmp_path, *files, what="added")[1]
    # And without the row of a test, a test fails.
    for file, test in (("tests/models/small.py", "test_networks"), (CASES, "test_by_numbers")):
        kept = (tmp_path / file).read_text()
        (tmp_path / file).write_text(re.sub(r'.*"added_cifar".*\n', "", kept))
        status, printed = checked(tmp_path, test, what="test_every")
        assert status == 1, printed
        assert "added" in printed, printed
        (tmp_path / file).write_text(kept)
