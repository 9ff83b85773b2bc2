"""What a knob does to sound: offsets, speeds, damage, places, other sounds; case by case, from mild to strong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from phonofilm.evaluation.calibration import sources
from phonofilm.evaluation.calibration.sources import SECONDS, START, Source
from phonofilm.evaluation.distortions import distort
from phonofilm.media import read_clip, write_clip
from phonofilm.types import Clip


@dataclass(frozen=True, eq=False)
class Case:
    """One clip to score.

    Attributes:
        condition: what else is wrong with it, or "".
        level: of the knob; None for the clip before anything was done to it.
        clip: what is scored.
        picture: "same" where its picture is that of the case before it, whose features then serve again.
        real: score it against the last case of level None.
    """

    condition: str
    level: float | None
    clip: Clip
    picture: str = "own"
    real: bool = False


Films = Callable[[bool], Clip]
"""The film of a source, with music under it or not."""


def _with(clip: Clip, sound: np.ndarray | None) -> Clip:
    return clip.with_(waveform=sound)


def offset(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    film = films(False)
    base = sources.framed(sources.cut(film))
    for turn, level in enumerate(_within(levels, film)):
        early = sources.cut(film, early=level / 1000)
        yield Case("", level, base.with_(waveform=early.waveform), "same" if turn else "own")


def _within(levels: Sequence[float], film: Clip) -> list[float]:
    """Offsets in ms for which there is film on both sides."""
    return [level for level in levels if abs(level) < 1000 * sources.window(film)[0]]


CONDITIONS = ("noise 10 dB", "music", "12 fps", "jitter 1 px", "jitter 2 px")


def disturbed(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """Offsets in a shaken picture, in noise, under music, and at 12 frames a second (every other frame of 24 or 25)."""
    for condition in CONDITIONS:
        if condition == "music" and source.path is not None:
            continue  # it has its own
        film = films(condition == "music")
        if condition == "12 fps" and film.fps is not None and film.fps < 20:
            continue
        jitter = float(condition.split()[1]) if condition.startswith("jitter") else 0.0
        base = sources.framed(sources.cut(film), jitter, source.seed)
        if condition == "12 fps":
            base = base.with_(frames=base.picture.frames[::2], fps=base.picture.fps / 2)
        for turn, level in enumerate(_within(levels, film)):
            clip = base.with_(waveform=sources.cut(film, early=level / 1000).waveform)
            if condition == "noise 10 dB":
                clip = distort(clip, "noise", 10, source.seed)
            yield Case(condition, level, clip, "same" if turn else "own")


def audio_speed(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    film = films(False)
    base = sources.framed(sources.cut(film))
    for turn, level in enumerate(levels):
        sound = sources.heard(film, START, SECONDS, 1 + level)
        yield Case("", level, _with(base, sound), "same" if turn else "own")


def video_speed(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """A picture faster by a factor runs away from its sound as a sound slower by it would."""
    film = films(False)
    for level in levels:
        yield Case("", level, sources.framed(sources.seen(film, 1 + level)))


def fragments(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    base = sources.framed(sources.cut(films(False)))
    yield Case("", None, base)
    for level in levels:
        yield Case("", level, distort(base, "fragment-shuffle", level, source.seed))


def mismatch(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """Level 0: its own sound; level 1: that of another film of its family. Shares between are made of both."""
    base = sources.framed(sources.cut(films(False)))
    other = sources.cut(sources.reel(source.name, source.seed + STRANGER))
    for level in levels:
        yield Case("", level, base if level == 0 else _with(base, other.waveform), "same" if level else "own")


STRANGER = 5000
"""Added to the seed of a film for another one of its kind."""


def sound_damage(kind: str) -> Callable[[Source, Films, Sequence[float]], Iterator[Case]]:
    def turn(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
        base = sources.framed(sources.cut(films(False)))
        yield Case("", None, base)
        for level in levels:
            yield Case("", level, distort(base, kind, level, source.seed), "same", real=True)

    return turn


def voice(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """Noise over a voice, whose words are the prompt where they are known."""
    base = sources.framed(sources.cut(films(False)))
    words = " ".join(event.label or "" for event in base.events if event.kind == "word")
    base = base.with_(prompt=f'"{words}"' if words else None)
    for level in levels:
        yield Case("", level, distort(base, "noise", level, source.seed), "same")


def gain(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    base = sources.framed(sources.cut(films(False)))
    yield Case("", None, base)
    for level in levels:
        yield Case("", level, _with(base, base.sound.waveform * np.float32(10 ** (level / 20))), "same", real=True)


def muting(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """The first part of the sound goes silent; noise at −50 dB full scale keeps the rest from being so by itself."""
    base = sources.framed(sources.cut(films(False)))
    heard = base.sound.waveform
    hiss = np.random.default_rng(source.seed).normal(0, 10**-2.5, heard.shape).astype(np.float32)
    for level in levels:
        sound = heard + hiss
        sound[:, : round(level * sound.shape[1])] = 0
        yield Case("", level, _with(base, sound), "own")


def pan(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """One-sided scenes, turned so that their true side is the right one; mono is level 0 of the width."""
    clip = right_sided(source.name, source.seed)
    yield Case("", None, clip)
    for level in levels:
        yield Case("", level, sources.panned(clip, level), "same", real=True)
    for name, width in (("mirrored", -1.0), ("mono", 0.0)):
        yield Case(name, width, distort(clip, "stereo-width", width), "same", real=True)


def ears(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """Scenes that sound from the right, whose sides are made narrower, and then swapped."""
    clip = right_sided(source.name, source.seed)
    yield Case("", None, clip)
    for level in levels:
        yield Case("", level, distort(clip, "stereo-width", level), "same")


def right_sided(family: str, seed: int) -> Clip:
    """A scene all of whose sounds come from one side, mirrored if that is the left one."""
    clip, side = sources.one_sided(family, seed)
    if side > 0:
        return clip
    return clip.with_(frames=clip.picture.frames[:, :, ::-1].copy(), waveform=clip.sound.waveform[::-1].copy())


def insertion(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """Music by rule and phrases of the talking family without pauses, mixed into what bounces."""
    base = sources.framed(sources.cut(sources.reel("bounce", source.seed)))
    base = base.with_(prompt="A ball is dropped and bounces.")
    count = base.sound.waveform.shape[1]
    sounds = {"music": 4 * sources.bed(source.seed, count).mean(axis=0)}
    if "talk" in families():
        sounds["speech"] = sources.spoken(sources.reel("talk", source.seed))
    for name, sound in sounds.items():
        for level in levels:
            yield Case(name, level, sources.with_inserted(base, sound, level), "own")


def codec(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """The same clip written and read again; level 0 is lossless, then MP4, MOV, WebM."""
    film = films(False)
    base = sources.framed(sources.cut(film, seconds=4.0))
    with TemporaryDirectory() as folder:
        for level in levels:
            if level == 0:
                yield Case("", level, base)
                continue
            path = write_clip(base, Path(folder) / f"clip{CONTAINERS[int(level)]}")
            yield Case("", level, read_clip(path, sample_rate=base.sample_rate), real=False)


CONTAINERS = ("", ".mp4", ".mov", ".webm")


def families() -> tuple[str, ...]:
    from phonofilm.world import FAMILIES

    return FAMILIES
