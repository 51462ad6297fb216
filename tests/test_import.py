"""`import cnnjax` brings nothing that is slow or optional."""

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
