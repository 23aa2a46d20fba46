# The whole developer interface. Run `make help`.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
CACHE ?= $(or $(RACKSEED_CACHE),$(HOME)/.cache/rackseed)

.PHONY: help setup demo lint test test-net test-vm test-nightly bench image docs lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

setup: ## Install Debian packages (root) and the Python environment
	@tests/packages.sh base
	$(MAKE) --no-print-directory $(STAMP)

demo: ## Three bare QEMU machines boot from us, enrol, are planned, installed and report back
	@tests/packages.sh base lab
	$(MAKE) --no-print-directory $(STAMP)
	$(BIN)/rackseed demo

lint: ## ruff, mypy, import contracts, documentation build, openapi.json staleness
	@tests/packages.sh base
	$(MAKE) --no-print-directory $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache
	$(BIN)/python -m appliance.api.openapi --check openapi.json
	$(BIN)/sphinx-build -q -W -b html docs build/docs

test: ## Unit, golden, property, corpus, API, crash and browser tests (no machines are booted)
	@tests/packages.sh base browser oracle
	$(MAKE) --no-print-directory $(STAMP)
	@$(BIN)/python -m images.cephtools || echo "ceph tools: tests that need them will say that they are skipped"
	$(BIN)/pytest -n 2 -m "not net and not vm and not nightly" $(ARGS)

test-net: ## Real servers and clients in network namespaces (root)
	@tests/packages.sh base net ceph
	$(MAKE) --no-print-directory $(STAMP)
	@$(BIN)/python -m images.cephroot || echo "ceph root: tests that need it will say that they are skipped"
	$(BIN)/pytest -m "net and not nightly" $(ARGS)

test-vm: ## QEMU machines that boot, enrol, install and report (root)
	@tests/packages.sh base lab
	$(MAKE) --no-print-directory $(STAMP)
	$(BIN)/pytest -n 2 -m "vm and not nightly" tests/vm $(ARGS)

test-nightly: ## The long ones
	@tests/packages.sh base net ceph lab
	$(MAKE) --no-print-directory $(STAMP)
	$(BIN)/pytest -m nightly $(ARGS)

bench: ## Ratios against Kea, dnsmasq, atftpd and nginx in the same run; image size; time to enrol
	@tests/packages.sh base net lab bench
	$(MAKE) --no-print-directory $(STAMP)
	$(BIN)/python -m bench.run $(ARGS)

image: ## Build the agent image, the root image and the boot artefacts into the cache
	@tests/packages.sh base lab
	$(MAKE) --no-print-directory $(STAMP)
	$(BIN)/rackseed image all

docs: ## Build the documentation into build/docs
	$(MAKE) --no-print-directory $(STAMP)
	$(BIN)/sphinx-build -q -W -b html docs build/docs

lock: ## Write requirements.txt (hashes) anew from pyproject.toml
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --all-extras --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --no-header -o requirements.txt pyproject.toml

clean: ## Remove the environment and build results (the artefact cache stays)
	rm -rf $(VENV) build *.egg-info
