"""Says in prose what happens in a scene, in many phrasings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

SAID = {
    "day": ("on a bright day", "in the sunshine", "under a blue sky"),
    "dusk": ("at sunset", "at dusk", "in the evening light"),
    "night": ("at night", "in the dark", "under the stars"),
    "overcast": ("on a grey day", "under clouds", "in dull weather"),
}


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def listing(words: Sequence[str], last: str = " and ") -> str:
    """ "a, b and c"."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + last + words[-1]


def article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def bounce(rng: np.random.Generator, things: Sequence[Mapping[str, Any]], path: np.ndarray) -> str:
    """things: shape, colour, material, start; path [S, things, 5]."""
    nouns = [f"{thing['colour']} {thing['material']} {thing['shape']}" for thing in things]
    if len(things) > 1:
        lead = listing([article(noun) for noun in nouns])
        verb = pick(rng, ("fall and bounce", "drop and bounce", "tumble down and bounce", "bounce about"))
        tail = pick(rng, ("in a small room", "on the floor", "and knock against the floor and the walls", ""))
        return f"{lead} {verb} {tail}".strip().capitalize() + "."
    noun, thing = article(nouns[0]), things[0]
    side = "left" if thing["start"] < 0.4 else "right" if thing["start"] > 0.6 else "middle"
    going = "right" if path[0, 0, 3] > 0 else "left"
    kind = thing["shape"]
    template = pick(
        rng,
        (
            "{noun} falls on the {side} and bounces to the {going}",
            "{noun} drops from the {side} and bounces across the floor towards the {going}",
            "{noun} bounces on the floor, moving {going}",
            "{noun} falls and bounces in a small room",
            "On the {side}, {noun} falls to the floor and bounces to the {going}",
            "{noun} is dropped; the {kind} hits the floor and bounces {going}",
        ),
    )
    text = template.format(noun=noun, side=side, going=going, kind=kind)
    return text[0].upper() + text[1:] + "."


def strike(rng: np.random.Generator, params: Mapping[str, Any], way: str) -> str:
    colours, instrument = params["colours"], params["instrument"]
    pace = "slowly" if params["beat"] > 0.64 else "quickly" if params["beat"] < 0.48 else "steadily"
    size = NUMBERS[params["bars"]]
    if way == "repeat":
        template = pick(
            rng,
            (
                "A mallet strikes the {first} bar of a {instrument} {times} times, {pace}",
                "The {first} bar of a {instrument} with {size} bars is struck {times} times {pace}",
                "{times} strikes on the {first} bar of a {instrument}, played {pace}",
            ),
        )
    else:
        template = pick(
            rng,
            (
                "A mallet plays a {instrument} {pace}: {list}",
                "A mallet {pace} strikes the {list} bars of a {instrument}",
                "On a {instrument} with {size} bars, a mallet {pace} plays {list}",
                "A {instrument} is played {pace}, {list}",
            ),
        )
    text = template.format(
        first=colours[0],
        instrument=instrument,
        pace=pace,
        size=size,
        times=NUMBERS[len(colours)],
        list=listing(colours, ", "),
    )
    return text[0].upper() + text[1:] + "."


def sentence(text: str) -> str:
    """With a capital and a full stop, and single spaces."""
    text = " ".join(text.split()).replace(" ,", ",")
    return text[0].upper() + text[1:] + "."


