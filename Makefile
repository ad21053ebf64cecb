# Needs only Python 3.11 or newer. To use another Python: make PYTHON=python3.12 setup

.POSIX:
PYTHON = python3
# One more than two cores: tests wait for other processes a quarter of the time.
TEST_PROCESSES = 3
# A process takes tests that stand beside one another, so what a module starts is started once.
# The tests start many processes: what one of them compiled the others read, whatever the environment says.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal
POSTGRES_15 = /usr/lib/postgresql/15/bin
BIN = .venv/bin
INSTALLED = .venv/.requirements-installed
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --no-strip-extras

LOCKED = requirements requirements-dev tests/openapi_clients/requirements bench/peers/requirements

# The clients that others generate from the OpenAPI document, with their tools.
CLIENTS = tests/openapi_clients
CLIENT_TOOLS = $(CLIENTS)/.venv/.requirements-installed
GENERATED = .data/openapi-clients

# What depends on the version of PostgreSQL: its DDL, its locks, and how it comes back after a stop.
POSTGRES_TESTS = tests/test_migrations.py tests/test_databases.py tests/database tests/metering \
	tests/gateway/test_postgres_restart.py tests/test_backup.py

.PHONY: help setup install run dev superuser seed reset test test-slow coverage soak test-postgres-versions check check-code typecheck lint check-openapi format lock check-lock licences audit bench migrate clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r target what; do printf '%-22s %s\n' "$$target" "$$what"; done

setup: $(INSTALLED)  ## Make .venv and install the locked requirements
	@echo "All is installed. Next: make run"

install: setup  ## The same as setup

run: $(INSTALLED)  ## Start everything: PostgreSQL, Valkey, a private server, the API on PORT (8000), a worker
	@exec $(BIN)/python -m sandbox.run

dev: run  ## The same as run

superuser: $(INSTALLED)  ## Create an admin account: make superuser EMAIL=you@example.com
	@test -n "$(EMAIL)" || { echo "Say whose account it is: make superuser EMAIL=you@example.com" >&2; exit 1; }
	@$(BIN)/python -m flask create-admin "$(EMAIL)"

seed: $(INSTALLED)  ## Create accounts to look around with, and print how to sign in
	@$(BIN)/python -m flask bootstrap-demo

reset: $(INSTALLED)  ## Delete all data and make the tables anew. Refused outside development
	@$(BIN)/python -m flask reset-database

test: $(INSTALLED)  ## Run the tests on a real PostgreSQL and a real Valkey
	$(PYTEST)

test-slow: $(INSTALLED)  ## Run the tests that take many seconds each
	$(PYTEST) -m slow --durations=25

coverage: $(INSTALLED)  ## Run the tests, and fail if they reach less than 80 % of the code; the report is htmlcov/index.html
	$(PYTEST) --cov --cov-report=html --cov-report=term:skip-covered

soak: $(INSTALLED)  ## Let everything fail by chance for ten minutes: make soak [FAULT_SEED=…]
	FAULT_SECONDS=600 $(BIN)/python -m pytest -n 0 -rP -m slow tests/whole/test_faults.py
	FAULT_SECONDS=600 $(BIN)/python -m pytest -n 0 -m slow tests/capabilities/chat/sockets/test_slow_sockets.py -k silent

test-postgres-versions: $(INSTALLED)  ## Run the database tests on PostgreSQL 15, the oldest supported version; `test` uses the newest
	@test -x $(POSTGRES_15)/initdb || { echo "PostgreSQL 15 is not in $(POSTGRES_15). On Debian 12: sudo apt-get install postgresql-15." \
		"Elsewhere, give its folder: make POSTGRES_15=/path/to/bin test-postgres-versions" >&2; exit 1; }
	POSTGRES_BIN=$(POSTGRES_15) $(PYTEST) $(POSTGRES_TESTS)

check: check-code test  ## Run all checks (format, lint, types, imports, dependency lock) and the tests

check-code: $(INSTALLED) check-lock  ## Run the checks without the tests
	$(BIN)/black --quiet --check .
	$(BIN)/ruff check --quiet .
	$(BIN)/flake8
	$(BIN)/bandit --quiet --recursive -ll --configfile pyproject.toml .
	$(BIN)/mypy .
	$(BIN)/lint-imports

typecheck: $(INSTALLED)  ## Check the types
	$(BIN)/mypy .

