# Everything here needs only Python 3.11 or newer; the first target builds .venv, which takes a minute or more.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV_VERSION := 0.13.9
# The versions of our GPU image: every machine measures with the same ones.
TORCH := torch==2.11.0
TORCHVISION := torchvision==0.26.0

.DEFAULT_GOAL := help
.PHONY: help demo test lint torture lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## a minute of proof: the bundled model renders the synthetic city to out/demo.mp4
	$(BIN)/vid2vid demo --out out/demo.mp4

test: lint ## style, types and every test
	$(BIN)/python -m pytest

lint: $(READY) ## style and types only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

torture: $(READY) ## the slow tests: huge, long, broken and hostile input
	$(BIN)/python -m pytest -m torture

lock: $(READY) ## requirements.lock anew from pyproject.toml
	printf '%s\n' '$(TORCH)' '$(TORCHVISION)' > $(VENV)/constraints.txt
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra train --constraint $(VENV)/constraints.txt \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--output-file requirements.lock

clean: ## remove the environment and what tests and demo wrote
	rm -rf $(VENV) out build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("vid2vid needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@
