# clip-spark: `make help` lists the targets. Needs Python 3.11, 3.12 or 3.13 and Java 17 or 21; installs the rest into .venv.

VENV   ?= .venv
# The first that runs and is of a supported version: a version manager's shim may be on the path and start nothing.
PYTHON ?= $(shell for python in python3.12 python3.11 python3.13 python3; do sh scripts/check_machine.sh python $$python && echo $$python && break; done)
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
WORK   ?= demo-out

.DEFAULT_GOAL := help
.PHONY: check-js notebooks fuzz fuzz-index help install demo serve test test-unit test-spark test-failed release test-spark35 install-spark35 test-long fuzz-pictures
.PHONY: test-older-stack install-older-stack serve-load fuzz-api fuzz-conditions fault-suite faulty-web life check docs format bench clean

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP)  ## create .venv and install everything into it

# autofaiss has a line of its own: its metadata asks for an older numpy and pandas than it needs (README). Reinstalled only
# when what is to be installed has changed; the code itself is installed in place. All is compiled, on all
# cores (pip would use one): where PYTHONDONTWRITEBYTECODE is set, every worker would else compile torch again, 3 seconds
# each time. Tests of packages, and files that are no Python of today, stay as they are.
COMPILE := $(BIN)/python -m compileall -q -j 0 -x '/tests/'
$(STAMP): setup.py constraints.txt
	@sh scripts/check_machine.sh all "$(PYTHON)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[all,test,check,docs]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt --no-deps autofaiss embedding-reader
	@$(COMPILE) $(VENV)/lib clip_spark jobs scripts tests >/dev/null || true
	@touch $(STAMP)

demo: $(STAMP)  ## run the main job on bundled data (WORK=folder)
	@$(BIN)/clip-spark demo --work $(WORK)

serve: $(STAMP)  ## search page over the demo's indices, after `make demo`
	@$(BIN)/clip-spark serve --index pictures=$(WORK)/image-index --index words=$(WORK)/ngram-index

# Two processes, a file of tests in one of them; in the order of collection, so that clusters and Spark come first: most of
# their time is waiting, which the other process uses. Each computes with one thread: more would wait for each other's cores.
PYTEST_TWICE := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(STAMP)  ## all tests, two at a time
	@$(PYTEST_TWICE)

test-unit: $(STAMP)  ## the tests without Spark, services or a browser: a minute
	@$(BIN)/python -m pytest tests/unit

test-spark: $(STAMP)  ## the tests that start a local Spark
	@$(BIN)/python -m pytest tests/spark

test-failed: $(STAMP)  ## only those that failed the last time
	@$(BIN)/python -m pytest --last-failed --last-failed-no-failures none

# The oldest Spark that we support, put before the newest on the path; everything else stays installed once.
SPARK35 := $(VENV)/spark35
$(SPARK35)/.installed: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-compile --upgrade --target $(SPARK35) pyspark==3.5.9
	@$(COMPILE) $(SPARK35)/pyspark >/dev/null || true
	@touch $@

# One of each way in which steps use Spark: shuffles, tasks with receipts, the distributed build of an index, data frames.
ON_35 := $(addprefix tests/spark/test_,count.py tasks.py tag_images.py search_index.py filter_ngrams.py api_on_spark.py \
	append.py::test_lists_leave_out_what_is_known_or_was_taken_down)

install-spark35: $(SPARK35)/.installed

test-spark35: $(SPARK35)/.installed  ## each way of using Spark once, on Spark 3.5
	@PYTHONPATH=$(SPARK35) $(PYTEST_TWICE) $(ON_35)

# The older generation, as pip alone resolves it (setup.py: AUTOFAISS), put before the newer on the path like Spark 3.5.
OLDER := $(VENV)/older-stack
$(OLDER)/.installed: $(STAMP)
	@rm -rf $(OLDER)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --target $(OLDER) '.[autofaiss]' 'python-dateutil<3' # botocore's
	@rm -rf $(OLDER)/clip_spark* $(OLDER)/bin build/lib build/bdist*
	@$(COMPILE) $(OLDER) >/dev/null || true
	@touch $@

# What stores, reads, trains and searches; and distributed builds.
ON_OLDER := $(addprefix tests/unit/test_,index_autofaiss.py golden.py compact.py record_schema.py conditions.py) \
	tests/spark/test_append.py::test_lists_leave_out_what_is_known_or_was_taken_down

install-older-stack: $(OLDER)/.installed

test-older-stack: $(OLDER)/.installed  ## what stores, trains and searches, on numpy 1, pandas 2, pyarrow 25 and faiss 1.13
	@PYTHONPATH=$(OLDER) $(PYTEST_TWICE) $(ON_OLDER)

test-long: $(STAMP) $(SPARK35)/.installed  ## variants that CI leaves out, and all Spark tests on Spark 3.5 (half an hour)
	@$(PYTEST_TWICE) -m long
	@CORPORA=300 $(BIN)/python -m pytest tests/unit/test_ngrams_any_split.py
	@PYTHONPATH=$(SPARK35) $(PYTEST_TWICE) -m 'long or not long' tests/spark

