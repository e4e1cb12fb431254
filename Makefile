# Two commands: `make demo` and `make test`. Each makes .venv from constraints.txt if there is none.
# `make bench` measures; `make fuzz SECONDS=60` looks for inputs that break a parser.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := test

# Compiled bytecode is worth ten start-ups; one thread is faster than two on small arrays.
unexport PYTHONDONTWRITEBYTECODE
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
# uv does not read pip's configuration, where a local wheel folder may be named.
UV_FIND_LINKS ?= $(or $(PIP_FIND_LINKS),$(shell python3 -m pip config get global.find-links 2>/dev/null))
ifneq ($(strip $(UV_FIND_LINKS)),)
export UV_FIND_LINKS
else
unexport UV_FIND_LINKS
endif
export PATH := $(CURDIR)/.tools/bin:$(PATH)
export PYTHONPATH :=

.venv/.ok: pyproject.toml constraints.txt
	command -v uv >/dev/null || python3 -m pip install -q --target .tools uv
	uv venv -q --clear --python python3 .venv
	uv pip install -q -p .venv -c constraints.txt -e '.[dev]'
	touch $@

# Verifiers of logs that others wrote. Where one cannot be had, its tests say so and are skipped;
# under CI they fail.
.tools/interop/tlogcheck: tests/interop/tlogcheck/main.go
	tests/interop/get.sh tlogcheck

SIGSTORE := tests/interop/sigstore
$(SIGSTORE)/node_modules/.package-lock.json: $(SIGSTORE)/package-lock.json
	tests/interop/get.sh sigstore

# vLLM holds other packages back, so it has an environment of its own (2.1 GB). Its CPU build wants
# PyTorch's CPU wheel: where pip's settings name no place that has it, UV_FIND_LINKS must.
VLLM_TESTS := pytest hypothesis openai
.venv-vllm/.ok: pyproject.toml constraints-vllm.txt overrides-vllm.txt
	command -v uv >/dev/null || python3 -m pip install -q --target .tools uv
	uv venv -q --clear --python python3 .venv-vllm
	uv pip install -q -p .venv-vllm -c constraints-vllm.txt --overrides overrides-vllm.txt \
		-e '.[vllm]' $(VLLM_TESTS)
	touch $@

.PHONY: demo demo-language test lint types imports unit interop strace test-vllm bench bench-vllm campaigns fuzz
demo: .venv/.ok
	.venv/bin/institutional run runs/demo.yaml

# The pocket model is made once, beside the operator's key.
demo-language: .venv/.ok
	home=$${INSTITUTIONAL_HOME:-$$HOME/.config/institutional}
	test -f "$$home/models/pocket/pocket.json" || .venv/bin/institutional agent train pocket
	.venv/bin/institutional run runs/language.yaml

test: lint types imports unit

lint: .venv/.ok
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/.ok
	.venv/bin/mypy

imports: .venv/.ok
	.venv/bin/lint-imports --no-cache

unit: .venv/.ok interop strace
	.venv/bin/python -m pytest -n 2

interop: .tools/interop/tlogcheck $(SIGSTORE)/node_modules/.package-lock.json

# Where vLLM is missing its tests are skipped; here that is a failure. vLLM writes to the home folder.
test-vllm: .venv-vllm/.ok
	scratch=$$(mktemp -d)
	trap 'rm -rf "$$scratch"' EXIT
	HOME=$$scratch REQUIRE_VLLM=1 VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE=1 \
		.venv-vllm/bin/python -m pytest tests/language/in_vllm tests/language/test_batching.py

bench-vllm: .venv-vllm/.ok
	scratch=$$(mktemp -d)
	trap 'rm -rf "$$scratch"' EXIT
	.venv-vllm/bin/python tests/language/in_vllm/tiny_model.py $$scratch/tiny
	HOME=$$scratch VLLM_CPU_KVCACHE_SPACE=1 .venv-vllm/bin/python -m benchmarks.batches $$scratch/tiny

# Some tests break the disk with the kernel's tracer. Without it they are skipped; under CI they fail.
strace:
	command -v strace >/dev/null || { apt-get -qq update && apt-get -qq install -y strace; } \
		|| echo "no strace: tests/ledger/test_ledger_faults.py is mostly skipped" >&2

bench: .venv/.ok
	.venv/bin/python -m benchmarks

SECONDS ?= 60
fuzz: .venv/.ok
	uv pip install -q -p .venv -c constraints.txt -e '.[dev,fuzz]'
	.venv/bin/python tests/ledger/fuzz.py $(SECONDS) $(TARGETS)

# All of what the suite samples: a fault at every call, every byte of a run attacked. Half an hour.
campaigns: .venv/.ok strace
	.venv/bin/python tests/ledger/faults.py
	.venv/bin/python tests/ledger/mutations.py
