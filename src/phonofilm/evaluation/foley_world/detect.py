"""From a clip to what is seen and heard in it, beside what its prompt asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from phonofilm.evaluation.foley_world import audio_events, visual_events
from phonofilm.types import Clip, Event
from phonofilm.world.palette import COLOURS, MATERIALS, NOTES

PITCHES = {name: pitch for name, _, pitch in NOTES}
NOTE_OF = {colour: name for name, colour, _ in NOTES}


@dataclass(frozen=True)
class PromptSpec:
    """What a prompt of Foley World asks for: its family, its colours and materials in order of mention."""

    family: str
    colours: tuple[str, ...]
    materials: tuple[str, ...]

    @staticmethod
    def of(prompt: str) -> PromptSpec:
        words = re.findall(r"[a-z]+", prompt.lower())
        family = "strike" if {"xylophone", "glockenspiel", "mallet"} & set(words) else "bounce"
        colours = tuple(w for w in words if w in COLOURS)
        return PromptSpec(family, colours, tuple("wood" if w == "wooden" else w for w in words if w in MATERIALS))


@dataclass(frozen=True)
class Observation:
    """One clip, observed.

    Attributes:
        name: the clip's name. wanted: what its prompt asks for.
        sights, onsets: visible impacts and audible onsets, in order of time.
        notes, materials: of each onset (notes for strike, materials for bounce).
        colours: that fill the picture. loudness: LUFS. flicker: 0..255.
        truth: times of the true events in s, if known.
        seconds: duration.
    """

    name: str
    wanted: PromptSpec
    sights: tuple[visual_events.VisualEvent, ...]
    onsets: tuple[audio_events.Onset, ...]
    notes: tuple[str, ...]
    materials: tuple[str, ...]
    colours: frozenset[str]
    loudness: float
    flicker: float
    truth: tuple[float, ...] | None
    seconds: float


def observe(clip: Clip, name: str = "", truth: tuple[Event, ...] | None = None) -> Observation:
    """Look at and listen to a clip; an absent picture or sound shows, or sounds, nothing."""
    wanted = PromptSpec.of(clip.prompt or "")
    sights: list[visual_events.VisualEvent] = []
    colours: set[str] = set()
    unsteady = 0.0
    if clip.frames is not None and clip.fps and len(clip.frames) > 1:
        fps = float(clip.fps)
        striking = wanted.family == "strike"
        sights = (
            visual_events.strikes(clip.frames, fps, COLOURS) if striking else visual_events.impacts(clip.frames, fps)
        )
        colours = visual_events.colours(clip.frames, COLOURS)
        unsteady = visual_events.flicker(clip.frames)
    onsets: list[audio_events.Onset] = []
    level = float("-inf")
    notes: tuple[str, ...] = ()
    materials: tuple[str, ...] = ()
    if clip.waveform is not None and clip.sample_rate:
        rate = clip.sample_rate
        onsets = audio_events.onsets(clip.waveform, rate)
        level = audio_events.loudness(clip.waveform, rate)
        if wanted.family == "strike":
            notes = tuple(audio_events.note(clip.waveform, rate, o.time, PITCHES) for o in onsets)
        else:
            materials = tuple(audio_events.material(clip.waveform, rate, o.time) for o in onsets)
    times = None if truth is None else tuple(e.time for e in truth if e.kind in ("impact", "strike"))
    return Observation(
        name, wanted, tuple(sights), tuple(onsets), notes, materials, frozenset(colours), level, unsteady, times,
        clip.seconds,
    )  # fmt: skip
