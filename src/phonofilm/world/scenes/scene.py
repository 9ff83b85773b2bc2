"""Composes scenes: a place, who and what takes part, the weather and a music bed, and how the sounds hang together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio import music
from phonofilm.world.audio.synthesis import Score
from phonofilm.world.common.scene import Truth
from phonofilm.world.graphics import lit_interiors, lit_landscape, lit_rooms
from phonofilm.world.graphics.lit_renderer import Defocus, Picture
from phonofilm.world.scenes import bodies, captions, coupling, explosions, rainfall, speakers, traffic, xylophone
from phonofilm.world.scenes.actor import Actor
from phonofilm.world.scenes.bodies import Bodies
from phonofilm.world.scenes.rainfall import Drips, Shower
from phonofilm.world.scenes.speakers import Speaker
from phonofilm.world.scenes.traffic import Traffic

WET = ("overcast", "night", "dusk")  # hours at which it rains
MUSIC = 0.35  # share of scenes with a music bed
SILENT, UNSOUNDED = 0.04, 0.08  # shares of scenes without any sound, and without that of what happens
TABLE = 0.34  # height at which a table meets the wall


@dataclass(frozen=True, eq=False)
class Scene:
    """A place, its actors from back to front with the lead first in `lead`, rain, people, and a piece of music."""

    place: Mapping[str, Any]
    lead: Actor | None
    shower: Shower | None
    people: tuple[Speaker, ...]
    piece: Mapping[str, Any] | None
    seconds: float
    muted: tuple[str, ...] = ()  # stems that are silent, whatever is seen

    @property
    def actors(self) -> tuple[Actor, ...]:
        return tuple(a for a in (self.lead, self.shower, *self.people) if a is not None)

    @property
    def events(self) -> tuple[Event, ...]:
        events = [event for actor in self.actors for event in actor.events]
        if self.piece is not None:
            events.append(music.event(self.piece, self.seconds))
        heard = (self._unheard(event) for event in events)
        return tuple(sorted((event for event in heard if event is not None), key=lambda event: event.time))

    def _unheard(self, event: Event) -> Event | None:
        """An event as it is where stems are silent: only seen, or none at all."""
        stem = {"word": "speech", "music": "music"}.get(event.kind, "effects")
        if stem not in self.muted:
            return event
        return replace(event, pan=None, loudness=None) if event.box is not None else None


def sample(family: str, number: int, seed: int, seconds: float, share: float | None = None) -> Truth:
    """The truth of one scene: a pure function of its arguments.

    Args:
        number: of the family, which seeds it. share: how likely it has a music bed.
    """
    rng = np.random.default_rng([number, seed, 2])
    scene = MADE[family](rng, seed, seconds)
    # drawn apart, so that the scene is the same with and without music
    rng = np.random.default_rng([number, seed, 3])
    if rng.random() < (MUSIC if share is None else share):
        scene = replace(scene, piece=coupling.accompany(rng, music.sample(rng), scene.events, seconds))
    rng = np.random.default_rng([number, seed, 5])
    if (chance := rng.random()) < SILENT + UNSOUNDED:
        scene = replace(scene, muted=("speech", "effects", "music") if chance < SILENT else ("effects",))
    said = captions.write(np.random.default_rng([number, seed, 4]), family, scene)
    lead = scene.people[0] if family == "talk" else scene.lead
    params: dict[str, Any] = {**(lead.facts if lead else {}), "place": dict(scene.place), "said": said}
    params["muted"] = list(scene.muted)
    if scene.shower:
        params["shower"] = dict(scene.shower.facts)
    if scene.people:
        params["people"] = [dict(person.facts) for person in scene.people]
    if scene.piece is not None:
        params["music"] = dict(scene.piece)
    return Truth(family, seed, seconds, said["whole"], scene.events, params, details={"scene": scene}, edition=2)


def _voices(
    rng: np.random.Generator,
    seed: int,
    seconds: float,
    place: Mapping[str, Any],
    seen: float,
    unseen: float,
    noisy: bool,
) -> tuple[Speaker, ...]:
    """Somebody who speaks at one side before what happens, or a voice that is not seen, or nobody."""
    chance = rng.random()
    if chance < seen:
        x = float(rng.choice([0.20, 0.80]) + rng.uniform(-0.02, 0.02))
        spot = (x, float(rng.uniform(0.52, 0.56)), float(rng.uniform(0.21, 0.24)))
        return tuple(speakers.sample(rng, seed, seconds, [spot], place["light"], place["room_decay"], noisy))
    if chance < seen + unseen:
        voice = [(0.5, 0.5, 0.3)]
        return tuple(speakers.sample(rng, seed, seconds, voice, place["light"], place["room_decay"], noisy, False))
    return ()


def _bounce(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    place = lit_rooms.sample(rng)
    people = _voices(rng, seed, seconds, place, 0.10, 0.12, False)
    span = (bodies.WALL, 1 - bodies.WALL)
    if people and people[0].facts["seen"]:
        span = (0.40, span[1]) if people[0].facts["x"] < 0.5 else (span[0], 0.60)
    return Scene(place, bodies.sample(rng, seed, seconds, place, span), None, people, None, seconds)


def _strike(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    place = lit_rooms.sample(rng)
    people = _voices(rng, seed, seconds, place, 0.0, 0.15, False)
    return Scene(place, xylophone.sample(rng, seed, seconds, place), None, people, None, seconds)


def _pass(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    wet = rng.random() < 0.25
    place = lit_landscape.sample(rng, WET if wet else tuple(lit_landscape.HOURS), wet)
    lead = traffic.sample(rng, seed, seconds, place)
    shower = _shower(rng, seed, seconds, lead.facts["camera"]["horizon"], 0.95) if wet else None
    people = _voices(rng, seed, seconds, place, 0.12, 0.12, _noisy(shower))
    return Scene(place, lead, shower, people, None, seconds)


def _blast(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    place = lit_landscape.sample(rng)
    lead = explosions.sample(rng, seed, seconds, place)
    people = _voices(rng, seed, seconds, place, 0.10, 0.10, False)
    return Scene(place, lead, None, people, None, seconds)


def _rain(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    place = lit_landscape.sample(rng, WET, True)
    horizon, floor = float(rng.uniform(0.56, 0.64)), float(rng.uniform(0.86, 0.90))
    shower = _shower(rng, seed, seconds, horizon, floor)
    lead = rainfall.drips(rng, seed, seconds, place, shower.facts)
    people = _voices(rng, seed, seconds, place, 0.12, 0.12, _noisy(shower))
    return Scene(place, lead, shower, people, None, seconds)


def _talk(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    outside = rng.random() < 0.45
    wet = outside and rng.random() < 0.45
    place = (
        lit_landscape.sample(rng, WET if wet else tuple(lit_landscape.HOURS), wet)
        if outside
        else lit_interiors.sample(rng)
    )
    lead: Actor | None = None
    horizon = float(rng.uniform(0.60, 0.68))
    if outside and rng.random() < 0.55:
        lead = (traffic if rng.random() < 0.65 else explosions).sample(rng, seed, seconds, place)
        horizon = lead.facts["camera"]["horizon"]
    shower = _shower(rng, seed, seconds, horizon, 0.95) if wet else None
    two = rng.random() < 0.35
    if two:
        spots = [(x + float(rng.uniform(-0.02, 0.02)), float(rng.uniform(0.46, 0.50)), float(rng.uniform(0.215, 0.235)))
                 for x in (0.26, 0.74)]  # fmt: skip
    elif lead is None:
        x = float(np.clip(0.5 + rng.normal(0, 0.08), 0.34, 0.66))
        spots = [(x, float(rng.uniform(0.45, 0.49)), float(rng.uniform(0.33, 0.39)))]
    else:
        spots = [(float(rng.choice([0.26, 0.74]) + rng.uniform(-0.03, 0.03)), float(rng.uniform(0.48, 0.52)),
                  float(rng.uniform(0.24, 0.28)))]  # fmt: skip
    people = speakers.sample(rng, seed, seconds, spots, place["light"], place["room_decay"], _noisy(shower))
    return Scene(place, lead, shower, tuple(people), None, seconds)


MADE = {"bounce": _bounce, "strike": _strike, "pass": _pass, "blast": _blast, "rain": _rain, "talk": _talk}


def _shower(rng: np.random.Generator, seed: int, seconds: float, horizon: float, floor: float) -> Shower:
    return rainfall.shower(rng, seed, seconds, horizon, floor)


def _noisy(shower: Shower | None) -> bool:
    """Whether a speaker must raise the voice."""
    return shower is not None and shower.facts["heavy"] > 0.4


def picture(scene: Scene, times: np.ndarray) -> Picture:
    """What the camera sees at times [3 T] of its shutter, as `graphics.lit_renderer` draws it."""
    place, lead = scene.place, scene.lead
    stack: list[Any] = []
    if place["kind"] == "room":
        light = lit_rooms.light(place)
        paint = (
            lit_rooms.paint(place, lead.facts["floor"] - 0.15)
            if isinstance(lead, Bodies)
            else lit_rooms.table(place, TABLE)
        )
    elif place["kind"] == "set":
        light, paint = lit_interiors.light(place), lit_interiors.paint(place)
        stack += lit_interiors.layers(place)
    else:
        light = lit_landscape.light(place)
        horizon = _horizon(scene)
        ground = (
            lead.ground()
            if isinstance(lead, Traffic)
            else ("wet" if isinstance(lead, Drips) else "meadow", (0.8, 0.9), 0.0)
        )
        paint = lit_landscape.paint(place, horizon, *ground)
        stack += [*lit_landscape.stars(place), *lit_landscape.trees(place, horizon + 0.02)]
    if scene.shower:
        stack += scene.shower.behind(times)
    if lead is not None:
        stack += lead.layers(times)
    seen = [person for person in scene.people if person.facts["seen"]]
    if seen and place["kind"] == "land":
        stack.append(Defocus(0.006))
    for person in seen:
        stack += person.layers(times)
    if scene.shower:
        stack += scene.shower.layers(times)
    return Picture(paint, stack, light)


def _horizon(scene: Scene) -> float:
    if scene.lead is not None and "camera" in scene.lead.facts:
        return float(scene.lead.facts["camera"]["horizon"])
    return float(scene.shower.facts["horizon"]) if scene.shower else 0.64


def score(scene: Scene) -> Score:
    """All that is heard; the room is the lead's."""
    parts = [actor.score() for actor in scene.actors]
    room = parts[0].room
    if scene.piece is not None:
        parts.append(coupling.score(scene.piece, scene.events, scene.seconds))
    muted = scene.muted
    return Score(
        tuple(hit for part in parts for hit in part.hits if hit.stem not in muted),
        tuple(bed for part in parts for bed in part.beds if bed.stem not in muted),
        room,
        tuple(tone for part in parts for tone in part.tones if tone.stem not in muted),
        tuple(said for part in parts for said in part.recordings if said.stem not in muted),
        coupling.ducking(scene.events, scene.seconds) if scene.piece is not None else {},
    )
