# Everything a person does with this repository. `make setup` is implied by all of it and runs once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_WORKERS ?= 3
DEMO_WORKSPACE ?= demo-workspace
DEMO_OUT ?= demo-out

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format clean light-install crash fuzz-api royalties mini-train mini-eval \
	bench-compose bench-concepts bench-throughput bench-log bench-registry bench-accounting bit-flips

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: $(STAMP) ## make .venv with pinned dependencies (once)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v=sys.version_info; sys.exit(0 if (3,11)<=v<(3,14) else "Python 3.11, 3.12 or 3.13 is needed, found %d.%d; set PYTHON=..." % v[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $(STAMP)

demo: setup ## train, approve, compose, audit: the whole product in one run (demo-out/index.html)
	$(BIN)/python -W ignore -m examples.demo --workspace $(DEMO_WORKSPACE) --out $(DEMO_OUT)

test: check light-install ## all of CI: format, lint, types, imports, tests (TEST_WORKERS at a time), light install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

check: setup ## static checks only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup ## format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz-api: setup ## hold the registry to its OpenAPI document with many generated requests (FUZZ_EXAMPLES each)
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-200} $(BIN)/python -m pytest -p no:randomly tests/registry/test_api_fuzz.py

crash: setup ## kill -9 the registry and PostgreSQL 100 times under load; no acknowledged act may be lost
	CRASH_KILLS=$${CRASH_KILLS:-100} $(BIN)/python -m pytest -s -p no:randomly tests/crash

royalties: setup ## compute royalties from the receipts of a ledger of LEDGER_RECEIPTS (100,000), against an independent count
	LEDGER_RECEIPTS=$${LEDGER_RECEIPTS:-100000} $(BIN)/python -m pytest -s -p no:randomly --timeout 3600 tests/sdk/royalties/test_large_ledger.py

light-install: setup ## install without extras into a fresh environment; `import sdk` must not need torch
	$(BIN)/python tests/light_install.py

mini-train: setup ## train the small base model from the start or further, resumable (hours on two cores)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mini]'
	$(BIN)/python -m trainer.mini.train all

mini-eval: setup ## measure the shipped base model and print the table of its card
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mini]'
	$(BIN)/python -m trainer.mini.train fetch
	$(BIN)/python -m trainer.mini.evaluate

bench-concepts: setup ## concept learning against its peers: one table with plots (BENCH="--quick" for a few steps; hours on two cores)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mini]'
	$(BIN)/python -W ignore -m benchmarks.concepts $(BENCH)

bench-log: setup ## the log beside the same PostgreSQL's bare insert, and its cost as it grows (BENCH="--sizes 1000 10000000")
	$(BIN)/python -W ignore -m benchmarks.log $(BENCH)

bit-flips: setup ## flip 10,000 bits of rows, and more of blobs, vault, tiles and bundles; each is told or shown not to matter
	BIT_FLIPS=$${BIT_FLIPS:-10000} $(BIN)/python -m pytest -s -p no:randomly tests/registry/test_fsck.py tests/sdk/test_bit_flips.py

bench-compose: setup ## what governance costs a compose call, beside bare diffusers calls in one run (BENCH="--calls 5")
	$(BIN)/python -W ignore -m benchmarks.compose $(BENCH)

bench-throughput: setup ## M-step and E-step against the arithmetic floor, on Stable Diffusion's shapes (BENCH="--device cuda")
	$(BIN)/python -W ignore -m benchmarks.throughput $(BENCH)

BENCH_MLFLOW ?= build/mlflow-venv
bench-registry: setup ## resolve an alias against MLflow's registry, one PostgreSQL, one run; MLflow goes into build/mlflow-venv (BENCH="--rounds 1")
	test -x $(BENCH_MLFLOW)/bin/mlflow || { $(PYTHON) -m venv $(BENCH_MLFLOW) && \
		$(BENCH_MLFLOW)/bin/python -m pip install --quiet --disable-pip-version-check mlflow 'psycopg[binary]'; }
	PYTHONPATH=tests $(BIN)/python -W ignore -m benchmarks.registry --mlflow-python $(BENCH_MLFLOW)/bin/python $(BENCH)

.PHONY: bench-credentials
bench-credentials: setup ## marking an image, finding among 1,000,000 fingerprints, attention kept (BENCH="--only marking")
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.credentials $(BENCH)

bench-accounting: setup ## usage and royalties over GENERATIONS (100,000) in a real database: milliseconds a question
	GENERATIONS=$${GENERATIONS:-100000} $(BIN)/python -m pytest -s -p no:randomly --timeout 1800 tests/registry/generations/test_accounting_size.py

clean: ## remove the demo's workspace and output and what builds leave; .venv stays
	rm -rf $(DEMO_WORKSPACE) $(DEMO_OUT) build dist
