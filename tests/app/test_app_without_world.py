"""Film is made with the world taken away: from a copy of the package without it and without all that draws on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import phonofilm
from phonofilm import Clip
from phonofilm.media import read_clip, write_clip

TAKEN = ("world", "data", "training", "evaluation")
FILM = Clip(np.zeros((12, 32, 32, 3), np.uint8), 12, np.zeros((2, 16_000), np.float32), 16_000)
JOBS = {
    "generate": ["a red ball"],
    "foley": ["film.mkv"],
    "animate": ["film.mkv"],
    "extend": ["film.mkv", "--seconds", "0.5"],
    "retake": ["film.mkv", "--from", "0.2", "--to", "0.8"],
}
RUN = """
from phonofilm.app.cli.main import main
codes = [main(job) for job in {jobs!r}]
import phonofilm
print(phonofilm.__file__, codes)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to put on the path instead of the sources."""
    folder = tmp_path_factory.mktemp("package")
    gone = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(Path(phonofilm.__file__).parent, folder / "phonofilm", ignore=gone)
    for room in TAKEN:
        shutil.rmtree(folder / "phonofilm" / room)
    shutil.copy(Path(phonofilm.__file__).parent / "backends" / "familiar.safetensors", folder / "phonofilm/backends")
    return folder


def test_every_way_of_making_film_works_without_the_world(package, tiny_model, tmp_path):
    write_clip(FILM, tmp_path / "film.mkv")
    more = ["--model", str(tiny_model), "--steps", "1", "--device", "cpu"]
    jobs = [[task, *words, "-o", f"{task}.mp4", *more] for task, words in JOBS.items()]
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(jobs=jobs)],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(package)},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == f"{package / 'phonofilm' / '__init__.py'} {[0] * len(jobs)}", done.stderr
    for task in JOBS:
        made = read_clip(tmp_path / f"{task}.mp4")
        assert made.frames is not None
        assert made.waveform is not None
        assert len(made.frames) == {"generate": 48, "extend": 18}.get(task, 12)


def test_the_world_is_really_gone(package):
    """Or the test above would show nothing."""
    done = subprocess.run(
        [sys.executable, "-c", "import phonofilm.world"],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(package)},
    )  # fmt: skip
    assert "No module named 'phonofilm.world'" in done.stderr
