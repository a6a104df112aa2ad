# Set-up happens by itself: every target that needs the virtual environment makes it first.
# It is made with $(PYTHON), in $(VENV).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# The live demo: make run N=5000 DURATION=30, a feed against the embedded exchange; or make run
# URL=wss://host/path, N connections to a server of your own.
N ?= 1000
DURATION ?= 10
URL ?=

# What is run on a free-threaded Python: make test-threads PYTHON=python3.14t VENV=.venv-3.14t
THREADED ?= tests/test_threads.py tests/test_contracts.py tests/compiled tests/loop tests/feeds/test_mailbox.py

# Processes for the tests: more than two cores, since tests often wait for their peers.
JOBS ?= 4

# As pyproject.toml names it.
PACKAGE := reactor-websocket

# For make fuzz: how long each target is tried.
SECONDS ?= 60

# What is compiled where there is a compiler.
TWINS := $(wildcard reactor/compiled/*.pyx)

# The Autobahn suite; make autobahn AUTOBAHN='--faces native --cases 12.*'
AUTOBAHN ?= --markdown docs/conformance.md

# Many TLS connections that are killed all the time; make soak SOAK='--seconds 60'
SOAK ?=

# A feed whose links are killed all the time; make soak-feeds SOAK='--seconds 60'

# Who starts the shards of the demo of fleets: local, or ray.
PLACEMENT ?= local

# A fleet whose shards and server are killed all the time; make fleet-storm STORM='--seconds 60'
STORM ?=

.PHONY: run test test-threads lint format types cov autobahn fuzz soak soak-feeds fleet-demo fleet-test fleet-storm bench bench-check bench-lockstep docs clean help

help:
	@echo "make run    hold $(N) subscriptions on one thread (N=, DURATION=, URL=)"
	@echo "make test   run all tests"
	@echo "make test-threads  what runs on several threads, for a free-threaded Python (PYTHON=)"
	@echo "make autobahn  the Autobahn suite over all faces, half an hour (AUTOBAHN=)"
	@echo "make fuzz   every parser for some minutes (SECONDS=)"
	@echo "make soak   500 connections that are killed all the time, for 10 minutes (SOAK=)"
	@echo "make soak-feeds  2,000 topics whose links are killed all the time, for 5 minutes (SOAK=)"
	@echo "make fleet-demo   a feed in several processes that are killed (PLACEMENT=local or ray)"
	@echo "make fleet-test   the tests of fleets that kill processes"
	@echo "make fleet-storm  the same for 10 minutes, and its server too (STORM=)"
	@echo "make bench  measure beside other libraries, most of an hour (BENCH=)"
	@echo "make bench-lockstep  the same batches for every client: a few per cent can be seen"
	@echo "make bench-check  does a message take more instructions than it did? a minute or two (valgrind)"
	@echo "make cov    branch coverage of each module by its own tests (COV=protocols)"
	@echo "make docs   the pages of docs/ in build/docs, for a browser"
	@echo "make lint | types | format | clean"

run: $(VENV)/installed
	$(BIN)/python -m reactor $(if $(URL),run --url '$(URL)',collect) --count $(N) --duration $(DURATION)

test: $(VENV)/installed-test
	$(BIN)/python -m pytest --numprocesses $(JOBS) $(TESTS)

# On a free-threaded Python: not all that the other tests compare with can be installed there.
test-threads: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		hypothesis isal pytest pytest-timeout pytest-xdist trustme
	$(BIN)/python -m pytest --numprocesses $(JOBS) $(THREADED)

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/installed-test
	$(BIN)/mypy

# One folder only: make cov COV=protocols
cov: $(VENV)/installed-test
	$(BIN)/python -m tests.coverage --jobs $(JOBS) $(COV)

autobahn: $(VENV)/installed-test
	$(BIN)/python -m tests.autobahn $(AUTOBAHN)

fuzz: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	for target in frames session http11 handshake deflate url; do \
		$(BIN)/python -m fuzz $$target --seconds $(SECONDS) || exit 1; done

soak: $(VENV)/installed-test
	$(BIN)/python -m tests.soak $(SOAK)

soak-feeds: $(VENV)/installed-test
	$(BIN)/python -m tests.soak.feeds $(SOAK)

# Ray's daemons bind all interfaces, whatever they are told: so they get a network of their own.
ALONE = $(if $(filter 0,$(shell id -u)),unshare --net sh -c 'ip link set lo up; exec "$$0" "$$@"')

fleet-demo: $(VENV)/installed-fleet$(if $(filter ray,$(PLACEMENT)),-ray)
	$(if $(filter ray,$(PLACEMENT)),RAY_USAGE_STATS_ENABLED=0 $(ALONE)) $(BIN)/python -m reactor fleet demo \
		--placement $(PLACEMENT)

fleet-test: $(VENV)/installed-test
	REACTOR_TEST_FLEET=1 $(BIN)/python -m pytest tests/fleet

fleet-storm: $(VENV)/installed-test
	$(BIN)/python -m tests.fleet.storm $(STORM)

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run.py $(BENCH)

bench-check: $(VENV)/installed-bench
	$(BIN)/python benchmarks/check.py

bench-lockstep: $(VENV)/installed-bench
	$(BIN)/python benchmarks/lockstep $(BENCH)

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs build/docs
	@echo "build/docs/index.html"

clean:
	rm -rf $(VENV) build dist *.egg-info benchmarks/build .pytest_cache .mypy_cache .ruff_cache
	rm -rf .hypothesis .coverage htmlcov $(TWINS:.pyx=.c) reactor/compiled/*.so
	rm -rf tests/peers/node/node_modules fuzz/found fuzz/corpus
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp says what is installed in the virtual environment. One whose Python does not run any
# more (it was upgraded, or the folder was copied) is made anew.
STALE := $(shell test ! -e $(VENV)/installed || $(BIN)/python -c '' 2>/dev/null || rm -f $(VENV)/installed*)

# What pip prints is progress for who waits for the first time.
$(VENV)/installed: pyproject.toml $(TWINS) $(wildcard reactor/compiled/*.pxd)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
		found=$$($(PYTHON) --version 2>&1) || found='not there'; \
		echo "reactor needs Python 3.10 or newer, and $(PYTHON) is $$found." >&2; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
		echo "Making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing reactor in $(VENV), and compiling its parts in C: once, for a minute or so"
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[cli]'
	@touch $@

# What more is needed is asked for by the name of the package, which is installed: a path would have
# it compiled again.
$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(PACKAGE)[test,lint]'
	@touch $@

$(VENV)/installed-fleet $(VENV)/installed-fleet-ray: $(VENV)/installed-%: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(PACKAGE)[$*]'
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(PACKAGE)[bench]'
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(PACKAGE)[docs]'
	@touch $@
