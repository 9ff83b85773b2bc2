"""Every example does what it says, from anywhere, and what it writes is neither silent nor still."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from phonofilm.media import read_clip

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
WRITES = {"foley": {"foley.mp4", "foley.png"}, "generate": {"xylophone.mp4"}, "sampler": set()}
WRITES |= {"world": {"strike.mp4", "strike.png"}}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example, tmp_path):
    done = subprocess.run([sys.executable, "-W", "error", example], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert f"python examples/{example.name}" in example.read_text(encoding="utf-8")
    written = {path.name for path in tmp_path.iterdir()}
    assert written == WRITES[example.stem]
    for name in written:
        if name.endswith(".mp4"):
            clip = read_clip(tmp_path / name)
            assert np.sqrt(np.square(clip.waveform).mean()) > 10 ** (-50 / 20)
            assert np.abs(np.diff(clip.frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3)).max() > 1
