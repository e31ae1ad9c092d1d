# `make` says what there is. Everything happens below this folder: see tools/setup.sh.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

BIN := .venv/bin
SOURCES := kontinual components pipelines examples notebooks tests tools benchmarks
# Validation, and the lake that it reads, run in the environment of TFDV.
DATA_TESTS := tests/unit/validation tests/integration/validation tests/unit/lake \
	--ignore=tests/unit/lake/test_flights.py
MAIN_ONLY := --ignore=tests/unit/validation --ignore=tests/integration/validation
PYTEST_ARGS ?=
ARGS ?=

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  make demo ARGS="--months 3-7 --seed 1" gives a command its options'

.PHONY: setup
setup: ## make the environments and fetch the tools (seconds when done before)
	@tools/setup.sh

.PHONY: demo
demo: setup ## show the whole loop on real flights, with a report in build/demo
	@$(BIN)/kontinual demo $(ARGS)

.PHONY: test
test: setup lint compile-check test-unit test-data test-integration test-e2e ## everything that proves it

.PHONY: test-unit
test-unit: setup ## promises of single parts, in seconds
	@$(BIN)/pytest tests/unit $(MAIN_ONLY) -n 2 $(PYTEST_ARGS)

.PHONY: test-data
test-data: setup ## validation and lake in the environment of TFDV
	@.venv-data/bin/python -m pytest $(DATA_TESTS) $(PYTEST_ARGS)

.PHONY: test-integration
test-integration: setup ## against the real servers, and in a real browser
	@tools/browser.sh
	@$(BIN)/pytest tests/integration tests/faults $(MAIN_ONLY) -n 2 --dist loadfile $(PYTEST_ARGS)

.PHONY: test-faults
test-faults: setup ## hundreds of kills at any point of the trigger's work
	@KONTINUAL_FAULT_ROUNDS=10 $(BIN)/pytest tests/faults -o timeout=1200 $(PYTEST_ARGS)

.PHONY: test-e2e
test-e2e: setup ## the whole loop in small
	@$(BIN)/pytest tests/e2e $(PYTEST_ARGS)

.PHONY: test-notebooks
test-notebooks: setup ## execute the notebooks, in small (what they showed: build/notebooks)
	@$(BIN)/pytest tests/notebooks -n 2 -o timeout=1800 $(PYTEST_ARGS)

.PHONY: notebooks
notebooks: setup ## open the notebooks in JupyterLab, with the kernel of .venv
	@$(BIN)/python -m ipykernel install --prefix .venv --name python3 --display-name Kontinual >/dev/null
	@JUPYTER_PATH=$(CURDIR)/.venv/share/jupyter $(BIN)/uvx --from jupyterlab jupyter-lab notebooks $(ARGS)

.PHONY: strip-notebooks
strip-notebooks: setup ## remove from the notebooks what an execution left in them
	@$(BIN)/python tools/notebooks.py strip

.PHONY: images
images: ## build the images: REGISTRY=... TAG=... ENGINE=docker|podman|buildah BASE=...
	@tools/images.sh

.PHONY: test-images
test-images: setup ## build the images with podman and run the pipeline in them
	@tests/images/run.sh $(PYTEST_ARGS)

.PHONY: test-cluster
test-cluster: setup ## on a real Kubernetes: KUBECONFIG's, or a node made here (root, Debian)
	@tests/cluster/run.sh $(PYTEST_ARGS)

.PHONY: lint
lint: setup ## style, types, and who may import whom
	@$(BIN)/ruff check $(SOURCES) setup.py
	@$(BIN)/ruff format --check $(SOURCES) setup.py
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: format
format: setup ## put the style right
	@$(BIN)/ruff check --fix $(SOURCES) setup.py
	@$(BIN)/ruff format $(SOURCES) setup.py

.PHONY: compile
compile: setup ## write the YAML of components and pipeline anew
	@$(BIN)/python -m pipelines.compile

.PHONY: compile-check
compile-check: setup ## is the committed YAML what the code compiles to?
	@$(BIN)/python -m pipelines.compile --check

.PHONY: lock
lock: setup ## resolve all lock files anew from setup.py
	@tools/lock.sh

.PHONY: bench
bench: setup ## measure speed and overhead (build/bench); BENCH=serving for one
	@for one in $(or $(BENCH),$(basename $(notdir $(wildcard benchmarks/*.py)))); do \
		echo "bench: $$one"; $(BIN)/python benchmarks/$$one.py $(ARGS); done

.PHONY: clean
clean: ## remove what was built, but not the environments
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: clean-all
clean-all: clean ## remove the environments and tools as well
	@rm -rf .venv .venv-data .tools *.egg-info
