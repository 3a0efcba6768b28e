# Two commands matter: `make demo` and `make test`. Both set up .venv first, both can be run again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help demo test lint bench format clean

help:
	@echo "make demo     train the syntax highlighter on Python's own standard library"
	@echo "make test     lint, types, every test, example and benchmark"
	@echo "make bench    measure speed against peers, alone on the machine; writes the tables of the docs"
	@echo "make format   rewrite the sources in the house format"
	@echo "make clean    remove .venv and build outputs"

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "maskdata needs Python 3.11 or newer, got $$($(PYTHON) --version). Run: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "== Setting up $(VENV) (once; TensorFlow is large, this takes a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

demo: $(READY)
	@echo "== Training the syntax highlighter (examples/highlight_python.py)"
	@$(BIN)/python examples/highlight_python.py

lint: $(READY)
	@echo "== Lint and types"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

test: lint
	@echo "== Tests, three files at a time: some wait for processes that they started"
	@$(BIN)/pytest -q -n 3 --dist=loadfile -m "not speed" maskdata tests
	@echo "== The pages of the documentation, each from its first block to its last in one process"
	@$(BIN)/pytest -q -n 2 --dist=loadfile docs README.md
	@echo "== Benchmarks, small: they check that all contenders give the same batches, and print ratios"
	@$(BIN)/pytest -q -s -m speed tests/speed

bench: $(READY)
	@$(BIN)/python -m tests.speed.bench
	@$(BIN)/python -m tests.speed.packing
	@$(BIN)/python -m tests.speed.files

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .venv-peers dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
