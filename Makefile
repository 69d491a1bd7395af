# Needs python3.11+, git and make; everything else comes into .venv from requirements.lock.
PYTHON ?= python3
REPO ?= .
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test dev lint bench cases clean

help: ## show what can be made
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv, once

demo: $(STAMP) ## audit REPO (default: this checkout) without a key, through a real Dagster daemon
	@$(BIN)/review-pipeline demo --repo "$(REPO)"

test: $(STAMP) ## format, lint, types, layers, tests
	@$(BIN)/python -m review_pipeline_tests

dev: $(STAMP) ## open the Dagster UI (on the demo's data while there is no key)
	@$(BIN)/review-pipeline dev

lint: $(STAMP) ## everything of `make test` but the tests
	@$(BIN)/python -m review_pipeline_tests --lint-only

bench: $(STAMP) ## speed and memory, as ratios against a baseline of the same run
	@$(BIN)/python -m benchmarks

cases: $(STAMP) ## which hostile and odd situations of pull requests the tests cover
	@$(BIN)/python -m review_pipeline_tests.cases

clean: ## remove .venv and caches; var/ (your findings) stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so a killed install is done again; the lock's hashes bind what is installed.
# PYTHONDONTWRITEBYTECODE would make every process compile all of dagster again: twice the CPU for each step.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else "review_pipeline needs Python 3.11 to 3.14; $(PYTHON) is %d.%d. Name another: make PYTHON=python3.11" % v)'
	@echo "Setting up .venv (once, a minute or two) ..."
	@rm -rf .venv
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) cannot make a venv. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
