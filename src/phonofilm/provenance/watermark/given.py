"""Which part of a clip a model made, and marking that part alone: what was given keeps every bit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import reduce

import numpy as np

from phonofilm.media.resample import mix
from phonofilm.provenance.watermark.picture import mark_frames
from phonofilm.provenance.watermark.sound import mark_sound
from phonofilm.types import Clip, Made, Request, nearest

RAMP = 0.01
"""Seconds in which a mark begins and ends beside what was given."""
SAME = 1e-6
"""Largest difference of samples that went through the same hands without being made anew."""
CONTEXT = 2.0
"""Seconds before a piece of a long sound, and of the piece after it, that its mark is worked out with."""


def made_of(clip: Clip, request: Request) -> Made:
    """What of a clip differs from what its request gave."""
    source = request.source or Clip()
    frames = samples = (0, 0)
    if clip.frames is not None:
        kept = None if request.task == "animate" else source.frames
        first = 1 if request.image is not None and len(clip.frames) > 1 else 0
        frames = (first, len(clip.frames)) if kept is None else _differing_frames(clip.frames, kept)
    if clip.waveform is not None:
        sound = None if request.task == "foley" else source.waveform
        whole = (0, clip.waveform.shape[1])
        samples = whole if sound is None else _differing_samples(clip.waveform, sound, source.layout)
    stems = tuple(name for name in clip.stems if name not in request.given_stems and not _kept(clip, name, request))
    if clip.stems and not stems:
        samples = (0, 0)
    given = request.source is not None or request.image is not None or bool(request.given_stems)
    return Made(frames, samples, stems, given)


def mark_clip(clip: Clip, made: Made, keys: Sequence[bytes]) -> Clip:
    """The clip with its marks, in what was made of it alone."""
    if made.frames[1] > made.frames[0] and clip.frames is not None and clip.fps is not None:
        start, end = made.frames
        marked = mark_frames(clip.frames[start:end], clip.fps, keys, start)
        clip = replace(clip, frames=np.concatenate([clip.frames[:start], marked, clip.frames[end:]]))
    if made.samples[1] > made.samples[0]:
        clip = _mark_sound(clip, made, keys)
    return clip


def _mark_sound(clip: Clip, made: Made, keys: Sequence[bytes]) -> Clip:
    assert clip.waveform is not None
    assert clip.sample_rate is not None
    start, end = made.samples
    names = made.stems or ("",)
    ramp = _ramp(clip, made)
    added = {
        name: mark_sound((clip.stems[name] if name else clip.waveform)[:, start:end], clip.sample_rate, keys, start)
        for name in names
    }
    total = np.sum([*added.values()], axis=0) * ramp
    sounds = [clip.stems[name][:, start:end] for name in names if name]
    room = ramp * _room([(clip.waveform[:, start:end], total), *zip(sounds, [*added.values()], strict=False)])
    marked = {name: _plus(clip.stems[name], part * room, start) for name, part in added.items() if name}
    waveform = _plus(clip.waveform, np.sum([part * room for part in added.values()], axis=0), start)
    return replace(clip, waveform=waveform, stems={**clip.stems, **marked})


def _room(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """float32 [C, N] from 0 to 1: how much of what is added to sounds fits below full scale in all of them."""
    shares = (np.clip(1 - np.sign(add) * sound, 0, None) / np.maximum(np.abs(add), 1e-9) for sound, add in pairs)
    return np.asarray(reduce(np.minimum, shares, np.float32(1.0)), np.float32)


def _plus(sound: np.ndarray, added: np.ndarray, start: int) -> np.ndarray:
    found = sound.copy()
    found[:, start : start + added.shape[1]] += added
    return found


def _ramp(clip: Clip, made: Made) -> np.ndarray:
    """float32 [N]: 1, but for the ends that lie beside what was given."""
    assert clip.waveform is not None
    start, end = made.samples
    ramp = np.ones(end - start, np.float32)
    length = min(nearest(Fraction(RAMP) * (clip.sample_rate or 1)), len(ramp))
    edge = np.linspace(0, 1, length, dtype=np.float32)
    if start > 0:
        ramp[:length] *= edge
    if end < clip.waveform.shape[1]:
        ramp[len(ramp) - length :] *= edge[::-1]
    return ramp


def mark_pieces(clips: Iterator[Clip], keys: Sequence[bytes], given: Collection[str] = ()) -> Iterator[Clip]:
    """Pieces of a sound that follow one another, and their stems, each with its mark; one piece is held back.

    Args:
        given: stems that stay as they are.
    """
    before: Clip | None = None
    now = next(clips, None)
    start = 0
    while now is not None:
        after = next(clips, None)
        yield mark_piece(before, now, after, keys, start, given)
        start += 0 if now.waveform is None else now.waveform.shape[1]
        before, now = now, after


def mark_piece(
    before: Clip | None, now: Clip, after: Clip | None, keys: Sequence[bytes], start: int, given: Collection[str] = ()
) -> Clip:
    """A piece of a sound, which begins at sample `start` of the whole, with its mark; its neighbours only help."""
    if now.waveform is None or not now.sample_rate:
        return now
    rate, length = now.sample_rate, now.waveform.shape[1]
    count = nearest(Fraction(CONTEXT) * rate)

    def marked(name: str) -> np.ndarray:
        parts = [clip for clip in (before, now, after) if clip is not None]
        sounds = [clip.stems[name] if name else clip.waveform for clip in parts]
        known = [sound for sound in sounds if sound is not None]
        past = known[0][:, -count:] if before is not None else known[0][:, :0]
        future = known[-1][:, :count] if after is not None else known[-1][:, :0]
        here = now.stems[name] if name else now.waveform
        assert here is not None
        around = np.concatenate([past, here, future], axis=1)
        added = mark_sound(around, rate, keys, start - past.shape[1])
        return np.asarray(added[:, past.shape[1] : past.shape[1] + length])

    names = [name for name in now.stems if name not in given] if now.stems else [""]
    if not names:
        return now
    changes = {name: marked(name) for name in names}
    apart = [(now.stems[name], change) for name, change in changes.items() if name]
    room = _room([(now.waveform, np.sum([*changes.values()], axis=0)), *apart])
    changes = {name: change * room for name, change in changes.items()}
    stems = {name: stem + changes[name] if name in changes else stem for name, stem in now.stems.items()}
    return replace(now, waveform=now.waveform + np.sum([*changes.values()], axis=0), stems=stems)


def _kept(clip: Clip, name: str, request: Request) -> bool:
    """Whether a stem is what the source had as that stem, or as a mix that was taken for it."""
    if request.task == "animate":  # it keeps all stems but those that are asked for by name
        return name not in (request.only or ()) and not getattr(request, name, "")
    source = request.source
    if source is None or request.task == "foley":
        return False
    given = source.stems.get(name, source.waveform)
    stem = clip.stems[name]
    if given is None:
        return False
    given = mix(given, len(stem), source.layout) if len(given) != len(stem) else given
    length = min(stem.shape[1], given.shape[1])  # a clip lasts whole frames: silence may follow what it was given
    return not stem[:, length:].any() and bool(np.abs(stem[:, :length] - given[:, :length]).max(initial=0) <= SAME)


def _differing_frames(frames: np.ndarray, given: np.ndarray) -> tuple[int, int]:
    if frames is given or frames.shape[1:] != given.shape[1:]:
        return (0, 0) if frames is given else (0, len(frames))
    same = min(len(frames), len(given))
    differ = np.array([not np.array_equal(frames[n], given[n]) for n in range(same)] + [True] * (len(frames) - same))
    return _extent(differ)


def _differing_samples(sound: np.ndarray, given: np.ndarray, layout: Sequence[str]) -> tuple[int, int]:
    if len(sound) != len(given):
        given = mix(given, len(sound), layout)
    same = min(sound.shape[1], given.shape[1])
    differ = np.ones(sound.shape[1], bool)
    differ[:same] = (sound[:, :same] != given[:, :same]).any(0)
    return _extent(differ)


def _extent(differ: np.ndarray) -> tuple[int, int]:
    where = np.flatnonzero(differ)
    return (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 0)
