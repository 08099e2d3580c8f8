# Two commands do everything on a machine with git, make and Python >= 3.11:
#   make demo   sets up .venv and shows what usbeam does, with pictures in demo/
#   make test   sets up .venv and runs every check and test
# make docs builds the documentation site into site/, and make memcheck runs the tests of the GPU's kernels on the host
# with every read and write checked.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check docs memcheck clean

demo: $(STAMP)
	$(BIN)/usbeam --overwrite demo --out demo

test: check
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

memcheck: $(STAMP)
	USBEAM_SANITIZE=1 ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$$(g++ -print-file-name=libasan.so) \
	$(BIN)/python -m pytest -k gpu tests/kernels

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo site
