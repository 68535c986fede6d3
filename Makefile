# `make run` and `make test` are all that a fresh machine needs; both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.wakestorm-installed
INSTALLED_DEV := .venv/.wakestorm-installed-dev
ORACLES := .venv/oracles/.installed

.PHONY: help run test test-integration night lint generate constraints clean
.DEFAULT_GOAL := help

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

run: $(INSTALLED) ## Run all scenarios in the embedded bench, then the smoke ones with real processes
	@status=0; \
	$(BIN)/wakestorm run --tag '!hil' || status=$$?; \
	$(BIN)/wakestorm run --bench processes --tag smoke || status=$$?; \
	exit $$status

test: $(INSTALLED_DEV) $(ORACLES) ## Run the whole test suite
	$(BIN)/python -m pytest -n auto

test-integration: $(INSTALLED_DEV) ## Run the tests against real PostgreSQL, brokers and servers only
	$(BIN)/python -m pytest -n auto tests/integration tests/conformance tests/migration tests/acceptance

night: ## Run the long forms: soaks, every scenario with real processes; hours
	.ci/night

lint: $(INSTALLED_DEV) ## Check style, types, import rules and scenarios
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/wakestorm lint

generate: $(INSTALLED_DEV) ## Write the generated files: schemas, reference pages, diagrams
	$(BIN)/python -m harness.generate

constraints: $(INSTALLED_DEV) ## Pin every dependency anew in constraints.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header \
	  --no-emit-index-url --extra dev pyproject.toml --output-file constraints.txt

clean: ## Remove .venv, runs and caches
	rm -rf .venv runs nights build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "wakestorm needs Python 3.11 or later; name one: make PYTHON=python3.12 run" >&2; exit 1; }
	@rm -rf .venv; $(PYTHON) -m venv .venv 2>/dev/null \
	  || { rm -rf .venv; $(PYTHON) -m virtualenv -q .venv 2>/dev/null; } \
	  || { rm -rf .venv; uv venv -q --seed --python $(PYTHON) .venv 2>/dev/null; } \
	  || { rm -rf .venv; echo "no virtual environment can be made: install Debian's python3-venv" >&2; exit 1; }

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@$(BIN)/python -m compileall -q firmware_fixtures harness server simulator  # where PYTHONDONTWRITEBYTECODE is set
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# Tools that judge boards, stores and queues and are no dependencies of the project, each set in an environment of its own.
$(ORACLES): tests/oracles/esptool-4.txt tests/oracles/embedded.txt tests/oracles/rclone.txt tests/oracles/redis.txt | $(INSTALLED_DEV)
	@for name in esptool-4 embedded rclone redis; do \
	  $(BIN)/python -m venv --without-pip .venv/oracles/$$name && \
	  $(BIN)/python -m pip --python .venv/oracles/$$name/bin/python install --quiet --disable-pip-version-check \
	    -r tests/oracles/$$name.txt || exit 1; \
	done
	@touch $@
