# Two commands matter: `make demo` and `make test`. Everything else is listed by `make help`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
TEST_ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help install demo up test lint types imports check bench docs lock dist clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2}'

# One stamp per lock file: the locked wheels are installed once, and again when the lock changes.
$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Algorail needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: requirements/run.lock pyproject.toml | $(VENV)/.python
	$(RUN) pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	$(RUN) pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	$(RUN) pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

install: $(VENV)/.run ## Make .venv with the locked dependencies and the `algorail` command

demo: $(VENV)/.run ## Train, publish, call, trace and split a real algorithm, then exit
	$(RUN) examples.read_digit.demo

up: $(VENV)/.run ## The same, and leave it running
	$(RUN) examples.read_digit.demo --stay

test: $(VENV)/.dev ## Run every test (unit and integration)
	$(RUN) pytest $(TEST_ARGS)

lint: $(VENV)/.dev ## Check style and formatting
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: $(VENV)/.dev ## mypy strict everywhere, pyright strict on the public surface
	$(RUN) mypy
	$(RUN) pyright

imports: $(VENV)/.dev ## Check who may import whom
	$(BIN)/lint-imports

check: lint types imports test ## Everything that CI runs

bench: $(VENV)/.dev ## Measure speed and memory against interleaved floors
	$(RUN) benchmarks
	$(RUN) docs.reference

docs: $(VENV)/.dev ## Write the generated pages (CLI, errors, settings, metrics, plan, blocks, figures)
	$(RUN) docs.reference

UV_COMPILE = uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --python-version 3.11

lock: ## Resolve the dependencies again (needs uv)
	$(UV_COMPILE) --extra dev pyproject.toml -o requirements/dev.lock
	$(UV_COMPILE) --extra demo --extra packaging -c requirements/dev.lock pyproject.toml -o requirements/run.lock

dist: $(VENV)/.dev ## Build the wheel and the sdist
	$(RUN) build --no-isolation

clean: ## Remove what was built
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
