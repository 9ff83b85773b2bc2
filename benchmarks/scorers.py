"""How far the scorers of edition 2 of Foley World tell truth from chance and from planted faults.

    python benchmarks/scorers.py [--clips 24 --families bounce,strike,... --codec nano-128 --work out/scorers]

On scenes that no threshold was chosen on: every measure of true clips with its 95 % interval; the same of pictures
with the sound of the three clips of their family before; and of clips with a fault that the measure must see. With
--codec also of eight pictures a family that went through that picture codec, beside the same eight before. Prints a
Markdown table. What was measured is kept by clip, for this code of the world and of the scorers, so a stopped run goes
on, and one with more clips adds to one with fewer. On standard error: how far it is, and how long a clip takes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from phonofilm import world
from phonofilm.app.experiments.rows import Row, append_row, read_rows
from phonofilm.app.experiments.scene_results import SCORERS, sources
from phonofilm.checkpoint import load_module
from phonofilm.codecs.pixels import from_frames, to_frames
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.evaluation.foley_world.edition2.asked import Asked
from phonofilm.evaluation.foley_world.edition2.score import Heard, Seen, measures, summarise
from phonofilm.evaluation.foley_world.metrics import Value
from phonofilm.types import Clip
from phonofilm.weights import codecs_folder
from phonofilm.world.common.scene import Truth

FIRST_SEED = 81_000_000
LATE = 0.12  # s
LEAK = 0.1  # of the amplitude of another stem
CODED = 8  # clips a family that go through a codec
OTHERS = 3  # clips before, whose sound a picture gets
Scene = tuple[Clip, Truth]
Look = tuple[Seen, Heard]
Summary = dict[str, Value]


def draw(family: str, seed: int) -> Scene:
    """A true clip of four seconds: 128 x 128, 24 frames a second, stems at 24 kHz."""
    truth = world.sample(family, seed, 4.0, edition=2)
    return world.clips([truth], 128, 24, 24_000)[0], truth


def late(clip: Clip) -> Clip:
    """All sound later."""
    assert clip.waveform is not None
    assert clip.sample_rate is not None
    gap = round(LATE * clip.sample_rate)

    def later(sound: np.ndarray) -> np.ndarray:
        return np.pad(sound, ((0, 0), (gap, 0)))[:, : sound.shape[1]]

    return clip.with_(waveform=later(clip.waveform), stems={name: later(stem) for name, stem in clip.stems.items()})


def recoloured(clip: Clip) -> Clip:
    """Hues turned by a third of a circle."""
    assert clip.frames is not None
    return clip.with_(frames=np.ascontiguousarray(clip.frames[..., [1, 2, 0]]))


def mirrored(clip: Clip) -> Clip:
    """The picture, not the sound."""
    assert clip.frames is not None
    return clip.with_(frames=np.ascontiguousarray(clip.frames[:, :, ::-1]))


def turned(clip: Clip) -> Clip:
    """Picture and sound, left for right."""
    assert clip.waveform is not None
    return mirrored(clip).with_(
        waveform=np.ascontiguousarray(clip.waveform[::-1]),
        stems={name: np.ascontiguousarray(stem[::-1]) for name, stem in clip.stems.items()},
    )


def leaking(clip: Clip) -> Clip:
    """A tenth of the loudest stem in every other."""
    loudest = max(clip.stems, key=lambda name: float(np.square(clip.stems[name]).mean()))
    parts = {n: s + (LEAK * clip.stems[loudest] if n != loudest else 0) for n, s in clip.stems.items()}
    return clip.with_(stems=parts)


def without_last(truth: Truth) -> Truth:
    """A scene of bodies without the last of them."""
    scene = truth.details["scene"]
    lead = scene.lead
    last = len(lead.facts["objects"]) - 1
    left = replace(
        lead,
        facts={**lead.facts, "objects": lead.facts["objects"][:last]},
        path=lead.path[:, :last],
        impacts=tuple(contact for contact in lead.impacts if last not in contact.bodies),
        hops=tuple(hop for hop in lead.hops if hop[1] != last),
    )
    return replace(truth, details={"scene": replace(scene, lead=left)})


def fewer(truth: Truth) -> Clip:
    """The scene without its last body, drawn and sounded anew."""
    return world.clips([without_last(truth)], 128, 24, 24_000)[0]


def observed(clip: Clip) -> Look:
    assert clip.frames is not None
    return Seen(clip.frames, float(clip.fps or 24)), Heard.of(clip)


FAULTS: dict[str, tuple[Callable[[Clip], Clip], tuple[str, ...]]] = {
    "sound 120 ms late": (late, ("sync",)),
    "colours exchanged": (recoloured, ("colour", "two_colours")),
    "picture mirrored": (mirrored, ("pan_sign", "turns")),
    "all mirrored": (turned, ("side", "way")),
    "stems leak": (leaking, ("stem_silent",)),
}
"""A fault, and the measures that must see it."""


def faulty(clip: Clip, truth: Truth, look: Look, applies: Collection[str]) -> dict[str, tuple[str, float]]:
    """By measure, the fault that was planted into a clip and what the measure then is."""
    asked = Asked.of(truth)
    found: dict[str, tuple[str, float]] = {}
    for name, (plant, seen_by) in FAULTS.items():
        if names := [measure for measure in seen_by if measure in applies]:
            planted = measures(*_planted(plant(clip), look), asked, names)
            found.update({measure: (name, value) for measure, value in planted.items()})
    if asked.melody != asked.melody[::-1]:
        backwards = measures(*look, replace(asked, melody=asked.melody[::-1]), ("order", "order_heard"))
        found.update({measure: ("order reversed", value) for measure, value in backwards.items()})
    if "count" in applies and len(truth.params["objects"]) > 1:
        found["count"] = ("a body removed", measures(*observed(fewer(truth)), asked, ("count",))["count"])
    return found


def _planted(clip: Clip, before: Look) -> Look:
    """A clip with a fault, observed; a picture that is as before is not looked at again."""
    if clip.frames is before[0].frames:
        return before[0], Heard.of(clip)
    return observed(clip)


@cache
def codec_of(name: str) -> VideoVAE:
    return load_module(VideoVAE, codecs_folder(name) / "video_vae.safetensors").eval()


@torch.inference_mode()
def coded(clip: Clip, codec: str) -> Clip:
    """A picture through a picture codec."""
    network = codec_of(codec)
    frames = from_frames(clip.picture.frames)
    count = frames.shape[2]
    frames = torch.cat([frames, frames[:, :, -1:].expand(-1, -1, -(count - 1) % network.config.time, -1, -1)], 2)
    picture = network.decode(network.encode(frames)[0])[0][0, :, :count]
    return clip.with_(frames=to_frames(picture))


@lru_cache(6)
def scene(family: str, number: int) -> tuple[Clip, Truth, Look]:
    """A clip, observed; the three before it are needed with it."""
    clip, truth = draw(family, FIRST_SEED + number)
    return clip, truth, observed(clip)


def measured(family: str, number: int) -> Row:
    """What one clip scores by itself, with the sound of others, and with faults."""
    clip, truth, look = scene(family, number)
    asked = Asked.of(truth)
    before = [scene(family, other)[2] for other in range(max(0, number - OTHERS), number)]
    found = measures(*look, asked)
    return {
        "family": family,
        "number": number,
        "truth": found,
        "others": [measures(look[0], heard, asked, HEARD) for _, heard in before],
        "faults": faulty(clip, truth, look, found),
    }


def through(family: str, number: int, codec: str) -> Row:
    """What one clip scores after a picture codec."""
    clip, truth, _ = scene(family, number)
    return {
        "family": family,
        "number": number,
        "coded": measures(*observed(coded(clip, codec)), Asked.of(truth), SEEN),
    }


def kept_rows(file: Path | None, family: str, count: int, make: Callable[[str, int], Row]) -> list[Row]:
    """The rows of a family's first clips: those that a file has, and the others, made and added to it."""
    there = {row["number"]: row for row in (read_rows(file) if file else []) if row["family"] == family}
    todo, began = [number for number in range(count) if number not in there], time.monotonic()
    for done, number in enumerate(todo, start=1):
        there[number] = make(family, number)
        if file:
            append_row(file, there[number])
        each = (time.monotonic() - began) / done
        left = each * (len(todo) - done)
        print(f"{family}: {done} of {len(todo)}, {each:.1f} s a clip, about {left:.0f} s left", file=sys.stderr)
    return [there[number] for number in range(count)]


