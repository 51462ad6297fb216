"""`import cnnjax` brings nothing that is slow or optional."""

import importlib
import json
import subprocess
import sys
from pathlib import Path


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has after `code`."""
    program = f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_import_adds_nothing_but_this_package_to_jax_and_flax():
    bare, ours = loaded("import jax, flax.linen"), loaded("import cnnjax")
    added = roots(ours) - roots(bare) - set(sys.stdlib_module_names)
    assert added <= {"cnnjax", "msgspec"}
    parts = {name.split(".")[1] for name in ours if name.startswith("cnnjax.")}
    assert parts <= {
        "errors",
        "files",
        "typing",
        "ops",
        "nn",
        "models",
        "tensors",
        "weights",
        "classifier",
    }


def test_help_and_a_table_need_no_extra():
    extras = {"tensorflow_datasets", "matplotlib", "scipy", "sklearn", "PIL", "mlxtend", "jinja2"}
    calls = [["--help"], ["models", "resnet*"], ["compare", "--help"], ["summary", "lenet5"]]
    program = f"import cnnjax.cli as c; assert not any(map(c.main, {calls}))"
    assert not (roots(loaded(program)) - roots(loaded("import jax, flax.linen"))) & extras


def test_names_are_those_of_their_homes_and_come_when_asked_for():
    import cnnjax
    from cnnjax import classifier, models, nn, weights

    homes = {"build": models, "list_models": models, "load_model": weights, "load_weights": weights}
    homes |= {"save_weights": weights, "load": classifier, "Classifier": classifier, "fuse": nn}
    homes["transfer"] = importlib.import_module("cnnjax.classifier.transfer")
    for name, home in homes.items():
        assert getattr(cnnjax, name) is getattr(home, name)
    assert {*homes, "ops", "__version__"} == set(cnnjax.__all__) <= set(dir(cnnjax))
    assert "jax" not in loaded("import cnnjax; assert 'build' not in vars(cnnjax)")
    ours = loaded("import cnnjax; cnnjax.build; assert 'build' in vars(cnnjax); cnnjax.nn.Conv")
    assert "jax" in ours


def test_what_is_not_there_is_no_attribute():
    code = """
import sys, cnnjax
sys.argv = ["cnnjax", "nope"]
for name in ("nothing", "_nothing", "__main__", "__wrapped__"):
    assert not hasattr(cnnjax, name), name
sys.modules["jax"] = None  # a package that is not installed is another matter
try:
    cnnjax.nn
except AttributeError:
    raise SystemExit("an AttributeError")
except ImportError as error:
    assert "jax" in str(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, cwd=Path(__file__).parents[1]
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
