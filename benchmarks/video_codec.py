"""What a video codec keeps of whole held-out clips, by family of Foley World.

    python -m phonofilm.data.precompute raw --families bounce,strike,pass,blast,rain,talk -n 96 --size 128 --fps 24 \
        --first-seed 80000000 -o data/held
    python benchmarks/video_codec.py runs/video_vae_128/checkpoint.safetensors --raw data/held --sheets /tmp/sheets

Prints a Markdown table: PSNR over all pixels and over those that move; correlation of the picture's gradients where
something moves; sync F1 within 40 ms of decoded pictures with their true sound, beside that of the true pictures;
colours. Exported weights and a run's checkpoint (its averaged weights) are both taken.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from phonofilm.checkpoint import load_module, load_tensors
from phonofilm.codecs.video_loss import moving
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.config import from_dict
from phonofilm.data.clips import RawStore, to_model_frames
from phonofilm.evaluation.foley_world.detect import Observation, observe
from phonofilm.evaluation.foley_world.metrics import colour, pooled, sync
from phonofilm.training.tasks.previews import save_frames
from phonofilm.training.tasks.video_vae import VideoVAERecipe
from phonofilm.types import Clip, causal_length

VISIBLE = 0.1
"""Change from frame to frame, of a range of 2, from which a pixel moves."""


def load(path: Path) -> VideoVAE:
    """A codec from exported weights, or the averaged one of a run's checkpoint."""
    tensors, facts = load_tensors(path)
    if "recipe" not in facts or not any(name.startswith("ema.") for name in tensors):
        return load_module(VideoVAE, path)
    model = VideoVAE(from_dict(VideoVAERecipe, json.loads(facts["recipe"])).model)
    model.load_state_dict({name[4:]: value for name, value in tensors.items() if name.startswith("ema.")})
    return model.eval()


def decibel(squares: Tensor) -> float:
    return float(-10 * squares.clamp_min(1e-10).log10())


def gradient_correlation(truth: Tensor, decoded: Tensor, moves: Tensor) -> float:
    """Pearson's, of differences between neighbouring pixels of grey pictures [T, H, W] where `moves` holds."""
    pairs = []
    for axis in (1, 2):
        inside = moves.narrow(axis, 0, moves.shape[axis] - 1)
        pairs.append(torch.stack([x.diff(dim=axis)[inside] for x in (truth, decoded)]))
    joined = torch.cat(pairs, dim=1)
    return float(torch.corrcoef(joined)[0, 1].nan_to_num()) if joined.shape[1] > 1 else float("nan")


@torch.inference_mode()
def measured(codec: VideoVAE, store: RawStore, row: int) -> tuple[dict[str, float], list[Observation], Tensor, Tensor]:
    clip = store.read([row])
    frames = to_model_frames(clip.frames, causal_length(clip.frames.shape[1], codec.config.time))
    decoded = codec.decode(codec.encode(frames)[0])[0].float()
    error = (decoded - frames)[0].square().mean(0) / 4
    moves = moving(frames)[0, 0] > VISIBLE
    found = {
        "psnr": decibel(error.mean()),
        "moving": decibel(error[moves].mean()) if moves.any() else float("nan"),
        "gradients": gradient_correlation(frames[0].mean(0), decoded[0].mean(0), moves),
    }
    record = clip.records[0]
    seen = []
    if record.family in ("bounce", "strike"):
        pixels = ((decoded[0].permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8)[: clip.frames.shape[1]]
        for pictures in (clip.frames[0], pixels):
            true = Clip(pictures.numpy(), store.fps, clip.waveform[0].numpy(), store.sample_rate, record.caption)
            seen.append(observe(true, "", record.events))
    return found, seen, frames, decoded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--raw", type=Path, required=True, help="a raw store of clips that the codec never saw")
    parser.add_argument("--clips", type=int, help="the first so many; all unless given")
    parser.add_argument("--sheets", type=Path, help="folder for a picture of each family: truth above decoded")
    given = parser.parse_args()
    codec, store = load(given.weights), RawStore(given.raw)
    rows: dict[str, list[dict[str, float]]] = {}
    seen: dict[str, list[list[Observation]]] = {}
    for row in range(given.clips or len(store)):
        family = store.family(row)
        found, pair, frames, decoded = measured(codec, store, row)
        rows.setdefault(family, []).append(found)
        seen.setdefault(family, []).append(pair)
        if given.sheets and len(rows[family]) == 1:
            given.sheets.mkdir(parents=True, exist_ok=True)
            save_frames(given.sheets / f"{family}.png", frames, decoded, columns=8)
    print("| family | clips | PSNR | PSNR moving | gradients | sync F1 40 ms | truth's | colour | truth's |")
    print("|---|---|---|---|---|---|---|---|---|")
    for family, table in rows.items():
        means = [torch.tensor([found[name] for found in table]).nanmean().item() for name in table[0]]
        cells = [f"{means[0]:.2f}", f"{means[1]:.2f}", f"{means[2]:.3f}"]
        if seen[family][0]:
            for count in (lambda one: sync(one, 0.04), colour):
                for which in (1, 0):
                    cells.append(f"{pooled([count(pair[which]) for pair in seen[family]]).value:.3f}")
        else:
            cells += ["-"] * 4
        print(f"| {family} | {len(table)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
