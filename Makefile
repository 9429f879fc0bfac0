# `make` lists the targets. Each sets up what it needs: Python 3.11+ and a package index are all it takes for granted.

VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
AUDIT := .venv-audit
LOCKER := .venv-lock
UV_VERSION := 0.13.9

# Wheels alone: building a source distribution would fetch build tools that no lock names.
PIP_LOCKED := -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary=:all:
# What publishes a release, built from Go modules whose hashes Go looks up. Helm is the one that the tests have.
RELEASE_TOOLS := build/release-tools
RELEASE_MODULES := github.com/google/go-containerregistry/cmd/crane@v0.22.1 github.com/anchore/syft/cmd/syft@v1.57.1 \
	github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3 \
	helm.sh/helm/v4/cmd/helm@$(shell awk '$$1 == "helm.sh/helm/v4" { print $$2 }' tests/cluster/parts/helm/go.mod)
RELEASE := $(BIN)/python .ci/release.py
PIP_PROJECT := -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable
CODE := runtime operator $(wildcard examples benchmarks charts docs) tests .ci/release.py
LOCKS := $(wildcard requirements/*.txt)
DOCKERFILES := $(shell git ls-files --cached --others --exclude-standard '*Dockerfile')

# More arguments for pytest: make unit ARGS="-k retry"
ARGS :=
PYTEST := $(BIN)/python -m pytest $(ARGS)
CLUSTER := $(BIN)/python -m tests.cluster

CAMPAIGN := tests/cluster/chart/in_use/test_passwords.py \
	tests/cluster/product/test_control.py $(wildcard tests/cluster/product/test_resume_*.py)

# Random faults and random programs: PERDURE_TEST_SCALE says how many.
RANDOM := tests/integration/engine/test_lost_answers.py \
	$(wildcard tests/integration/replay/test_*programs.py)

# These are of the cluster that is built here, and of which cluster serves.
NOT_ON_KIND := $(patsubst %,tests/cluster/test_%.py,build enclosure leaves_nothing provide up)

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit integration chaos bench audit chart docs structure lock system clean
.PHONY: release release-tools test-release
.PHONY: bench-cluster cluster cluster-faults cluster-build cluster-up cluster-down cluster-shell test-kind
.DELETE_ON_ERROR:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/installed ## A money transfer that is killed in the middle and finishes all the same
	@$(BIN)/python examples/transfer/demo.py

test: $(VENV)/installed system cluster-build ## All tests but for the campaigns (chaos, cluster-faults)
	$(PYTEST) --numprocesses=2 $(CAMPAIGN:%=--ignore=%) tests/unit tests/integration tests/cluster

lint: $(VENV)/installed ## Style, types, import contracts, Dockerfiles, and what the repository must not hold
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/hadolint $(DOCKERFILES)
	$(PYTEST) -q tests/unit/repository

unit: $(VENV)/installed ## Tests of single modules: no server, seconds
	$(PYTEST) tests/unit

integration: $(VENV)/installed system cluster-build ## Tests against real servers and processes
	$(PYTEST) tests/integration

cluster: $(VENV)/installed system cluster-build ## Tests on a real Kubernetes
	$(PYTEST) tests/cluster

cluster-faults: $(VENV)/installed system cluster-build ## Whatever dies under Workflows on that Kubernetes: ten minutes
	$(PYTEST) $(CAMPAIGN)

test-kind: $(VENV)/installed ## The quick start and the tests of the cluster on a fresh kind cluster of three nodes
	@.ci/system-packages kind
	@PERDURE_TEST_KIND=true $(CLUSTER) build
	PERDURE_TEST_KIND=true $(PYTEST) --numprocesses=2 $(NOT_ON_KIND:%=--ignore=%) tests/cluster/kind tests/cluster

cluster-build: $(VENV)/installed system ## Build what that Kubernetes is made of: minutes the first time, then kept
	@$(CLUSTER) build

cluster-up: $(VENV)/installed system ## Start a Kubernetes of two nodes to work with
	@$(CLUSTER) up

cluster-down: $(VENV)/installed ## Stop it
	@$(CLUSTER) down

cluster-shell: $(VENV)/installed ## A shell in which kubectl talks to it
	@$(CLUSTER) shell

chaos: $(VENV)/installed system ## The tests with random faults and random programs, ten times as long
	PERDURE_TEST_SCALE=10 $(PYTEST) --timeout=1800 $(RANDOM)

bench: $(BENCH)/installed ## Measure against the floor and against peers
	$(BENCH)/bin/python benchmarks/run.py $(ARGS)

bench-cluster: $(VENV)/installed system cluster-build ## Measure the operator against bare pods and the bare API
	$(BIN)/python benchmarks/cluster/run.py $(ARGS)

audit: $(AUDIT)/locked ## Ask PyPI for advisories against any of the versions in requirements/
	$(AUDIT)/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes $(LOCKS:%=--requirement %)

chart: $(VENV)/installed ## Write what of the Helm chart is made from other files
	$(BIN)/python -m charts.generate

docs: $(VENV)/installed ## Write what of the documentation is made from other files
	$(BIN)/python -m docs.generate

structure: $(VENV)/installed ## Count circles, folders, hops and plain English beside their aims (ARGS=circles: which)
	@$(BIN)/python -m docs.structure $(ARGS)

lock: $(LOCKER)/installed ## Write requirements/ anew from pyproject.toml (UPGRADE=1: to the newest versions)
	$(call compile,dev,pyproject.toml --extra local --extra operator --group dev)
	$(call compile,test,pyproject.toml --group build --group test --constraints requirements/dev.txt)
	$(call compile,bench,pyproject.toml --extra local --group bench)
	$(call compile,image,pyproject.toml --extra local --extra operator --constraints requirements/dev.txt)
	$(call compile,runtime,pyproject.toml --constraints requirements/dev.txt)
	$(call compile,build,--group build --constraints requirements/dev.txt)
	$(call compile,audit,--group audit --constraints requirements/dev.txt)

release: $(VENV)/installed ## Images and chart to a registry, signed: BASE=NAME:TAG@sha256:... TO=REGISTRY/PATH KEY=cosign.key
	@$(RELEASE) build build/release --base "$(BASE)"
	@$(MAKE) --no-print-directory release-tools
	@PATH="$(abspath $(RELEASE_TOOLS)):$$PATH" $(RELEASE) publish build/release --base "$(BASE)" --to "$(TO)" $(KEY:%=--key=%)

release-tools: ## The programs that a release takes, from Go modules: minutes the first time
	@mkdir -p $(RELEASE_TOOLS)
	@for module in $(RELEASE_MODULES); do \
		GOBIN=$(abspath $(RELEASE_TOOLS)) go install -trimpath -buildvcs=false -ldflags="-s -w" $$module || exit 1; done

test-release: $(VENV)/installed system release-tools ## A release to a registry of this machine, and everything verified
	PERDURE_TEST_RELEASE=$(abspath $(RELEASE_TOOLS)) $(PYTEST) tests/integration/release

system: # The Debian packages that some tests need
	@.ci/system-packages

clean: ## Remove environments, caches and builds
	rm -rf $(VENV) $(BENCH) $(AUDIT) $(LOCKER) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call compile,<file>,<what>): locked with hashes, for every platform, naming no index.
compile = $(LOCKER)/bin/uv pip compile $(2) --output-file requirements/$(1).txt \
	--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --only-binary :all: \
	--custom-compile-command "make lock" --quiet $(if $(UPGRADE),--upgrade)

# A changed lock makes the environment anew, so that nothing stays in it that the lock no longer names.
%/locked:
	python=$$(.ci/find-python) && "$$python" -m venv --clear $*
	$*/bin/python $(PIP_LOCKED) --requirement $<
	@touch $@

$(VENV)/locked: requirements/dev.txt
$(BENCH)/locked: requirements/bench.txt
$(AUDIT)/locked: requirements/audit.txt

%/installed: %/locked pyproject.toml
	$*/bin/python $(PIP_PROJECT) .
	@touch $@

$(LOCKER)/installed: Makefile
	python=$$(.ci/find-python) && "$$python" -m venv --clear $(LOCKER)
	$(LOCKER)/bin/python -m pip --disable-pip-version-check install --quiet uv==$(UV_VERSION)
	@touch $@

.PRECIOUS: %/locked
