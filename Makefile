# `make run` and `make test` are all a fresh clone needs: each installs what it uses into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
ITEMS ?= 2000
# Test processes side by side; a test module stays within one, and those with whole days begin. Each takes up to 3 GB.
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadscope --no-loadscope-reorder --durations 20
# What `make soak` explores; `make soak SEED=NUMBER` repeats it.
ifndef SEED
SEED := $(shell date +%s)
endif

.PHONY: install run check quick test prism-test flink-test readers-test airflow-test soak clean

install: $(VENV)/installed

$(VENV)/installed: setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "expected Python >= 3.11, got $$($(PYTHON) -V): make PYTHON=python3.12"; exit 2; }
	@command -v c++ >/dev/null || { echo "expected a C++ compiler (annoy is built from source), got none: install g++ or clang"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, os, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null || { echo "expected Python's headers and venv (annoy is built from source), got none: install python3-dev and python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "installing the pinned packages (a few minutes, about 6 GB) ..."
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,data,text,voyager,test]'
	@touch $@

run: install
	$(BIN)/itemsage demo $(DEMO) --items $(ITEMS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What a change may have broken, within two minutes: two tests of three. What trains, runs a stage or explores for long
# is marked medium or slow; the durations at the end name what should be, too.
quick: check
	$(PYTEST) -m "not slow and not medium"

# A kill at each kind of write, a few faults of each kind, 4 random days, 500 fuzzed inputs; what is marked soak is left
# to make soak.
test: check
	$(PYTEST)

# A real engine, fetched once into .engines/, runs every job and a whole day: the bytes must be those of the local runner.
# prism-test needs Go; flink-test Java 17 and Maven. Linux.
prism-test: install
	ITEMSAGE_ENGINES=prism $(BIN)/python -m pytest tests/engines/test_prism.py

flink-test: install
	ITEMSAGE_ENGINES=flink $(BIN)/python -m pytest tests/engines/test_flink.py

# Tools that read a published run, installed into .readers/ (3 GB), do what docs/readers.md tells to type. Spark needs Java 17.
.readers/installed: tests/engines/readers.txt
	$(PYTHON) -m venv .readers
	.readers/bin/python -m pip install --quiet --requirement $<
	@touch $@

readers-test: install .readers/installed
	ITEMSAGE_ENGINES=readers $(BIN)/python -m pytest tests/engines/test_readers.py

# A scheduler, installed into .airflow/ (2 GB), parses docs/scheduling/itemsage_day.py and runs it on a small shop.
.airflow/installed: tests/engines/airflow.txt
	$(PYTHON) -m venv .airflow
	.airflow/bin/python -m pip install --quiet --requirement $<
	@touch $@

airflow-test: install .airflow/installed
	ITEMSAGE_ENGINES=airflow $(BIN)/python -m pytest tests/engines/test_airflow.py

# The full figures, all tests with nothing left out (ITEMSAGE_SOAK=1 runs what is marked soak): a kill before and after
# each file and at 30 random moments, 30 random days, 20,000 fuzzed inputs, every fault, every property with fresh
# examples, the engines, the readers, and the scheduler.
soak: check
	@echo "exploring by seed $(SEED): make soak SEED=$(SEED) repeats it"
	ITEMSAGE_SEED=$(SEED) ITEMSAGE_SOAK=1 ITEMSAGE_DAYS=30 ITEMSAGE_FUZZ=20000 $(PYTEST)
	$(MAKE) prism-test flink-test readers-test airflow-test

clean:
	rm -rf $(VENV) $(DEMO) .engines .readers .airflow build *.egg-info
