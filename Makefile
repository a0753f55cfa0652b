# The two commands: `make run` starts a node, `make test` checks everything. The rest serves them.
# Every target makes what it needs first: a virtual environment in .venv and the native core.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN_FLAGS ?= --network testnet
JOBS ?= 2
SIM_SEEDS ?= 0:20000
FUZZ_FLAGS ?= -max_total_time=60

.PHONY: chaos recovery run test setup native lint types unit sanitize bench bench-full differential economy sim sim-twins fuzz eels clients typed-clients clean help

help: ## what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: setup ## a node on JSON-RPC :8545 (RUN_FLAGS="--dev" for a development chain)
	$(BIN)/ghostd $(RUN_FLAGS)

test: setup eels clients lint types unit sanitize bench ## everything that CI checks

setup: $(VENV)/installed native ## virtual environment and native core

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "GhostChain needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "venv is missing: apt-get install python3-venv"; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { echo "no C compiler: apt-get install gcc libc6-dev"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@test -e "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" || \
	  { echo "Python.h is missing: apt-get install python3-dev"; exit 1; }
	@echo "installing what GhostChain needs into $(VENV), a minute or two"
	$(BIN)/python -m pip install --quiet --upgrade pip 'setuptools>=77' wheel cffi
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-build-isolation \
	  --config-settings editable_mode=compat --editable '.[test,lint,bench]'
	@touch $@

native: $(VENV)/installed ## the native core, incrementally
	@$(BIN)/python native/build.py

lint: setup ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy --strict
	$(BIN)/mypy

unit: setup ## pytest over the whole suite
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

sanitize: setup ## the kernel tests on an ASan and UBSan build
	$(BIN)/python native/build.py --sanitize --target build/sanitized/ghostchain
	$(BIN)/python tests/sanitized.py

eels: .venv-eels/installed ## the executable specification, in an environment of its own

.venv-eels/installed: | $(VENV)/installed
	$(PYTHON) -m venv .venv-eels
	.venv-eels/bin/python -m pip install --quiet 'ethereum-execution==2.20.0'
	@touch $@

clients: ## the JavaScript clients that tests drive a node with
	@if command -v npm >/dev/null; then \
	  $(MAKE) --no-print-directory tests/clients/node_modules/installed; \
	else \
	  echo "npm is not here (apt-get install nodejs npm): tests with ethers, viem and Foundry skip"; \
	fi

tests/clients/node_modules/installed: tests/clients/package.json tests/clients/hardhat/package.json tests/clients/further/package.json tests/clients/install.sh
	tests/clients/install.sh
	@touch $@

typed-clients: ## clients in Go and Java, for tests: downloads and minutes of building
	@if command -v go >/dev/null; then \
	  cd tests/clients/geth && go build -o $(CURDIR)/build/clients/geth .; \
	else \
	  echo "go is not here (https://go.dev/dl): the test with go-ethereum's clients skips"; \
	fi
	@if command -v mvn >/dev/null; then \
	  cd tests/clients/web3j && target=$(CURDIR)/build/clients/web3j && \
	  mvn -q -B dependency:copy-dependencies -DoutputDirectory=$$target && \
	  $${JAVA_HOME:+$$JAVA_HOME/bin/}javac -Xlint:none -cp "$$target/*" -d $$target/classes *.java && \
	  echo "$${JAVA_HOME:+$$JAVA_HOME/bin/}java" > $$target/java; \
	else \
	  echo "mvn is not here (apt-get install maven): the test with web3j skips"; \
	fi

differential: setup eels ## 2,000 random blocks beside the executable specification
	$(BIN)/python -m tests.differential.harness --cases 2000

economy: setup ## long random sequences of token, staking and governance operations
	$(BIN)/python -m tests.property.economy_run --machine memory --examples 600 --steps 100
	$(BIN)/python -m tests.property.economy_run --machine executor --examples 60 --steps 80

sim: setup ## networks of validators on virtual time, wires and disks (SIM_SEEDS=FIRST:END)
	$(BIN)/python -m tests.sim.run --seeds $(SIM_SEEDS) --jobs $(JOBS)

sim-twins: setup ## the same, where two machines share one key
	$(BIN)/python -m tests.sim.run --kind twins --seeds $(SIM_SEEDS) --jobs $(JOBS)

chaos: setup ## 200 kills, pauses, partitions and losses of a devnet under load (root; CHAOS_FLAGS="--faults N --seed N")
	$(BIN)/python -m tests.live.chaos --directory "$$(mktemp -d)/net" $(CHAOS_FLAGS)

recovery: setup ## how soon a devnet is itself again after partitions and kills (root)
	$(BIN)/python -m tests.live.recovery --directory "$$(mktemp -d)/net"

fuzz: setup ## every fuzz target for a minute (FUZZ_FLAGS=-runs=N for another measure)
	$(BIN)/python -m pip install --quiet 'atheris>=2.3'
	@for target in tests/fuzz/fuzz_*.py; do \
	  echo "$$target"; $(BIN)/python $$target $(FUZZ_FLAGS) || exit 1; done

bench: setup ## every benchmark, small
	$(BIN)/python -m pytest benchmarks -p no:cacheprovider -o addopts= -o python_files='bench_*.py'

bench-full: setup ## every benchmark at full size; rewrites benchmarks/RESULTS.md
	GHOSTCHAIN_BENCH=full $(BIN)/python benchmarks/report.py

clean: ## removes what the other targets made
	rm -rf build $(VENV) ghostchain/_native*.so
