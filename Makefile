# What there is to do with this project; `make` alone lists it.

PYTHON ?= python3
PORT ?= 5000
STORAGE ?= ./data
INPUTS ?= 100000
KILLS ?= 500
OUTAGES ?= 20
MINUTES ?= 60
BIN := .venv/bin
# A file's tests stay together, for they share servers. Many wait: one process more than there are processors.
# Where a process of pytest dies the run ends, for xdist waits for ever on the one that replaces it.
PARALLEL := -n $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n + 1 : 4))) --dist loadfile --no-loadscope-reorder \
	--max-worker-restart 0
COMPILE := $(BIN)/pip-compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	--strip-extras --allow-unsafe --quiet

.DEFAULT_GOAL := help
.PHONY: help run test quick check format fuzz soak bench conformance lock clean

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

run: .venv/installed ## serve 127.0.0.1:5000 (PORT=…) with content in ./data (STORAGE=…)
	@exec $(BIN)/sidecargo serve --port $(PORT) --storage $(STORAGE)

test: .venv/developing ## all tests, with every real part that can be had
	@.ci/tools
	$(BIN)/python -m pytest -m "not alone" $(PARALLEL)
	$(BIN)/python -m pytest -m alone $$(grep -rl --include='test_*.py' mark.alone tests)

quick: .venv/developing ## the tests that need no real part and take no time
	$(BIN)/python -m pytest -q -m "not slow and not real and not alone" $(PARALLEL)

check: .venv/developing ## format, lint, types, and which part may import which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_floors.py

format: .venv/developing ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: .venv/developing ## 100,000 inputs of each kind that no tool would write (INPUTS=…)
	@.ci/tools
	SIDECARGO_FUZZ=$(INPUTS) $(BIN)/python -m pytest -q --timeout 0 tests/fuzz

soak: .venv/developing ## what must hold for hours: kills (KILLS=…), failures of S3 (OUTAGES=…), replicas (MINUTES=…)
	@.ci/tools weed
	SIDECARGO_KILLS=$(KILLS) $(BIN)/python -m pytest -q --timeout 0 tests/crash/test_kill.py
	SIDECARGO_OUTAGES=$(OUTAGES) $(BIN)/python -m pytest -q --timeout 0 tests/outages
	SIDECARGO_MINUTES=$(MINUTES) $(BIN)/python -m pytest -q -s --timeout 0 tests/replicas

bench: .venv/developing ## the figures on disk and from S3, beside distribution and nginx
	@.ci/tools
	$(BIN)/python -m tests.bench.run

conformance: .venv/developing ## the official suite of OCI Distribution
	@.ci/tools conformance
	$(BIN)/python -m pytest tests/real/test_conformance.py

lock: .venv/developing ## pin the dependencies anew, with hashes
	$(BIN)/python -m pip install --quiet pip-tools
	$(COMPILE) -o requirements.txt pyproject.toml
	$(COMPILE) --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml

clean: ## remove what was made, but for content
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find registry storage tests -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv .venv

# The code is used from where it is: only other dependencies are a reason to install again.
.venv/installed: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/developing: requirements-dev.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
