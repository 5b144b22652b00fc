# `make repro` runs the pipeline, `make test` the tests; both set everything up first.
# any Python 3.11 to 3.13 that is here; another one: make setup PYTHON=/path/to/python
FITS := 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
FOUND = $(foreach name,python3 python3.13 python3.12 python3.11,$(shell $(name) -c $(FITS) 2>/dev/null && echo $(name)))
PYTHON ?= $(firstword $(FOUND))
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
export PATH := $(CURDIR)/$(BIN):$(PATH)
export UV_LINK_MODE ?= hardlink
# bytecode is worth seconds at the start of every stage
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup dev ray nf4 model fetch graph plugins preset bench best-of repro next-round table test test-slow torture check format lock remote push pull

setup: $(VENV)/.ready

# what a run needs
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(BIN)/python -c $(FITS) 2>/dev/null || rm -rf $(VENV)
	@test -x $(UV) || $(PYTHON) -c $(FITS) 2>/dev/null || \
		(echo "versat2i needs Python 3.11 to 3.13$(if $(PYTHON),; $(PYTHON) is none): make setup PYTHON=/path/to/python" && false)
	@test -x $(UV) || ($(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

dev: $(VENV)/.dev

# and what development needs on top: test servers, linters, a browser's driver
$(VENV)/.dev: requirements-dev.lock $(VENV)/.ready
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

ray: $(VENV)/.ray

# `engine: ray` of compute.yaml: docs/cluster.md
$(VENV)/.ray: requirements-ray.lock $(VENV)/.ready
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-ray.lock
	@touch $@

nf4: $(VENV)/.nf4

# `model.quantize: nf4` of params.yaml: docs/models.md. What it needs itself is there
$(VENV)/.nf4: requirements-nf4.lock $(VENV)/.ready
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-nf4.lock
	@touch $@

# trained from nothing where it is not there yet; goes on where it was stopped
MODEL := versat2i/shapes/model/model_index.json
$(MODEL): | $(VENV)/.ready
	python -m versat2i.shapes.pretraining.pretrain

model: $(MODEL)

# every model and metric weight that params.yaml names, ahead of a run that has no network
fetch: setup
	@versat2i fetch

# params for another model: make preset PRESET=sdxl
PRESETS := $(sort $(basename $(notdir $(wildcard presets/*.yaml))))
preset: setup
	@test -f "presets/$(PRESET).yaml" || (echo "PRESET is one of $(PRESETS)" && false)
	@git diff --quiet HEAD -- params.yaml || (echo "params.yaml has changes that are not committed: commit them first" && false)
	cp presets/$(PRESET).yaml params.yaml
	@python -m stages.graph

# inputs, variants, plots and artifacts of dvc.yaml, as params.yaml has them
graph: setup
	@python -m stages.graph

# the code of evaluators that other packages bring, for DVC to track
plugins: setup
	@python -m versat2i.rewards.common.plugins

# speed beside plain diffusers: make bench DEVICE=cuda [BENCH="--model sdxl --batch 4"]
DEVICE := auto
bench: setup
	python -m bench.speed --device $(DEVICE) $(BENCH)

repro: setup $(MODEL)
	@test -d .dvc || (echo "no .dvc here: run this in a clone of the repository" && false)
	@python -m versat2i.tools.repro
	@python -m versat2i.tools.table

# the variant of a finished run beside the best of 2, 4 and 8 images of base: make best-of [VARIANT=uniform]
VARIANT := mixture
best-of: setup
	python -m bench.best_of $(VARIANT)

# the next round begins on a finished one: make next-round [VARIANT=uniform], docs/rounds.md
next-round: setup
	@python -m versat2i.tools.next_round $(VARIANT)
	@python -m stages.graph

table: setup
	@python -m versat2i.tools.table

# a process a core, at most 4, each with whole files: their tests share what they set up; the slow ones come early
test: dev
	pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# what takes minutes: a project that grows, every preset set by DVC key by key, and with a folder for downloads what
# was published: make test-slow PUBLISHED=/tmp/published [MPLUG_OWL2=ENVIRONMENT:WEIGHTS]
test-slow: dev
	$(if $(PUBLISHED),VERSAT2I_PUBLISHED="$(abspath $(PUBLISHED))") $(if $(MPLUG_OWL2),VERSAT2I_MPLUG_OWL2="$(MPLUG_OWL2)") \
		pytest -m slow --numprocesses logical --maxprocesses 4 --dist loadfile

# every fault at every change to a file, KILLS real kills of each stage, every bad input: about half an hour
KILLS := 100
torture: dev
	VERSAT2I_TORTURE=$(KILLS) pytest tests/faults tests/hostile

check: dev
	ruff check .
	ruff format --check .
	mypy

format: dev
	ruff check --fix .
	ruff format .

# one version of a package for all Pythons: environment.json has one
COMPILE = $(UV) pip compile pyproject.toml --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --quiet
lock: setup
	$(COMPILE) -o requirements.lock $(UPGRADE)
	$(COMPILE) --extra dev --constraint requirements.lock -o requirements-dev.lock $(UPGRADE)
	$(COMPILE) --extra ray --constraint requirements.lock -o requirements-ray.lock $(UPGRADE)
	echo 'bitsandbytes>=0.48' | $(UV) pip compile - --no-config --no-deps --universal --generate-hashes --no-emit-index-url \
		--quiet -o requirements-nf4.lock $(UPGRADE)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	python -m versat2i.settings.environment

# Where the team's data lies: make remote URL=s3://BUCKET/FOLDER [ENDPOINT=https://HOST] [REMOTE=NAME];
# keys never go here, but into .dvc/config.local or the environment: docs/team.md
REMOTE := team
remote: setup
	@test -n "$(URL)" || (echo "say where: make remote URL=s3://BUCKET/FOLDER [ENDPOINT=https://HOST]" && false)
	dvc remote add --force $(if $(filter team,$(REMOTE)),--default) $(REMOTE) $(URL)
	@# a damaged object is refused, not checked out
	dvc remote modify $(REMOTE) verify true
	$(if $(ENDPOINT),dvc remote modify $(REMOTE) endpointurl $(ENDPOINT))

# the second line: what the run cache needs beside, docs/team.md
push: setup
	dvc push --run-cache
	python -m versat2i.tools.run_cache

pull: setup
	dvc pull --run-cache
