"""Every example does what it says, from anywhere, and what it writes is neither silent nor still."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.media import read_clip

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(set(FOLDER.glob("*.py")) - {FOLDER / "space.py"})  # that one serves until it is stopped
WRITES = {"foley": {"foley.mp4", "foley.png"}, "generate": {"xylophone.mp4"}, "sampler": set()}
WRITES |= {"world": {"strike.mp4", "strike.png"}}

NOT_ON_THE_PAGE = {
    **dict.fromkeys(("model", "device", "offload", "network", "quantize", "components"), "the host's own"),
    **dict.fromkeys(("loras", "adapters", "c2pa_cert", "c2pa_key", "stems", "stem_tracks"), "files of the host"),
    **dict.fromkeys(("given_stems", "follow", "hits", "say", "voices"), "may name files of the host"),
    **dict.fromkeys(("sign", "watermark", "log"), "what leaves a page of others is marked"),
    "publish_prompt": "whose prompt it is, the host does not know",
    "subtitles": "the page gives one file",
    "span": "the page does not retake",
}
"""Fields of a job that a visitor of the example cannot say, and why."""


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
    for name in ("Textbox", "Slider", "Number", "Video", "Image"):
        setattr(made, name, lambda *values, name=name, **options: (name, values, options))
    made.Interface = lambda function, **options: SimpleNamespace(function=function, **options)
    monkeypatch.setitem(sys.modules, "gradio", made)
    monkeypatch.setenv("PHONOFILM_MODEL", "fake")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spec = importlib.util.spec_from_file_location("space", FOLDER / "space.py")
    space = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(space)
    page, told = space.page(), []
    assert [one[0] for one in page.inputs] == ["Textbox", "Slider", "Number", "Video", "Image", "Textbox"]
    film = page.function("a ball", 0.5, 1, None, None, "", lambda done, desc: told.append(desc))
    assert read_clip(film).seconds == pytest.approx(0.5, abs=0.1)
    assert "sampling" in told
    with_sound = page.function("a ball", 4, 1, film, None, "", lambda done, desc: None)
    assert read_clip(with_sound).seconds == pytest.approx(0.5, abs=0.1)
    with pytest.raises(made.Error, match=r"seconds"):
        page.function("a ball", -1, 1, None, None, "", lambda done, desc: None)
    for more in ('{"source": "/etc/passwd"}', "[]", "steps = 3"):
        with pytest.raises(made.Error):
            page.function("a ball", 0.5, 1, None, None, more, lambda done, desc: None)
    silent = page.function("a ball", 0.5, 1, None, None, '{"no": ["audio"], "size": 32}', lambda done, desc: None)
    assert read_clip(silent).waveform is None
    assert read_clip(silent).frames.shape[1:3] == (32, 32)
    own = {"prompt", "seconds", "seed", "source", "image", "task"}
    assert own | space.MORE | set(NOT_ON_THE_PAGE) == {field.name for field in fields(RequestSpec)}
    assert not (own | space.MORE) & set(NOT_ON_THE_PAGE)
