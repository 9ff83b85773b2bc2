"""Damaged films, sounds and pictures are read or refused in one line; undamaged ones are what was drawn."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from fuzz import media, seeds
from fuzz.runner import CRASH, FINDINGS, FOREIGN, HANG, READ, REFUSED, UNCLEAR, Target, case, outcome_of, run
from phonofilm.errors import PhonofilmError
from phonofilm.media import read_clip, read_image

PICTURE_SHA256 = "a11f3a86c58e3855f64df4598e1e56b59ee0c47c9d5c3b40dcafa7d546bc5fea"
SOUND_SHA256 = "e600f217da9874f5ae1fdc1f1f9cccce299293faeca2c1de3d11eb9a12020ac6"
# the mean error of a picture, of 255, and the correlation of a sound, that a lossy codec may have
FILMS = {
    "film.avi": (8, 0.9),
    "film.gif": (18, None),
    "film.mkv": (0, 1),
    "film.mov": (5, 1),
    "film.mp4": (5, 0.95),
    "film.ts": (8, 0.9),
    "film.webm": (5, 0.95),
    "sound.flac": (None, 1),
    "sound.mp3": (None, 0.95),
    "sound.ogg": (None, 0.95),
    "sound.wav": (None, 1),
}


def test_five_hundred_damaged_files() -> None:
    report = run(media.target(), 500, seed=1)
    assert not report.findings, report
    assert report.outcomes[READ] > 25
    assert report.outcomes[REFUSED] > 100


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_what_is_drawn_is_known() -> None:
    assert sha256(seeds.picture()) == PICTURE_SHA256
    assert sha256(np.round(seeds.sound() * 2**15).astype("<i2")) == SOUND_SHA256


@pytest.mark.parametrize("name", sorted(FILMS))
def test_undamaged_files_decode_to_what_was_drawn(name: str) -> None:
    """To the bit where nothing is lost, whatever the processor and FFmpeg's version, and closely elsewhere."""
    error, likeness = FILMS[name]
    clip = read_clip(media.SEEDS / name)
    if error == 0:
        assert sha256(clip.frames) == PICTURE_SHA256
    elif error is not None:
        # a stream that starts with the sound's first block holds its first frame a moment
        found = clip.frames[-seeds.FRAMES :]
        assert np.abs(found.astype(int) - seeds.picture()).mean() < error
    if likeness == 1:
        assert sha256(np.round(clip.waveform * 2**15).astype("<i2")) == SOUND_SHA256
    elif likeness is not None:
        assert best_likeness(clip.waveform[0], seeds.sound(clip.sample_rate)[0]) > likeness


def best_likeness(found: np.ndarray, drawn: np.ndarray) -> float:
    """Correlation at the delay that fits best: some containers keep what a codec starts with."""
    found = found[: len(drawn)]
    at = np.fft.irfft(np.fft.rfft(found, 2 * len(drawn)) * np.conj(np.fft.rfft(drawn, 2 * len(drawn))))
    return float(np.abs(at).max() / np.sqrt((found**2).sum() * (drawn**2).sum()))


def test_undamaged_pictures() -> None:
    assert np.array_equal(read_image(media.SEEDS / "still.png"), seeds.picture()[5])
    assert np.abs(read_image(media.SEEDS / "still.jpg").astype(int) - seeds.picture()[5]).mean() < 6


def behaves(path: Path) -> None:
    """What each content asks for."""
    content = path.read_bytes()
    if content == b"refuse":
        raise PhonofilmError("no film; make it again")
    if content == b"two lines":
        raise PhonofilmError("one\ntwo")
    if content == b"our fault":
        {}["no such key"]
    if content == b"hang":
        while True:
            pass
    if content == b"crash":
        import os

        os.abort()
    if content == b"memory":
        bytearray(2**40)


CONTENTS = {
    "a": b"fine", "b": b"refuse", "c": b"two lines", "d": b"our fault", "e": b"hang", "f": b"crash", "g": b"memory",
}  # fmt: skip


def untouched(content: bytes, generator: np.random.Generator, others: object) -> bytes:
    return content


def test_the_runner_tells_what_it_finds(tmp_path: Path) -> None:
    target = Target("behaves", CONTENTS, behaves, untouched, seconds=1.0)
    report = run(target, 8, folder=tmp_path)
    assert dict(report.outcomes) == {READ: 2, REFUSED: 1, UNCLEAR: 1, FOREIGN: 2, HANG: 1, CRASH: 1}
    found = {number: (outcome, said) for number, outcome, said in report.findings}
    assert {number: outcome for number, (outcome, _) in found.items()} == {
        2: UNCLEAR, 3: FOREIGN, 4: HANG, 5: CRASH, 6: FOREIGN,
    }  # fmt: skip
    assert "KeyError" in found[3][1]
    assert "behaves" in found[3][1]
    assert (tmp_path / "behaves-0-5-crash-f").read_bytes() == b"crash"
    # an interrupted run goes on: nothing is done again
    again = run(target, 8, folder=tmp_path)
    assert again.outcomes == report.outcomes
    assert len((tmp_path / "behaves-0.jsonl").read_text().splitlines()) == 8
    assert set(FINDINGS) == {outcome for _, outcome, _ in again.findings}


def test_a_case_is_always_the_same_file() -> None:
    target = media.target()
    assert case(target, 3, 41) == case(target, 3, 41)
    assert case(target, 3, 41) != case(target, 4, 41)
    assert len({case(target, 3, number)[0] for number in range(14)}) == len(target.seeds)


def test_outcome_of_a_message_without_text(tmp_path: Path) -> None:
    def empty(path: Path) -> None:
        raise PhonofilmError(" ")

    assert outcome_of(empty, tmp_path)[0] == UNCLEAR
