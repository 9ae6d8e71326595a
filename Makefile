# Everything a person does with this repository. `make setup` is implied by all of it and runs once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup test check format clean light-install mini-train

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: $(STAMP) ## make .venv with pinned dependencies (once)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v=sys.version_info; sys.exit(0 if (3,11)<=v<(3,14) else "Python 3.11, 3.12 or 3.13 is needed, found %d.%d; set PYTHON=..." % v[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $(STAMP)

test: check light-install ## all of CI: format, lint, types, imports, tests, light install
	$(BIN)/python -m pytest

check: setup ## static checks only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup ## format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

light-install: setup ## install without extras into a fresh environment; `import sdk` must not need torch
	$(BIN)/python tests/light_install.py

mini-train: setup ## train the small base model from the start or further, resumable (hours on two cores)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mini]'
	for stage in fetch vae unet export; do $(BIN)/python -m trainer.mini.train $$stage || exit 1; done

clean: ## remove what builds leave; .venv stays
	rm -rf build dist
