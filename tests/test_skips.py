"""A test that is skipped names a reason that is allowed, or the run fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from phonofilm.perception.common.optional_imports import BY_HAND

ROOT = Path(__file__).parents[1]
CASE = """
import pytest

def test_skips():
    pytest.skip({reason!r})
"""


def run(folder: Path, reason: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "conftest.py")
    (folder / "test_case.py").write_text(CASE.format(reason=reason), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_skip_that_is_allowed_passes(tmp_path: Path) -> None:
    done = run(tmp_path, "needs /dev/full, a device that is always full")
    assert done.returncode == 0, done.stdout


def test_any_other_skip_fails_the_run_and_says_which(tmp_path: Path) -> None:
    done = run(tmp_path, "whatever is not installed")
    assert done.returncode == 1
    assert "test_case.py::test_skips: whatever is not installed" in done.stdout


def test_setup_installs_what_would_be_skipped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    by_hand = {line.split()[-1] for line in BY_HAND.values() if "--no-deps" in line}
    by_hand |= {"axe-playwright-python==0.1.8"}  # of it only the script is used, in a browser
    assert by_hand == set(project["tool"]["phonofilm"]["without-requirements"])
    (dev,) = (line for line in project["project"]["optional-dependencies"]["dev"] if line.startswith("phonofilm["))
    assert set(dev[len("phonofilm[") : -1].split(",")) == set(project["project"]["optional-dependencies"]) - {"dev"}
