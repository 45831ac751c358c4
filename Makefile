# Every verb sets up what it needs first; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check format lock docs bench clean

BIN := .venv/bin
# Written by tools/bootstrap.py after a complete sync; while it is newest, setting up costs nothing.
READY := .venv/set-up
# Handed to the command: make demo ARGS="--seed 3", make test ARGS="tests/policy -x"
ARGS ?=

# Some environments forbid Python to keep what it compiled: then each process compiles torch anew, for 5 s.
unexport PYTHONDONTWRITEBYTECODE

# MuJoCo draws without a screen. On macOS it needs no setting.
ifeq ($(shell uname -s),Linux)
export MUJOCO_GL ?= egl
endif

help: ## List the verbs
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## Teach the simulated arm to grasp and lift a cube; leaves runs/demo/report.html
	@$(BIN)/nudge demo $(ARGS)

test: $(READY) ## Run the tests, without the slow ones
	@$(BIN)/pytest -q -m "not slow" -n 2 --dist loadfile $(ARGS)

test-slow: $(READY) ## Run the slow tests
	@$(BIN)/pytest -q -m slow $(ARGS)

check: $(READY) ## Check format, lint, types and the import rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code, and repair what ruff can repair
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## Write uv.lock anew from pyproject.toml
	@$(PYTHON) tools/bootstrap.py lock

docs: $(READY) ## Write docs/settings.md anew from the settings models
	$(BIN)/python -m console.settings_page > docs/settings.md

bench: $(READY) ## Run the benchmarks; the storm (bench/chaos.py) is one of the slow tests, bench/augmentation.py and bench/baselines.py need a run
	@for file in $$(grep -l __main__ bench/*.py | grep -v -e chaos -e augmentation -e baselines -e leader_hand -e learning -e results_page); do echo "$$file"; $(BIN)/python "$$file" $(ARGS) || exit 1; done

clean: ## Remove caches; runs, .venv and .uv stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -not -path './.venv/*' -not -path './.uv/*' -prune -exec rm -rf {} +

# Any Python that runs will do for setting up: python3 may be missing, or a shim without a version behind it.
PYTHON = $(shell for python in python3 python3.12 python3.13 /usr/bin/python3 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null && echo "$$python" && exit; done; \
	echo "echo 'setup: no python3 (3.8 or newer) runs here; install one, then run make again' >&2; exit 1;")

$(READY): pyproject.toml uv.lock .python-version tools/bootstrap.py tools/rendering.py
	@$(PYTHON) tools/bootstrap.py sync
