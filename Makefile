# Trainyard. `make demo` and `make test` do all the set-up they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
KRAKEN := .venv-kraken
KRAKEN_STAMP := $(KRAKEN)/.installed
CAPTIONS := .venv-captions
RAY := .venv-ray
# tests that have a target of their own: a marker each
OWN := slow console kraken captions yolo infer postgres deploy slurm ray
EMPTY :=

.PHONY: help setup demo kraken test $(addprefix test-,$(OWN)) chromium lint types arch bench docs check clean

help:
	@echo "make demo       set up, then train the bundled small diffusion model through the API"
	@echo "make test       set up, then run the tests"
	@echo "make test-console  the web console in a real Chromium, which is installed where it can be"
	@echo "make test-slow  the tests that take minutes (chaos, flood, a million points)"
	@echo "make kraken      an environment for OCR trainings, in $(KRAKEN) (1.6 GB)"
	@echo "make test-kraken set up both, then the tests that really train with kraken"
	@echo "make test-captions  the florence2 captioner, with transformers in $(CAPTIONS)"
	@echo "make test-yolo  real YOLO trainings on the CPU (some minutes)"
	@echo "make test-slurm  jobs on a real Slurm of two nodes on loopback (needs root; installs slurm-wlm and munge)"
	@echo "make test-ray    jobs on a real Ray on loopback, in $(RAY) (0.4 GB)"
	@echo "make test-postgres  the tests of the store, of the dialects and of two services, over PostgreSQL"
	@echo "make test-deploy  the service behind a real nginx, as deploy/ has it"
	@echo "make test-infer inference with real models, its videos played in Chromium"
	@echo "make check      lint, types and layers"
	@echo "make bench      measure, as ratios to a baseline of the same run"
	@echo "make docs       write docs/openapi.json"

setup: $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trainyard needs Python 3.11 or newer; set PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (the first time takes a minute or two) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

kraken: $(KRAKEN_STAMP)
	@echo "kraken is there: export TRAINYARD_KRAKEN_PYTHON=$(CURDIR)/$(KRAKEN)/bin/python"

$(KRAKEN_STAMP): requirements/kraken.txt requirements/kraken-constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14) and "kraken needs Python 3.10 to 3.13; set PYTHON=...")'
	@test -x $(KRAKEN)/bin/python || $(PYTHON) -m venv $(KRAKEN)
	@echo "Installing kraken into $(KRAKEN) (some minutes) ..."
	@$(KRAKEN)/bin/pip install --quiet --disable-pip-version-check -r requirements/kraken.txt -c requirements/kraken-constraints.txt
	@touch $@

demo: setup
	@$(BIN)/python examples/demo.py

test: setup
	$(BIN)/python -m pytest -m "not ($(subst $(EMPTY) $(EMPTY), or ,$(OWN)))"

test-console: setup chromium
	$(BIN)/python -m pytest -m console tests/console

chromium:
	@.ci/need chromium chromium fonts-liberation fonts-noto-cjk

test-slow: setup
	$(BIN)/python -m pytest -m slow

test-kraken: setup kraken
	TRAINYARD_KRAKEN_PYTHON=$(CURDIR)/$(KRAKEN)/bin/python $(BIN)/python -m pytest -m kraken tests/kraken

test-captions: $(CAPTIONS)/.installed
	$(CAPTIONS)/bin/python -m pytest -m captions tests/captions

# over the packages of $(VENV): transformers and what it brings, 190 MB
$(CAPTIONS)/.installed: requirements/captions.txt $(STAMP)
	@test -x $(CAPTIONS)/bin/python || $(PYTHON) -m venv $(CAPTIONS)
	@$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' > \
	  "$$($(CAPTIONS)/bin/python -c 'import site; print(site.getsitepackages()[0])')/base.pth"
	@$(CAPTIONS)/bin/pip install --quiet --disable-pip-version-check -r requirements/captions.txt -c constraints.txt
	@touch $@

test-yolo: setup
	$(BIN)/python -m pytest -m yolo tests/yolo

test-slurm: setup
	@.ci/need slurmctld slurm-wlm munge
	$(BIN)/python -m pytest -m slurm tests/slurm

# where Ray cannot be had the tests fail and say why
test-ray: setup
	@$(MAKE) --no-print-directory $(RAY)/.installed || echo "ray could not be installed"
	$(BIN)/python -m pytest -m ray tests/ray

$(RAY)/.installed: requirements/ray.txt
	@test -x $(RAY)/bin/python || $(PYTHON) -m venv $(RAY)
	@echo "Installing Ray into $(RAY) (half a minute) ..."
	@$(RAY)/bin/pip install --quiet --disable-pip-version-check -r requirements/ray.txt
	@touch $@

# the store, what supervises, three dialects and the whole way of a job; other code never sees which database it is
POSTGRES_SELECTION := $(addprefix tests/unit/test_,store_feed.py store_jobs.py store_lists.py store_metrics.py \
  queue.py migrate.py accounts.py ingest.py supervisor.py webhooks.py admin.py) \
  $(addprefix tests/dialects/test_,training_v1.py jobs.py auth.py ocr_status.py webhooks.py) \
  tests/acceptance/test_lifecycle.py

test-postgres: setup
	@.ci/need initdb postgresql
	$(BIN)/python -m pytest -m "postgres and not slow" tests/unit tests/acceptance
	TRAINYARD_TEST_DATABASE=postgres $(BIN)/python -m pytest -m "not slow and not postgres and not deploy" $(POSTGRES_SELECTION)

test-deploy: setup
	@.ci/need nginx nginx-light
	$(BIN)/python -m pytest -m deploy tests/acceptance

test-infer: setup chromium
	$(BIN)/python -m pytest -m infer tests/infer

check: lint types arch

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

arch: setup
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m benchmarks

docs: setup
	$(BIN)/python -m api.routes.documentation > docs/openapi.json

clean:
	rm -rf $(VENV) $(KRAKEN) $(CAPTIONS) $(RAY)
