"""Films whose truth is known: reels of Foley World, stretches of real film, and what is done to them by hand.

Nothing is padded: a clip whose sound is early or late takes picture and sound from different places of a longer film.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.ndimage import shift as shifted

from phonofilm.evaluation.metrics.insertion_hallucination import merged
from phonofilm.media import probe, resample_audio
from phonofilm.types import Clip, Event

FPS, SAMPLE_RATE, SIZE = 25, 16_000, 64
MARGIN = 4
"""Pixels around the picture of a film, so that a shaken camera sees film beyond its frame."""

LENGTH, START, SECONDS = 20.0, 2.2, 10.0
"""Seconds of a film, and the stretch of it that becomes a clip: there is film on both sides to shift sound into."""

LEAST, EDGE = 6.0, 1.1
"""Seconds of the shortest film, and what it leaves on both sides of its clip."""

SHOTS = (75, 100)
"""Frames that a shot of a reel lasts, at least and at most: 3 to 4 s, for so long its scenes keep moving."""

FADE = 0.008
"""Seconds in which the sound of one shot gives way to the next: shorter would click."""


@dataclass(frozen=True)
class Source:
    """Where a film comes from.

    Attributes:
        name: a family of Foley World, or the name of a file. seed: of the reel; of a file, which stretch of it.
        path: the file, or None for Foley World.
        short: the file is shorter than a film should be, and all of it is one.
    """

    name: str
    seed: int
    path: Path | None = None
    short: bool = False


def reel(family: str, seed: int, music: bool = False, fps: int = FPS) -> Clip:
    """Scenes of one family cut together, each with a rhythm of its own; a face that talks is one shot throughout."""
    from phonofilm import world

    rng = np.random.default_rng([seed, world.FAMILIES.index(family)])
    frames, sounds, time = [], [], 0.0
    events: list[Event] = []
    whole = family == "talk"
    while time < LENGTH:
        length = LENGTH + 0.04 if whole else int(rng.integers(SHOTS[0], SHOTS[1] + 1)) / FPS
        truth = world.sample(family, int(rng.integers(2**31)), length if whole else SHOTS[1] / FPS, music=0)
        shot = world.clips([truth], SIZE + 2 * MARGIN, fps, SAMPLE_RATE)[0]
        frames.append(shot.picture.frames[: round((time + length) * fps) - round(time * fps)])
        samples = round((time + length) * SAMPLE_RATE) - round(time * SAMPLE_RATE)
        sounds.append(_faded(shot.sound.waveform[:, :samples]))
        events += [_moved(event, -time) for event in truth.events if event.time < length]
        time += length
    sound = np.concatenate(sounds, axis=1)
    if music:
        sound = sound + bed(seed, sound.shape[1])
    waveform = np.clip(sound, -1, 1).astype(np.float32)
    return Clip(np.concatenate(frames), Fraction(fps), waveform, SAMPLE_RATE, events=tuple(events))


def _faded(sound: np.ndarray) -> np.ndarray:
    length = round(FADE * SAMPLE_RATE)
    ramp = np.linspace(0, 1, length, dtype=np.float32)
    sound = sound.copy()
    sound[:, :length] *= ramp
    sound[:, -length:] *= ramp[::-1]
    return sound


def bed(seed: int, samples: int) -> np.ndarray:
    """Music by rule, float32 [2, samples], as loud as under the scenes of Foley World."""
    from phonofilm.world.audio import music
    from phonofilm.world.audio.synthesis import mix, synthesise

    piece = music.sample(np.random.default_rng([seed, 99]))
    return mix(synthesise([music.score(piece, samples / SAMPLE_RATE)], samples, SAMPLE_RATE))[0].numpy()


def window(film: Clip) -> tuple[float, float]:
    """Start and length in seconds of the clip that a film becomes."""
    lasts = float(film.picture_seconds)
    return (START, SECONDS) if lasts > LENGTH - 0.1 else (EDGE, float(np.floor(lasts - 2 * EDGE)))


def cut(film: Clip, start: float | None = None, seconds: float | None = None, early: float = 0.0) -> Clip:
    """`seconds` of a film from `start` on, with its sound taken from `early` seconds later, and so heard early.

    Without arguments its `window`. Events keep the times at which they are seen.

    Raises:
        ValueError: the film is too short for it.
    """
    (pictures, fps), whole = film.picture, window(film)
    start, seconds = whole[0] if start is None else start, whole[1] if seconds is None else seconds
    first, count = round(start * fps), round(seconds * fps)
    begin = float(first / fps)
    frames = pictures[first : first + count]
    if len(frames) < count:
        raise ValueError(f"{seconds:g} s from {start:g} s on are not in a film of {float(film.picture_seconds):g} s")
    sound = heard(film, begin + early, float(count / fps)) if film.waveform is not None else None
    events = tuple(_moved(event, begin) for event in film.events if begin <= event.time < begin + seconds)
    return film.with_(frames=frames, waveform=sound, events=events, stems={})


def heard(film: Clip, start: float, seconds: float, speed: float = 1.0) -> np.ndarray:
    """Sound of `seconds` from `start` on, played `speed` times as fast.

    Raises:
        ValueError: it is not all in the film.
    """
    waveform, rate = film.sound
    first, count = round(start * rate), round(seconds * rate)
    sound = waveform[:, max(first, 0) : first + round(count * speed) + 8]
    if first < 0 or sound.shape[1] < round(count * speed):
        raise ValueError(f"sound from {start:g} s on, {seconds * speed:g} s of it, is not in the film")
    if speed != 1:
        exact = Fraction(speed).limit_denominator(1000)
        sound = resample_audio(sound, exact.numerator, exact.denominator)
    return sound[:, :count]


def seen(film: Clip, speed: float) -> Clip:
    """The clip of a film whose picture is played `speed` times as fast, its sound as it is."""
    (frames, fps), clip = film.picture, cut(film)
    shown = round(START * fps) + np.floor(np.arange(len(clip.picture.frames)) * speed + 1e-6).astype(int)
    return clip.with_(frames=frames[shown])


def _moved(event: Event, by: float) -> Event:
    return replace(event, time=event.time - by, end=None if event.end is None else event.end - by)


def framed(clip: Clip, jitter: float = 0.0, seed: int = 0) -> Clip:
    """A film without its margin, seen by a camera that shakes by up to ± `jitter` pixels each way, frame by frame.

    A shaken picture is grey: what shakes is found in its luminance.
    """
    inside, frames = slice(MARGIN, -MARGIN), clip.picture.frames
    if not jitter:
        return clip.with_(frames=np.ascontiguousarray(frames[:, inside, inside]))
    ways = np.random.default_rng(seed).uniform(-jitter, jitter, (len(frames), 2))
    grey = (frames @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.float32)
    shaken = [
        shifted(frame, way, order=3, mode="nearest")[inside, inside] for frame, way in zip(grey, ways, strict=True)
    ]
    frames = np.clip(np.rint(shaken), 0, 255).astype(np.uint8)
    return clip.with_(frames=np.repeat(frames[..., None], 3, axis=-1))


def panned(clip: Clip, pan: float) -> Clip:
    """Both ears' mean at one place, −1 left … 1 right, by constant power."""
    middle = clip.sound.waveform.mean(axis=0)
    angle = (pan + 1) * np.pi / 4
    return clip.with_(waveform=np.stack([np.cos(angle) * middle, np.sin(angle) * middle]).astype(np.float32))


