"""What vehicles and birds sound like, heard from where they pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.world.audio.moving_tone import moving_tone
from phonofilm.world.audio.synthesis import Bed, Hit, Score, Tone, control_times
from phonofilm.world.common.geometry import Camera, Course, fading, pan_of

Track = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Motor:
    """How a kind runs.

    Attributes:
        pitch: range in Hz its firing or motor frequency is drawn from.
        partials, slope: number of harmonics, and how they fall: gain of the k-th is k to the -slope.
        knock: depth and rate in Hz of the beat of single strokes. level: of the tone.
        hiss: level of tyres, rails or wings in the wind; hiss_band: its edges in Hz.
    """

    pitch: tuple[float, float]
    partials: int
    slope: float
    knock: tuple[float, float]
    level: float
    hiss: float
    hiss_band: tuple[float, float]


@dataclass(frozen=True)
class Call:
    """A sound made on purpose: name, notes in Hz sounded together, gains of harmonics, s, level."""

    name: str
    notes: tuple[float, ...]
    gains: tuple[float, ...]
    lasting: float
    level: float


MOTORS = {
    "car": Motor((62, 105), 14, 0.75, (0.12, 11), 0.085, 0.05, (300, 2600)),
    "truck": Motor((36, 52), 22, 0.55, (0.35, 9), 0.075, 0.05, (120, 1300)),
    "ambulance": Motor((60, 85), 12, 0.8, (0.12, 11), 0.05, 0.03, (300, 2400)),
    "motorbike": Motor((90, 150), 18, 0.45, (0.30, 16), 0.075, 0.025, (600, 3500)),
    "train": Motor((140, 210), 5, 1.1, (0.05, 4), 0.035, 0.13, (60, 500)),
    "bird": Motor((0, 0), 0, 0.0, (0, 0), 0.0, 0.035, (350, 1500)),
}
CALLS = {
    "car": Call("horn", (392, 494), (1, 0.8, 0.6, 0.5, 0.35, 0.2), 0.40, 0.16),
    "truck": Call("horn", (174, 220, 262), (1, 0.9, 0.7, 0.6, 0.5, 0.35, 0.25), 0.60, 0.13),
    "motorbike": Call("horn", (440, 520), (1, 0.6, 0.6, 0.3, 0.3), 0.28, 0.14),
    "ambulance": Call("siren", (448, 597), (1, 0.25, 0.5, 0.15, 0.25), 0.50, 0.22),
    "train": Call("whistle", (311, 370, 466), (1, 0.7, 0.5, 0.4, 0.2), 0.90, 0.13),
    "black": Call("caw", (540,), (0.5, 1, 0.9, 0.8, 0.6, 0.5, 0.4, 0.3), 0.30, 0.22),
    "white": Call("cry", (1050,), (1, 0.8, 0.5, 0.3), 0.42, 0.26),
    "coloured": Call("chirp", (2900,), (1, 0.12), 0.24, 0.36),
}
BOGIES = (4.0, -4.0, -8.6, -16.6, -21.2, -29.2)  # m ahead of the middle of the engine
CLACK = ((190.0, 430.0, 910.0, 2350.0), (0.10, 0.08, 0.06, 0.04), (1.0, 0.7, 0.5, 0.3))


def call_of(kind: str, colour: str) -> Call:
    """The call of a vehicle, or of a bird by its colour."""
    if kind != "bird":
        return CALLS[kind]
    return CALLS[colour if colour in ("black", "white") else "coloured"]


def signal(mover: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
    """0 to 1 at times [T]: while it calls; a siren's high tone is 1 and its low tone 0."""
    call = call_of(mover["kind"], mover["colour"])
    if call.name == "siren":
        return ((times / call.lasting).astype(int) + mover["phase"]) % 2 * 1.0
    on = np.zeros(len(times))
    for start in mover["calls"]:
        on = np.maximum(on, _swell((times - start) / call.lasting))
    return on


def _swell(part: np.ndarray) -> np.ndarray:
    """An envelope over 0..1 with short flanks."""
    return np.clip(np.minimum(part, 1 - part) * 8, 0, 1)


