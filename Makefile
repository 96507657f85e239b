# `make help` lists the targets. Each sets up what it needs: Python 3.11 or later and make are enough.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
LOCK ?= requirements.lock
FIRST ?= 0
ROUNDS ?= 30
# Two processes where there are two cores; more would only import PyTorch more often.
WORKERS ?= $(if $(filter-out 1,$(CORES)),2,0)
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-21s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) claims/environment.py $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check $(if $(CI),-q) \
	    --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --disable-pip-version-check -q \
	    --no-deps --no-build-isolation --editable .
	@touch $@

# Hypothesis works without its plugin for pytest, which takes a tenth of a second in each process.
quick: $(READY) ## decide every claim that takes moments, and print the verdicts
	@$(BIN)/pytest claims -q -n $(WORKERS) -p no:hypothesispytest

claims: $(READY) ## quick and the slower claims of a CPU, at most three minutes
	@$(BIN)/pytest claims -q -n $(WORKERS) -m "not slow"

test: $(READY) ## all tests, and every claim under every fault
	@$(BIN)/pytest claims -q -n $(WORKERS) -m "not slow" --flips
	@$(BIN)/pytest tests -q -n $(WORKERS) --dist worksteal -rs

# A folder of its own, since a run writes the versions that it judged with into results/verdicts.json.
oldest: ## claims, with the oldest versions that pyproject.toml admits, in build/oldest
	@$(call copied,build/$@)
	@$(MAKE) --no-print-directory -C build/$@ claims VENV=.venv LOCK=requirements.oldest.lock

latest: ## claims, with the latest release of PyTorch, in build/latest
	@$(call copied,build/$@)
	@$(MAKE) --no-print-directory -C build/$@ .venv/ready VENV=.venv
	@build/$@/.venv/bin/python -m pip install --disable-pip-version-check $(if $(CI),-q) \
	    --upgrade torch torchvision
	@$(MAKE) --no-print-directory -C build/$@ claims VENV=.venv

copied = mkdir -p $(1) && rm -rf $(1)/claims $(1)/nin_ref $(1)/results && \
    cp -Rp Makefile README.md LICENSE pyproject.toml requirements*.lock claims nin_ref results $(1)

soak: $(READY) ## the whole grids of cases, then 1000 drawn cases from ROUNDS=30 seeds after FIRST=0
	@$(BIN)/pytest claims -q -n $(WORKERS) -m "not slow" --soak $(FIRST) --whole-grids
	@for round in $$(seq 1 $(ROUNDS)); do $(BIN)/pytest claims -q -n $(WORKERS) -m "not slow" \
	    --soak $$(($(FIRST) + round)) || exit 1; done

data: $(READY) ## download CIFAR-10, CIFAR-100 and MNIST, into NIN_DATA or a cache folder
	@$(BIN)/python -m nin_ref.data

reproduce: $(READY) ## train what training claims lack; ARMS=a,b SEEDS=0-2 BUDGET_MINUTES=60
	@env -u OMP_NUM_THREADS $(BIN)/python -m claims.training reproduce $(if $(ARMS),--arms "$(ARMS)") \
	    $(if $(SEEDS),--seeds "$(SEEDS)") \
	    $(if $(BUDGET_MINUTES),--budget-minutes "$(BUDGET_MINUTES)") \
	    $(if $(TOGETHER),--together "$(TOGETHER)")

examine: $(READY) ## what claims ask of trained networks beyond their predictions, from their weights
	@env -u OMP_NUM_THREADS $(BIN)/python -m claims.training examine

recheck: $(READY) ## verify the runs on a CPU; REPLAY_SECONDS=1800 EXAMINE_SECONDS=1800
	@env -u OMP_NUM_THREADS $(BIN)/python -m claims.training recheck \
	    $(if $(REPLAY_SECONDS),--replay-seconds "$(REPLAY_SECONDS)") \
	    $(if $(EXAMINE_SECONDS),--examine-seconds "$(EXAMINE_SECONDS)")

measure: $(READY) ## make the evidence of measured claims on this machine
	@env -u OMP_NUM_THREADS $(BIN)/python -m claims.measure

coverage-of-documents: $(READY) ## what became of each line; DOCUMENTS=DIR shows the text beside it
	@$(BIN)/python -m claims.coverage $(if $(DOCUMENTS),"$(DOCUMENTS)")

report: $(READY) ## the pages, in build/site; README, badges, errata; DOCUMENTS=DIR shows the text too
	@$(BIN)/python -m claims.report $(if $(DOCUMENTS),--documents "$(DOCUMENTS)")

report-check: $(READY) ## whether README, badges, errata and pages are what the tree gives
	@$(BIN)/python -m claims.report --check

crate: $(READY) ## the evidence as an RO-Crate, in build/evidence.crate.zip
	@mkdir -p build
	@$(BIN)/python -m claims.report.crate build/evidence.crate.zip

# It asks before the checks, which take minutes, and again after them, since they write verdicts.
release: $(READY) ## all checks, then VERSION=x.y.z of the committed verdicts, and how to tag it
	@$(BIN)/python -m claims.report.release "$(VERSION)" --check
	@$(MAKE) --no-print-directory claims test report-check recheck lint
	@$(BIN)/python -m claims.report.release "$(VERSION)"

bench: $(READY) ## how fast the suite is, as ratios measured side by side
	@$(BIN)/python benchmarks/quick.py
	@$(BIN)/python benchmarks/report.py
	@env -u OMP_NUM_THREADS $(BIN)/python -m benchmarks.training

mutation: $(READY) ## change the code in one place at a time: some test must fail (ten minutes)
	@$(BIN)/python tests/mutation.py

lint: $(READY) ## ruff, mypy and zizmor (workflows), all strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/zizmor --offline --quiet --persona auditor --strict-collection .github

clean: ## remove the environment and all caches; results stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build mutants *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help quick claims test oldest latest soak data reproduce examine recheck measure coverage-of-documents report report-check crate release bench mutation lint clean