fuzz-pictures: $(STAMP)  ## 25,000 damaged pictures, 10,000 damaged archives and 15,000 odd tars (an hour)
	@MUTATIONS=5000 $(BIN)/python -m pytest --timeout 7200 tests/unit/test_picture_fuzz.py

fuzz-index: $(STAMP)  ## 5,000 damaged Faiss files, as import-index reads and adopt-index serves them (an hour)
	@MUTATIONS=5000 $(BIN)/python -m pytest --timeout 7200 tests/unit/test_imported_index.py -k damaged

fuzz-conditions: $(STAMP)  ## 10,000 random and 10,000 hostile conditions against DuckDB (10 minutes)
	@CONDITIONS=10000 $(BIN)/python -m pytest --timeout 3600 tests/unit/test_conditions_fuzz.py

fault-suite: $(STAMP)  ## kills, storms and outages in every step, compared with the undisturbed result (an hour)
	@$(BIN)/python -m tests.faults.suite --write docs/faults.md

faulty-web: $(STAMP)  ## 100,000 links of which more than half go wrong, on loopback: each ends as it must (15 minutes)
	@nice $(BIN)/python -m tests.faults.links

life: $(STAMP)  ## commands on datasets in any order, killed and interleaved at every write, on a disk and on S3 (hours)
	@CLIP_SPARK_LIFE_EXAMPLES=1000 CLIP_SPARK_LIFE_EXAMPLES_S3=100 CLIP_SPARK_LIFE_PAIRS=1 $(BIN)/python -m pytest \
		tests/unit/test_each_command_after_each.py tests/unit/test_life_of_an_index.py tests/unit/test_life_of_a_folder.py \
		tests/storage/test_life_on_s3.py

check: $(STAMP)  ## format, lint, types, layers, imports: no JVM, seconds
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/unit/test_rooms.py tests/unit/test_imports.py tests/unit/test_drawn.py

check-js:  ## types of the page's modules, as their comments say them; needs Node, which nobody needs who installs or serves
	@command -v npx >/dev/null || { echo "check-js needs Node (npx); nothing was checked."; exit 1; }
	@npx --yes -p typescript@5.9.3 tsc --allowJs --checkJs --noEmit --target es2022 --module es2022 --moduleResolution bundler \
		--lib es2022,dom,dom.iterable clip_spark/web/static/*.js && echo "check-js: no errors"

docs: $(STAMP)  ## the documentation as a site in build/site; a broken link is an error
	@$(BIN)/python scripts/make_docs.py

format: $(STAMP)  ## put the code into shape, draw the map and the stub anew
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .
	@$(BIN)/python scripts/draw_map.py && $(BIN)/python scripts/make_stub.py && $(BIN)/python scripts/write_tables.py

notebooks: $(STAMP)  ## run the notebooks over the demo and write what they show to docs/notebooks, after `make demo`
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[notebooks]'
	@$(BIN)/python scripts/make_notebooks.py --demo $(WORK)

fuzz: $(STAMP)  ## 5,000 mutated files of every format through the readers of texts and tables (an hour)
	@$(BIN)/python scripts/fuzz_readers.py --files 5000

fuzz-api: $(STAMP)  ## requests that schemathesis makes from openapi.json, to a server over the demo, after `make demo` (10 minutes)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	@$(BIN)/python scripts/fuzz_api.py --demo $(WORK)

MINUTES ?= 60
serve-load: $(STAMP)  ## visitors, attackers and faults for a server over the demo, after `make demo` (MINUTES=60)
	@$(BIN)/python scripts/serve_load.py --demo $(WORK) --minutes $(MINUTES)

BENCH ?= build/bench
bench: $(STAMP)  ## benchmarks against the peers, and the docs' tables of them (an hour; a quiet machine; PEER=python with clip-retrieval)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@test -d $(BENCH)/corpus || $(BIN)/python scripts/make_bench_corpus.py $(BENCH)/corpus
	@$(BIN)/python scripts/bench_ngrams.py $(BENCH)/corpus --json $(BENCH)/ngrams.json
	@$(BIN)/python scripts/bench_encode.py --work $(BENCH)/encode --json $(BENCH)/encode.json $(if $(PEER),--peer-python $(PEER))
	@test -d $(BENCH)/index || $(BIN)/python scripts/bench_index.py make --work $(BENCH)/index
	@$(BIN)/python scripts/bench_index.py run --work $(BENCH)/index --json $(BENCH)/index_100k.json
	@test -d $(BENCH)/million || $(BIN)/python scripts/bench_index.py make --rows 1000000 --work $(BENCH)/million
	@$(BIN)/python scripts/bench_index.py run --work $(BENCH)/million --candidates ours,faiss --json $(BENCH)/index_1m.json
	@test -d $(BENCH)/serve || $(BIN)/python scripts/bench_serve.py make --work $(BENCH)/serve
	@$(BIN)/python scripts/bench_serve.py run --work $(BENCH)/serve --json $(BENCH)/serve.json $(if $(PEER),--peer-python $(PEER))
	@$(BIN)/python scripts/write_tables.py --take $(BENCH)

release: $(STAMP)  ## wheel and sdist in dist/, checked in a fresh environment
	@$(BIN)/python scripts/check_release.py dist

clean:  ## delete .venv and the demo's folder
	rm -rf $(VENV) $(WORK) build *.egg-info
