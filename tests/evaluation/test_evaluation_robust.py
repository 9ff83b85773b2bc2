"""Five hundred clips, a hundred of them damaged in every way that real folders know."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from folders import knocks

from phonofilm.evaluation.suite.runner import Settings, evaluate
from phonofilm.media import write_clip

DAMAGES = (
    "cut short", "cut to its head", "zero bytes", "zeros", "noise", "prose", "wrong suffix", "unknown suffix",
    "no sound", "no picture", "one frame", "too short", "eight channels", "12 fps", "30 fps", "48 kHz", "mono",
)  # fmt: skip
SCORED = "no sound"
"""The damage whose clips stay in the metrics of the picture, and fail in those that ask for a sound."""


def damage(kind: str, name: str, folder: Path, whole: bytes) -> None:
    """Write a file that is damaged in this way."""
    clip = knocks(999)
    path = folder / f"{name}.mkv"
    rng = np.random.default_rng(int(name[1:]))
    contents = {
        "cut short": whole[: len(whole) // 2],
        "cut to its head": whole[:200],
        "zero bytes": b"",
        "zeros": bytes(5000),
        "noise": rng.bytes(20_000),
        "prose": b"a square jumps " * 40,
    }
    films = {
        "no sound": lambda: clip.with_(waveform=None, sample_rate=None),
        "one frame": lambda: clip.with_(frames=clip.frames[:1]),
        "too short": lambda: clip.with_(frames=clip.frames[:10], waveform=clip.waveform[:, :6400]),
        "eight channels": lambda: clip.with_(waveform=np.repeat(clip.waveform, 4, axis=0)),
        "12 fps": lambda: knocks(998, fps=12),
        "30 fps": lambda: knocks(997, fps=30),
        "48 kHz": lambda: clip.with_(waveform=np.repeat(clip.waveform, 3, axis=1), sample_rate=48_000),
        "mono": lambda: knocks(996, mono=True),
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind == "wrong suffix":
        path.with_suffix(".mp4").write_bytes(whole)
    elif kind == "unknown suffix":
        path.with_suffix(".bin").write_bytes(whole)
    elif kind == "no picture":
        write_clip(clip.with_(frames=None, fps=None), path.with_suffix(".wav"))
    else:
        write_clip(films[kind](), path)


def compare(tmp_path: Path, good: int, bad: int, distinct: int, workers: int, metrics: tuple[str, ...]) -> None:
    """A folder with and without its damaged files: all of those are listed, and nothing else changes.

    Clips without a sound are there from the start, for they are scored.
    """
    folder = tmp_path / "clips"
    folder.mkdir()
    for index in range(good):
        path = folder / f"c{index:03d}.mkv"
        if index < distinct:
            write_clip(knocks(index, delay=0.01 * (index % 7)), path)
        else:  # drawing takes longest: the rest are copies of which each is a clip of its own to a folder
            shutil.copy(folder / f"c{index % distinct:03d}.mkv", path)
    settings = Settings(metrics=metrics, cache=tmp_path / "cache", workers=workers)
    whole = (folder / "c000.mkv").read_bytes()
    kinds = {f"d{index:03d}": DAMAGES[index % len(DAMAGES)] for index in range(bad)}
    mute = {name for name, kind in kinds.items() if kind == SCORED}
    for name in mute:
        damage(SCORED, name, folder, whole)
    before = evaluate(folder, settings=settings)
    for name in kinds.keys() - mute:
        damage(kinds[name], name, folder, whole)
    after = evaluate(folder, settings=settings)
    listed = after["generated"]["listed"]
    left_out = [item for item in listed if not item["scored"]]
    assert {Path(item["name"]).stem for item in left_out} == kinds.keys() - mute
    assert after["generated"]["left_out"] == bad - len(mute)
    assert sum(after["generated"]["counts"].values()) == bad
    assert {item["name"] for item in listed if item["scored"] and item["kind"] == "no sound"} == mute
    assert after["generated"]["scored"] == good + len(mute)
    assert all(item["reason"] and "\n" not in item["reason"] for item in listed)
    rows = {row["name"]: row for row in after["metrics"]}
    assert {name for names in rows["offset"]["absent"].values() for name in names} >= mute
    assert rows["clips with sound"]["value"] == pytest.approx(good / (good + len(mute)))
    assert rows["temporal flicker"]["n"] == good + len(mute)
    assert after["clips"] == before["clips"]
    for one, other in zip(before["metrics"], after["metrics"], strict=True):
        assert one == other


def test_every_kind_of_damage_is_listed(tmp_path: Path) -> None:
    # odd clips are odd where 80 % are of one kind, so of 17 damages 8 that can be decoded want 32 whole ones
    compare(tmp_path, 40, len(DAMAGES), 3, 1, ("offset", "silence", "mono", "clips with sound", "temporal flicker"))


@pytest.mark.slow
def test_five_hundred_clips_with_a_hundred_damaged(tmp_path: Path) -> None:
    compare(tmp_path, 400, 100, 400, 2, ())
