# clip-spark: `make help` lists the targets. Needs Python 3.11 or 3.12 and Java 17 or 21; installs the rest into .venv.

VENV   ?= .venv
PYTHON ?= $(shell command -v python3.12 || command -v python3.11 || command -v python3)
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
WORK   ?= demo-out

.DEFAULT_GOAL := help
.PHONY: help install demo serve test check format bench clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## create .venv and install everything into it

# Reinstalled only when what is to be installed has changed; the code itself is installed in place.
$(STAMP): setup.py constraints.txt
	@sh scripts/check_machine.sh "$(PYTHON)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,test,check]'
	@touch $(STAMP)

demo: $(STAMP)  ## run the main job on bundled data (WORK=folder)
	@$(BIN)/clip-spark demo --work $(WORK)

serve: $(STAMP)  ## search page over the demo's indices, after `make demo`
	@$(BIN)/clip-spark serve --index $(WORK)/image-index

test: $(STAMP)  ## all tests
	@$(BIN)/python -m pytest

check: $(STAMP)  ## format, lint, types, layers, imports: no JVM, seconds
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/unit/test_layers.py tests/unit/test_imports.py

format:  ## put the code into shape
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(STAMP)  ## benchmarks against the peers, as JSON and tables (long; installs the peers into their own places)
	@for bench in scripts/bench_*.py; do $(BIN)/python $$bench || exit 1; done

clean:  ## delete .venv and the demo's folder
	rm -rf $(VENV) $(WORK) build *.egg-info
