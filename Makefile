# The commands for a visitor are `make install`, `make demo` and `make test`; `make quick` is for after each edit. All but
# `make help` and `make clean` prepare .venv first; the second time there is nothing to install.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo quick test fuzz chaos lint types unit docs format clean

BIN := .venv/bin
READY := .venv/ready
GOOD := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
# Two test processes: enough for two cores, and each has its own part of the memory.
TESTS ?= -n 2 --dist loadfile

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

install: $(READY) ## make .venv and install the packages into it
	@echo "ready: $(BIN)/python"

demo: $(READY) ## make a synthetic night data set, train in it, and see the detector find its way in the dark (about 10 minutes)
	@$(BIN)/python demo.py

quick: lint ## after each edit: style, and the tests that neither train for long nor start several processes
	$(BIN)/python -m pytest $(TESTS) -m "not slow and not distributed"

test: lint types unit ## everything that must hold before a change goes in

lint: $(READY) ## style, likely mistakes, words that have a plainer one, and links of the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.words
	$(BIN)/python -m pytest tests/test_docs.py

types: $(READY) ## types
	$(BIN)/mypy

unit: $(READY) ## the tests alone; TESTS="-k pairs -x" for some of them
	$(BIN)/python -m pytest $(TESTS)

fuzz: $(READY) ## damaged files by the thousand; SEED=7 CASES=100000 for hours of others
	FUZZ_SEED=$(or $(SEED),1) FUZZ_CASES=$(or $(CASES),5000) $(BIN)/python -m pytest $(TESTS:loadfile=load) tests/fuzz

chaos: $(READY) ## runs that are killed at random moments; KILLS=100 SEED=7 for others
	CHAOS_SEED=$(or $(SEED),1) CHAOS_KILLS=$(or $(KILLS),25) $(BIN)/python -m pytest -m chaos tests/chaos

docs: $(READY) ## the documentation as a site: runs/site/index.html
	@$(BIN)/python -c 'import furo, myst_parser' 2>/dev/null || $(BIN)/python -m pip install --disable-pip-version-check --quiet -r docs/site/requirements.txt
	$(BIN)/python -m sphinx -W -q -c docs/site -b html . runs/site
	@cp runs/site/README.html runs/site/index.html

format: $(READY) ## put the code into the house's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and caches; runs/ and datasets/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './datasets/*' -prune -exec rm -rf {} +

# The mark is written last: an install that was interrupted is taken up again.
$(READY): requirements.txt
	@if [ -e .venv ] && ! .venv/bin/python -c '$(GOOD)' 2>/dev/null; then \
	  echo "error: .venv does not hold a working Python 3.11 or 3.12. Remove it with 'make clean' and try again." >&2; exit 2; \
	fi
	@if [ ! -e .venv ]; then \
	  for python in $${PYTHON:-python3.12 python3.11 python3 python}; do \
	    if "$$python" -c '$(GOOD)' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo "error: no Python 3.11 or 3.12 with venv was found (tried $${PYTHON:-python3.12, python3.11, python3, python})." \
	      "Install one (Debian and Ubuntu: apt install python3.11-venv), or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; \
	  fi; \
	  if [ "$$(df -Pk . | awk 'NR == 2 { print $$4 }')" -lt 9000000 ]; then \
	    echo "warning: less than 9 GB are free here; torch and its libraries take up to that while they are installed" >&2; \
	  fi; \
	  echo "making .venv with $$("$$found" --version)"; "$$found" -m venv .venv; \
	fi
	@echo "installing requirements.txt into .venv (once; torch is large)"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt
	@touch $@