def sounds(mover: Mapping[str, Any], camera: Camera, course: Course, seconds: float, seed: int) -> Score:
    """Motor, wheels or wings, and calls of one mover; times of emission become times of arrival."""
    motor, kind = MOTORS[mover["kind"]], mover["kind"]
    tones = list(_calls(mover, camera, course, seconds))
    if motor.partials:
        gains = tuple(k**-motor.slope for k in range(1, motor.partials + 1))
        tones.append(moving_tone(camera, course, seconds, _running(mover), _knocking(mover), gains))
    hits = tuple(_clacks(mover, camera, course, seconds)) if kind == "train" else ()
    return Score(hits, (_hiss(mover, camera, course, seconds, seed),), tones=tuple(tones))


def _running(mover: Mapping[str, Any]) -> Track:
    """No motor runs evenly: its pitch wavers by a percent."""

    def pitch(times: np.ndarray) -> np.ndarray:
        waver = 0.010 * np.sin(2 * np.pi * 6.7 * times) + 0.007 * np.sin(2 * np.pi * 15.1 * times + mover["phase"])
        return mover["pitch"] * (1 + waver)

    return pitch


def _knocking(mover: Mapping[str, Any]) -> Track:
    motor = MOTORS[mover["kind"]]
    depth, rate = motor.knock
    return lambda times: mover["loud"] * motor.level * (1 + depth * np.sin(2 * np.pi * rate * times))


def _hiss(mover: Mapping[str, Any], camera: Camera, course: Course, seconds: float, seed: int) -> Bed:
    """Tyres and rails hiss evenly, wings with every beat."""
    motor, times = MOTORS[mover["kind"]], control_times(seconds)
    if mover["kind"] == "train":
        course = course.shifted(-sum(BOGIES) / len(BOGIES))  # all of its wheels, not the engine alone
    emitted = course.emission(times)
    level = mover["loud"] * motor.hiss * fading(course, emitted)
    if mover["kind"] == "bird":
        level *= np.maximum(-np.cos(2 * np.pi * mover["speed"] * emitted), 0.0) ** 2
    return Bed(level, pan_of(camera, course, emitted), *motor.hiss_band, seed)


def _calls(mover: Mapping[str, Any], camera: Camera, course: Course, seconds: float) -> list[Tone]:
    call = call_of(mover["kind"], mover["colour"])
    level, tune = mover["loud"] * call.level / len(call.notes), mover["tune"]
    if call.name == "siren":
        low, high = call.notes

        def wail(times: np.ndarray) -> np.ndarray:
            return tune * np.where(signal(mover, times) > 0.5, high, low)

        return [moving_tone(camera, course, seconds, wail, lambda t: np.full(len(t), level), call.gains)]

    def loud(times: np.ndarray) -> np.ndarray:
        return level * signal(mover, times)

    tones = []
    for note in call.notes if mover["calls"] else ():

        def pitch(times: np.ndarray, note: float = note) -> np.ndarray:
            starts = np.array(mover["calls"])
            last = starts[np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)]
            return note * tune * _melody(call.name, np.clip((times - last) / call.lasting, 0, 1))

        tones.append(moving_tone(camera, course, seconds, pitch, loud, call.gains))
    return tones


def _melody(name: str, part: np.ndarray) -> np.ndarray:
    """Pitch over the course 0..1 of a call, relative to its note."""
    if name == "chirp":
        return 1 + 0.22 * np.sin(4 * np.pi * part) + 0.25 * part
    if name == "caw":
        return 1.06 - 0.22 * part + 0.05 * np.sin(40 * np.pi * part)
    if name == "cry":
        return 1.12 - 0.9 * (part - 0.25) ** 2
    return np.ones_like(part)


def _clacks(mover: Mapping[str, Any], camera: Camera, course: Course, seconds: float) -> list[Hit]:
    """Two axles of every bogie knock on every joint of the rails."""
    joint, speed = mover["joint"], mover["speed"]
    hits = []
    for ahead in BOGIES:
        bogie = course.shifted(-ahead)
        for axle in (0.0, 2.2):
            first = (axle + mover["phase"] * 3.0 - ahead) / speed
            emitted = np.arange(first - 4 * joint / speed, seconds, joint / speed)
            arrived, level = bogie.arrival(emitted), fading(bogie, emitted)
            for time, gain, pan in zip(arrived, level, pan_of(camera, bogie, emitted), strict=True):
                if 0 < time < seconds and gain > 0.05:
                    hits.append(Hit(float(time), 0.14 * mover["loud"] * float(gain), float(pan), *CLACK, 0.5, 1500))
    return hits
