# Two commands from a fresh clone: `make test` proves it works here, `make demo` shows it.
# Everything is made once; a target that has nothing to do says nothing.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Where it is set, each of the hundreds of processes of a test run would compile everything again.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTHON_MIN := 3.11

# Candidates for the interpreter; the first that is new enough and can make environments is taken.
PYTHONS := $(PYTHON) python3 python3.11 python3.12 python3.13 /usr/bin/python3
PYTHON_CHECK := import ensurepip, sys, venv; sys.exit(sys.version_info < tuple(map(int, "$(PYTHON_MIN)".split("."))))

# Program to look for : package that brings it. PostgreSQL's programs are not on PATH, so its folder is looked for.
SYSTEM := redis-server:redis-server java:openjdk-17-jre-headless mvn:maven setpriv:util-linux pgbouncer:pgbouncer

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: system $(INSTALLED) servers ## Install what is missing: system packages, .venv, server artifacts

.PHONY: demo
demo: setup ## Start the servers and show the whole system at work (EXPORT=path: on a Slack export)
	$(BIN)/tailrace demo $(if $(EXPORT),--export "$(EXPORT)")

.PHONY: test
test: setup ## Run every test, those with real servers too
	$(BIN)/pytest -n 3 --dist loadscope --no-loadscope-reorder $(ARGS)

.PHONY: faults
faults: setup ## Break workers, servers and connections on schedule (ARGS="--seeds 40 --from 1 --events 20000")
	PYTHONPATH=tests/faults:tests/support $(BIN)/python tests/faults/bench_faults.py $(ARGS)

.PHONY: check
check: $(INSTALLED) ## Format, lint, types, import contracts and the quick unit tests (no servers)
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 -m "not slow" tests/unit $(ARGS)

.PHONY: up
up: setup ## Start the servers and wait until they answer
	$(BIN)/tailrace up

.PHONY: down
down: $(INSTALLED) ## Stop the servers; their data stays
	$(BIN)/tailrace down

.PHONY: clean
clean: ## Stop the servers and delete their data, .venv and all caches
	@if [ -x $(BIN)/tailrace ]; then $(BIN)/tailrace down --purge --yes; fi
	rm -rf /dev/shm/tailrace-test-$(shell printf %s "$(CURDIR)" | sha256sum | cut -c1-12)
	rm -rf $(VENV) .tailrace .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

# Not a stamp: packages can be removed again, and asking costs milliseconds.
.PHONY: system
system:
	@missing="$$(for pair in $(SYSTEM); do command -v "$${pair%%:*}" >/dev/null || echo "$${pair##*:}"; done)"; \
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing="postgresql $$missing"; \
	[ -z "$$missing" ] || .ci/install $$missing

$(INSTALLED): requirements/dev.lock pyproject.toml
	@usable() { for each in $(PYTHONS); do "$$each" -c '$(PYTHON_CHECK)' 2>/dev/null && echo "$$each" && return; done; }; \
	python="$$(usable || true)"; \
	if [ -z "$$python" ]; then .ci/install python3 python3-venv; python="$$(usable || true)"; fi; \
	if [ -z "$$python" ]; then echo "no Python $(PYTHON_MIN) or newer that can make environments" >&2; exit 1; fi; \
	echo "making $(VENV) with $$("$$python" --version)"; \
	[ -x $(BIN)/python ] || "$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: servers
servers: $(INSTALLED)
	@$(BIN)/tailrace fetch
