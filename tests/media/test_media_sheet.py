"""The contact sheet puts everything where its time is; a clip shows itself in a notebook."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from media_clips import flash_and_beep
from PIL import Image

from phonofilm.errors import PhonofilmError
from phonofilm.media import read_clip
from phonofilm.media.sheet import EVENT, LEFT, PLOT, WAVE_COLOURS, draw_sheet, sheet
from phonofilm.media.show import html_player
from phonofilm.media.spectrum import log_mel_picture, mel_position
from phonofilm.types import Clip, Event


def near(image: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    """bool [H, W]: pixels of about this colour."""
    return np.abs(np.asarray(image).astype(int) - colour).max(axis=-1) < 12


def test_beep_flash_and_event_line_up() -> None:
    clip = flash_and_beep(seconds=4)
    image = draw_sheet(clip, [Event(2.0, "impact", end=2.5), Event(9.0, "outside")])
    middle = LEFT + PLOT // 2
    wave = near(image, WAVE_COLOURS[0])[:, LEFT : LEFT + PLOT].sum(axis=0) > 8
    assert abs(LEFT + int(wave.argmax()) - middle) <= 2
    ticks = near(image, EVENT).sum(axis=0)
    assert abs(int(ticks.argmax()) - middle) <= 1


def test_every_kind_of_clip_has_a_sheet(tmp_path: Path) -> None:
    clip = flash_and_beep(25, 48_000)
    many = tuple(Event(0.01 * k, "tick") for k in range(200))
    for part in (
        clip,
        clip.with_(waveform=None, sample_rate=None),
        clip.with_(frames=None, fps=None, prompt=None),
        clip.with_(waveform=np.zeros((6, 96_000), np.float32), prompt="long " * 200),
        clip.with_(frames=clip.frames[:1], waveform=clip.waveform[:1, :10], events=many),
        clip.with_(frames=np.zeros((9, 8, 200, 3), np.uint8)),
        clip.with_(frames=np.zeros((9, 200, 8, 3), np.uint8)),
    ):
        path = sheet(part, tmp_path / "sheet.png")
        with Image.open(path) as image:
            assert image.width == 1600
            assert 100 < image.height < 1600


def test_what_has_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(PhonofilmError, match="nothing to draw"):
        sheet(Clip(), tmp_path / "sheet.png")
    with pytest.raises(PhonofilmError, match=r"name it \.png"):
        sheet(flash_and_beep(), tmp_path / "sheet.pdf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("hertz", [300, 1000, 5000])
def test_a_tone_is_drawn_at_its_height_and_time(hertz: int) -> None:
    t = np.arange(32_000) / 16_000
    tone = np.where(t > 1, np.sin(2 * np.pi * hertz * t), 0)[None].astype(np.float32)
    picture = log_mel_picture(tone, 16_000, width=200, bands=95)
    row = int(picture[:, 150].argmax())
    assert abs(1 - (row + 0.5) / 95 - mel_position(hertz, 16_000)) < 0.02
    assert picture[:, :95].max() < 0.05
    assert picture[row, 105:195].min() > 0.9


def test_a_clip_plays_in_a_notebook(tmp_path: Path) -> None:
    clip = flash_and_beep().with_(prompt="<b>bold</b>")
    page = clip._repr_html_()
    assert "&lt;b&gt;" in page
    (tmp_path / "clip.mp4").write_bytes(base64.b64decode(re.search(r"video/mp4;base64,([^\"]+)", page)[1]))
    assert len(read_clip(tmp_path / "clip.mp4").frames) == len(clip.frames)
    assert "<audio" in html_player(clip.with_(frames=None, fps=None))
    assert "empty" in html_player(Clip())


@pytest.mark.parametrize("prompt", ["球" * 400, "мяч " * 100, "x" * 5000, "\ud800 \x00", "\n\n"])
def test_any_prompt_stays_within_the_page(prompt: str) -> None:
    image = draw_sheet(
        flash_and_beep().with_(prompt=prompt, metadata={"model": "m" * 300}), [Event(1, "x", label="球")]
    )
    assert image.width == 1600
    assert image.height < 1000
    assert np.asarray(image)[:, -20:].reshape(-1, 3).max() < 60  # the right edge is empty
