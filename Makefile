# The chores of clipbridge. `make` alone lists them; each sets up what it needs in .venv, once.

VENV := .venv
BIN := $(VENV)/bin
SCRIPTS := scripts
# empty files that say which lock was installed, so that it happens once and again when the lock changes
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
# a .venv whose Python has been removed since is no .venv: what was installed there counts no more
GONE := $(shell [ -e $(BIN)/python ] || rm -f $(RUNTIME) $(DEV))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet install

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types arrows format docs bench coverage lock wheel setup clean test-packages

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(RUNTIME) ## hear it: one clip there and back, offline (FILE=loop.wav for one of yours)
	$(BIN)/clipbridge demo $(if $(FILE),"$(FILE)")

test: check docs test-packages ## everything that must hold: check, docs and all tests (ARGS="-k name" for some)
	$(BIN)/python -m pytest $(ARGS)

check: lint types arrows ## lint, types and the arrows between the rooms

lint: $(DEV) ## style and likely mistakes (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV) ## mypy, strict, on bridge/
	$(BIN)/mypy

arrows: $(DEV) ## which room may import which (import-linter)
	$(BIN)/lint-imports --no-logo

format: $(DEV) ## put the code in the common form
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(DEV) ## links and commands in README and docs/ are there
	$(BIN)/python $(SCRIPTS)/check_docs.py

bench: $(DEV) ## the benchmarks, as a table and as JSON (ARGS=... for some)
	$(BIN)/python -m benchmarks $(ARGS)

coverage: $(DEV) test-packages ## the tests, and which lines none of them runs
	mkdir -p .coverage
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lock: $(DEV) ## write requirements/ anew from pyproject.toml (UPGRADE=1 for the newest versions)
	$(SCRIPTS)/lock $(BIN)

wheel: $(DEV) ## dist/ with the sdist and the wheel
	$(BIN)/python -m build --no-isolation

setup: $(DEV) ## only set up .venv with all that development needs

clean: ## remove what the chores made, except .venv
	rm -rf build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

test-packages: $(DEV)
	@$(SCRIPTS)/install-test-packages

$(BIN)/python:
	@$(SCRIPTS)/make-venv $(VENV)

# only what clipbridge runs with: the demo need not wait for the tools of a developer
$(RUNTIME): requirements/runtime.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV): what clipbridge runs with. This happens once and takes about a minute."
	@$(PIP) --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	@echo "Setting up $(VENV): the developer's tools. This happens once."
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@
