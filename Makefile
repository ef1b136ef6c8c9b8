# Every target sets up what it needs; the only thing to have is Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
PIP := -m pip install --quiet --disable-pip-version-check -c constraints.txt

PLAYER := .venvs/decoder
PLAYER_STAMP := $(PLAYER)/.stamp
SOURCES := $(shell find decoder encoder conformance/nvrc_conformance output bench cli -type f -not -name '*.pyc') pyproject.toml

# COVER=1 measures coverage; it makes the tests slower, and both runs add to the same data.
COVER ?=
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(if $(COVER),--cov --cov-append --cov-report=)

DEMO_PRESET ?= draft
DEMO_ARGS ?=
FUZZ_CASES ?= 20000
FUZZ_SEED := $(shell date +%s)
FUZZ_STREAM ?= nano-two-gops

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full coverage lint fuzz bench wheel check-install check-lowest measure-install ten-kills clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(STAMP) ## create .venv with the pinned versions

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) -e ".[encoder,bench,dev]"
	touch $@

wheel: out/wheel/.stamp ## build the wheel into out/wheel

out/wheel/.stamp: $(STAMP) $(SOURCES) README.md LICENSE
	rm -rf out/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w out/wheel .
	touch $@

$(PLAYER_STAMP): out/wheel/.stamp constraints.txt
	test -x $(PLAYER)/bin/python || $(PYTHON) -m venv $(PLAYER)
	$(PLAYER)/bin/python $(PIP) --force-reinstall --no-deps out/wheel/nvrc_ref-*.whl
	wheel=$$(echo out/wheel/nvrc_ref-*.whl) && $(PLAYER)/bin/python $(PIP) "$$wheel[cpu]"
	touch $@

demo: $(STAMP) $(PLAYER_STAMP) ## encode the demo clip, decode it without PyTorch, compare, draw out/demo.png
	mkdir -p out
	$(BIN)/nvrc-ref encode demo/city_352x200.mp4 -o out/demo.nvrc --preset $(DEMO_PRESET) $(DEMO_ARGS) \
	    --report out/demo.json
	@! $(PLAYER)/bin/python -c "import torch" 2>/dev/null || { echo "PyTorch is in $(PLAYER)"; exit 1; }
	$(PLAYER)/bin/nvrc-ref decode out/demo.nvrc -o out/demo.y4m
	$(PLAYER)/bin/nvrc-ref info out/demo.nvrc
	$(BIN)/python demo/compare.py demo/city_352x200.mp4 out/demo.y4m --report out/demo.json -o out/demo.png

test: $(STAMP) ## run the tests that take a few minutes
	$(PYTEST) -m "not full"

test-full: $(STAMP) ## run the tests that make test leaves out
	$(PYTEST) -m full

coverage: $(STAMP) ## hold the floors of branch coverage, after make test COVER=1 and make test-full COVER=1
	$(BIN)/python tools/lint/coverage_floors.py

lint: $(STAMP) ## ruff, mypy, who may import whom, sizes of files and functions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/lint/sizes.py

fuzz: $(STAMP) ## mutate a golden stream FUZZ_CASES times with a new seed; none may crash, hang or decode wrongly
	mkdir -p out
	@echo "seed $(FUZZ_SEED)"
	OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz/run_cases.py conformance/streams/$(FUZZ_STREAM).nvrc \
	    --mutations $(FUZZ_CASES) --seed $(FUZZ_SEED) > out/fuzz.json
	@$(BIN)/python -m json.tool out/fuzz.json
	@$(BIN)/python -c "import json, sys; sys.exit(any(part['faults'] for part in json.load(open('out/fuzz.json')).values() \
	    if isinstance(part, dict)))"

bench: $(STAMP) ## entropy decoding and synthesis speed on this machine
	for script in entropy synthesis; do OMP_NUM_THREADS=1 $(BIN)/python tools/benchmarks/$$script.py || exit 1; done

check-install: $(STAMP) out/wheel/.stamp ## install the wheel alone, with [cpu] and with [cuda], and decode everywhere
	$(PYTHON) tools/install/check_install.py out/wheel/nvrc_ref-*.whl

check-lowest: $(STAMP) out/wheel/.stamp ## decode with the lowest versions that pyproject.toml allows
	$(PYTHON) tools/install/check_lowest.py out/wheel/nvrc_ref-*.whl

measure-install: $(STAMP) out/wheel/.stamp ## packages, megabytes and start-up time alone, with [cpu] and with [cuda]
	$(PYTHON) tools/install/measure_install.py out/wheel/nvrc_ref-*.whl --json out/install.json

ten-kills: $(STAMP) ## kill an encode ten times at random moments, resume it, compare the file with an unbroken one
	$(BIN)/python tools/resume/ten_kills.py

clean: ## remove what the other targets made
	rm -rf out .venv .venvs
