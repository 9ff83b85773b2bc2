"""How far the scorers of edition 2 of Foley World tell truth from chance and from planted faults.

    python benchmarks/scorers.py [--clips 24 --families bounce,strike,... --codec nano-128]

On scenes that no threshold was chosen on: every measure of true clips with its 95 % interval; the same of pictures
with the sound of three other clips of their family; and of clips with a fault that the measure must see. With --codec
also of eight pictures a family that went through that picture codec, beside the same eight before. Prints a Markdown
table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from phonofilm import world
from phonofilm.evaluation.foley_world.edition2.asked import Asked
from phonofilm.evaluation.foley_world.edition2.score import MEASURES, Heard, Seen, measures, summarise
from phonofilm.evaluation.foley_world.metrics import Value
from phonofilm.types import Clip
from phonofilm.world.common.scene import Truth

FIRST_SEED = 81_000_000
LATE = 0.12  # s
LEAK = 0.1  # of the amplitude of another stem
CODED = 8  # clips a family that go through a codec
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


def scored(looks: Sequence[tuple[Look, Asked]], only: Sequence[str]) -> Summary:
    return summarise([measures(*look, asked, only) for look, asked in looks])


FAULTS: dict[str, tuple[Callable[[Clip], Clip], tuple[str, ...]]] = {
    "sound 120 ms late": (late, ("sync",)),
    "colours exchanged": (recoloured, ("colour", "two_colours")),
    "picture mirrored": (mirrored, ("pan_sign", "turns")),
    "all mirrored": (turned, ("side", "way")),
    "stems leak": (leaking, ("stem_silent",)),
}
"""A fault, and the measures that must see it."""


def faulty(scenes: Sequence[Scene], looks: Sequence[Look], applies: Sequence[str]) -> dict[str, tuple[str, Value]]:
    """By measure, the fault that was planted and what the measure then is."""
    found: dict[str, tuple[str, Value]] = {}
    wanted = [Asked.of(truth) for _, truth in scenes]

    def add(name: str, planted: Sequence[Look], asked: Sequence[Asked], only: Sequence[str]) -> None:
        scores = scored(list(zip(planted, asked, strict=True)), only)
        found.update({measure: (name, value) for measure, value in scores.items()})

    for name, (plant, seen_by) in FAULTS.items():
        if names := [measure for measure in seen_by if measure in applies]:
            add(
                name,
                [_planted(plant(clip), look) for (clip, _), look in zip(scenes, looks, strict=True)],
                wanted,
                names,
            )
    if "order" in applies:
        uneven = [(look, a) for look, a in zip(looks, wanted, strict=True) if a.melody != a.melody[::-1]]
        backwards = [replace(a, melody=a.melody[::-1]) for _, a in uneven]
        add("order reversed", [look for look, _ in uneven], backwards, ("order", "order_heard"))
    if "count" in applies:
        many = [truth for _, truth in scenes if len(truth.params["objects"]) > 1]
        add("a body removed", [observed(fewer(t)) for t in many], [Asked.of(t) for t in many], ("count",))
    return found


def _planted(clip: Clip, before: Look) -> Look:
    """A clip with a fault, observed; a picture that is as before is not looked at again."""
    if clip.frames is before[0].frames:
        return before[0], Heard.of(clip)
    return observed(clip)


def coded(clips: Sequence[Clip], codec: str) -> list[Clip]:
    """Pictures through a picture codec, a clip at a time."""
    import torch

    from phonofilm.checkpoint import load_module
    from phonofilm.codecs.pixels import from_frames, to_frames
    from phonofilm.codecs.video_vae import VideoVAE
    from phonofilm.weights import codecs_folder

    network = load_module(VideoVAE, codecs_folder(codec) / "video_vae.safetensors").eval()
    step = network.config.time
    made = []
    with torch.inference_mode():
        for clip in clips:
            assert clip.frames is not None
            frames = from_frames(clip.frames)
            count = frames.shape[2]
            frames = torch.cat([frames, frames[:, :, -1:].expand(-1, -1, -(count - 1) % step, -1, -1)], 2)
            picture = network.decode(network.encode(frames)[0])[0][0, :, :count]
            made.append(clip.with_(frames=to_frames(picture)))
    return made


HEADER = """| family | measure | clips | truth | sound of others | planted fault | codec: before, after |
|---|---|---|---|---|---|---|"""


def table(families: Sequence[str], clips: int, codec: str | None) -> str:
    """A line for every family and measure."""
    return "\n".join([HEADER, *(line for family in families for line in lines(family, clips, codec))])


def lines(family: str, clips: int, codec: str | None) -> list[str]:
    scenes = [draw(family, FIRST_SEED + number) for number in range(clips)]
    looks = [observed(clip) for clip, _ in scenes]
    asked = [Asked.of(truth) for _, truth in scenes]
    truth = scored(list(zip(looks, asked, strict=True)), tuple(MEASURES))
    pairs = [(i, (i + k) % clips) for i in range(clips) for k in (1, 2, 3) if k < clips]
    others = scored([((looks[i][0], looks[j][1]), asked[i]) for i, j in pairs], HEARD)
    faults = faulty(scenes, looks, list(truth))
    kept: tuple[Summary, Summary] | None = None
    if codec:
        after = [observed(clip) for clip in coded([clip for clip, _ in scenes[:CODED]], codec)]
        before = list(zip(looks, asked, strict=True))[:CODED]
        kept = scored(before, SEEN), scored([(a, wanted) for a, (_, wanted) in zip(after, before, strict=True)], SEEN)
    result = []
    for name, value in truth.items():
        shuffled = f"{others[name].value:.2f}" if name in others else ""
        fault = f"{faults[name][1].value:.2f}: {faults[name][0]}" if name in faults else ""
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
    given = parser.parse_args()
    print(table(given.families.split(","), given.clips, given.codec))


if __name__ == "__main__":
    main()
