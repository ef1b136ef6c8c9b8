# Every target sets up what it needs; the only thing to have is Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
PIP := -m pip install --quiet --disable-pip-version-check -c constraints.txt

PLAYER := .venvs/decoder
PLAYER_STAMP := $(PLAYER)/.stamp
SOURCES := $(shell find decoder encoder conformance/nvrc_conformance output bench cli web -type f -not -name '*.pyc') pyproject.toml

# COVER=1 measures coverage; it makes the tests slower, and all runs add to the same data.
COVER ?=
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(if $(COVER),--cov --cov-append --cov-report=)

DEMO_PRESET ?= draft
DEMO_ARGS ?=
FUZZ_CASES ?= 20000
FUZZ_SEED := $(shell date +%s)
SECONDS ?= 60
TARGET ?= decode
FUZZ_STAMP := $(VENV)/.fuzz-stamp
ONNXRUNTIME_WEB := 1.30.0
WEB_STAMP := out/web/.onnxruntime-web-$(ONNXRUNTIME_WEB)
RAY_STAMP := $(VENV)/.ray-stamp

# Tests start the command line hundreds of times: without compiled modules each start takes longer.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full coverage lint fuzz fuzz-compare fuzz-atheris fuzz-c web test-web test-ray bench wheel suite check-install check-lowest measure-install ten-kills clean

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

suite: $(STAMP) ## pack the conformance suite into out/nvrc-conformance-VERSION.tar.gz, print its SHA-256
	$(BIN)/python tools/suite/archive.py out

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

coverage: $(STAMP) ## hold the floors of branch coverage, after make test COVER=1
	$(BIN)/python tools/lint/coverage_floors.py

lint: $(STAMP) ## ruff, mypy, who may import whom, sizes of files and functions, the conformance suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/lint/sizes.py
	$(BIN)/nvrc-ref conformance lint --quick

fuzz: $(STAMP) ## mutate golden streams FUZZ_CASES times with a new seed; none may crash, hang or decode wrongly
	mkdir -p out/fuzz
	@echo "seed $(FUZZ_SEED)"
	OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz/run_cases.py conformance/streams/*.nvrc \
	    --mutations $(FUZZ_CASES) --seed $(FUZZ_SEED) > out/fuzz/mutations.json; \
	    status=$$?; cat out/fuzz/mutations.json; exit $$status

fuzz-compare: $(STAMP) ## NumPy, ONNX Runtime and C on FUZZ_CASES mutants with a new seed; none may disagree
	OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz/differential.py --cases $(FUZZ_CASES) --seed $(FUZZ_SEED)

$(FUZZ_STAMP): $(STAMP)
	$(BIN)/python $(PIP) -e ".[fuzz]"
	touch $@

fuzz-atheris: $(FUZZ_STAMP) ## fuzz TARGET (parse, entropy or decode) for SECONDS, guided by coverage
	mkdir -p out/fuzz/$(TARGET)
	OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz/run_atheris.py $(TARGET) \
	    out/fuzz/$(TARGET) conformance/streams conformance/faults -artifact_prefix=out/fuzz/$(TARGET)- \
	    -max_total_time=$(SECONDS) -timeout=60 -rss_limit_mb=1000 -max_len=6000 -print_final_stats=1

fuzz-c: ## fuzz the decoder in C for SECONDS, guided by coverage, with the sanitizers of clang
	mkdir -p out/fuzz/c
	$(MAKE) -C conformance/decoders/c fuzz
	conformance/decoders/c/build/decode_fuzzer out/fuzz/c conformance/streams conformance/faults \
	    -artifact_prefix=out/fuzz/c- -max_len=16384 -max_total_time=$(SECONDS) -print_final_stats=1

web: ## build web/nvrc.wasm with clang and wasm-ld, and write down what it is
	$(PYTHON) tools/web/build_wasm.py

test-ray: $(RAY_STAMP) ## install Ray (79 MB), run the tests of encodes and benches on a cluster of two nodes
	$(PYTEST) -n 0 -rs tests/encoder/segments/test_ray_pool.py tests/cli/test_ray.py

$(RAY_STAMP): $(STAMP)
	$(BIN)/python $(PIP) -e ".[ray]"
	touch $@

test-web: $(STAMP) $(WEB_STAMP) out/web/demo.nvrc ## run the tests of web/, in Node and in Chromium where they are installed
	$(BIN)/python $(PIP) playwright
	$(BIN)/python -m pytest -n 0 -rs tests/web tests/cli/test_play.py

# The runtime that plays exported models in tests; without npm those tests are skipped.
$(WEB_STAMP):
	mkdir -p out/web
	@if command -v npm > /dev/null; then \
	    npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix out/web \
	        onnxruntime-web@$(ONNXRUNTIME_WEB) && touch $@; \
	else echo "npm is not installed: no model is tested in onnxruntime-web"; fi

out/web/demo.nvrc: | $(STAMP)
	mkdir -p out/web
	$(BIN)/nvrc-ref encode demo/city_352x200.mp4 -o $@ --preset draft --iterations 60 --frames 25

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
