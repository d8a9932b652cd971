# make demo: the whole way on an embedded OpenSearch.  make test: every check and test.
# make bench: sparse terms in OpenSearch against dense vectors in FAISS, some minutes on two cores; results in build/bench.
# make test-neural: neural_sparse on OpenSearch with its neural-search plugin, 470 MB more to fetch.  All set up all in .venv;
# nothing but Python 3.11+ (with its venv module) and make is needed beforehand.
PYTHON ?= python3
BIN := .venv/bin
COMMA := ,
# uv installs several times faster; pip itself serves where uv cannot (an index known to pip's configuration only).
INSTALL = $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python $(1) || $(BIN)/python -m pip install --quiet $(1)

.PHONY: demo bench test test-neural lint clean
demo: .venv/demo
	$(BIN)/lexlip-es demo

bench: .venv/bench
	$(BIN)/python -m benchmarks.versus small --out build/bench

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-neural: .venv/test
	LEXLIP_TEST_SERVERS=opensearch-3.6.0-neural $(BIN)/python -m pytest $(PYTEST_ARGS) tests/engine/neural_search.py tests/engine/test_forms.py

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/base:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lexlip-es needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip uv
	touch $@

.venv/demo: .venv/base pyproject.toml
	$(call INSTALL,--editable '.[demo]')
	touch $@

.venv/bench: .venv/base pyproject.toml
	$(call INSTALL,--editable '.[bench]')
	touch $@

.venv/test: .venv/base pyproject.toml
	$(call INSTALL,--editable '.[bench$(COMMA)demo$(COMMA)serve$(COMMA)train]' --group test)
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache dist

