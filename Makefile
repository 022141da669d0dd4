# make run [PICTURE=photo.jpg] [METHOD=subject]   separate a picture into out/
# make test                                      the tests, without those that are marked slow
# make check                                     ruff, mypy, the import layers, and the tests with the slow ones and coverage: what CI runs
# make bench-test                                the tests of the scripts in benchmarks/
# make stress [CORPUS=FILE]                      promises that hold under long load and many faults; not in CI
# make fix | bench | docs | browser | clean      see CONTRIBUTING.md
# All make .venv first. A fresh machine needs Python 3.11 to 3.13 and make, nothing else; with Chromium too, the tests look at reports.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do command -v $$p >/dev/null && \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
PICTURE ?= tests/pictures/astronaut.jpg
METHOD ?= subject
BIN := .venv/bin
PARALLEL := -n 2 --dist loadfile
# Without compiled files, each of the processes that tests start would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --constraint constraints.txt

.PHONY: run test check bench-test stress fix bench browser docs clean

run: .venv/.base
	@$(BIN)/figureground remove '$(PICTURE)' --method '$(METHOD)' --view cutout,foreground,background,mask,overlay --out-dir out --overwrite

test: .venv/.test
	$(BIN)/python -m pytest $(PARALLEL)

check: .venv/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PARALLEL) -m 'not (stress or benchmark)' --cov --cov-report=term --cov-fail-under=96

bench-test: .venv/.test
	$(BIN)/python -m pytest $(PARALLEL) -m benchmark

# One test at a time. CORPUS names a .tar.gz of odd and hostile pictures with manifest.csv; without it that test is skipped.
stress: .venv/.test
	CORPUS='$(CORPUS)' $(BIN)/python -m pytest -m stress

fix: .venv/.test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Chromium, for the test that looks at a report; where it cannot be had, that test is skipped.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit; done; \
	test "$$(id -u)" = 0 && command -v apt-get >/dev/null || exit 0; \
	{ timeout 120 apt-get -qq update && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -qq install --yes \
	--no-install-recommends chromium fonts-dejavu-core; } >/dev/null 2>&1 </dev/null || echo 'Chromium could not be installed'

bench: .venv/.test
	$(BIN)/python benchmarks/run.py

# First the pages and pictures that are generated, then HTML in build/docs; a warning is an error.
docs: .venv/.test
	$(BIN)/python docs/make.py
	$(BIN)/python -m sphinx -W --keep-going -q -d build/doctrees docs build/docs

clean:
	rm -rf .venv out dist build

.venv/.base: pyproject.toml constraints.txt
	@test -n '$(PYTHON)' || { echo 'figureground needs Python 3.11, 3.12 or 3.13, but none was found. Name one: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	@touch $@

.venv/.test: .venv/.base tests/requirements.txt
	$(PIP) --editable '.[cloud,docs,evaluate,fast,formats,matting,ray,server,torch,train]' --requirement tests/requirements.txt
	$(PIP) --no-deps pysodmetrics
	@$(BIN)/python -c 'import pymatting'  # compiles its functions, once
	@command -v npm >/dev/null || exit 0; timeout 120 npm install --prefix .venv/node --silent --no-fund --no-audit remove.bg@1.3.0 \
	|| echo 'The remove.bg client for Node could not be installed; its test is skipped'
	@touch $@
