# Pulse: `make run` starts everything, `make test` proves it, `make check` is for the inner loop.
# Needs Python 3.11+ and make; nothing is installed outside this folder (but Chromium, by `make test` as root).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
LOCAL_PACKAGES := -e libs/common $(addprefix -e ,$(wildcard services/*)) -e clients/pulse_device -e deploy/local
SOURCES := libs/common/pyproject.toml $(wildcard services/*/pyproject.toml) clients/pulse_device/pyproject.toml deploy/local/pyproject.toml
COMPILE := $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help run reset test check fmt lock bench front-end

help: ## show the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

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
	for service in services/*; do \
	  $(COMPILE) $$service/pyproject.toml libs/common/pyproject.toml -c requirements/dev.txt -o requirements/$$(basename $$service).txt; \
	done
