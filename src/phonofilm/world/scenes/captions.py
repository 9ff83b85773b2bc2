"""Says in prose what happens in a composed scene: the whole, and speech, effects and music apart.

Whatever is said is true of the scene: how many, of which colour, on which side, in which order, at once or one after
another, and what is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from phonofilm.world.audio import music
from phonofilm.world.common.captions import (
    NUMBERS,
    PLACES,
    SAID,
    article,
    listing,
    person_of,
    pick,
    sentence,
)
from phonofilm.world.common.palette import COLOURS, MATERIALS
from phonofilm.world.scenes.bodies import Bodies
from phonofilm.world.scenes.explosions import Explosions
from phonofilm.world.scenes.rainfall import Drips
from phonofilm.world.scenes.traffic import Traffic
from phonofilm.world.scenes.xylophone import Xylophone

if TYPE_CHECKING:
    from phonofilm.world.scenes.scene import Scene

LEFT, RIGHT = 0.42, 0.58  # what lies between is in the middle
TIMES = ("first", "then", "then", "next", "after that", "then")
SILENCE = {"speech": "No speech.", "effects": "No sound effects.", "music": "No music."}
NOT = 0.14  # share of captions that say what is not there


def side_of(x: float) -> str:
    return "on the left" if x < LEFT else "on the right" if x > RIGHT else "in the middle"


def write(rng: np.random.Generator, family: str, scene: Scene) -> dict[str, str]:
    """The caption of the whole and those of the stems; a stem without sound is said to be silent."""
    effects = [_clause(rng, scene.lead)] if scene.lead else []
    if scene.shower:
        effects.append(_weather(rng, scene.shower.facts, isinstance(scene.lead, Drips)))
    speech = _speech(rng, scene)
    tune = music.said(scene.piece) if scene.piece is not None else ""
    first, rest = (speech, effects) if family == "talk" else (effects[0], [*effects[1:], *([speech] if speech else [])])
    text = first
    for clause in rest:
        text += pick(rng, (", while ", " while ", "; ", ", and ")) + clause
    parts = [sentence(text)]
    if len(scene.muted) == 3:
        silent = pick(rng, ("there is no sound", "no sound is heard", "the film is silent"))
        return {"whole": f"{parts[0]} {sentence(silent)}", **SILENCE}
    if scene.muted:
        parts.append(sentence(pick(rng, ("there are no sound effects", "what happens makes no sound"))))
    if tune:
        parts.append(sentence(pick(rng, (f"{tune} plays", f"in the background, {tune}", f"{tune} goes with it"))))
    absent = "" if scene.muted else _absent(rng, scene, bool(speech), bool(effects), bool(tune))
    if absent:
        parts.append(sentence(absent))
    return {
        "whole": " ".join(parts),
        "speech": sentence(speech) if speech else SILENCE["speech"],
        "effects": sentence(_heard(rng, scene)) if effects and not scene.muted else SILENCE["effects"],
        "music": sentence(tune) if tune else SILENCE["music"],
    }


def _clause(rng: np.random.Generator, actor: object) -> str:
    if isinstance(actor, Bodies):
        return _bodies(rng, actor.facts)
    if isinstance(actor, Xylophone):
        return _melody(rng, actor.facts)
    if isinstance(actor, Traffic):
        return _traffic(rng, actor.facts)
    if isinstance(actor, Explosions):
        return _blasts(rng, actor)
    assert isinstance(actor, Drips)
    return _drips(rng, actor.facts)


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("x", "s", "ch")) else "s")


def _noun(thing: Mapping[str, Any]) -> str:
    return f"{thing['colour']} {thing['material']} {thing['shape']}"


def _kind(things: Sequence[Mapping[str, Any]]) -> str:
    """What they are together: balls, boxes or things."""
    shapes = {thing["shape"] for thing in things}
    return _plural(shapes.pop()) if len(shapes) == 1 else "things"


def _bodies(rng: np.random.Generator, facts: Mapping[str, Any]) -> str:
    things = sorted(facts["objects"], key=lambda thing: thing["start"])
    turns = sorted(things, key=lambda thing: thing["release"])
    in_turn = turns[-1]["release"] > turns[0]["release"]
    if len(things) == 1:
        return _one_body(rng, things[0])
    if len({_noun(thing) for thing in things}) == 1:
        verb = pick(rng, ("fall and bounce", "drop to the floor and bounce", "bounce about"))
        how = " one after another" if in_turn else pick(rng, (" at once", " in a room", " on the floor", ""))
        return f"{NUMBERS[len(things)]} {_plural(_noun(things[0]))} {verb}{how}"
    if in_turn and rng.random() < 0.7:
        return _bodies_in_turn(rng, turns)
    return _bodies_together(rng, things, "" if in_turn else pick(rng, (" at once", " at the same time", "", "")))


def _one_body(rng: np.random.Generator, thing: Mapping[str, Any]) -> str:
    side, noun = side_of(thing["start"]), _noun(thing)
    texts = (
        f"{article(noun)} falls {side} and bounces",
        f"{side}, {article(noun)} drops to the floor and bounces",
        f"{article(noun)} bounces on the floor of a room",
        f"one {noun} falls and bounces",
        f"{article(noun)} is dropped {side}; the {thing['shape']} hits the floor and bounces",
    )
    return pick(rng, texts)


def _bodies_in_turn(rng: np.random.Generator, turns: Sequence[Mapping[str, Any]]) -> str:
    """turns: in the order in which they fall."""
    named = [article(_noun(thing)) for thing in turns]
    fallen = ", ".join(f"{TIMES[min(i, 5)]} {noun}" for i, noun in enumerate(named))
    texts = (
        f"{NUMBERS[len(turns)]} {_kind(turns)} fall one after another: {fallen}",
        f"{named[0]} falls, then {listing(named[1:], ', then ')}",
    )
    return pick(rng, texts)


def _bodies_together(rng: np.random.Generator, things: Sequence[Mapping[str, Any]], together: str) -> str:
    """things: from left to right; together: words for that they fall at once, or none."""
    count, kind = NUMBERS[len(things)], _kind(things)
    nouns = [article(_noun(thing)) for thing in things]
    named = listing([nouns[i] for i in rng.permutation(len(things))])
    texts = [f"{count} {kind} bounce: {named}", f"{named} fall{together} and bounce on the floor"]
    if len(things) > 2:
        texts.append(f"{count} {kind} fall{together}, from left to right {listing(nouns)}")
    else:
        texts.append(f"{nouns[0]} falls to the left of {nouns[1]}, and both bounce")
        if [side_of(thing["start"]) for thing in things] == ["on the left", "on the right"]:
            texts.append(f"{nouns[0]} on the left and {nouns[1]} on the right fall{together} and bounce")
    return pick(rng, texts)


def _melody(rng: np.random.Generator, facts: Mapping[str, Any]) -> str:
    colours, instrument = facts["colours"], facts["instrument"]
    pace = "slowly" if facts["beat"] > 0.62 else "quickly" if facts["beat"] < 0.46 else "steadily"
    size, shown = NUMBERS[facts["bars"]], colours[:8]
    further = " and so on" if len(colours) > len(shown) else ""
    if len(set(colours)) == 1 and len(colours) < len(NUMBERS):
        return f"a mallet strikes the {colours[0]} bar of a {instrument} {NUMBERS[len(colours)]} times {pace}"
    order = listing(shown, ", ")
    turns = ", ".join(f"{TIMES[min(i, 5)]} {c}" for i, c in enumerate(shown[:6])) if len(colours) <= 6 else order
    texts = (
        f"a mallet plays a {instrument} {pace}: {order}{further}",
        f"on a {instrument} with {size} bars, a mallet {pace} plays {order}{further}",
        f"a mallet {pace} strikes the bars of a {instrument}, {turns}{further}",
        f"{len_of(colours)} notes on a {instrument}, {pace}: {order}{further}",
    )
    return pick(rng, texts)


def len_of(items: Sequence[Any]) -> str:
    return NUMBERS[len(items)] if len(items) < len(NUMBERS) else "many"


CALLS = {
    "horn": ("and sounds its horn", "and honks"),
    "whistle": ("and blows its whistle", "and whistles"),
    "siren": ("with its siren on", "with flashing lights and a siren"),
    "caw": ("and caws", "cawing"),
    "cry": ("and cries", "crying"),
    "chirp": ("and chirps", "chirping"),
}


def _mover(rng: np.random.Generator, mover: Mapping[str, Any]) -> str:
    kind, bird = mover["kind"], mover["kind"] == "bird"
    noun = f"white and {mover['colour']} ambulance" if kind == "ambulance" else f"{mover['colour']} {kind}"
    start, end = ("left", "right") if mover["facing"] > 0 else ("right", "left")
    verbs = (
        ("flies past", "flies")
        if bird
        else ("rolls past", "passes")
        if kind == "train"
        else ("drives past", "passes", "drives")
    )
    way = pick(
        rng,
        (
            "from left to right" if end == "right" else "from right to left",
            f"towards the {end}",
            f"from the {start} to the {end}",
        ),
    )
    call = " " + pick(rng, CALLS[mover["call"]]) if mover["calls"] or mover["call"] == "siren" else ""
    return f"{article(noun)} {pick(rng, verbs)} {way}{call}"


def _traffic(rng: np.random.Generator, facts: Mapping[str, Any]) -> str:
    movers = sorted(facts["movers"], key=lambda mover: mover["middle"])
    hour = pick(rng, SAID[facts["land"]["hour"]]) if not facts["land"]["wet"] else ""
    told = [_mover(rng, mover) for mover in movers[:3]]
    text = told[0]
    for before, mover, clause in zip(movers, movers[1:], told[1:], strict=False):
        together = mover["middle"] - before["middle"] < 1.0
        text += (
            pick(rng, (", and at the same time ", " as ")) if together else pick(rng, (", then ", ", and after it "))
        ) + clause
    if len(movers) > 3:
        text += f", and {len_of(movers[3:])} more follow"
    if hour:
        text = f"{hour}, {text}" if rng.random() < 0.4 else f"{text} {hour}" if len(movers) == 1 else text
    return text


def _blasts(rng: np.random.Generator, actor: Explosions) -> str:
    blasts, facts = actor.blasts, actor.facts
    hour = pick(rng, SAID[facts["land"]["hour"]])
    far = facts["distance"] > 75
    away = pick(rng, ("far away", "in the distance") if far else ("close by", "near the camera"))
    nouns = [f"{blast['colour']} {blast['target']}" for blast in blasts]
    if len(blasts) == 1:
        side = side_of(blasts[0]["x"])
        late = pick(rng, ("the bang is heard later", "its rumble comes late") if far else ("it bangs and rumbles",))
        texts = (
            f"{article(nouns[0])} explodes {side}, {away}, {hour}",
            f"{hour}, {article(nouns[0])} {side} blows up in a ball of fire; {late}",
            f"{article(nouns[0])} {away} bursts in a flash, and pieces of {blasts[0]['material']} fall",
        )
        return pick(rng, texts)
    sides = [f"{article(noun)} {side_of(blast['x'])}" for noun, blast in zip(nouns, blasts, strict=True)]
    if len(blasts) == 2:
        texts = (
            f"{sides[0]} explodes, then {sides[1]}",
            f"two explosions {away}, one after the other: {listing(sides, ', then ')}",
            f"{hour}, {article(nouns[0])} blows up, and after it {article(nouns[1])}",
        )
        return pick(rng, texts)
    return f"{len_of(blasts)} explosions {away}, one after another: {listing(sides[:3], ', then ')}" + (
        " and so on" if len(blasts) > 3 else ""
    )


THINGS = {"bucket": "metal bucket", "crate": "wooden crate", "jar": "glass jar"}


def _drips(rng: np.random.Generator, facts: Mapping[str, Any]) -> str:
    solid = [t for t in facts["targets"] if t["kind"] != "puddle"]
    named = [f"{article(t['colour'] + ' ' + THINGS[t['kind']])} {side_of(t['x'])}" for t in solid]
    puddle = next((t for t in facts["targets"] if t["kind"] == "puddle"), None)
    where = listing([f"on {name}" for name in named] + ([f"into a puddle {side_of(puddle['x'])}"] if puddle else []))
    texts = (
        f"drops fall from a gutter {where}",
        f"water drips from the roof {where}",
        f"drops splash {where}",
    )
    return pick(rng, texts)


def _weather(rng: np.random.Generator, facts: Mapping[str, Any], leads: bool) -> str:
    hard = "lightly" if facts["heavy"] < 0.45 else "heavily" if facts["heavy"] > 0.75 else "steadily"
    rain = pick(rng, (f"it rains {hard}", f"rain falls {hard}"))
    bolts = facts["lightning"]
    if not bolts:
        return rain
    flashes = "lightning flashes" if len(bolts) == 1 else f"lightning flashes {len_of(bolts)} times"
    return rain + pick(rng, (" and it thunders", f"; {flashes} and thunder rolls", f" and {flashes}"))


def _speech(rng: np.random.Generator, scene: Scene) -> str:
    people = [person for person in scene.people if person.facts["phrases"]]
    if not people:
        return ""
    if not people[0].facts["seen"]:
        facts = people[0].facts
        voice = pick(
            rng, (f"the voice of {article(facts['who']['kind'])}", f"{article(facts['who']['kind'])} who is not seen")
        )
        return f"{voice} says {_quote(facts)}"
    if len(scene.people) == 1:
        facts = people[0].facts
        place = _place(rng, scene)
        side = side_of(facts["x"])
        loud = " loudly" if facts["raised"] else ""
        texts = (
            f"{article(person_of(rng, facts['who']))} {side} says{loud} {_quote(facts)} {place}",
            f"{place}, {article(person_of(rng, facts['who']))} says{loud} {_quote(facts)}" if place else "",
            f"{article(facts['who']['kind'])} in {article(facts['who']['shirt'])} shirt says{loud} {_quote(facts)}",
            f"{side}, {article(person_of(rng, facts['who']))} speaks{loud}: {_quote(facts)}",
        )
        return pick(rng, [text for text in texts if text])
    turns = sorted(
        ((p["time"], person.facts, p["text"]) for person in people for p in person.facts["phrases"]), key=lambda t: t[0]
    )
    left, right = sorted((person.facts for person in scene.people), key=lambda f: f["x"])
    said: list[str] = []
    last = None
    for _, facts, text in turns[:6]:
        side = "left" if facts is left else "right"
        if facts is last:
            said[-1] = said[-1][:-1] + f' {text}"'
            continue
        who = f"the {facts['who']['kind']}" if left["who"]["kind"] != right["who"]["kind"] else f"the one on the {side}"
        verb = "says" if not said else pick(rng, ("answers", "says", "replies"))
        said.append(f'{who} {verb} "{text}"')
        last = facts
    if len(people) == 1:
        speaks, other = people[0].facts, right if people[0].facts is left else left
        where, heard = ("left", "right") if speaks is left else ("right", "left")
        return (
            f"{article(person_of(rng, speaks['who']))} on the {where} says {_quote(speaks)} "
            f"and {article(person_of(rng, other['who']))} on the {heard} listens"
        )
    pair = (
        f"{article(person_of(rng, left['who']))} on the left and {article(person_of(rng, right['who']))} on the right"
    )
    return f"{pair} talk in turn: {', then '.join(said)}"


def _quote(facts: Mapping[str, Any]) -> str:
    return '"' + " ".join(said["text"] for said in facts["phrases"]) + '"'


def _place(rng: np.random.Generator, scene: Scene) -> str:
    if scene.place["kind"] == "set":
        return pick(rng, PLACES[scene.place["set"]])
    if scene.place["kind"] == "land" and not scene.place["wet"]:
        return pick(rng, SAID[scene.place["hour"]])
    return ""


def _heard(rng: np.random.Generator, scene: Scene) -> str:
    """What the effects stem alone holds."""
    parts = []
    lead = scene.lead
    if isinstance(lead, Bodies):
        kinds = [f"{t['material']} {t['shape']}" for t in lead.facts["objects"]]
        parts.append(f"{listing([article(kind) for kind in kinds])} {'bounces' if len(kinds) == 1 else 'bounce'}")
    elif isinstance(lead, Xylophone):
        notes = lead.facts["notes"][:8]
        parts.append(f"a {lead.facts['instrument']} plays {listing(notes, ', ')}")
    elif isinstance(lead, Traffic):
        parts.append(
            listing(
                [f"{article(m['kind'])} passes" for m in sorted(lead.facts["movers"], key=lambda m: m["middle"])][:3],
                ", then ",
            )
        )
    elif isinstance(lead, Explosions):
        blasts = lead.facts["blasts"]
        parts.append("an explosion" if len(blasts) == 1 else f"{len_of(blasts)} explosions one after another")
    elif isinstance(lead, Drips):
        parts.append("drops on " + listing([THINGS.get(t["kind"], "water") for t in lead.facts["targets"]]))
    if scene.shower:
        parts.append(_weather(rng, scene.shower.facts, False))
    return " while ".join(parts)


def _absent(rng: np.random.Generator, scene: Scene, speech: bool, effects: bool, tune: bool) -> str:
    """Sometimes, what is not there."""
    if rng.random() > NOT:
        return ""
    texts = []
    if not tune:
        texts.append("there is no music")
    if not speech:
        texts.append("nobody speaks")
    if not effects:
        texts.append("there are no sound effects")
    if isinstance(scene.lead, Bodies):
        here = {t["colour"] for t in scene.lead.facts["objects"]}
        other = str(rng.choice([c for c in COLOURS if c not in here]))
        only = scene.lead.facts["objects"][0]
        stuff = str(rng.choice([m for m in MATERIALS if m not in {t["material"] for t in scene.lead.facts["objects"]}]))
        texts += (
            [f"nothing is {other}", f"nothing is made of {stuff}"]
            if len(here) > 1
            else [f"the {only['shape']} is not {other}"]
        )
    return pick(rng, texts) if texts else ""
