# Every target sets up what it needs, once; PHONOFILM_TORCH=auto|cpu|cuda|skip chooses the build of PyTorch.
PYTHON ?= python3
BIN := .venv/bin
CORE := .venv/.phonofilm-core
DEV := .venv/.phonofilm-dev
PROMPT ?= A red rubber ball falls and bounces in a small room.

.PHONY: setup setup-browser demo test test-browser test-slow test-portable fuzz check check-wheel results compare bench clean

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

# Chromium and its driver, for the tests of pages: without them those tests skip, and say so
setup-browser:
	@if command -v chromedriver >/dev/null && { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; \
	then echo "set-up: Chromium and its driver are here"; \
	elif command -v apt-get >/dev/null; \
	then $$([ "$$(id -u)" = 0 ] || echo sudo) apt-get install -y --no-install-recommends chromium chromium-driver; \
	else echo "set-up: install Chromium and chromedriver of the same version, and have both on the PATH" >&2; exit 1; fi

# every page in a real browser; here a test that would skip fails. Minutes
test-browser: $(DEV)
	PHONOFILM_BROWSER=required OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or not slow" \
		tests/app/server/test_server_studio.py tests/app/live/test_live_server.py tests/app/test_app_study_browser.py

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

# the tables of README.md and docs/results.md, from the shipped weights; MODEL=checkpoints/nano_128 CLIPS=16 for another
# model, or fewer scenes: those with stems get a page of their own, docs/results-NAME.md. A stopped run goes on
results: $(DEV)
	$(BIN)/python -m phonofilm.app.experiments.results $(if $(MODEL),--model $(MODEL)) $(if $(CLIPS),--clips $(CLIPS))

# joint against cascade against U-Net, trained at equal cost: hours; docs/comparison.md
compare: $(DEV)
	$(BIN)/python -m phonofilm.app.experiments.training_comparison

# time and memory of our network beside others', for docs/performance.md
bench: $(DEV)
	$(BIN)/python benchmarks/step.py

clean:
	rm -rf out .pytest_cache .mypy_cache .ruff_cache .hypothesis
