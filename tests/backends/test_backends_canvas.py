"""One canvas for every task: lengths agree, what is given stays, what is long is covered by windows."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonofilm.backends.canvas.canvas import KEEP, MAKE
from phonofilm.backends.canvas.fit import crossfaded, frame_indices
from phonofilm.backends.canvas.layout import deliver, lay_out, work_out
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.canvas.windows import windows
from phonofilm.types import Clip, Request, nearest

RATES = st.sampled_from([Fraction(12), Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)])
SAMPLE_RATES = st.sampled_from([16_000, 22_050, 44_100, 48_000])
TRAINED = ModelDefaults()


def film(seconds: float, fps: Fraction, rate: int, size: tuple[int, int] = (20, 16), channels: int = 2) -> Clip:
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (max(1, nearest(Fraction(str(seconds)) * fps)), size[1], size[0], 3), np.uint8)
    samples = nearest(Fraction(len(frames)) / fps * rate)
    waveform = random.uniform(-0.5, 0.5, (channels, samples)).astype(np.float32)
    return Clip(frames=frames, fps=fps, waveform=waveform, sample_rate=rate)


def made(request: Request) -> tuple[np.ndarray | None, np.ndarray | None]:
    """A job whose model answers with white frames and a constant, window by window."""
    job = work_out(request, TRAINED)
    canvas = lay_out(job, TRAINED)
    for span in canvas.spans(TRAINED.frames):
        grid = TRAINED.grid(len(span))
        frames = None if canvas.frames is None else np.full((len(span), 64, 64, 3), 255, np.uint8)
        waveform = None if canvas.waveform is None else np.full((1, 2, grid.samples), 0.25, np.float32)
        canvas.write(span, frames, waveform)
    assert (canvas.frame_states != MAKE).all()
    assert (canvas.sample_states == KEEP).all()
    clip = deliver(job, canvas)
    return clip.frames, clip.waveform


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.data())
def test_windows_cover_what_is_wanted(total, data):
    window = data.draw(st.integers(2, 60))
    start = data.draw(st.integers(0, total - 1))
    end = data.draw(st.integers(start + 1, total))
    found = windows(total, window, start, end)
    assert set(range(start, end)) <= set().union(*found)
    assert all(len(span) == min(window, total) for span in found)
    assert all(span.start >= 0 and span.stop <= total for span in found)
    for first, second in pairwise(found):
        assert first.start < second.start <= first.stop - window // 4


def test_nothing_wanted_needs_no_window():
    assert windows(100, 48, 10, 10) == []


def test_a_retake_has_context_on_both_sides():
    assert windows(480, 48, 240, 252) == [range(222, 270)]


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 9).map(lambda s: round(s, 3)), RATES)
def test_generated_picture_and_sound_end_together(seconds, fps):
    frames, waveform = made(Request("x", seconds=seconds, fps=fps, size=(32, 16)))
    assert frames.shape[1:] == (16, 32, 3)
    assert len(frames) == max(1, nearest(Fraction(str(seconds)) * fps))
    assert abs(waveform.shape[1] - Fraction(len(frames)) / fps * 16_000) <= Fraction(1, 2)
    assert (frames == 255).all()
    assert (waveform == 0.25).all()


@settings(max_examples=12, deadline=None)
@given(st.floats(0.2, 6).map(lambda s: round(s, 2)), RATES, SAMPLE_RATES, st.sampled_from([1, 2, 6]))
def test_foley_keeps_the_picture_and_animate_the_sound(seconds, fps, rate, channels):
    source = film(seconds, fps, rate, channels=channels)
    frames, waveform = made(Request(task="foley", source=source))
    assert frames is source.frames
    assert (waveform == 0.25).all()
    assert waveform.shape == (2, nearest(source.picture_seconds * 16_000))
    frames, waveform = made(Request(task="animate", source=source))
    samples = source.waveform.shape[1]
    assert (waveform[:, :samples] == source.waveform).all()
    assert not waveform[:, samples:].any()
    assert frames.shape[1:] == (64, 64, 3)
    assert Fraction(len(frames), 12) - source.sound_seconds >= -Fraction(1, 10_000)
    assert (frames == 255).all()


@settings(max_examples=12, deadline=None)
@given(st.floats(0.2, 7).map(lambda s: round(s, 2)), st.floats(0.1, 6), RATES, SAMPLE_RATES)
def test_extend_leaves_the_past_alone(seconds, more, fps, rate):
    more, source = round(more, 2), film(seconds, fps, rate)
    frames, waveform = made(Request(task="extend", source=source, seconds=more))
    count, samples = len(source.frames), source.waveform.shape[1]
    assert len(frames) == count + max(1, nearest(Fraction(str(more)) * fps))
    assert (frames[:count] == source.frames).all()
    assert (frames[count:] == 255).all()
    ramp = nearest(Fraction(rate, 100))
    assert (waveform[:, : samples - ramp] == source.waveform[:, : max(0, samples - ramp)]).all()
    assert np.abs(waveform[:, samples + ramp : -ramp] - 0.25).max(initial=0) < 0.02  # a resampling filter's ripple
    assert abs(waveform.shape[1] - Fraction(len(frames)) / fps * rate) <= 1


@settings(max_examples=12, deadline=None)
@given(st.floats(0, 0.9), st.floats(0.05, 1), RATES, SAMPLE_RATES, st.sampled_from([None, "audio", "video"]))
def test_retake_touches_its_span_alone(start, length, fps, rate, only):
    source = film(5.0, fps, rate)
    begin, end = round(start * 5, 2), round(min(5.0, start * 5 + length), 2)
    frames, waveform = made(Request(task="retake", source=source, span=(begin, end), only=only))
    times = np.arange(len(frames)) / float(fps)
    outside = (times < begin - 0.6 / fps) | (times > end + 0.6 / fps)
    assert (frames[outside] == source.frames[outside]).all()
    moments = np.arange(waveform.shape[1]) / rate
    apart = (moments < begin - 0.0102) | (moments > end + 0.0102)
    assert (waveform[:, apart] == source.waveform[:, : len(moments)][:, apart]).all()
    if only == "audio":
        assert frames is source.frames
    if only == "video":
        assert (waveform == source.waveform).all()
    else:
        inside = (moments > begin + 0.001) & (moments < end - 0.001)
        assert np.abs(waveform[:, inside] - 0.25).max(initial=0) < 0.02


def test_a_stream_that_a_clip_lacks_stays_absent():
    silent = film(2.0, Fraction(12), 16_000).with_(waveform=None, sample_rate=None)
    frames, waveform = made(Request(task="extend", source=silent, seconds=1.0))
    assert len(frames) == 36
    assert waveform is None
    sound = film(2.0, Fraction(12), 16_000).with_(frames=None, fps=None)
    frames, waveform = made(Request(task="extend", source=sound, seconds=1.0))
    assert frames is None
    assert waveform.shape == (2, 48_000)


def test_an_image_is_a_hint_for_the_first_frame():
    image = np.full((30, 40, 3), 7, np.uint8)
    job = work_out(Request("x", image=image), TRAINED)
    canvas = lay_out(job, TRAINED)
    assert (canvas.frames[0] == 7).all()
    assert canvas.frame_states[0] != MAKE
    assert (canvas.frame_states[1:] == MAKE).all()
    canvas.write(range(48), np.full((48, 64, 64, 3), 255, np.uint8), None)
    assert (canvas.frames == 255).all()


def test_a_film_begins_with_the_given_picture_and_goes_over_into_what_the_codec_holds_of_it():
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (64, 64, 3), np.uint8)
    job = work_out(Request("x", image=image), TRAINED)
    canvas = lay_out(job, TRAINED)
    made_of_it = np.full((48, 64, 64, 3), 128, np.uint8)
    canvas.write(range(48), made_of_it.copy(), None)
    frames = deliver(job, canvas).frames.astype(float)
    assert (frames[0] == image).all()
    left = np.abs(frames - 128).mean((1, 2, 3)) / np.abs(image - 128.0).mean()
    lasts = 0.25 * 12
    np.testing.assert_allclose(left[:5], np.maximum(0, 1 - np.arange(5) / lasts), atol=0.01)
    assert (frames[5:] == 128).all()


@settings(max_examples=60, deadline=None)
@given(RATES, RATES, st.integers(1, 60))
def test_frames_are_shown_in_order_and_on_time(rate, source_rate, count):
    source = max(1, nearest(Fraction(count) / rate * source_rate))
    indices = frame_indices(count, rate, source, source_rate)
    assert indices[0] == 0
    assert (np.diff(indices) >= 0).all()
    shown = np.arange(count) / float(rate) - indices / float(source_rate)
    slack = max(1 / source_rate, 1 / rate)
    assert np.abs(shown[indices < source - 1]).max(initial=0) <= float(slack) + 1e-9
    if rate == source_rate:
        assert (indices == np.arange(count)).all()


@pytest.mark.parametrize("count", [1, 5, 50])
def test_crossfade_moves_between_the_two_without_a_step(count):
    keep = np.zeros(200, bool)
    keep[:100] = True
    mixed = crossfaded(np.ones((2, 200), np.float32), np.zeros((2, 200), np.float32), keep, count)
    assert (mixed[:, : 100 - count] == 1).all()
    assert (mixed[:, 100:] == 0).all()
    assert np.abs(np.diff(mixed)).max() <= 1 / count + 1e-6
    assert (crossfaded(mixed, np.zeros_like(mixed), np.ones(200, bool), count) == mixed).all()
