# Two commands: `make up` runs the demo hospital, `make test` proves it. Needs Python >= 3.11 and make.
#   make up ARGS="--port 8080 --data /srv/plugward"

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --upgrade-strategy only-if-needed -c constraints.txt
INPUTS := pyproject.toml constraints.txt hatch_build.py assets.lock.toml
# Two workers are the fastest on two cores; a browser or a database server is the third process.
WORKERS ?= 2
# Files in the tree's order: the long ones of tests/ begin, the boards' many short ones fill the end.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
ARGS ?=

.PHONY: help
help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -e 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then echo "Plugward needs Python 3.11 or newer (python3 here: $$(python3 -V 2>/dev/null || echo none))." >&2; exit 1; fi
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Plugward needs Python's venv module (Debian: apt-get install python3-venv)." >&2; exit 1; }
	@echo "1/2 Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: $(INPUTS) | $(BIN)/python
	@echo "2/2 Installing Plugward and what it stands on (the first time: a minute or two)"
	@$(INSTALL) --progress-bar on -e .
	@touch $@

$(VENV)/.installed-test: $(INPUTS) | $(BIN)/python
	@echo "2/2 Installing Plugward and its test tools (the first time: a few minutes)"
	@$(INSTALL) --progress-bar on -e '.[test]'
	@$(BIN)/python hatch_build.py --with-tests
	@touch $@ $(VENV)/.installed

.PHONY: install
install: $(VENV)/.installed ## install into .venv

.PHONY: up
up: $(VENV)/.installed ## run the demo hospital: http://127.0.0.1:8000
	@exec $(BIN)/plugward up --demo $(ARGS)

.PHONY: test
test: $(VENV)/.installed-test ## run every test (at most 6 minutes on 2 cores)
	@$(PYTEST) -m "not full" $(ARGS)

.PHONY: test-all
test-all: $(VENV)/.installed-test ## the full product: databases x transports x scenarios, long faults
	@PLUGWARD_TEST_ALL=1 $(PYTEST) --timeout 1800 --durations 20 $(ARGS)

.PHONY: check
check: $(VENV)/.installed-test ## format, lint, types, import rules, boards, documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/plugward check
	$(BIN)/python -m pytest -q tests/docs tests/architecture

.PHONY: format
format: $(VENV)/.installed-test ## format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(VENV)/.installed-test ## measure, and print what docs/performance.md states
	@for file in bench/bench_*.py; do echo "== $$file"; $(BIN)/python $$file $(ARGS) || exit 1; done

.PHONY: constraints
constraints: $(VENV)/.installed-test ## pin the versions that are installed now
	@sed -n '/^#/p' constraints.txt > constraints.new
	@$(PIP) freeze --exclude-editable --exclude plugward >> constraints.new
	@mv constraints.new constraints.txt

.PHONY: clean
clean: ## remove what was built; plugward-data/ stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests examples bench -name __pycache__ -type d -prune -exec rm -rf {} +
