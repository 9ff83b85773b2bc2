"""Distortions do what they say, by how much they say, and nothing else."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.distortions import ANCHORS, DISTORTIONS, distort, with_sound_of
from phonofilm.types import Clip

RATE, FPS, SECONDS = 8000, 25, 4
CURVES = Path(__file__).parents[3] / "shared" / "parity" / "peavs_human_curves.json"


def numbered(seconds: float = SECONDS) -> Clip:
    """Each frame and each sample says when it was: frame k has level k + 1, sample n has value (n + 1) / total."""
    frames = np.arange(1, round(seconds * FPS) + 1, dtype=np.uint8)[:, None, None, None]
    count = round(seconds * RATE)
    wave = (np.arange(1, count + 1) / count).astype(np.float32)
    shown = np.broadcast_to(frames, (len(frames), 4, 6, 3)).copy()
    return Clip(frames=shown, fps=Fraction(FPS), waveform=np.stack([wave, wave]), sample_rate=RATE)


def frame_times(clip: Clip) -> np.ndarray:
    """When each shown frame was, in seconds; NaN where it is black."""
    level = clip.frames[:, 0, 0, 0].astype(float)
    return np.where(level > 0, (level - 1) / FPS, np.nan)


def sample_times(clip: Clip, seconds: float = SECONDS) -> np.ndarray:
    """When each heard sample was, in seconds; NaN where there is silence."""
    wave = clip.waveform[0].astype(float)
    return np.where(wave > 0, wave * seconds - 1 / RATE, np.nan)


@pytest.mark.parametrize("kind", DISTORTIONS)
@pytest.mark.parametrize("place", [0, -1])
def test_each_keeps_length_shape_and_repeats_itself(kind, place):
    clip = numbered()
    level = DISTORTIONS[kind].levels[place]
    first, second = distort(clip, kind, level, seed=3), distort(clip, kind, level, seed=3)
    assert first.frames.shape == clip.frames.shape
    assert first.frames.dtype == np.uint8
    assert first.waveform.shape == clip.waveform.shape
    assert first.waveform.dtype == np.float32
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.waveform, second.waveform)
    assert kind in first.metadata["distortion"]
    assert np.array_equal(clip.frames, numbered().frames), "the clip it was given is as it was"


def test_the_nine_are_those_people_rated_at_the_same_levels():
    if not CURVES.is_file():
        pytest.skip("needs shared/parity/peavs_human_curves.json beside the project")
    published = json.loads(CURVES.read_text())["distortions"].values()
    wanted = {part["name"]: sorted(row["level"] for row in part["levels"]) for part in published}
    ours = {d.published: sorted(d.levels) for d in DISTORTIONS.values() if d.published}
    assert ours == wanted


@given(st.floats(-2, 2))
@settings(max_examples=30)
def test_shift_moves_the_sound_by_its_level(seconds):
    times = sample_times(distort(numbered(), "audio-shift", seconds))
    heard = np.flatnonzero(np.isfinite(times))
    moved = times[heard] - heard / RATE
    assert np.abs(moved - seconds).max() <= 1.01 / RATE
    assert len(heard) >= (SECONDS - abs(seconds)) * RATE - 2


@pytest.mark.parametrize("factor", [1.025, 1.5, 1.75, 0.975, 0.5, 0.25])
def test_speed_runs_at_its_factor_from_time_zero(factor):
    kind = "speed-up" if factor > 1 else "slow-down"
    video = frame_times(distort(numbered(), f"video-{kind}", factor))
    expected = np.minimum(np.arange(len(video)) / FPS * factor, (len(video) - 1) / FPS)
    assert np.abs(video - expected).max() <= 1 / FPS
    audio = sample_times(distort(numbered(), f"audio-{kind}", factor))
    steady = np.arange(RATE // 2, int(RATE * min(SECONDS, SECONDS / factor)) - RATE // 2)
    assert np.abs(audio[steady] - steady / RATE * factor).max() < 2e-3


def test_a_speed_up_also_raises_the_pitch():
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype(np.float32)[None]
    faster = distort(Clip(waveform=tone, sample_rate=RATE), "audio-speed-up", 1.25).waveform[0, :RATE]
    assert np.abs(np.fft.rfft(faster)).argmax() == pytest.approx(550, abs=1)


def test_muting_is_silent_four_tenths_after_every_level():
    times = sample_times(distort(numbered(), "muting", 0.5))
    place = np.arange(len(times)) / RATE % 0.9
    assert np.isfinite(times[place < 0.499]).all()
    assert np.isnan(times[place > 0.501]).all()
    heard = np.isfinite(times)
    assert np.allclose(times[heard], np.flatnonzero(heard) / RATE, atol=1e-3), "and runs on behind it"


def test_gaps_delay_the_picture_and_leave_the_sound():
    changed = distort(numbered(8), "video-gaps", 0.2, seed=1)
    assert np.array_equal(changed.waveform, numbered(8).waveform)
    times = frame_times(changed)
    black = np.isnan(times)
    assert 0.1 < black.mean() < 0.45, "40 % of pieces are followed by a gap of their length: about 29 % black"
    late = np.flatnonzero(~black) / FPS - times[~black]
    assert (np.diff(late) >= -1e-6).all()
    assert late[-1] == pytest.approx(black[: np.flatnonzero(~black)[-1]].sum() / FPS, abs=0.05)


def test_flicker_takes_both_and_keeps_them_together():
    changed = distort(numbered(), "flicker", 0.5, seed=2)
    seen, heard = frame_times(changed), sample_times(changed)
    assert np.isnan(seen).any()
    assert np.isfinite(seen).any()
    assert np.allclose(seen[np.isfinite(seen)], np.flatnonzero(np.isfinite(seen)) / FPS, atol=1e-6)
    for k in np.flatnonzero(np.isnan(seen))[:-1]:
        assert np.isnan(heard[round(k / FPS * RATE)])


@given(st.sampled_from([0.3, 0.4, 1.0, 1.5]), st.integers(0, 99))
@settings(max_examples=20)
def test_shuffling_loses_nothing_and_stays_in_sync(length, seed):
    changed = distort(numbered(), "fragment-shuffle", length, seed)
    seen, heard = frame_times(changed), sample_times(changed)
    assert sorted(seen) == sorted(frame_times(numbered()))
    assert len(np.unique(np.round(heard * RATE))) == len(heard)
    middles = np.arange(len(seen)) / FPS + 0.5 / FPS
    lag = heard[np.round(middles * RATE).astype(int)] - seen
    assert np.abs(lag - 0.5 / FPS).max() < 2 / RATE


def test_sound_quality_knobs_reach_what_they_say():
    rng = np.random.default_rng(0)
    clip = Clip(waveform=(rng.standard_normal((1, 8 * RATE)) * 0.1).astype(np.float32), sample_rate=RATE)
    noisy = distort(clip, "noise", 10).waveform - clip.waveform
    assert 10 * np.log10((clip.waveform**2).mean() / (noisy**2).mean()) == pytest.approx(10, abs=0.1)
    spectrum = np.abs(np.fft.rfft(distort(clip, "low-pass", 1000).waveform[0])) ** 2
    hertz = np.fft.rfftfreq(8 * RATE, 1 / RATE)
    assert spectrum[hertz > 2000].mean() < 1e-5 * spectrum[hertz < 700].mean()
    assert len(np.unique(distort(clip, "quantise", 3).waveform)) <= 9


def test_stereo_width_of_zero_is_mono_and_minus_one_is_mirrored():
    clip = numbered().with_(waveform=np.stack([np.ones(RATE * SECONDS), np.zeros(RATE * SECONDS)]).astype(np.float32))
    mono, mirrored = (distort(clip, "stereo-width", width).waveform for width in (0, -1))
    assert np.array_equal(mono[0], mono[1])
    assert np.array_equal(mirrored, clip.waveform[::-1])


def test_mismatch_takes_the_other_sound_at_the_pictures_length():
    other = numbered(2).with_(waveform=numbered(2).waveform * -1)
    mixed = with_sound_of(numbered(), other)
    assert np.array_equal(mixed.frames, numbered().frames)
    assert mixed.waveform.shape == (2, SECONDS * RATE)
    assert (mixed.waveform[:, 2 * RATE :] == 0).all()


@pytest.mark.parametrize(
    ("kind", "level", "said"),
    [
        ("audio-shfit", 1, "choose from audio-shift"),
        ("audio-speed-up", 0.9, "from 1 to 8"),
        ("noise", float("nan"), "decibels"),
    ],
)
def test_bad_requests_get_one_line(kind, level, said):
    with pytest.raises(PhonofilmError, match=said):
        distort(numbered(), kind, level)


def test_a_clip_without_sound_cannot_lose_its_sync():
    with pytest.raises(PhonofilmError, match="needs a clip with sound"):
        distort(numbered().with_(waveform=None, sample_rate=None), ANCHORS[0][1], 0.1)
