# Two commands do everything: `make demo` and `make test`. Both set the environment up first, once.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
CORES ?= all
CONFIG ?= config/demo.yaml
TESTS ?= tests
TEST_PROCESSES ?= 2
VENV := .venv
BIN := $(abspath $(VENV))/bin
LOCKS := envs/bootstrap.txt envs/requirements.txt envs/requirements-detectron2.txt
READY := $(VENV)/.ready
# Snakemake with a live line for each job, after the locks of a killed one are removed: run with the arguments of the first,
# then those of the second.
start = python scripts/unlock.py $(1) && python scripts/run.py $(1) $(2)
# A program that a rule starts must find the project's interpreter first, whatever the shell has active.
export PATH := $(BIN):$(PATH)

.PHONY: help env init demo demo-objects smoke run plan data report test test-kills test-conda test-cluster test-peers benchmark lint format docs lock clean-env

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

env: $(READY)  ## create .venv from the locked, hashed requirements (instant the second time)

$(READY): $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "make env: Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + "; name another with PYTHON=...")'
	echo "Setting up $(VENV) (about 6 GB, once) ..."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement envs/bootstrap.txt
	export UV_COMPILE_BYTECODE=1 VIRTUAL_ENV=$(abspath $(VENV))
	$(BIN)/uv pip sync --quiet --require-hashes envs/requirements.txt
	site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	$(BIN)/uv pip install --quiet --no-deps --require-hashes --python-version 3.10 --target "$$site" --requirement envs/requirements-detectron2.txt
	touch $@
	echo "$(VENV) is ready."

demo: $(READY)  ## run the whole chain on the embedded, rendered data set, and print its tables
	@$(call start,--configfile config/demo.yaml,--cores $(CORES))
	python scripts/show_results.py --config config/demo.yaml

demo-objects: $(READY)  ## the same for objects: boxes of rendered things, a threshold for each category
	@$(call start,--configfile config/demo-objects.yaml,--cores $(CORES))
	python scripts/show_results.py --config config/demo-objects.yaml

smoke: $(READY)  ## the paper's whole grid, small: every row, table and figure, a few iterations each (10 minutes of CPU time)
	@$(call start,--configfile config/smoke.yaml,--cores $(CORES))
	python scripts/show_results.py --config config/smoke.yaml
	echo "Time in all: $$((SECONDS / 60)) min $$((SECONDS % 60)) s"

run: $(READY)  ## run a config of your choice: make run CONFIG=config/coco-mini.yaml
	@$(call start,--configfile $(CONFIG),--cores $(CORES))
	python scripts/show_results.py --config $(CONFIG)

init: $(READY)  ## look at your own data and write a config: make init LABELLED=train.json POOL=photos (VAL= IMAGES= OUTPUT= TASK= PRESET= ITERATIONS=)
	@if [ -z "$(LABELLED)" ] || [ -z "$(POOL)" ]; then
	  echo "error: name your data: make init LABELLED=(COCO JSON, YOLO, Pascal VOC, Label Studio, CVAT) POOL=(a folder of images)" >&2
	  exit 2
	fi
	python scripts/init.py --labelled "$(LABELLED)" --pool "$(POOL)" $(if $(VAL),--val "$(VAL)") $(if $(IMAGES),--images "$(IMAGES)") \
	  $(if $(OUTPUT),--output "$(OUTPUT)") $(if $(TASK),--task "$(TASK)") $(if $(PRESET),--preset "$(PRESET)") \
	  $(if $(ITERATIONS),--iterations "$(ITERATIONS)")

plan: $(READY)  ## what a config will cost before it runs: make plan CONFIG=config/paper.yaml
	@python scripts/plan.py --config $(CONFIG)

data: $(READY)  ## fetch, sample and check all data of a config, and train nothing: make data CONFIG=config/paper.yaml
	@$(call start,--configfile $(CONFIG),--cores $(CORES) -- data)

report: $(READY)  ## run a config and put its results into one HTML file, results/RUN/report.html: make report CONFIG=config/demo.yaml
	@$(call start,--configfile $(CONFIG),--cores $(CORES) -- report_pages)
	run=$$(python -c 'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["run"])' $(CONFIG))
	snakemake --cores 1 --configfile $(CONFIG) --quiet all --report results/$$run/workflow-report.html -- report_pages
	echo "Report: results/$$run/report.html (what Snakemake says of the workflow: workflow-report.html beside it)"

test: lint  ## lint, and all tests, end to end included
	@export OMP_NUM_THREADS=1
	python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadscope $(TESTS)

benchmark: $(READY)  ## how fast this machine plans the configs, and trains and labels with the paper's ResNet-50 (benchmarks/README.md)
	@PYTHONPATH=scripts python benchmarks/dry_runs.py --config config/demo.yaml config/paper.yaml --output benchmarks/results/dry_runs.json
	for task in keypoints objects; do
	  PYTHONPATH=scripts python benchmarks/network_speed.py --task $$task --output benchmarks/results/$$task.json
	done
	if [ -d ../shared/data/coco-mini ]; then
	  PYTHONPATH=scripts python benchmarks/speed_ratios.py --output benchmarks/results/speed_ratios.json
	else
	  echo "benchmarks/speed_ratios.py is left out: it wants the photographs of ../shared/data/coco-mini (docs/data.md)"
	fi

test-kills: $(READY)  ## 20 kills of small runs at random moments; all files as without them (minutes)
	@python tests/kills/kill_runs.py --kills 20

test-conda: $(READY)  ## the chain inside the conda environments (network; without a conda on PATH a stand-in solves them)
	@tests/conda/run.sh

test-cluster: $(READY)  ## the chain on a real Slurm with two fake GPUs (Debian, root: installs Slurm, and removes it again)
	@tests/cluster/run.sh

test-peers: $(READY)  ## exported labels, read back by the libraries others read them with (network: about 800 MB, once)
	@tests/peers/run.sh -q

lint: $(READY)  ## what style, docs and Snakemake have to say
	@ruff check
	ruff format --check
	snakefmt --check Snakefile rules
	python scripts/document_config.py --check
	snakemake --lint --configfile config/demo.yaml

format: $(READY)  ## put code and rules into the project's format
	@ruff check --fix --quiet
	ruff format
	snakefmt Snakefile rules

docs: $(READY)  ## write config/README.md from the statement of the config
	@python scripts/document_config.py

clean-env:  ## remove .venv
	rm -rf $(VENV)

lock: $(READY)  ## resolve envs/*.in again and write the locked requirements (no download addresses)
	for name in bootstrap requirements; do
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	    envs/$$name.in --output-file envs/$$name.txt
	done
