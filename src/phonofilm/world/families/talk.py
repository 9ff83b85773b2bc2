"""Talk: a face says a few phrases, its mouth shaped by the phonemes as they are heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Recording, Room, Score
from phonofilm.world.common import captions
from phonofilm.world.common.geometry import clipped
from phonofilm.world.common.scene import Truth, track_times
from phonofilm.world.graphics import interiors
from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.people import faces, phrases, visemes
from phonofilm.world.people.head import Expression, Head

MUSIC = 0.15  # share of scenes with a music bed
# factors of pitch and of formants, from the voice that was recorded to those of each kind
VOICES = {
    "woman": ((0.82, 1.12), (0.95, 1.06)),
    "man": ((0.48, 0.68), (0.80, 0.90)),
    "girl": ((1.22, 1.50), (1.12, 1.22)),
    "boy": ((1.08, 1.34), (1.06, 1.16)),
}
LATEST = 0.15  # s of silence after the last phrase
BLINK = 0.17  # s


def sample(rng: np.random.Generator, seed: int, seconds: float) -> Truth:
    """Who speaks, in which voice, what and when."""
    who = faces.sample(rng)
    pitch, formants = (float(rng.uniform(*edges)) for edges in VOICES[who["kind"]])
    voice = {"pitch": pitch, "formants": formants, "pace": float(rng.uniform(0.86, 1.14))}
    scale = float(rng.uniform(0.300, 0.350)) * (0.94 if who["kind"] in ("girl", "boy") else 1.0)
    params: dict[str, Any] = {
        "who": who,
        "voice": voice,
        "set": interiors.sample(rng),
        "x": float(np.clip(0.5 + rng.normal(0, 0.07), 0.34, 0.66)),
        "y": float(rng.uniform(0.44, 0.48)),
        "scale": scale,
        "gain": float(rng.uniform(0.75, 1.15)),
        "sway": [float(v) for v in rng.uniform((0.2, 0.3, 0.15, 0, 0, 0), (0.5, 0.8, 0.4, 1, 1, 1))],
        "blinks": blinks(rng, seconds),
        "glances": [[float(v) for v in rng.uniform((0, -1), (seconds, 1))] for _ in range(1 + int(seconds / 3))],
    }
    params["phrases"] = _script(rng, voice["pace"], seconds)
    params |= timed(params["phrases"], voice["pace"], seconds)
    tracks = {"mouth": visemes.track(phonemes_of(params), seconds), "head": sway_of(params, seconds)}
    return Truth("talk", seed, seconds, captions.talk(rng, params), events_of(params), params, tracks)


def _script(rng: np.random.Generator, pace: float, seconds: float) -> list[dict[str, Any]]:
    """Phrases with their start in s: as many as fit; where none does, the shortest is begun."""
    known = phrases.phrases()
    script: list[dict[str, Any]] = []
    time = float(rng.uniform(0.15, 0.45)) * min(1.0, seconds / 2)
    while True:
        fitting = [row for row, phrase in enumerate(known) if time + phrase.seconds / pace < seconds - LATEST]
        fitting = [row for row in fitting if known[row].text not in [said["text"] for said in script[-8:]]]
        if not fitting:
            break
        row = int(rng.choice(fitting))
        script.append({"text": known[row].text, "row": row, "time": time})
        time += known[row].seconds / pace + float(0.12 + rng.exponential(0.22))
    if not script:
        row = int(np.argmin([phrase.seconds for phrase in known]))
        script.append({"text": known[row].text, "row": row, "time": time})
    return script


def timed(script: list[dict[str, Any]], pace: float, seconds: float) -> dict[str, Any]:
    """Words and phonemes of the scene, with start, end and level in dB; what lies beyond its end is cut."""
    words, phonemes = [], []
    for said in script:
        phrase = phrases.phrases()[said["row"]]

        def placed(sound: phrases.Sound, start: float = said["time"]) -> dict[str, Any]:
            end = min(start + sound.end / pace, seconds)
            return {"name": sound.name, "time": start + sound.start / pace, "end": end, "level": sound.level}

        for word in phrase.words:
            inside = [p.level for p in phrase.phonemes if word.start <= p.start < word.end]
            words.append({**placed(word), "level": max(inside)})
        phonemes += [placed(phoneme) for phoneme in phrase.phonemes]
    return {
        "words": [word for word in words if word["time"] < seconds],
        "phonemes": [phoneme for phoneme in phonemes if phoneme["time"] < seconds],
    }


def phonemes_of(params: Mapping[str, Any]) -> list[visemes.Phoneme]:
    """As the mouth wants them: the louder a vowel, the wider it opens."""
    loudest = max(p["level"] for p in params["phonemes"])
    return [
        visemes.Phoneme(p["name"], p["time"], p["end"], float(np.clip(1 + (p["level"] - loudest) / 24, 0.45, 1)))
        for p in params["phonemes"]
    ]


def blinks(rng: np.random.Generator, seconds: float) -> list[float]:
    times, time = [], float(rng.uniform(0.2, 2.0))
    while time < seconds:
        times.append(time)
        time += float(rng.uniform(1.2, 3.4))
    return times


def sway_of(params: Mapping[str, Any], seconds: float) -> np.ndarray:
    """float64 [S, 4]: shift in x and y in heads, tilt in radians, turn -1 to 1: slow, with a nod on every word."""
    times, (a, b, c, *phases) = track_times(seconds), params["sway"]
    x = 0.030 * np.sin(2 * np.pi * (a * times + phases[0])) + 0.012 * np.sin(2 * np.pi * (1.7 * b * times + phases[1]))
    y = 0.014 * np.sin(2 * np.pi * (b * times + phases[2]))
    tilt = 0.035 * np.sin(2 * np.pi * (c * times + phases[1]))
    turn = 0.5 * np.sin(2 * np.pi * (0.6 * a * times + phases[2]))
    loudest = max((word["level"] for word in params["words"]), default=0.0)
    for word in params["words"]:
        stress = np.clip(1 + (word["level"] - loudest) / 8, 0, 1)
        middle = word["time"] + 0.4 * (word["end"] - word["time"])
        nod = stress * np.exp(-0.5 * ((times - middle) / 0.10) ** 2)
        y, tilt = y + 0.032 * nod, tilt + 0.010 * np.sign(phases[0] - 0.5) * nod
    return np.stack([x, y, tilt, turn], -1)


def events_of(params: Mapping[str, Any]) -> tuple[Event, ...]:
    """A word each, from the mouth that says it."""
    half, high = 0.42 * params["scale"], 0.24 * params["scale"]
    x, y = params["x"], params["y"] + (faces.MOUTH + 0.05) * params["scale"]
    box = clipped(x - half, y - high, x + half, y + high)
    gain = 20 * np.log10(params["gain"])
    return tuple(
        Event(w["time"], "word", box, 2 * x - 1, float(w["level"] + gain), w["end"], w["name"]) for w in params["words"]
    )


def backdrop(truth: Truth) -> np.ndarray:
    """[2, 3]: of the set."""
    return interiors.backdrop(truth.params["set"])


def layers(truth: Truth, times: np.ndarray) -> list[Layer]:
    """The set, and the head before it."""
    params, sway = truth.params, truth.at("head", times)
    head = Head(
        params["x"] + params["scale"] * sway[:, 0],
        params["y"] + params["scale"] * sway[:, 1],
        params["scale"],
        sway[:, 2],
        sway[:, 3],
        params["set"]["light"],
    )
    return interiors.layers(params["set"]) + faces.layers(
        head, params["who"], expression(truth.params, truth.at("mouth", times), times)
    )


def expression(params: Mapping[str, Any], lips: np.ndarray, times: np.ndarray) -> Expression:
    """What a face does at times [T]; lips [T, 6] as `mouth` has them."""
    lids = np.ones(len(times))
    for blink in params["blinks"]:
        lids = np.minimum(lids, np.clip(np.abs(times - blink) / (BLINK / 2) - 0.25, 0.0, 1.0))
    gaze = np.zeros(len(times))
    for start, aim in params["glances"]:
        part = np.clip(np.minimum(times - start, start + 0.9 - times) / 0.06, 0, 1)
        gaze = np.where(part > 0, 0.8 * aim * part, gaze)
    brows = np.zeros(len(times))
    for said in params["phrases"]:
        phrase = phrases.phrases()[said["row"]]
        end = said["time"] + phrase.seconds / params["voice"]["pace"]
        middle, wide = (end - 0.2, 0.25) if said["text"].endswith("?") else (said["time"] + 0.15, 0.15)
        brows = np.maximum(brows, np.exp(-0.5 * ((times - middle) / wide) ** 2))
    return Expression(lips, lids, gaze, brows, params["who"]["smile"])


def score(truth: Truth) -> Score:
    """Every phrase in the voice of who speaks, from where the mouth is."""
    params = truth.params
    voice, pan = phrases.Voice(**params["voice"]), 2 * params["x"] - 1
    said = tuple(
        Recording(
            p["time"], phrases.say(phrases.phrases()[p["row"]], voice), phrases.sample_rate(), params["gain"], pan
        )
        for p in params["phrases"]
    )
    return Score(room=Room(params["set"]["room_decay"], 0.06, truth.seed), recordings=said)
