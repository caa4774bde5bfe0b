# Set-up is idempotent and quiet when there is nothing to do. PYTHON picks the interpreter of the virtual environment.
PYTHON ?= python3
PORT ?= 3000
DEMO_HOUR ?= 2017-07-28-08:00

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Four processes of tests, which often wait for others: lake_assets_tests/distribution.py says which runs what.
PARALLEL := -n 4 --no-loadscope-reorder
# uv installs the lock file quicker than pip; requirements.lock pins it too.
UV := $(shell sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)

# Hundreds of processes import the package during the tests: its bytecode is kept, also where containers forbid that.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup java spark demo ui kafka cluster test pytest test-services soak check types docs bench lock settings clean

help:
	@echo "make demo    run the stocks job on sample data and show what was published"
	@echo "make ui      Dagster's web UI, daemon and warm workers on http://127.0.0.1:$(PORT)"
	@echo "make kafka   a Kafka broker on 127.0.0.1:9092, for the streaming walk-through; data in .kafka"
	@echo "make cluster a Spark cluster on this machine that shares nothing with the driver, with lakeFS, DynamoDB Local and Kafka, for a try"
	@echo "make test    every test but the long soak tests"
	@echo "make soak    the long tests: kills, parallel runs, every order"
	@echo "make check   format, lint, spelling, types"
	@echo "make docs    the documentation as a site, in site/"
	@echo "make bench   benchmarks; results go to docs/benchmarks.md by hand"
	@echo "make lock    pin the dependencies anew"
	@echo "make settings  write .env.example and docs/settings.md anew, from the classes of settings"
	@echo "make clean   what lake-assets clean would delete"

setup: $(READY) .env .dagster/dagster.yaml

# Streams and Spark need it, and so do their tests; the jobs stocks and users do not.
java:
	@sh scripts/check-java.sh

# An archive of Spark's classes, once for a machine: with it, Spark starts in half the time.
spark: java setup
	-@$(BIN)/lake-assets prepare-spark >/dev/null

$(READY): requirements.lock pyproject.toml
	@sh scripts/check-python.sh "$(PYTHON)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@echo "installing the packages of requirements.lock into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(UV)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q lake_assets lake_assets_tests
	@touch $@

# The plain dagster commands read .env in the working folder.
.env:
	@echo "DAGSTER_HOME=$(CURDIR)/.dagster" > $@

.dagster/dagster.yaml:
	@mkdir -p .dagster
	@ln -sf ../dagster.yaml $@

demo: setup
	@sh scripts/demo.sh "$(DEMO_HOUR)"

ui: setup
	@$(BIN)/python scripts/check_port.py $(PORT)
	@sh scripts/ui.sh $(PORT)

kafka: java setup
	@$(BIN)/python -m lake_assets_tests.kafka_broker

cluster: java setup
	@$(BIN)/python -m lake_assets_tests.cluster_try

# Types are checked while tests wait for servers.
test: spark
	@$(MAKE) --no-print-directory -j 2 check pytest

pytest: $(READY)
	@$(BIN)/pytest $(PARALLEL) -m "not soak and not cluster"

test-services: spark
	@REQUIRE_SERVICES=1 $(BIN)/pytest $(PARALLEL) -m "(services or cluster) and not soak"

soak: spark
	@LAKE_TESTS_DEEP=1 $(BIN)/pytest -m "soak or property"

check: $(READY)
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/lint-imports >/dev/null || $(BIN)/lint-imports
	@$(BIN)/codespell *.md docs lake_assets lake_assets_tests benchmarks scripts
	@$(MAKE) --no-print-directory types

types: $(READY)
	@$(BIN)/pyright --pythonpath $(BIN)/python

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "site/index.html is built"

bench: java setup
	@$(BIN)/python -m benchmarks

lock: $(READY)
	@$(BIN)/uv pip compile --quiet --universal --no-strip-extras --python-version 3.10 --extra dev --extra docs --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade pyproject.toml -o requirements.lock

settings: $(READY)
	@$(BIN)/python -m lake_assets_tests.settings_pages

clean: $(READY)
	@$(BIN)/lake-assets clean
