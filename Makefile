# `make demo`, `make test`, `make ui`: each works from a fresh clone with Python 3.11+ and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo ui test chaos lint types bench bench-delivery clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/installed ## sync a dirty sample CRM into a twin of Genesys Cloud, through Dagster
	@$(BIN)/contact-sync demo

ui: $(VENV)/installed ## the demo in the Dagster UI, with the schedule ready to switch on
	@$(BIN)/contact-sync ui

test: $(VENV)/installed-dev ## the whole test suite
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile

chaos: export CHAOS_SEED ?= $(shell date +%s)
chaos: $(VENV)/installed-dev ## kills and faults without end: nothing lost, nothing twice (minutes)
	@$(BIN)/python -m pytest -m chaos --numprocesses 2 contact_sync_tests/chaos contact_sync_tests

lint: $(VENV)/installed-dev ## ruff and the import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(VENV)/installed-dev ## mypy, strict, on the package and its tests
	$(BIN)/mypy

bench: $(VENV)/installed-dev ## phones, matching, and the whole plan of a million contacts; the twin with as many; a million through Salesforce's Bulk API
	@missed=0; for bench in phones matching plan twin bulk; do \
	  $(BIN)/python -m contact_sync_tests.bench_$$bench || missed=1; \
	done; exit $$missed

bench-delivery: $(VENV)/installed-dev ## the shared budget, throughput and memory of delivery (an hour)
	$(BIN)/python -m contact_sync_tests.bench_budget
	$(BIN)/python -m contact_sync_tests.bench_delivery

install: $(VENV)/installed ## the virtual environment with pinned versions

clean: ## remove the virtual environment and the demo
	rm -rf $(VENV) .demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing contact_sync with pinned versions into $(VENV) (a minute or two, once)"
	@$(PIP) --editable .
	@mkdir -p -m 700 .dagster
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "Installing what the tests need"
	@$(PIP) --editable '.[dev]'
	@touch $@
