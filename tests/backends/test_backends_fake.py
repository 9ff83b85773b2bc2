"""The fake: its flashes and beeps coincide, whatever the size, rate, duration and task."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import phonofilm
from phonofilm import Cancelled, Clip, PhonofilmError, Request
from phonofilm.backends import Backend
from phonofilm.backends.fake import FakeBackend


def flashes(clip: Clip) -> np.ndarray:
    bright = clip.frames.mean(axis=(1, 2, 3)) > 200
    return np.flatnonzero(np.diff(bright.astype(int), prepend=0) == 1) / float(clip.fps)


def beeps(clip: Clip) -> np.ndarray:
    size = clip.sample_rate // 100
    loud = np.abs(clip.waveform).max(axis=0)
    blocks = loud[: len(loud) // size * size].reshape(-1, size).max(axis=1) > 0.1
    return np.flatnonzero(np.diff(blocks.astype(int), prepend=0) == 1) * size / clip.sample_rate


@pytest.mark.parametrize("fps", [12, 25, Fraction(30000, 1001), 60])
@pytest.mark.parametrize("seconds", [1.0, 4.0, 9.3])
def test_flash_and_beep_coincide(fps, seconds):
    clip = FakeBackend().generate("x", seconds=seconds, size=(48, 32), fps=fps)
    seen, heard = flashes(clip), beeps(clip)
    assert len(seen) == len(heard) == round(seconds)
    assert np.abs(seen - heard).max() <= 0.5 / 12 + 0.5 / float(fps) + 0.011
    assert clip.frames.shape[1:] == (32, 48, 3)


def test_the_seed_decides():
    one, same, other = (FakeBackend().generate("x", seconds=1, seed=seed) for seed in (3, 3, 4))
    assert (one.frames == same.frames).all()
    assert (one.waveform == same.waveform).all()
    assert (one.frames != other.frames).any()
    assert (one.waveform != other.waveform).any()


def test_a_request_or_a_prompt_with_fields():
    fake = phonofilm.load("fake")
    assert isinstance(fake, Backend)
    by_request = fake.generate(Request("a ball", seconds=0.5, size=(32, 32), fps=Fraction(24)))
    by_fields = fake.generate("a ball", seconds=0.5, size=32, fps=24)
    assert (by_request.frames == by_fields.frames).all()
    assert by_fields.metadata["prompt"] == by_fields.prompt == "a ball"
    assert by_fields.metadata["ai_generated"] == "true"


def test_progress_is_reported_and_cancel_is_heard():
    seen: list[tuple[str, int, int]] = []
    FakeBackend().generate("x", seconds=9, progress=lambda *step: seen.append(step))
    assert [stage for stage, done, _ in seen if done == 0] == ["text", "sampling", "decoding"]
    assert all(0 <= done <= total for _, done, total in seen)
    with pytest.raises(Cancelled):
        FakeBackend().generate("x", cancel=lambda: True)


def test_an_unknown_field_is_named():
    with pytest.raises(PhonofilmError, match="did you mean seconds"):
        FakeBackend().generate("x", secnds=3)