ASIDE = {"talk": 0.2}
"""Least mean pan of one-sided scenes, by family: who talks is never far from the middle. 0.4 elsewhere."""


def one_sided(family: str, seed: int) -> tuple[Clip, float]:
    """A scene of 4 s all of whose sounds come from one side, and which: their mean pan, −1 … 1."""
    from phonofilm import world

    least = ASIDE.get(family, 0.4)
    for attempt in range(200):
        truth = world.sample(family, 1000 * seed + attempt, SHOTS[1] / FPS, music=0)
        pans = [event.pan for event in truth.events if event.pan is not None]
        if len(pans) > 1 and min(pans) * max(pans) > 0 and abs(float(np.mean(pans))) > least:
            return world.clips([truth], SIZE, FPS, SAMPLE_RATE)[0], float(np.mean(pans))
    raise ValueError(f"no scene of {family!r} keeps to one side")


def spoken(film: Clip) -> np.ndarray:
    """All that is said in a talking film, its phrases end to end: float32 [N], both ears' mean."""
    waveform = film.sound.waveform
    words = [(event.time, event.end or event.time) for event in film.events if event.kind == "word"]
    phrases = merged(words, waveform.shape[1] / SAMPLE_RATE)
    pieces = [waveform[:, round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)] for a, b in phrases if b - a > 0.2]
    return np.concatenate([_faded(piece).mean(axis=0) for piece in pieces])


def with_inserted(clip: Clip, sound: np.ndarray, share: float) -> Clip:
    """A clip with another sound [N] mixed into a share of it, from its start on."""
    waveform = clip.sound.waveform.copy()
    count = round(share * waveform.shape[1])
    waveform[:, :count] += sound[:count]
    return clip.with_(waveform=np.clip(waveform, -1, 1))


def stretches_of(path: Path, seconds: float | None = None) -> tuple[Source, ...]:
    """As many films of `LENGTH` seconds as lie in (the first `seconds` of) a file, or one shorter one."""
    whole = probe(path).seconds
    if LEAST <= whole < LENGTH:
        return (Source(path.stem, 0, path, short=True),)
    lasts = min(whole, seconds or np.inf)
    return tuple(Source(path.stem, index, path) for index in range(int(lasts // LENGTH)))


def of_world(families: Sequence[str], count: int) -> tuple[Source, ...]:
    """Reels with seeds 0 … count − 1, the families in turn."""
    return tuple(Source(families[index % len(families)], index) for index in range(count))
