# The two commands for a newcomer: `make demo` and `make test`. They do all set-up themselves, once.
# Needed on the machine: Python 3.11 or newer with venv, git, make. Without make: see README.md.
.POSIX:
.SUFFIXES:

VENV = .venv
PYTHON = $(VENV)/bin/python
READY = $(VENV)/.ready
ARGS =

help:
	@echo "make demo       a whole night on a small built-in repository: no network, no model, about a minute"
	@echo "make test       the tests, without the slow ones"
	@echo "make test-all   the tests with the slow ones"
	@echo "make test-real-agents  coding agents from npm and PyPI work with a scripted model (installed once, 1 GB)"
	@echo "make lint       ruff: rules and format"
	@echo "make types      pyright, for this platform and for Windows"
	@echo "make contracts  import-linter: the layers"
	@echo "make bench      the figures, printed"
	@echo "make bench-room the figures of the control room, beside a bare Textual app"
	@echo "make bench-gates  what gates cost, beside just, nox, tox, pre-commit and prek (installed on demand)"
	@echo "make bench-canary  how often the canary is wrong: the culprit finder and the judge of health samples"
	@echo "make bench-agents  what agents cost: their libraries, a run beside the bare agent, the loop while eight talk"
	@echo "make bench-guards  what the guards' word on a change costs"
	@echo "make bench-sandbox  what starting a sandbox costs, over the bare command"
	@echo "make bench-text what it costs to make text from outside harmless and free of secrets"
	@echo "make security-docs  runs every attack of the catalogue and writes docs/security.md"
	@echo "make screenshots  the pictures of the control room, drawn anew from a demo's night (PNG needs Chromium)"
	@echo "make lock       writes requirements-dev.lock afresh (needs the network)"
	@echo "make clean      removes the virtual environment and all caches"

demo: $(READY)
	@$(VENV)/bin/swarm demo $(ARGS)

test: $(READY)
	@$(PYTHON) -m pytest -n 2 -q -m "not slow and not real_agents" $(ARGS)

test-all: $(READY)
	@$(PYTHON) -m pytest -n 2 -q -m "not real_agents" $(ARGS)

test-slow: $(READY)
	@$(PYTHON) -m pytest -n 2 -q -m "slow and not real_agents" $(ARGS)

# What cannot be installed is said, and its tests are skipped with the same reason.
test-real-agents: $(READY)
	@$(PYTHON) -m tests.roles.agents.real_agents
	@$(PYTHON) -m pytest -n 2 --dist worksteal -q -rs -m real_agents $(ARGS) tests/roles/agents tests/e2e tests/swarm_tui

lint: $(READY)
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .

types: $(READY)
	@$(PYTHON) -m pyright --pythonpath $(PYTHON)
	@$(PYTHON) -m pyright --pythonpath $(PYTHON) --pythonplatform Windows

contracts: $(READY)
	@$(VENV)/bin/lint-imports

bench: $(READY)
	@$(PYTHON) -m benchmarks $(ARGS)

bench-room: $(READY)
	@$(PYTHON) -m benchmarks room $(ARGS)

bench-gates: $(READY)
	@$(PYTHON) -m benchmarks gates $(ARGS)

# Against a referee of merge trains, if there is one beside this checkout or named by REFEREE=path.
REFEREE ?= $(firstword $(wildcard ../*/tools/train_referee.py))
bench-train: $(READY)
	@$(PYTHON) -m benchmarks.train_table $(REFEREE)

bench-guards: $(READY)
	@$(PYTHON) -m benchmarks treegate $(ARGS)

bench-agents: $(READY)
	@$(PYTHON) -m benchmarks agents planning $(ARGS)

bench-canary: $(READY)
	@$(PYTHON) -m benchmarks culprit judge restoring $(ARGS)

bench-text: $(READY)
	@$(PYTHON) -m benchmarks text $(ARGS)

security-docs: $(READY)
	@$(PYTHON) -m tests.redteam $(ARGS)

bench-sandbox: $(READY)
	@$(PYTHON) -m benchmarks sandbox $(ARGS)

screenshots: $(READY)
	@$(PYTHON) -m screenshots $(ARGS)

# uv resolves for every platform at once; it is needed for nothing else, so it is no part of the lock.
lock: $(READY)
	@$(PYTHON) -m pip install --quiet "uv>=0.8"
	@$(VENV)/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o requirements-dev.lock

clean:
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is newer than what it was made from, so the second call does nothing.
$(READY): requirements-dev.lock pyproject.toml
	@set -e; \
	if [ ! -x $(PYTHON) ]; then \
		chosen=; \
		for each in python3 python3.14 python3.13 python3.12 python3.11 python; do \
			if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then chosen=$$each; break; fi; \
		done; \
		if [ -z "$$chosen" ]; then echo "No Python 3.11 or newer was found: install one and run make again." >&2; exit 1; fi; \
		$$chosen -m venv $(VENV) || { rm -rf $(VENV); echo "Python could not make $(VENV): install its venv module (on Debian: python3-venv) and run make again." >&2; exit 1; }; \
	fi; \
	echo "Installing into $(VENV); this happens once and needs the network ..."; \
	if $(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock >$(VENV)/install.log 2>&1 \
		&& $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . >>$(VENV)/install.log 2>&1; then :; \
	else \
		tail -n 5 $(VENV)/install.log >&2; \
		echo "The installation failed: check the network, see $(VENV)/install.log, and run make again." >&2; exit 1; \
	fi; \
	touch $(READY)

.PHONY: help demo test test-all test-slow test-real-agents lint types contracts bench bench-room bench-gates bench-canary bench-agents bench-guards bench-text bench-train security-docs bench-sandbox screenshots lock clean