lint: $(INSTALLED)  ## Lint the code, without changing it
	$(BIN)/ruff check --quiet .
	$(BIN)/flake8

check-openapi: $(INSTALLED) $(CLIENT_TOOLS)  ## Lint the OpenAPI document and compile the README examples with generated clients
	@rm -rf $(GENERATED)
	$(BIN)/python -m tests.openapi_clients.write_bodies $(GENERATED)
	@export PATH="$(CURDIR)/$(CLIENTS)/.venv/bin:$(CURDIR)/$(CLIENTS)/node_modules/.bin:$$PATH" && set -e -x && \
		redocly lint --config $(CLIENTS)/redocly.yaml $(GENERATED)/openapi.json && \
		openapi-typescript $(GENERATED)/openapi.json --output $(GENERATED)/schema.ts 2>$(GENERATED)/warnings && \
		! grep . $(GENERATED)/warnings && \
		tsc --project $(CLIENTS) && \
		openapi-python-client generate --fail-on-warning --meta none \
			--path $(GENERATED)/openapi.json --output-path $(GENERATED)/mirroros_client && \
		openapi-typescript $(GENERATED)/toy.json --output $(GENERATED)/toy.ts && \
		openapi-python-client generate --fail-on-warning --meta none --config $(CLIENTS)/python-client.yaml \
			--path $(GENERATED)/toy.json --output-path $(GENERATED)/toy_client
	! grep -rn 'body: Any' $(GENERATED)/mirroros_client/api
	MYPYPATH=$(GENERATED) $(BIN)/mypy --python-executable $(CLIENTS)/.venv/bin/python $(GENERATED)/bodies.py

format: $(INSTALLED)  ## Format the code
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/black --quiet .

lock: $(INSTALLED)  ## Lock the requirements from their .in files
	for name in $(LOCKED); do $(COMPILE) "$$name.in" --output-file "$$name.txt" || exit 1; done

# The present lock is the starting point, so a new release on the index is no difference, and a changed .in file is one.
check-lock: $(INSTALLED)  ## Check that the locked requirements match the .in files
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && for name in $(LOCKED); do \
		cp "$$name.txt" "$$folder/locked.txt" && \
		$(COMPILE) "$$name.in" --output-file "$$folder/locked.txt" && \
		diff -u "$$name.txt" "$$folder/locked.txt" || { echo "$$name.txt does not match $$name.in. Run: make lock" >&2; exit 1; }; \
	done

licences: $(INSTALLED)  ## List the licences of what the production image installs
	@$(BIN)/pip-licenses --packages $$(sed -n 's/^\([A-Za-z0-9._-]*\).*==.*/\1/p' requirements.txt)

# With every requirement pinned and hashed, nothing has to be resolved or installed.
audit: $(INSTALLED)  ## Look up known vulnerabilities of the locked requirements on pypi.org
	@$(BIN)/uv tool run --quiet pip-audit@2.10.1 --strict --disable-pip --require-hashes --requirement requirements.txt || { \
		echo "Either a requirement has a known vulnerability, or pypi.org could not be reached ('could not be audited'): see above" >&2; exit 1; }

bench: $(INSTALLED)  ## Measure what a metered call and a webhook cost
	$(BIN)/python -m bench

migrate: $(INSTALLED)  ## Upgrade the database to the latest migration
	$(BIN)/python -m flask db upgrade

clean:  ## Remove .venv, caches and reports; the data in .data stays
	rm -rf .venv $(CLIENTS)/.venv $(CLIENTS)/node_modules $(GENERATED) bench/peers/.venv bench/peers/node_modules htmlcov .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(INSTALLED): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "You need Python 3.11 or newer, and '$(PYTHON)' is older. Use another one: make PYTHON=python3.12 setup" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv module is missing. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the locked requirements into .venv (a minute or two, only now and after they change) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m sandbox.install_requirements requirements-dev.txt
	@touch $@

$(CLIENT_TOOLS): $(CLIENTS)/requirements.txt $(CLIENTS)/package-lock.json
	@echo "Installing Node.js and the generators into $(CLIENTS) (a minute, only now and after they change) ..."
	@$(PYTHON) -m venv $(CLIENTS)/.venv
	@$(CLIENTS)/.venv/bin/python -m sandbox.install_requirements $(CLIENTS)/requirements.txt
	@cd $(CLIENTS) && PATH="$(CURDIR)/$(CLIENTS)/.venv/bin:$$PATH" npm ci --silent
	@touch $@
