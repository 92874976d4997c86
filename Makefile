# Every task of this repository. `make demo` and `make test` work as the first command on a fresh machine.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test check fix docs bench bench-algorithms constraints clean

VENV := .venv
BIN := $(VENV)/bin
# The real clients of the protocols that are served, which do not go together with what we need.
CLIENTS := .venv-clients
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Two workers suit two cores: many tests start whole platforms. More by `make test JOBS=8`.
JOBS ?= 2
# What to test: `make test TESTS=tests/gateway`.
TESTS ?= tests

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## From a table to a URL in a minute, then stay up until Ctrl-C (ONCE=1: stop at the end)
	@$(BIN)/python examples/demo.py $(if $(ONCE),--once)

test: $(VENV)/.test $(VENV)/.check $(CLIENTS)/.made ## Run all tests (TESTS=path, JOBS=n); at the end, what could not be tested here, by name
	@MODELYARD_TESTS_MISSING="$$(scripts/system-packages $(BIN)/python)" $(BIN)/python -m pytest \
		--numprocesses $(JOBS) --dist loadgroup $(TESTS)

check: $(VENV)/.check ## Format, lint, types, import contracts: the same as CI
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config importlinter.toml

fix: $(VENV)/.check ## Repair what can be repaired: lint, format, the generated reference pages
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/python docs/generate.py

docs: $(VENV)/.docs ## Build the documentation into site/; a warning is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky --builder dirhtml docs site
	@echo "site/index.html is written."

bench: $(VENV)/.test ## Our data plane against its peers, into docs/benchmarks.md (QUICK=1, ONLY=name,name, ROUNDS=n)
	@$(BIN)/python -m benchmarks.serving $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) \
		$(if $(ROUNDS),--rounds $(ROUNDS))

bench-algorithms: $(VENV)/.test ## Our algorithms against the numbers to beat, into docs/algorithms.md (QUICK=1, ONLY=scenario)
	@$(BIN)/python -m benchmarks.algorithms $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

constraints: ## Pin every dependency anew, from a fresh environment
	rm -rf $(VENV)-constraints
	$(FIND_PYTHON) && "$$python" -m venv $(VENV)-constraints
	$(VENV)-constraints/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-constraints/bin/python -m pip install --quiet hatchling editables --editable . \
		--group test --group check --group docs
	$(VENV)-constraints/bin/python -m pip freeze --all --exclude-editable --exclude setuptools > constraints.txt
	rm -rf $(VENV)-constraints

clean: ## Remove everything that was built or installed here
	rm -rf $(VENV) $(VENV)-constraints $(CLIENTS) .bench site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first Python that is new enough and able to make an environment; PYTHON=… overrides.
define FIND_PYTHON
for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; \
done; \
if [ -z "$$python" ]; then \
	echo "No Python 3.11 or newer with venv was found. Install one (Debian: python3 python3-venv) or name it: make PYTHON=/path/to/python3.11" >&2; \
	exit 1; \
fi
endef

# A stamp per group of dependencies: installed anew only when what it was made from has changed.
$(VENV)/.runtime: pyproject.toml constraints.txt
	@echo "Installing into $(VENV), a minute or two the first time …"
	@$(BIN)/python -c "" 2>/dev/null || { $(FIND_PYTHON); "$$python" -m venv --clear $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	@$(PIP_INSTALL) --build-constraint constraints.txt --editable .
	@touch $@

$(VENV)/.test $(VENV)/.check $(VENV)/.docs: $(VENV)/.%: $(VENV)/.runtime
	@$(PIP_INSTALL) --group $*
	@touch $@

$(CLIENTS)/.made: tests/clients/requirements.txt | $(VENV)/.runtime
	@echo "Installing the protocols' clients into $(CLIENTS), a minute the first time …"
	@$(BIN)/python -m venv --clear --without-pip $(CLIENTS)
	@$(BIN)/python -m pip --python $(CLIENTS)/bin/python install --quiet --disable-pip-version-check --no-compile \
		--no-deps --requirement $<
	@touch $@
