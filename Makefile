# Everything a person or CI calls. `make demo` and `make test` set themselves up on a fresh machine with Python >= 3.11.
STACK ?= local
TASKS ?= 4
WRITES ?= 40
INTERVAL ?= 0.5
ADVISORIES ?= --vulnerability-service pypi
STACKS := $(patsubst Pulumi.%.yaml,%,$(wildcard Pulumi.*.yaml))

# The engine looks for uv, too.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
UV := $(or $(shell command -v uv),.tools/bin/uv)
PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo faults reap bench rows costs handoff test lint types unit experiments plan audit lock

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

.tools/bin/uv:
	python3 -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

setup: $(filter .tools/%,$(UV)) ## the virtual environment, from the lock file
	$(UV) sync --locked --quiet

# The trap ends the local stack on success, on failure and on Ctrl-C alike; KEEP=1 leaves it up to look at.
demo: setup ## deploy stack local, change items, account for every delivery, tear down (TASKS= WRITES= INTERVAL= KEEP=1)
	@set -e; \
	$(PYTHON) -m local up --stack $(STACK) --config tasksMin=$(TASKS); \
	$(if $(KEEP),,trap '$(PYTHON) -m local down --stack $(STACK)' EXIT; trap 'exit 130' INT TERM;) \
	$(PYTHON) -m bench run --stack $(STACK) --writes $(WRITES) --interval $(INTERVAL)

# Twelve tasks at most, since the schedule scales the service from 8 to 12 and to 6.
faults: setup ## break the local stack under writes, and account for every acknowledged one (SEED=)
	@set -e; \
	$(PYTHON) -m local up --stack local --config tasksMin=8 --config tasksMax=12; \
	trap '$(PYTHON) -m local down --stack local' EXIT; trap 'exit 130' INT TERM; \
	$(PYTHON) -m bench faults --stack local $(if $(SEED),--seed $(SEED))

reap: setup ## poison one task, then all, and time what the reaper makes of it (SEED=)
	@set -e; \
	$(PYTHON) -m local up --stack local --config tasksMin=8; \
	trap '$(PYTHON) -m local down --stack local' EXIT; trap 'exit 130' INT TERM; \
	$(PYTHON) -m bench reap --stack local $(if $(SEED),--seed $(SEED))

bench: setup ## our own parts' speed as ratios to bare programs, in one run
	@set -e; \
	$(PYTHON) -m tests.program.measure; \
	$(PYTHON) -m local up --stack local --config tasksMin=20; \
	trap '$(PYTHON) -m local down --stack local' EXIT; trap 'exit 130' INT TERM; \
	$(PYTHON) -m bench speed --stack local

handoff: setup ## one function hands another messages in four ways, side by side (PRESET=epsagon)
	@set -e; \
	$(PYTHON) -m local up --stack handoff; \
	trap '$(PYTHON) -m local down --stack handoff' EXIT; trap 'exit 130' INT TERM; \
	$(PYTHON) -m bench handoff --stack handoff $(if $(PRESET),--preset $(PRESET))

# One stack after the other: what one variant does would disturb the next. A run that lost something exits 1 and has its
# row; one that broke off has no result, and no row.
rows: setup ## every variant, entry and hand-off, one after the other, as the rows of one table (TASKS= WRITES= INTERVAL=)
	@set -e; status=0; \
	down() { $(PYTHON) -m local down --stack $$stack; }; trap down EXIT; trap 'exit 130' INT TERM; \
	up() { stack=$$1; shift; $(PYTHON) -m local up --stack $$stack "$$@"; }; \
	latest() { readlink results/latest || :; }; \
	take() { before=$$(latest); $(PYTHON) -m bench "$$@" --stack $$stack || status=$$?; \
	  [ "$$(latest)" = "$$before" ] || rows="$$rows results/$$(latest)"; }; \
	run() { take run --writes $(WRITES) --interval $(INTERVAL) "$$@"; }; \
	up local --config tasksMin=$(TASKS); run; run --entry appsync; down; \
	up local --config tasksMin=$(TASKS) --config 'variants=["poll"]'; run; down; \
	up local --config tasksMin=$(TASKS) --config 'variants=["lambda","bus"]'; run; down; \
	up handoff; take handoff; \
	$(PYTHON) -m bench rows $$rows; exit $$status

costs: setup ## write the documents' figures anew, from the cost model
	$(PYTHON) -m bench.documents

test: setup lint types unit ## lint, types, and all tests but those of `make experiments`

lint: setup ## ruff
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types: setup ## basedpyright, strict where the product is
	$(PYTHON) -m basedpyright

# Three, since tests on processes wait as often as they compute.
unit: setup
	$(PYTHON) -m pytest -n 3 --no-loadscope-reorder -m 'not stack'

experiments: setup ## the experiments that take minutes, as tests: faults, reaper, redriver, hand-off on whole stacks
	$(PYTHON) -m pytest -n 2 --no-loadscope-reorder -m stack

plan: setup ## preview every stack with the policy pack: no account, no network
	@status=0; for stack in $(STACKS); do \
	  printf '### `%s`\n\n```\n' "$$stack"; \
	  $(PYTHON) -m local preview --stack "$$stack" || status=1; \
	  printf '```\n\n'; \
	done; exit $$status

# Not part of `test`: it asks a service. What that service does not know, or cannot be asked, is an error, not a pass.
audit: setup ## known vulnerabilities of what the image installs, as PyPI tells them (ADVISORIES=)
	$(PYTHON) -m pip_audit --requirement container/requirements.txt --require-hashes --disable-pip --strict \
	  --progress-spinner off $(ADVISORIES)

lock: ## after a change of dependencies: the lock file, and what the image installs
	$(UV) lock
	$(UV) export --quiet --only-group container --no-emit-project --format requirements-txt --output-file container/requirements.txt
