# Two commands matter: `make demo` and `make test`. Both install what is missing first.
SHELL := /bin/sh
.DEFAULT_GOAL := help
FAULT ?= switch-disobeys
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PYTHON := .venv/bin/python

help:  ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install:  ## Install Open vSwitch, tcpdump and the like with apt, and the Python packages with uv
	@python3 tests/install.py

demo: install  ## Run the main job on two real Open vSwitch hosts; FAULT=help lists what can be broken
	@$(SUDO) $(PYTHON) -m tests.lab.demo --fault $(FAULT)

test: install  ## Lint, types, and all tests but those of a real control plane
	@.venv/bin/ruff check lib src tests
	@.venv/bin/ruff format --check lib src tests
	@.venv/bin/pyright
	@$(SUDO) env CI=$(CI) $(PYTHON) -m pytest -n 3 --dist loadgroup -m "not cloud"

test-cloud: install  ## Run the tests on a real control plane of OpenStack, after installing its packages
	@python3 tests/install.py cloud
	@$(SUDO) env CI=$(CI) $(PYTHON) -m pytest -m cloud tests/cloud

faults: install  ## Hold every fault against the diagnosis; FAULT=name for one, HEALTHY=200 for healthy paths instead
	@$(SUDO) env PYTHONPATH=lib:. $(PYTHON) -m tests.lab.matrix $(if $(HEALTHY),--healthy $(HEALTHY),$(if $(filter file,$(origin FAULT)),,--fault $(FAULT)))

bench: install  ## Measure, against the same commands run by hand, as JSON
	@$(SUDO) $(PYTHON) -m tests.lab.bench

format: install  ## Format the code
	@.venv/bin/ruff check --fix lib src tests
	@.venv/bin/ruff format lib src tests

schemas: install  ## Write the JSON Schemas of docs/reference/schemas anew
	@PYTHONPATH=lib:src:. $(PYTHON) -m tests.schemas

clean:  ## Remove what install put into this folder, and labs that were left behind
	@[ ! -x $(PYTHON) ] || $(SUDO) $(PYTHON) -m tests.lab.run sweep
	@rm -rf .venv .bootstrap .pytest_cache .ruff_cache .hypothesis

.PHONY: help install demo test test-cloud faults bench format schemas clean