def passing(rng: np.random.Generator, params: Mapping[str, Any]) -> str:
    """params: movers from far to near (kind, colour, facing, calls, call) and land."""
    mover = params["movers"][-1]
    kind, bird = mover["kind"], mover["kind"] == "bird"
    noun = {"ambulance": f"white and {mover['colour']} ambulance"}.get(kind, f"{mover['colour']} {kind}")
    start, end = ("left", "right") if mover["facing"] > 0 else ("right", "left")
    verb = pick(rng, ("flies past", "flies", "flaps by") if bird else ("drives past", "passes", "goes by", "drives"))
    if kind == "train":
        verb = pick(rng, ("rolls past", "thunders by", "passes"))
    way = pick(rng, (f"from {start} to {end}", f"from the {start} to the {end}", f"towards the {end}"))
    texts = (
        f"{article(noun)} {verb} {way} {{hour}} {{call}}",
        f"{{hour}}, {article(noun)} {verb} {way} {{call}}",
        f"{article(noun)} crosses the picture {way} {{hour}} {{call}}",
        f"{article(noun)} comes from the {start} and leaves on the {end} {{call}}",
    )
    calls = {
        "horn": ("and sounds its horn", "and honks"),
        "whistle": ("and blows its whistle", "and whistles"),
        "siren": ("with its siren on", "with flashing lights and a siren", "with a wailing siren"),
        "caw": ("and caws", "cawing"),
        "cry": ("and cries", "crying"),
        "chirp": ("and chirps", "chirping"),
    }[mover["call"]]
    call = pick(rng, calls) if mover["calls"] or mover["call"] == "siren" else ""
    text = pick(rng, texts).format(call=call, hour=_hour(rng, params["land"]))
    if len(params["movers"]) > 1:
        other = params["movers"][0]
        text += ", " + pick(rng, ("while", "as")) + f" {article(other['colour'] + ' ' + other['kind'])} "
        text += pick(rng, ("comes the other way", f"passes behind it towards the {start}", "goes the opposite way"))
    return sentence(text)


def blast(rng: np.random.Generator, params: Mapping[str, Any]) -> str:
    """params: target, colour, material, distance, x, debris and land."""
    noun = f"{params['colour']} {params['target']}"
    far = params["distance"] > 75
    side = "on the left" if params["x"] < 0.42 else "on the right" if params["x"] > 0.58 else "in the middle"
    away = pick(rng, ("far away", "in the distance") if far else ("close by", "near the camera"))
    pieces = f"pieces of {params['material']}"
    sound = (
        ("its rumble comes late", "the bang is heard later") if far else ("it bangs and rumbles", "the bang is loud")
    )
    texts = (
        f"{article(noun)} explodes {side}, {away}, and {pieces} rain down {{hour}}",
        f"{{hour}}, {article(noun)} blows up in a ball of fire; {pick(rng, sound)}",
        f"{article(noun)} {away} bursts in a flash; smoke rises and {pieces} clatter on the ground",
        f"an explosion tears {article(noun)} apart {side} {{hour}}",
        f"a blinking {noun} blows up {away}; {pick(rng, sound)} and debris falls",
    )
    return sentence(pick(rng, texts).format(hour=_hour(rng, params["land"])))


def rain(rng: np.random.Generator, params: Mapping[str, Any]) -> str:
    """params: targets (kind, x, colour), heavy, wind, lightning (x, distance) and land."""
    things = {"bucket": "metal bucket", "crate": "wooden crate", "jar": "glass jar"}
    nouns = [article(f"{t['colour']} {things[t['kind']]}") for t in params["targets"] if t["kind"] != "puddle"]
    where = listing(["into a puddle", *("on " + noun for noun in nouns)])
    hard = "light" if params["heavy"] < 0.45 else "heavy" if params["heavy"] > 0.75 else "steady"
    wind = ", and wind bends the reeds" if params["wind"] > 0.65 else ""
    texts = (
        f"drops fall from a gutter {where} in {hard} rain{{hour}}{wind}",
        f"{hard} rain{{hour}}; water drips from the roof {where}{wind}",
        f"rain drips {where}{{hour}}{wind}",
        f"it rains: drops splash {where}{wind}",
    )
    hour = {"night": pick(rng, (" at night", " in the dark")), "dusk": " in the evening", "overcast": " on a grey day"}
    text = pick(rng, texts).format(hour=hour[params["land"]["hour"]])
    if params["lightning"]:
        last = params["lightning"][-1]
        side = "on the left" if last["x"] < 0.4 else "on the right" if last["x"] > 0.6 else "in the middle"
        far = "far off" if last["distance"] > 500 else "near" if last["distance"] < 220 else "some way off"
        bolts = "lightning flashes" if len(params["lightning"]) == 1 else "lightning flashes twice"
        text += pick(
            rng,
            (
                f"; {bolts} {far} {side} and thunder rolls",
                f". {bolts.capitalize()} {side}, and the thunder follows",
                f", while {bolts} and it thunders {far}",
            ),
        )
    return sentence(text)


