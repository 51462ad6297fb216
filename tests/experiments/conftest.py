"""The scripts of `experiments/`, loaded as modules."""

import functools
import importlib.util
import sys
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="session")
def experiment():
    """Return the function that loads a script once, by its path in `experiments/` without ".py"."""
    with pytest.MonkeyPatch.context() as patch:

        @functools.cache
        def load(name):
            path = PLACE / f"{name}.py"
            specification = importlib.util.spec_from_file_location(path.stem, path)
            module = importlib.util.module_from_spec(specification)
            # Dataclasses look their module up by name.
            patch.setitem(sys.modules, path.stem, module)
            specification.loader.exec_module(module)
            return module

        yield load
