"""The tracks of a job's sound: one mix, or stems, each with what is known of it and what is to make."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from phonofilm.backends.canvas.fit import crossfaded, to_length
from phonofilm.backends.canvas.stems import Wanted
from phonofilm.choices import STEMS, Stem
from phonofilm.errors import PhonofilmError
from phonofilm.media.resample import mix, resample_audio
from phonofilm.perception.audio.silero_vad import VoiceActivity
from phonofilm.types import Clip, Request, nearest

Interval = tuple[Fraction, Fraction]
NOTHING: Interval = (Fraction(0), Fraction(0))
FADE_SECONDS = Fraction(1, 100)
AGREE = 1e-3
"""How far the sum of a source's stems may be from its mix for them to be used."""
VOICE_SECONDS = 0.25
"""So much voice makes a mix speech."""
SPOKEN = re.compile(r"[\"“”]|\b(say|speak|talk|sing|tell|voice)s?\b", re.IGNORECASE)
"""What a prompt says where somebody speaks in it."""


@dataclass(frozen=True)
class Track:
    """One stem of a job's sound, or its mix.

    Attributes:
        name: of the stem; empty for a mix.
        number: of the stem in the model.
        made: the seconds [from, to) to make of it.
        source: what is known of it; None is silence.
        own: whether that is given by itself, and not with the clip that is worked on.
    """

    name: str
    number: int
    made: Interval
    source: Clip | None = None
    own: bool = False

    def sound(self, rate: int, samples: int) -> np.ndarray:
        """What is known, as float32 [2, samples] at a rate, with silence where nothing is."""
        if self.source is None or self.source.waveform is None or not self.source.sample_rate:
            return np.zeros((2, samples), np.float32)
        stereo = mix(self.source.waveform, 2, self.source.layout)
        return to_length(resample_audio(stereo, self.source.sample_rate, rate), samples)

    def kept(self, rate: int, samples: int) -> np.ndarray:
        """bool [samples]: what of it is not made."""
        keep = np.ones(samples, bool)
        keep[between(self.made, Fraction(rate), samples)] = False
        return keep


def tracks_of(
    request: Request, asked: Wanted, source: Clip, names: tuple[Stem, ...], made: Interval
) -> tuple[Track, ...]:
    """The tracks of a job whose sound is made, or kept, in an interval.

    Args:
        source: the clip to work on, without sound where all of it is made.
        names: the stems that the model keeps apart; none for a mix.
    """
    if not names:
        return (Track("", 0, made, source),)
    if source.waveform is None:
        return tuple(_made_afresh(request, asked, names, made))
    known = source_stems(source, request.mix_as, *_taken(request, asked), request.prompt)
    named = (*(request.only or ()), *(asked.made if request.task == "animate" else ()))
    added = [name for name in asked.made if name not in known and name in named]
    return tuple(
        _beside(name, request, asked, known, names.index(name), made)
        for name in names
        if name in known or name in added or name in asked.given or (name in asked.silent and request.task == "animate")
    )


def _beside(
    name: Stem, request: Request, asked: Wanted, known: Mapping[Stem, Clip], number: int, made: Interval
) -> Track:
    """A stem of a clip that is worked on: what is known of it, of the clip's own and of what is given."""
    clip, given, afresh = known.get(name), request.given_stems.get(name), name in asked.made
    if given is not None:
        if request.task == "animate":
            return Track(name, number, NOTHING, given, own=True)
        source = next(iter(known.values()))
        level = np.float32(10 ** (request.gain.get(name, 0.0) / 20))
        return Track(name, number, NOTHING, _laid_in(clip, given, level, source, made))
    if afresh and request.task == "animate":
        return Track(name, number, made)
    if name in asked.silent and clip is not None:
        clip = _silenced(clip, made)
    return Track(name, number, made if afresh else NOTHING, clip)


def _taken(request: Request, asked: Wanted) -> tuple[set[Stem], set[Stem]]:
    """Stems that a source's mix cannot be, and those that it should not be taken for unless nothing else is left."""
    if request.task == "animate":
        return {*asked.made, *asked.given, *asked.silent}, set()
    return set(asked.given), set(asked.made) if request.only else set()


def _made_afresh(request: Request, asked: Wanted, names: tuple[Stem, ...], made: Interval) -> list[Track]:
    given = request.given_stems
    return [
        Track(name, names.index(name), made if name in asked.made else NOTHING, given.get(name), name in given)
        for name in names
        if name in asked.stems
    ]


def source_stems(
    source: Clip,
    mix_as: Stem | None,
    never: Collection[Stem] = (),
    rather_not: Collection[Stem] = (),
    prompt: str = "",
) -> dict[Stem, Clip]:
    """The stems of a clip with sound; one mix is a single stem.

    That stem is the one that `mix_as` names. Without it, it is speech if a voice is heard in the clip (where Silero VAD
    is not installed, if the prompt tells of somebody who speaks) and effects otherwise; or where these are given, or
    what is asked for, one that is not.
    """
    if source.waveform is None:
        return {}
    stems = {name: source.stems[name] for name in STEMS if name in source.stems}
    shapes = {stem.shape for stem in stems.values()} | {source.waveform.shape}
    if (
        stems
        and len(shapes) == 1
        and np.abs(np.sum([*stems.values()], axis=0) - source.waveform).max(initial=0) <= AGREE
    ):
        return {name: source.with_(waveform=stem, stems={}, frames=None, fps=None) for name, stem in stems.items()}
    name = mix_as or _guess(source, never, rather_not, prompt)
    return {name: source.with_(stems={}, frames=None, fps=None)}


