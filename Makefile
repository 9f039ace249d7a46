# A fresh machine needs Python 3.11 and gcc; `make bench` does the rest.
#
# Variables:
#   VENV=.venv        where the environment is made
#   PYTHON=...        an environment of your own instead, with planorder[dev] already in it
#   TORCH_INDEX=...   further options of pip for PyTorch alone. Constraints pin its version; the plain wheel of an
#                     index may be the CUDA build (several GB). Where that is so and there is no GPU, give the
#                     index of the CPU builds: TORCH_INDEX="--extra-index-url URL".
#   BENCH="..."       options of `make bench`, e.g. BENCH="--n 1000 --out runs/mine"
VENV ?= .venv
TORCH_INDEX ?=
BENCH ?=
BASE_PYTHON ?= $(shell command -v python3.11 || command -v python3)
# How much slower, by its least time, a benchmark may be than the saved one; noise stays well below it.
SLOWER ?= 30%

ifdef PYTHON
READY =
else
PYTHON = $(VENV)/bin/python
READY = $(VENV)/.installed
endif

.PHONY: bench bench-zebra install test lint types contracts check check-benchmarks benchmarks bench-save bench-compare

bench: $(READY)
	$(PYTHON) -m planorder.bench sudoku $(BENCH)

bench-zebra: $(READY)
	$(PYTHON) -m planorder.bench zebra $(BENCH)

install: $(READY)

# The stamp is younger than what it was made from, so a second `make bench` installs nothing.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(BASE_PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -c constraints.txt $(TORCH_INDEX) torch
	$(VENV)/bin/python -m pip install -c constraints.txt -e ".[dev]"
	touch $@

test: $(READY)
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 tests

lint: $(READY)
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check

types: $(READY)
	$(PYTHON) -m mypy

contracts: $(READY)
	$(PYTHON) -c "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"

check-benchmarks: $(READY)
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest benchmarks --benchmark-disable

# All that a change must pass; .ci/run runs this very target in a fresh environment.
check: lint types contracts test check-benchmarks

benchmarks: $(READY)
	$(PYTHON) -m pytest benchmarks --benchmark-enable

# Save before a change, compare after it.
bench-save: $(READY)
	$(PYTHON) -m pytest benchmarks --benchmark-enable --benchmark-save=saved

bench-compare: $(READY)
	$(PYTHON) -m pytest benchmarks --benchmark-enable --benchmark-compare --benchmark-compare-fail=min:$(SLOWER)
