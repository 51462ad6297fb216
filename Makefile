# `make compare` and `make test` need only python3 (3.11 or newer), make and a package index.
# Another interpreter: make PYTHON=python3.13 VENV=.venv313 test

PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/compare
FILES ?= cnnjax
N ?= 200
SEED ?= 0
SHARD ?= 1/1
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# What the last `make constraints` found to work together, so that a release elsewhere breaks no
# fresh clone. A Python without such a file takes what is newest.
CONSTRAINTS := $(wildcard tests/constraints/$(VERSION).txt)

.PHONY: compare test test-slow mutate constraints format clean

compare: $(VENV)/.installed
	$(BIN)/python experiments/compare_architectures.py --out $(OUT)

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal

# What takes longer than the default run allows: all of it, or a part, such as SHARD=3/60.
test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow --shard $(SHARD)

# Draws N small faults at random in FILES and counts those that the tests notice.
mutate: $(VENV)/.installed
	$(BIN)/python -m tests.mutation $(FILES) -n $(N) --seed $(SEED)

# Renews the versions that `make test` and `make compare` install, for every supported Python.
constraints: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet uv
	for version in 3.11 3.12 3.13 3.14; do \
	  $(BIN)/uv pip compile --quiet --upgrade pyproject.toml --extra dev --python-version $$version \
	    --no-header --no-annotate --no-emit-index-url --no-emit-package cnnjax \
	    --output-file tests/constraints/$$version.txt || exit 1; \
	done

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# One environment serves all targets, so that the second never waits for an installation.
$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cnnjax needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]' $(addprefix --constraint ,$(CONSTRAINTS))
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
