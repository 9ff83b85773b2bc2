"""Every example does what it says, from anywhere, and what it writes is neither silent nor still."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from phonofilm.media import read_clip

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(set(FOLDER.glob("*.py")) - {FOLDER / "space.py"})  # that one serves until it is stopped
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


def test_the_page_of_gradio_makes_a_film_and_says_what_is_wrong(tmp_path, monkeypatch):
    """Gradio itself is no requirement: a stand-in notes what the page is made of."""
    made = SimpleNamespace(Error=type("Error", (Exception,), {}), Progress=lambda: None)
    for name in ("Textbox", "Slider", "Number", "Video"):
        setattr(made, name, lambda *values, name=name, **options: (name, values, options))
    made.Interface = lambda function, **options: SimpleNamespace(function=function, **options)
    monkeypatch.setitem(sys.modules, "gradio", made)
    monkeypatch.setenv("PHONOFILM_MODEL", "fake")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spec = importlib.util.spec_from_file_location("space", FOLDER / "space.py")
    space = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(space)
    page, told = space.page(), []
    assert [one[0] for one in page.inputs] == ["Textbox", "Slider", "Number", "Video"]
    film = page.function("a ball", 0.5, 1, None, lambda done, desc: told.append(desc))
    assert read_clip(film).seconds == pytest.approx(0.5, abs=0.1)
    assert "sampling" in told
    with_sound = page.function("a ball", 4, 1, film, lambda done, desc: None)
    assert read_clip(with_sound).seconds == pytest.approx(0.5, abs=0.1)
    with pytest.raises(made.Error, match=r"seconds"):
        page.function("a ball", -1, 1, None, lambda done, desc: None)
