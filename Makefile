# `make` or `make help` lists what there is. Everything stays in this folder: the environment in .venv, nothing system-wide but
# what `make test` says that it installs.

PYTHON ?= python3
BIN := .venv/bin
PACKAGE := .[embedded,data,tracing,dev]
SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help install demo test chaos fuzz load image-check lint sbom audit bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed ## the rflow command in .venv, with pip alone

demo: install ## a year of real shopping through the whole system in two minutes, then a promotion's evening in the war room
	$(BIN)/rflow demo

# Much of the suite waits for servers and sessions: three at a time, each with servers of its own. It starts hundreds of processes, which
# must not each compile the sources anew.
test: install ## the whole suite, on real servers; ARGS="-k sink" runs a part
	$(BIN)/python -m tests.prerequisites
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=15 $(ARGS)

fuzz: install ## hostile input without end against decode and fold: SECONDS=3600, ARGS="--decode"
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

load: install ## the load tests at full size: ten million records of backlog, a million newcomers, a minute of 56 times the traffic
	$(BIN)/python -m tests.prerequisites
	LOAD=full $(BIN)/python -m pytest tests/load -s $(ARGS)

chaos: install ## the fault campaign, one seed after the other: make chaos SEEDS=1-200 ARGS="--json FILE"
	$(BIN)/python -m tests.prerequisites
	$(BIN)/python -m tests.chaos --seeds $(or $(SEEDS),1-4) $(ARGS)

image-check: install ## the image's own steps in a Debian root made by debootstrap, and `rflow demo --check` in it; needs root
	$(BIN)/python -m tests.image $(ARGS)

lint: install ## what must hold of every line: ruff, its format, mypy --strict, hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/python -m tests.licences

sbom: .venv/tools/installed ## sbom.json: what is installed in .venv, with versions and licences, as CycloneDX
	.venv/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-format JSON --output-file sbom.json .venv

# Strict: else a package that the service does not know, or a mirror without advisories, would pass for one without weaknesses.
audit: .venv/tools/installed ## known weaknesses of every pinned package; asks PyPI's advisory service, and fails where it is not reached
	.venv/tools/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip \
	  || { echo "make audit: a weakness, or PyPI's advisory service was not reached or does not know a package: see above" >&2; exit 1; }

bench: install ## how fast it is on this machine
	$(BIN)/python -m bench $(ARGS)

lock: ## write constraints.txt anew, with the newest versions pyproject.toml allows
	rm -rf .venv/lock && $(PYTHON) -m venv .venv/lock
	.venv/lock/bin/python -m pip install --quiet '.[embedded,data,tracing,dev,fuzz,audit]'
	head -1 constraints.txt > .venv/lock/constraints.txt
	.venv/lock/bin/python -m pip freeze --exclude rflow >> .venv/lock/constraints.txt
	mv .venv/lock/constraints.txt constraints.txt && rm -rf .venv/lock

clean: ## remove all that was made: .venv, caches, built packages
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist sbom.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The build's own packages come first, so that they too are the pinned ones.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rflow needs Python 3.11 or later: make PYTHON=python3.x")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation -e '$(PACKAGE)'
	@touch $@

# Apart from .venv: what looks at the packages is not one of them.
.venv/tools/installed: .venv/installed
	$(PYTHON) -m venv .venv/tools
	.venv/tools/bin/python -m pip install --quiet -c constraints.txt cyclonedx-bom pip-audit
	@touch $@
