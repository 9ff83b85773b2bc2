"""Does music follow the other stems, and is it the attention between stems that tells it? With it and without it.

    python benchmarks/coupling.py MODEL [--clips 8 --steps N --work out/coupling]

On coupled scenes that no training saw the true speech is given, or the true effects, and music is made without a
picture, twice from the same noise: as the model is, and with the attention between stems switched off, so that nothing
is left by which music could know of the others. `ducking` is by how many dB it is lower under words, `accents` by how
many dB more it rises on what happens than at other times. Prints a Markdown table with the paired difference and its
95 % interval. What was measured is kept by scene, so a stopped run goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phonofilm import world
from phonofilm.app.experiments.rows import Row, append_row, read_rows
from phonofilm.backends.native import NativeBackend
from phonofilm.choices import Stem
from phonofilm.evaluation.foley_world import audio_events
from phonofilm.evaluation.foley_world.edition2 import stems
from phonofilm.evaluation.foley_world.edition2.asked import Asked
from phonofilm.evaluation.statistics import Interval, bootstrap_interval, of_few_clips
from phonofilm.model.chunks import MASKED
from phonofilm.model.rope import Places
from phonofilm.model.transformer import AVTransformer
from phonofilm.types import Clip, Positions, Request
from phonofilm.world.common.scene import Truth

FIRST_SEED = 92_000_000
COUPLED = 3.0
"""dB of the coupling that a true scene has at least to count as coupled."""
SECONDS, RATE = 4.0, 24_000


@dataclass(frozen=True)
class Coupling:
    """One way in which music hangs together with another stem.

    Attributes:
        given: the stem that is given.
        families: of scenes, by turns.
        measure: dB of it, of that stem and of music float32 [2, N]; None where a clip does not tell.
    """

    given: Stem
    families: tuple[str, ...]
    measure: Callable[[np.ndarray, np.ndarray], float | None]


def _ducking(speech: np.ndarray, music: np.ndarray) -> float | None:
    return stems.ducking(speech, music, RATE)


def _accents(effects: np.ndarray, music: np.ndarray) -> float | None:
    return stems.accents([onset.time for onset in audio_events.onsets(effects, RATE)], music, RATE)


COUPLINGS = {
    "ducking": Coupling("speech", ("talk",), _ducking),
    "accents": Coupling("effects", ("bounce", "strike", "blast"), _accents),
}


def scenes(name: str) -> Iterator[tuple[str, int, Truth, Clip]]:
    """Family, seed, truth and true sound of scenes with that coupling, without end; the picture is not used."""
    coupling, seed = COUPLINGS[name], FIRST_SEED
    while True:
        for family in coupling.families:
            truth = world.sample(family, seed, SECONDS, music=1.0, edition=2)
            if not Asked.of(truth).silent & {coupling.given, "music"}:
                clip = world.clips([truth], 32, 4, RATE)[0]
                true = coupling.measure(clip.stems[coupling.given], clip.stems["music"])
                if true is not None and true >= COUPLED:
                    yield family, seed, truth, clip
        seed += 1


def isolate(network: AVTransformer) -> Callable[[], None]:
    """Switch off the attention between stems, in place; returns what switches it on again."""
    places = network.places

    def apart(positions: Positions, *rest: Any, **options: Any) -> tuple[Places, Places]:
        video, audio = places(positions, *rest, **options)
        number = torch.arange(len(positions.stems)).repeat_interleave(len(positions.audio)).to(audio.alone.cos.device)
        hidden = torch.where(number[:, None] == number, 0.0, MASKED).to(audio.alone.cos.dtype)
        seen = hidden if audio.alone_bias is None else hidden + audio.alone_bias
        return video, audio._replace(alone_bias=seen)

    network.places = apart  # type: ignore[method-assign]
    return lambda: network.__dict__.pop("places")


def music_for(model: NativeBackend, given: Stem, truth: Truth, clip: Clip, steps: int | None, seed: int) -> np.ndarray:
    """Music float32 [2, N] that the model makes to a true stem; both are handed over so softly that nothing clips."""
    sound = Clip(waveform=clip.stems[given], sample_rate=RATE)
    request = Request(
        truth.caption,
        seconds=SECONDS,
        only=("music",),
        music=truth.params["said"]["music"],
        given_stems={given: sound},
        gain={given: -12.0, "music": -12.0},
        seed=seed,
        steps=steps,
    )
    return np.asarray(model.generate(request).stems["music"])


def measured(load: Callable[[], NativeBackend], name: str, clips: int, steps: int | None, kept: Path) -> list[Row]:
    """One row a scene: family, seed, dB of truth, of the model, of it with stems apart (None: it cannot be told)."""
    rows, coupling = read_rows(kept), COUPLINGS[name]
    known = {(row["family"], row["seed"]) for row in rows}
    began, found = time.monotonic(), 0
    for family, seed, truth, clip in scenes(name):
        if found == clips:
            break
        found += 1
        if (family, seed) in known:
            continue
        model, heard = load(), clip.stems[coupling.given]
        row: Row = {"family": family, "seed": seed, "truth": coupling.measure(heard, clip.stems["music"])}
        row["model"] = coupling.measure(heard, music_for(model, coupling.given, truth, clip, steps, seed))
        join = isolate(model.parts.transformer)
        row["apart"] = coupling.measure(heard, music_for(model, coupling.given, truth, clip, steps, seed))
        join()
        append_row(kept, row)
        rows.append(row)
        left = (time.monotonic() - began) / found * (clips - found)
        print(f"{name}: {found} of {clips}, about {left:.0f} s left", file=sys.stderr)
    return rows[:clips]


def line(name: str, rows: Sequence[Row]) -> str:
    """A line of the table."""
    told = [row for row in rows if row["model"] is not None and row["apart"] is not None]
    columns = [[row[key] for row in told] for key in ("truth", "model", "apart")]
    columns.append([row["model"] - row["apart"] for row in told])
    return f"| {name} | {len(told)} | {' | '.join(_shown(values) for values in columns)} |"


def _shown(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "–"
    found = mean_of(values)
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def mean_of(values: Sequence[float]) -> Interval:
    """Mean over scenes with its 95 % interval."""
    return of_few_clips(bootstrap_interval(values), len(values))


HEADER = """| coupling, dB | scenes | truth | model | stems apart | difference of the last two |
|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a model with stems, as checkpoints/nano_128")
    parser.add_argument("--clips", type=int, default=8, help="scenes of each coupling")
    parser.add_argument("--steps", type=int, help="of the sampler; the model's own if not said")
    parser.add_argument("--work", type=Path, default=Path("out/coupling"), help="folder of what was measured so far")
    given = parser.parse_args()
    from phonofilm.weights import digest, locate

    load = cache(lambda: NativeBackend.load(given.model))
    print(HEADER)
    for name in COUPLINGS:
        kept = given.work / f"{digest(locate(given.model))[:12]}-{given.steps or 'own'}-{name}.jsonl"
        print(line(name, measured(load, name, given.clips, given.steps, kept)), flush=True)


if __name__ == "__main__":
    main()
