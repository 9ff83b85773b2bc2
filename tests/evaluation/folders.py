"""Folders of small films whose truth is known, and files that are none."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from phonofilm.media import write_clip
from phonofilm.types import Clip

RATE, FPS, SIZE, SECONDS = 16_000, 25, 48, 3


def knocks(seed, delay=0.0, pan=0.5, seconds=SECONDS, fps=FPS, mono=False):
    """A square that jumps aside and a click at each jump, `delay` seconds after it."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.3, 0.8, 12))
    times = times[times < seconds - 0.3]
    ground = rng.integers(90, 110, (SIZE, SIZE, 3))
    frames = np.repeat(ground[None], seconds * fps, axis=0).astype(np.uint8)
    for index, frame in enumerate(frames):
        jumps = int(np.searchsorted(times, index / fps, side="right"))
        since = index / fps - (times[jumps - 1] if jumps else 0.0)
        y = 8 + 16 * (jumps % 2) + round(6 * np.exp(-10 * since))
        frame[y : y + 12, 8:22] = (230, 220, 60)
    sound = rng.normal(0, 0.002, (2, seconds * RATE))
    for time in times:
        start = round((time + delay) * RATE)
        burst = 0.5 * np.exp(-np.arange(1600) / 200) * rng.normal(0, 1, 1600)
        for ear, gain in enumerate((1 - pan, 1 + pan)):
            stretch = sound[ear, max(start, 0) : start + 1600]
            stretch += 0.5 * gain * burst[-len(stretch) :]
    waveform = np.clip(sound, -1, 1).astype(np.float32)
    return Clip(frames, Fraction(fps), waveform[:1] if mono else waveform, RATE)


def fill(folder: Path, count, **how):
    """Write clips 00.mkv … without loss."""
    folder.mkdir()
    for index in range(count):
        write_clip(knocks(index, **how), folder / f"{index:02d}.mkv")
    return folder


def spoil(folder: Path):
    """Add what goes wrong in real folders; returns the names that must be listed as left out."""
    whole = (folder / "00.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    (folder / "zero.mp4").write_bytes(b"")
    (folder / "prose.mp4").write_text("once upon a time")
    (folder / "renamed.mp4").write_bytes(whole)
    (folder / "hidden.dat").write_bytes(whole)
    clip = knocks(40)
    write_clip(clip.with_(frames=None, fps=None), folder / "blind.wav")
    write_clip(clip.with_(frames=clip.frames[:1]), folder / "still.mkv")
    write_clip(knocks(41, seconds=1).with_(waveform=clip.waveform[:, :4000]), folder / "short.mkv")
    write_clip(knocks(42, fps=12), folder / "slow.mkv")
    write_clip(knocks(43, mono=True), folder / "one-ear.mkv")
    (folder / "captions.txt").write_text("a square jumps")
    return {"cut", "zero", "prose", "renamed.mp4", "hidden.dat", "blind", "still", "short", "slow", "one-ear"}
