"""From a clip to what is seen and heard in it, beside what its prompt asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from phonofilm.evaluation.foley_world import audio_events, visual_events
from phonofilm.signals.loudness import loudness
from phonofilm.types import Clip, Event
from phonofilm.world.common.palette import COLOURS, MATERIALS, NOTES

PITCHES = {name: pitch for name, _, pitch in NOTES}
NOTE_OF = {colour: name for name, colour, _ in NOTES}


THINGS = {"ball", "balls", "box", "boxes"}
FALLS = ("bounc", "fall", "fell", "drop", "tumbl")
STRUCK = {"xylophone", "glockenspiel", "mallet"}


@dataclass(frozen=True)
class PromptSpec:
    """What a prompt of Foley World asks for: its family, its colours and materials in order of mention.

    `family` is "bounce", "strike", or "" where the prompt asks for neither.
    """

    family: str
    colours: tuple[str, ...]
    materials: tuple[str, ...]

    @staticmethod
    def of(prompt: str) -> PromptSpec:
        words = re.findall(r"[a-z]+", prompt.lower())
        colours = tuple(w for w in words if w in COLOURS)
        materials = tuple("wood" if w == "wooden" else w for w in words if w in MATERIALS)
        return PromptSpec(_family(words), colours, materials)


def _family(words: list[str]) -> str:
    if STRUCK & set(words):
        return "strike"
    falls = any(word.startswith(FALLS) for word in words)
    return "bounce" if THINGS & set(words) and falls else ""


def outside(clip: Clip) -> str | None:
    """Why a clip has no score, or None for one that its prompt, or without a prompt its picture, puts into a family.

    Where the prompt asks for a family, whatever the picture shows is scored: what is not there is missed.
    """
    if clip.prompt:
        if PromptSpec.of(clip.prompt).family:
            return None
        return (
            f"its prompt ({_short(clip.prompt)}) is outside the scored families: it names no ball or box that falls or "
            "bounces, and no mallet, xylophone or glockenspiel"
        )
    if family_of_picture(clip.frames):
        return None
    return "it has no prompt, and its picture is outside the scored families: neither things in a still room nor bars"


def _short(prompt: str, most: int = 60) -> str:
    return f'"{prompt if len(prompt) <= most else prompt[: most - 1].rstrip() + "…"}"'


def family_of_picture(frames: np.ndarray | None) -> str:
    """The family that frames uint8 [T, H, W, 3] show: a struck instrument, coloured things in a still room, or ""."""
    if frames is None or len(frames) < 2 or visual_events.flicker(frames) > STILL:
        return ""
    if len(visual_events.bars(frames)) >= BARS:
        return "strike"
    return "bounce" if visual_events.colours(frames, COLOURS) else ""


STILL, BARS = 3.0, 4
"""Grey levels that the ground of a still room changes by from frame to frame at most; bars that an instrument has."""


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
    wanted = PromptSpec.of(clip.prompt) if clip.prompt else PromptSpec(family_of_picture(clip.frames), (), ())
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
        level = loudness(clip.waveform, rate)
        if wanted.family == "strike":
            notes = tuple(audio_events.note(clip.waveform, rate, o.time, PITCHES) for o in onsets)
        else:
            materials = tuple(audio_events.material(clip.waveform, rate, o.time) for o in onsets)
    times = None if truth is None else tuple(e.time for e in truth if e.kind in ("impact", "strike"))
    return Observation(
        name, wanted, tuple(sights), tuple(onsets), notes, materials, frozenset(colours), level, unsteady, times,
        clip.seconds,
    )  # fmt: skip
