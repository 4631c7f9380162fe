# The two that matter: `make up` and `make test`. Both set up .venv first.
PYTHON ?= /usr/bin/python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp
# Two modules at a time, in the order of the directories: the longest are not the last there. Whole
# clusters come one after the other: each keeps both cores busy.
TWO    := $(BIN)/pytest -q -n 2 --no-loadscope-reorder --dist loadfile

.PHONY: up down test check unit netns e2e az bench clean

$(STAMP): pyproject.toml
	@scripts/venv $(PYTHON) $(VENV)
	@touch $@

up: $(STAMP)
	@$(BIN)/podwire up $(UP)

down: $(STAMP)
	@$(BIN)/podwire down

test: check netns e2e

check: $(STAMP)
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(TWO) tests/unit

netns: $(STAMP)
	@scripts/test-packages
	$(TWO) tests/netns

e2e: $(STAMP) az
	@scripts/test-packages
	$(BIN)/pytest -q tests/e2e

# The real azure-cli, in .venv-az: put .venv-az/bin into PATH.
az: $(STAMP)
	@scripts/az $(PYTHON) $(VENV)-az

bench: $(STAMP)
	$(BIN)/python bench/up.py
	$(BIN)/python -m bench.cni
	$(BIN)/python -m bench.arm
	$(BIN)/python -m bench.draw
	$(BIN)/python -m bench.explain
	$(BIN)/python -m bench.ui
	$(BIN)/python -m bench.doctor
	$(BIN)/python -m bench.az

clean:
	rm -rf $(VENV) $(VENV)-az build dist
