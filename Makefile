# t2t: `make demo` and `make test` set everything up by themselves. `make` alone lists what there is.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint parity clean
SHELL := /bin/sh

VENV ?= .venv
PARITY := .venv-parity
PYTHON := $(VENV)/bin/python
export T2T_PYTHON
# Large pages for the arrays of a step: a fifth faster on a CPU under Linux, and nothing elsewhere.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

setup: $(VENV)/.installed ## make the virtual environment (.venv) and install t2t into it

$(VENV)/.installed: setup.py
	@python="$$(launch/find_python.sh)" || exit 1; \
	echo "== Setting up $(VENV) with $$($$python --version) ($$python)"; \
	"$$python" -m venv --clear $(VENV)
	@echo "== Installing t2t and what it needs (once; a minute or two)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@
	@echo "== Ready. From here on nothing needs the network."

demo: setup ## train, judge and show the embedded default: four small inverse problems (about five minutes)
	@echo "== One small encoder-decoder learns four inverse problems, easy one way and learned the other:"
	@echo "     scan_simple    a command into actions     'jump twice' -> 'I_JUMP I_JUMP'"
	@echo "     integration    a function's integral      '2*x' -> 'x^2'"
	@echo "     decompilation  stack code into formulas   'load a push 2 mul' -> 'a * 2'"
	@echo "     listops        nested lists evaluated     '[MAX 2 [MIN 7 4 ] ]' -> '4'"
	@echo "   Every answer is checked: by comparison, by differentiation (SymPy), by execution."
	@echo "== Training configs/demo.py into runs/demo; stop it at any time, the same command goes on from there"
	@$(PYTHON) launch/train.py --config=configs/demo.py --workdir=runs/demo

test: setup ## lint, and run all the tests
	@echo "== Linting"
	@$(PYTHON) -m ruff check .
	@echo "== Testing (on the CPU; tests of real data and of PyTorch parity skip, saying so, where those are absent)"
	@$(PYTHON) -m pytest -n auto --dist loadfile

lint: setup ## only the linter
	@$(PYTHON) -m ruff check .

parity: $(PARITY)/.pytorch ## the live comparisons with PyTorch, which goes into an environment of its own (.venv-parity)
	@$(PARITY)/bin/python -m pytest -n auto -m pytorch

$(PARITY)/.pytorch: setup.py
	@$(MAKE) --no-print-directory setup VENV=$(PARITY)
	@echo "== Installing PyTorch and transformers, for comparison only"
	@$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,parity]'
	@touch $@

clean: ## remove the virtual environment and caches; runs/ is kept
	rm -rf $(VENV) $(PARITY) *.egg-info build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
