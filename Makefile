# Every target sets up what it needs, once; PHONOFILM_TORCH=auto|cpu|cuda|skip chooses the build of PyTorch.
PYTHON ?= python3
BIN := .venv/bin
CORE := .venv/.phonofilm-core
DEV := .venv/.phonofilm-dev
PROMPT ?= A red rubber ball falls and bounces in a small room.

.PHONY: setup demo test test-slow test-portable fuzz check check-wheel results compare bench clean

setup: $(DEV)

$(CORE): pyproject.toml scripts/setup
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Phonofilm needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + "; choose with make PYTHON=python3.12")'
	@$(PYTHON) scripts/setup
	@touch $@

$(DEV): $(CORE)
	@$(PYTHON) scripts/setup --dev
	@touch $@

demo: $(CORE)
	@mkdir -p out
	$(BIN)/phonofilm generate "$(PROMPT)" -o out/demo.mp4
	$(BIN)/phonofilm sheet out/demo.mp4 -o out/demo.png

# a process for each of two cores, with one thread each: two threads in one process mostly wait for one another
test: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(DEV)
	$(BIN)/python -m pytest -m slow
	$(BIN)/python scripts/test_portable.py

# the numeric tests as other processors and other numbers of threads compute them; minutes each
test-portable: $(DEV)
	$(BIN)/python scripts/test_portable.py

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# 10,000 damaged films, sounds and pictures (and whatever else is read); minutes, and an interrupted run goes on
fuzz: $(DEV)
	PYTHONPATH=tests $(BIN)/python -m fuzz

# a wheel, built and installed into a clean environment outside the checkout, makes a clip; minutes
check-wheel: $(DEV)
	$(BIN)/python scripts/check_wheel.py

# the tables of README.md and docs/results.md, from the shipped weights
results: $(DEV)
	$(BIN)/python -m phonofilm.app.experiments.results

# joint against cascade against U-Net, trained at equal cost: hours; docs/comparison.md
compare: $(DEV)
	$(BIN)/python -m phonofilm.app.experiments.training_comparison

# time and memory of our network beside others', for docs/performance.md
bench: $(DEV)
	$(BIN)/python benchmarks/step.py

clean:
	rm -rf out .pytest_cache .mypy_cache .ruff_cache .hypothesis