def talk(rng: np.random.Generator, params: Mapping[str, Any]) -> str:
    """params: who, voice, set, x and phrases."""
    who, voice, texts = params["who"], params["voice"], [said["text"] for said in params["phrases"]]
    quote = '"' + " ".join(texts) + '"'
    verb = "asks" if len(texts) == 1 and texts[0].endswith("?") else "says"
    side = "on the left" if params["x"] < 0.43 else "on the right" if params["x"] > 0.57 else ""
    deep = {"man": voice["pitch"] < 0.56, "woman": voice["pitch"] < 0.9}.get(who["kind"], False)
    high = {"woman": voice["pitch"] > 1.04, "girl": True}.get(who["kind"], False)
    tone = pick(rng, ("in a deep voice", "in a low voice")) if deep else "in a high voice" if high else ""
    pace = "slowly" if voice["pace"] < 0.93 else "quickly" if voice["pace"] > 1.07 else ""
    scene = pick(rng, PLACES[params["set"]["kind"]])
    noun, short = article(person_of(rng, who)), article(who["kind"])
    manner = " ".join(word for word in (pace, tone) if word)
    lead, speaks = (f"{manner}, ", f"speaks {manner}") if manner else ("", "speaks")
    told = (
        f"{noun} {side} {verb} {quote} {manner}",
        f"{noun} {verb} {quote} {scene}",
        f"{scene}, {noun} {side} {verb} {quote} {manner}",
        f"a talking head {scene}: {noun} {side} {verb} {quote} {tone}",
        f"{lead}{short} {side} {verb} {quote} {scene}",
        f"a close-up of {noun} {side} who {verb} {quote} {manner}",
        f"{short} {side} in {article(who['shirt'])} shirt {speaks}: {quote}",
    )
    return sentence(pick(rng, told))


PLACES = {
    "wall": ("in a room", "before a wall with a picture", "at home"),
    "window": ("by a window", "in front of a window"),
    "park": ("in a park", "outdoors in the sunshine"),
    "studio": ("in a studio", "against a dark wall"),
    "books": ("in front of a bookshelf", "in a library"),
}
STYLED = {
    "long": "long {} hair",
    "bun": "{} hair in a bun",
    "curly": "curly {} hair",
    "bob": "{} hair in a bob",
    "short": "short {} hair",
    "parted": "parted {} hair",
    "pigtails": "{} pigtails",
}


def person_of(rng: np.random.Generator, who: Mapping[str, Any]) -> str:
    """Who is seen, such as "man with short red hair, a beard and glasses in a blue shirt"."""
    with_ = [] if who["hair"] in ("bald", "hat") else [STYLED[who["hair"]].format(who["hair_colour"])]
    with_ += [f"a {who['beard']}"] if who["beard"] else []
    with_ += ["glasses"] if who["glasses"] else []
    noun = f"bald {who['kind']}" if who["hair"] == "bald" else who["kind"]
    text = f"{noun} with {listing(with_)}" if with_ else noun
    wears = [f"{article(who['hat'])} hat"] if who["hair"] == "hat" else []
    wears += [f"{article(who['shirt'])} shirt"] if not wears or rng.random() < 0.5 else []
    return f"{text} in {listing(wears)}" if wears and (rng.random() < 0.75 or who["hair"] == "hat") else text


def with_music(rng: np.random.Generator, caption: str, music: str) -> str:
    """A caption with a sentence about its music bed, such as "calm, cheerful piano music"."""
    texts = (f"{music} plays.", f"In the background, {music}.", f"It is accompanied by {music}.")
    text = pick(rng, texts)
    return f"{caption} {text[0].upper()}{text[1:]}"


def _hour(rng: np.random.Generator, land: Mapping[str, Any]) -> str:
    return pick(rng, SAID[land["hour"]])