HEADER = """| family | measure | clips | truth | sound of others | planted fault | codec: before, after |
|---|---|---|---|---|---|---|"""


def table(families: Sequence[str], clips: int, codec: str | None, work: Path | None = None) -> str:
    """A line for every family and measure; rows are kept in a folder, if one is given."""
    return "\n".join([HEADER, *(line for family in families for line in lines(family, clips, codec, work))])


def lines(family: str, clips: int, codec: str | None, work: Path | None) -> list[str]:
    rows = kept_rows(work and work / "scores.jsonl", family, clips, measured)
    truth = summarise([row["truth"] for row in rows])
    others = summarise([scores for row in rows for scores in row["others"]])
    faults = summarise([{name: value for name, (_, value) in row["faults"].items()} for row in rows])
    names = {name: fault for row in rows for name, (fault, _) in row["faults"].items()}
    kept: tuple[Summary, Summary] | None = None
    if codec:
        file = work and work / f"codec-{Path(codec).name}.jsonl"
        after = kept_rows(file, family, min(clips, CODED), partial(through, codec=codec))
        before = [{name: value for name, value in row["truth"].items() if name in SEEN} for row in rows[:CODED]]
        kept = summarise(before), summarise([row["coded"] for row in after])
    result = []
    for name, value in truth.items():
        shuffled = f"{others[name].value:.2f}" if name in others else ""
        fault = f"{faults[name].value:.2f}: {names[name]}" if name in faults else ""
        both = f"{kept[0][name].value:.2f}, {kept[1][name].value:.2f}" if kept and name in kept[0] else ""
        spread = f"{value.value:.2f} ({value.low:.2f} … {value.high:.2f})"
        result.append(f"| {family} | {name} | {value.clips} | {spread} | {shuffled} | {fault} | {both} |")
    return result


HEARD = ("sync", "material", "pitch", "pan_sign", "family_heard", "order_heard", "turns", "stem_silent", "accents")
SEEN = ("sync", "colour", "pitch", "pan_sign", "family_seen", "count", "two_colours", "order", "side", "way", "turns")
"""Measures that another clip's sound changes, and those that a picture codec may change."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=24, help="of each family")
    parser.add_argument("--families", default=",".join(world.FAMILIES), help="with commas between")
    parser.add_argument("--codec", help="a picture codec to send clips through: nano-128, or a folder")
    parser.add_argument("--work", type=Path, default=Path("out/scorers"), help="folder of what was measured so far")
    given = parser.parse_args()
    began, code = time.monotonic(), sources("phonofilm.world", *SCORERS)
    print(table(given.families.split(","), given.clips, given.codec, given.work / code))
    print(f"{(time.monotonic() - began) / 60:.1f} min", file=sys.stderr)


if __name__ == "__main__":
    main()
