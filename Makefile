# make demo        environment, then the offline recipe: data, simulation, training, scoring
# make demo-lang   the same for languages
# make test        environment, then the test suite
# The environment is in tools/venv; tools/Makefile has its options.

SHELL := /bin/bash
export LC_ALL := C.UTF-8
PYTEST_OPTIONS ?= -n 2 --dist worksteal
DEMO_OPTIONS ?=
ACTIVATE := . tools/activate_python.sh

.PHONY: help env lint doc test demo demo-short demo-lang demo-lang-short demo-bf16 clean

help:
	@echo "make env | lint | doc | test | demo | demo-short | demo-lang | demo-lang-short | demo-bf16 | clean"

env:
	@$(MAKE) --no-print-directory --silent -C tools

lint: env
	@$(ACTIVATE) && tools/lint.sh

# The documentation site in build/doc/site; a warning is an error.
doc: env
	@$(ACTIVATE) && python3 -m pip install --quiet --disable-pip-version-check \
	  -r doc/requirements.txt && python3 doc/build_site.py && \
	  NO_MKDOCS_2_WARNING=1 python3 -m mkdocs build --quiet --strict -f build/doc/mkdocs.yml && \
	  echo "build/doc/site/README.html"

test: env
	@$(ACTIVATE) && python3 -m pytest -q $(PYTEST_OPTIONS)

demo: env
	@cd egs/mini/diar1 && ./run.sh $(DEMO_OPTIONS)

demo-short: env
	@cd egs/mini/diar1 && ./run.sh --short true $(DEMO_OPTIONS)

demo-lang: env
	@cd egs/mini/langdiar1 && ./run.sh $(DEMO_OPTIONS)

demo-lang-short: env
	@cd egs/mini/langdiar1 && ./run.sh --short true $(DEMO_OPTIONS)

# Both recipes in bfloat16 on a CPU; the data are those of demo-short and demo-lang-short.
demo-bf16: env
	@egs/mini/bf16.sh

# Removes the environment; data and experiments of the recipes remain.
clean:
	@$(MAKE) --no-print-directory -C tools clean
	rm -rf build dist ./*.egg-info .pytest_cache .ruff_cache .hypothesis