def _guess(source: Clip, never: Collection[Stem], rather_not: Collection[Stem], prompt: str) -> Stem:
    heard = has_voice(source)
    guess: Stem = "speech" if (SPOKEN.search(prompt) if heard is None else heard) else "effects"
    order: tuple[Stem, ...] = (guess, "effects", "speech", "music")
    possible = [name for name in order if name not in never] or [guess]
    return next((name for name in possible if name not in rather_not), possible[0])


def has_voice(clip: Clip, seconds: float = 30.0) -> bool | None:
    """Whether a voice is heard in the first seconds of a clip; None where Silero VAD is not installed."""
    if clip.waveform is None or not clip.sample_rate or not clip.waveform.any():
        return False
    try:
        detector = VoiceActivity.load()
    except PhonofilmError:
        return None
    first = mix(clip.waveform[:, : int(seconds * clip.sample_rate)], 1, clip.layout)
    spans = detector.spans(resample_audio(first, clip.sample_rate, VoiceActivity.sample_rate)[0])
    return sum(span.end - span.start for span in spans) >= VOICE_SECONDS


def _silenced(clip: Clip, interval: Interval) -> Clip:
    """The same sound without what lies in an interval."""
    waveform, rate = clip.sound
    keep = np.ones(waveform.shape[1], bool)
    keep[between(interval, Fraction(rate), len(keep))] = False
    ramp = nearest(FADE_SECONDS * rate)
    return replace(clip, waveform=crossfaded(waveform, np.zeros_like(waveform), keep, ramp))


def _laid_in(clip: Clip | None, given: Clip, level: np.float32, source: Clip, interval: Interval) -> Clip:
    """A stem of a clip, silent where it has none, with what is given on the clip's clock within an interval.

    The fades at the interval's ends lie outside it, so that what is given comes as its own samples.
    """
    rate = source.sound.sample_rate
    end = nearest(interval[1] * rate)
    laid = level * Track("", 0, NOTHING, given).sound(rate, end)
    length = max(end, source.sound.waveform.shape[1])
    own = Track("", 0, NOTHING, clip).sound(rate, length)
    keep = Track("", 0, interval).kept(rate, length)
    waveform = crossfaded(own, to_length(laid, length), keep, nearest(FADE_SECONDS * rate))
    return Clip(waveform=waveform, sample_rate=rate)


def length_notice(name: str, seconds: Fraction, total: Fraction, task: str = "generate") -> str | None:
    """One line where a stem that is given is longer or shorter than the clip, by more than a twentieth of a second.

    Of a retake it is only said where silence follows within the part that is made, which ends at `total`.
    """
    if abs(seconds - total) <= Fraction(1, 20) or (task == "retake" and seconds > total):
        return None
    what = "silence follows" if seconds < total else "the rest is cut"
    whole = "what is made ends at" if task == "retake" else "the clip"
    return f"the given {name} lasts {float(seconds):.4g} s, {whole} {float(total):.4g} s: {what}"


def between(interval: Interval, rate: Fraction, length: int) -> slice:
    """Frames or samples that begin within an interval, to the nearest."""
    start, end = (min(nearest(second * rate), length) for second in interval)
    return slice(start, end)


def mixed(
    tracks: tuple[Track, ...], made: np.ndarray, rate: int, gains: Mapping[str, float], interval: Interval
) -> tuple[dict[str, np.ndarray], float]:
    """The stems that are handed over, float32 [2, N] each, and by how many dB all were made softer.

    What was given comes back as its own samples, and what was made is faded into what was kept. Where the sum, or a
    stem, would clip, one gain for all of them, in the interval in which sound was made, keeps it from that.

    Args:
        made: float32 [S, 2, N], the tracks as the canvas has them in the end.
        gains: levels in dB of stems that are made or given by themselves.
    """
    samples, ramp = made.shape[-1], nearest(FADE_SECONDS * rate)
    found = {}
    for track, sound in zip(tracks, made, strict=True):
        level = np.float32(10 ** (gains.get(track.name, 0.0) / 20))
        kept = track.sound(rate, samples)
        if track.own:
            found[track.name] = level * kept
        elif track.source is None:
            found[track.name] = level * sound
        else:
            found[track.name] = crossfaded(kept, level * sound, track.kept(rate, samples), ramp)
    parts = [*found.values(), np.sum([*found.values()], axis=0)]
    peak = max(float(np.abs(part).max(initial=0)) for part in parts)
    if peak <= 1:
        return found, 0.0
    start, end = interval
    keep = Track("", 0, (max(Fraction(0), start - FADE_SECONDS), end + FADE_SECONDS)).kept(rate, samples)
    ones = np.ones((1, samples), np.float32)
    envelope = crossfaded(ones, ones / np.float32(peak * (1 + 1e-6)), keep, ramp)
    return {name: stem * envelope for name, stem in found.items()}, 20 * float(np.log10(peak))
