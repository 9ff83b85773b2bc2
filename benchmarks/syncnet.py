"""What the sync network that ships can and cannot tell, on held-out clips whose offsets are known.

    python benchmarks/syncnet.py [--stores data/sync/struck-held ...] [--weights FILE]

The stores are those that recipes/syncnet.toml holds out; its head says how to draw them. From each clip windows of
`--seconds` are cut with sound and picture apart by a known offset (never padded), plainly, at 12 fps, with a camera
that shakes by 2 pixels of 64, and in noise 10 dB below the sound. Per family: the share within ± 60 ms and the mean
absolute error, by argmax as published and by expectation; slope, bias and spread of found against true offsets; and
beside it the same of our offset by image and signal processing (`evaluation.offset`) within the same reach. Chance is
what a uniform guess would get.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from phonofilm.data.clips import RawStore
from phonofilm.perception.audiovisual.syncnet import RATE, SAMPLE_RATE, SyncNet, log_mel, offset_grid, prepare_frames
from phonofilm.signals.sync.desync import desync_expected, desync_offsets
from phonofilm.signals.sync.offset import clip_offset

NEAR = 0.06


@dataclass(frozen=True)
class Cut:
    """A window: frames uint8 [T, S, S, 3] at `fps`, sound float32 [N], and by how many seconds the sound is early."""

    family: str
    frames: np.ndarray
    sound: np.ndarray
    offset: float
    fps: int = RATE


def cuts(store: RawStore, seconds: float, reach: float, count: int) -> Iterator[Cut]:
    """`count` windows of every clip, at random places and offsets that know nothing of each other."""
    for row in range(len(store)):
        rng = np.random.default_rng([7, row])
        frames, sound = (
            store.shards.row("frames", row).numpy(),
            store.shards.row("waveform", row).float().mean(0).numpy(),
        )
        for _ in range(count):
            first = int((reach + rng.random() * (len(frames) / RATE - seconds - 2 * reach)) * RATE + 1e-6)
            offset = rng.uniform(-reach, reach)
            begin = round((first / RATE + offset) * SAMPLE_RATE)
            yield Cut(
                store.records[row].family,
                frames[first : first + round(seconds * RATE)],
                sound[begin : begin + round(seconds * SAMPLE_RATE)],
                offset,
            )


def plain(cut: Cut) -> Cut:
    return cut


def slow(cut: Cut) -> Cut:
    """12 pictures a second, as a clip of that rate has them."""
    ticks = np.rint(np.arange(len(cut.frames) * 12 // RATE) * RATE / 12).astype(int)
    return replace(cut, frames=cut.frames[ticks], fps=12)


def shaken(cut: Cut) -> Cut:
    """Every picture moved by up to 2 pixels each way."""
    rng = np.random.default_rng(len(cut.sound))
    moved = [np.roll(f, rng.integers(-2, 3, 2), (0, 1)) for f in cut.frames]
    return replace(cut, frames=np.stack(moved))


def noisy(cut: Cut) -> Cut:
    """White noise 10 dB below the sound."""
    noise = np.random.default_rng(3).standard_normal(len(cut.sound)).astype(np.float32)
    level = float(np.sqrt((cut.sound**2).mean())) * 10**-0.5
    return replace(cut, sound=cut.sound + level * noise)


CONDITIONS: dict[str, Callable[[Cut], Cut]] = {"plain": plain, "12 fps": slow, "2 px": shaken, "10 dB": noisy}


@torch.inference_mode()
def by_network(network: SyncNet, cut: Cut) -> tuple[float, float]:
    """(by argmax, by expectation) in seconds."""
    frames = prepare_frames(cut.frames, cut.fps, network.config.size)
    logits = network(frames[None], log_mel(torch.from_numpy(cut.sound)[None], network.config.bands))[0].double().numpy()
    grid = offset_grid(network.config.lags)
    return float(desync_offsets(logits, grid)), float(desync_expected(logits, grid))


def by_signals(cut: Cut, reach: float) -> float:
    """Offset by image and signal processing; NaN where nothing moves or sounds."""
    try:
        return clip_offset(cut.sound, SAMPLE_RATE, cut.frames, cut.fps, reach).milliseconds / 1000
    except ValueError:
        return float("nan")


def agreement(truth: np.ndarray, found: np.ndarray) -> str:
    """Cells: near, MAE, slope, bias, spread of what has an answer."""
    there = np.isfinite(found)
    truth, found = truth[there], found[there]
    slope, bias = np.polyfit(truth, found, 1)
    error = found - truth
    near, mae = (np.abs(error) <= NEAR).mean(), 1000 * np.abs(error).mean()
    return f"{near:.2f} | {mae:.0f} | {slope:.2f} | {1000 * bias:+.0f} | {1000 * error.std():.0f}"


def rows(network: SyncNet, stores: Sequence[Path], seconds: float, count: int, name: str) -> Iterator[str]:
    """Lines of the table for one condition."""
    reach = network.config.reach
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for folder in stores:
        for cut in map(CONDITIONS[name], cuts(RawStore(folder), seconds, reach, count)):
            answer = (cut.offset, *by_network(network, cut), by_signals(cut, reach))
            found.setdefault(cut.family, []).append(answer)
    for family, answers in found.items():
        truth, argmax, expected, signals = np.array(answers).T
        error = np.abs(expected - truth)
        soft = f"{(error <= NEAR).mean():.2f} | {1000 * error.mean():.0f}"
        cells = agreement(truth, argmax), soft, agreement(truth, signals)
        yield f"| {family}, {name} | {len(answers)} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    held = [Path("data/sync") / f"{name}-held" for name in ("struck", "outdoors", "film")]
    parser.add_argument("--stores", type=Path, nargs="+", default=held)
    parser.add_argument("--weights", type=Path, help="another network than the one that ships")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--count", type=int, default=4, help="windows of every clip")
    parser.add_argument("--conditions", nargs="+", choices=list(CONDITIONS), default=list(CONDITIONS))
    given = parser.parse_args()
    network = SyncNet.load(given.weights)
    reach = network.config.reach
    print(f"Chance: near {NEAR / reach:.2f}, MAE {2000 * reach / 3:.0f} ms.\n")
    own = "near | MAE | slope | bias | SD"
    print(f"| | n | {own} | near, expected | MAE, expected | signals: {own} |")
    print("|---" * 14 + "|")
    for name in given.conditions:
        for line in rows(network, given.stores, given.seconds, given.count, name):
            print(line, flush=True)


if __name__ == "__main__":
    main()
