"""Features of published networks through transformers, given the folder of their weights.

Which checkpoint a folder holds changes every score; results name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from phonofilm.evaluation.features.decoded_clip import Film, UnfitError
from phonofilm.evaluation.features.feature import Extractor, Feature
from phonofilm.evaluation.features.ported_networks import given


def load_clip(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.vision.clip import Clip

    network = Clip.load(given(weights), text=False, device=device)
    return lambda film: {"frames": network.pictures(film.frames).numpy()}


def load_clip_text(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.vision.clip import Clip

    return _reader(Clip.load(given(weights), device=device))


def load_clap(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.audio.clap import Clap

    network = Clap.load(given(weights), device=device)
    return lambda film: {"audio": network.sound(film.mono_at(network.sample_rate)).numpy()}


def load_clap_text(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.audio.clap import Clap

    return _reader(Clap.load(given(weights), device=device))


def _reader(network) -> Extractor:
    """What a network reads in a prompt, and how many tokens of it did not fit."""

    def take(prompt: str) -> Mapping[str, np.ndarray]:
        text, cut = network.text(prompt)
        return {"text": text.numpy(), "cut": np.array(cut)}

    return take


def load_ms_clap(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.audio.ms_clap import MsClap

    network = MsClap.load(given(weights), device)
    return lambda film: {"audio": network.sound(film.mono_at(network.sample_rate)).numpy()}


def load_ms_clap_text(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.audio.ms_clap import MsClap

    return _reader(MsClap.load(given(weights), device))


def lacks_ms_clap(folder: Path) -> str | None:
    absent = [name for name in ("CLAP_weights_2023.pth", "tokenizer.json") if not (folder / name).is_file()]
    return f"put {' and '.join(absent)} into {folder} (the tokenizer is GPT-2's)" if absent else None


def load_aesthetic(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.vision.clip import Aesthetic

    network = Aesthetic.load(given(weights), device=device)
    return lambda film: {"value": np.array(float(network(film.frames).double().mean()) / 10)}


def load_dino(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.vision.dino import Dino

    network = Dino.load(given(weights), device=device)
    return lambda film: {"frames": network(film.frames).numpy()}


def load_videomae(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.vision.videomae import VideoMAE

    network = VideoMAE.load(given(weights), device=device)

    def take(film: Film) -> Mapping[str, np.ndarray]:
        frames, count = film.frames, network.frames
        if len(frames) < count:
            raise UnfitError(f"VideoMAE needs {count} frames")
        return {"clip": network(frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]).numpy()}

    return take


def load_pe_av(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.audiovisual.pe_av import PeAv

    network = PeAv.load(given(weights), device=device)

    def take(film: Film) -> Mapping[str, np.ndarray]:
        vision, audio = network(film.frames, film.mono_at(network.sample_rate))
        return {"vision": vision.numpy(), "audio": audio.numpy()}

    return take


HUB = {"torch": "torch", "transformers": "transformers"}
PRETRAINED = (
    Feature("clip", 1, "picture", load_clip, HUB, "clip"),
    Feature("clip-text", 1, "text", load_clip_text, HUB, "clip"),
    Feature("clap", 1, "sound", load_clap, HUB, "clap"),
    Feature("clap-text", 1, "text", load_clap_text, HUB, "clap"),
    Feature("ms-clap", 1, "sound", load_ms_clap, HUB, "ms-clap", lacks_ms_clap),
    Feature("ms-clap-text", 1, "text", load_ms_clap_text, HUB, "ms-clap", lacks_ms_clap),
    Feature("aesthetic", 1, "picture", load_aesthetic, HUB, "aesthetic"),
    Feature("dino", 1, "picture", load_dino, HUB, "dino"),
    Feature("videomae", 1, "picture", load_videomae, HUB, "videomae"),
    Feature("pe-av", 1, "both", load_pe_av, HUB | {"timm": "timm", "torchvision": "torchvision"}, "pe-av"),
)
