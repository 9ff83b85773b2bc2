"""People who speak: one, two in turn, or a voice that is not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Recording, Room, Score
from phonofilm.world.common.scene import at_times
from phonofilm.world.families.talk import VOICES, blinks, events_of, expression, phonemes_of, sway_of, timed
from phonofilm.world.people import faces, phrases, visemes
from phonofilm.world.people.head import Head
from phonofilm.world.scenes.actor import Stack

LATEST = 0.15  # s of silence after the last phrase
LOMBARD = {"gain": 1.45, "pitch": 1.09, "pace": 0.94}  # of a voice in noise (Lombard 1911; Junqua 1993)


@dataclass(frozen=True, eq=False)
class Speaker:
    """Who speaks, with tracks at TRACK_RATE: mouth [S, 6] and head [S, 4]; facts["seen"] is false for a mere voice."""

    facts: Mapping[str, Any]
    seconds: float
    seed: int
    mouth: np.ndarray
    head: np.ndarray

    @property
    def events(self) -> tuple[Event, ...]:
        if not self.facts["words"]:
            return ()
        events = events_of(self.facts)
        if self.facts["seen"]:
            return events
        return tuple(Event(e.time, e.kind, None, 0.0, e.loudness, e.end, e.label) for e in events)

    def layers(self, times: np.ndarray) -> Stack:
        if not self.facts["seen"]:
            return []
        facts, sway = self.facts, at_times(self.head, times)
        head = Head(
            facts["x"] + facts["scale"] * sway[:, 0],
            facts["y"] + facts["scale"] * sway[:, 1],
            facts["scale"],
            sway[:, 2],
            sway[:, 3],
            facts["light"],
        )
        drawn = faces.layers(head, facts["who"], expression(facts, at_times(self.mouth, times), times))
        return [layer for layer in drawn if np.max(layer.opacity) > 0]

    def score(self) -> Score:
        """Every phrase in the voice of who speaks, from where the mouth is."""
        facts = self.facts
        voice, pan = phrases.Voice(**facts["voice"]), 2 * facts["x"] - 1
        said = tuple(
            Recording(
                p["time"], phrases.say(phrases.phrases()[p["row"]], voice), phrases.sample_rate(), facts["gain"], pan
            )
            for p in facts["phrases"]
        )
        return Score(room=Room(facts["room_decay"], 0.06, self.seed), recordings=said)


def sample(
    rng: np.random.Generator,
    seed: int,
    seconds: float,
    places: Sequence[tuple[float, float, float]],
    light: float,
    room_decay: float,
    noisy: bool = False,
    seen: bool = True,
) -> list[Speaker]:
    """As many people as places (x, y, scale), who speak in turn until the scene ends; louder where it is noisy."""
    people = [_person(rng, place, light, room_decay, noisy, seen) for place in places]
    if len(people) == 2 and people[0]["who"]["kind"] == people[1]["who"]["kind"]:
        people[1] = _person(rng, places[1], light, room_decay, noisy, seen)
    _dialogue(rng, people, seconds)
    speakers = []
    for person in people:
        person |= timed(person["phrases"], person["voice"]["pace"], seconds)
        person["blinks"] = blinks(rng, seconds)
        person["glances"] = [
            [float(v) for v in rng.uniform((0, -1), (seconds, 1))] for _ in range(1 + int(seconds / 3))
        ]
        if person["words"]:
            tracks = visemes.track(phonemes_of(person), seconds), sway_of(person, seconds)
        else:
            tracks = visemes.track([], seconds), sway_of({**person, "words": []}, seconds)
        speakers.append(Speaker(person, seconds, seed, *tracks))
    return speakers


def _person(
    rng: np.random.Generator,
    place: tuple[float, float, float],
    light: float,
    room_decay: float,
    noisy: bool,
    seen: bool,
) -> dict[str, Any]:
    who = faces.sample(rng)
    pitch, formants = (float(rng.uniform(*edges)) for edges in VOICES[who["kind"]])
    voice = {"pitch": pitch, "formants": formants, "pace": float(rng.uniform(0.86, 1.14))}
    gain = float(rng.uniform(0.75, 1.15))
    if noisy:
        voice = {**voice, "pitch": pitch * LOMBARD["pitch"], "pace": voice["pace"] * LOMBARD["pace"]}
        gain *= LOMBARD["gain"]
    x, y, scale = place
    return {
        "who": who,
        "voice": voice,
        "x": x,
        "y": y,
        "scale": scale * (0.94 if who["kind"] in ("girl", "boy") else 1.0),
        "gain": gain,
        "raised": noisy,
        "seen": seen,
        "light": light,
        "room_decay": room_decay,
        "sway": [float(v) for v in rng.uniform((0.2, 0.3, 0.15, 0, 0, 0), (0.5, 0.8, 0.4, 1, 1, 1))],
        "phrases": [],
    }


def _dialogue(rng: np.random.Generator, people: list[dict[str, Any]], seconds: float) -> None:
    """Phrases with their start in s, in turn, as many as fit; where none does, the shortest is begun."""
    known = phrases.phrases()
    time = float(rng.uniform(0.15, 0.45)) * min(1.0, seconds / 2)
    turn = int(rng.integers(len(people)))
    recent: list[str] = []
    # two speakers in a short scene must both have time to speak
    longest = (seconds - time) / len(people) - 0.25 if len(people) > 1 else np.inf
    while True:
        person = people[turn]
        pace = person["voice"]["pace"]
        fitting = [
            row
            for row, phrase in enumerate(known)
            if time + phrase.seconds / pace < seconds - LATEST
            and phrase.text not in recent[-8:]
            and (phrase.seconds / pace < longest or len(recent) >= len(people))
        ]
        if not fitting:
            break
        row = int(rng.choice(fitting))
        person["phrases"].append({"text": known[row].text, "row": row, "time": time})
        recent.append(known[row].text)
        time += known[row].seconds / pace + float(0.12 + rng.exponential(0.22))
        if len(people) > 1 and (len(recent) < 2 or rng.random() < 0.8):
            turn = 1 - turn
    if not recent:
        row = int(np.argmin([phrase.seconds for phrase in known]))
        people[turn]["phrases"].append({"text": known[row].text, "row": row, "time": time})
