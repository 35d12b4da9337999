# `make demo` and `make test` do all of their own set-up. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help setup demo demo-thin-film test lint bench chaos peers wheel clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## make .venv and install everything pinned; does nothing when it is up to date
	@tools/setup.sh

demo: setup ## run the silver-flow campaign on simulated instruments and write demo/report.html
	@tools/demo.sh

demo-thin-film: setup ## rehearse and run the thin-film campaign, four films at a time, and write demo-thin-film/report.html
	@tools/demo-thin-film.sh

test: setup ## every gate: ruff, mypy, import-linter, pytest, the wheel
	@tools/debian.sh
	@tools/validators.sh
	@tools/gates.sh

lint: setup ## the gates that take seconds: ruff, mypy, import-linter
	@tools/gates.sh static

bench: setup ## the benchmarks, each a table with the machine
	@set -e; for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

chaos: setup ## kill campaigns at fault points, and judge what became of them (an hour); CHAOS="--lab thin-film"
	@set -e; export PYTHONPATH=tests; if [ -n "$(CHAOS)" ]; then $(BIN)/python -m chaos $(CHAOS); else \
	    $(BIN)/python -m chaos; $(BIN)/python -m chaos --lab thin-film --doubles 60 --out build/chaos-film.json; fi

peers: setup ## hold each peer's planner to all of the planners' contract (minutes)
	@SDL_PEERS=full $(BIN)/pytest -q --timeout 3600 tests/planners/test_adapters.py -k contract --durations=0

wheel: setup ## build dist/*.whl
	@rm -rf build dist && $(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean: ## remove what was built, the demo and all caches; leaves .venv
	@rm -rf build dist demo demo-thin-film htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@rm -rf *.egg-info && find sdl tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
