"""Latent stores: clips as a generator sees them, encoded once. About 40 KB a clip instead of 850."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from phonofilm.checkpoint import file_sha256, load_module, load_tensors, save_tensors
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.mel import log_mel
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.config import from_dict
from phonofilm.data.building import Meter, batches, close_folder, missing, open_folder, read_facts, write_shard
from phonofilm.data.clips import ClipBatch, ClipSource, to_model_frames, to_model_samples
from phonofilm.data.manifest import ClipRecord, read_manifest
from phonofilm.data.shards import Shards
from phonofilm.errors import PhonofilmError
from phonofilm.precision import autocast
from phonofilm.types import Geometry, Grid, Text
from phonofilm.weights import codecs_folder

PREFIX = "latents"
NULL = "null.safetensors"
FORMAT = 1
"""Of a store: 1 has one latent sequence of sound a clip, that of the mix."""


class TextStates(Protocol):
    """What is asked of a text encoder."""

    def encode(self, prompts: Sequence[str]) -> Text:
        """Token states, padded to the longest prompt."""


@dataclass(frozen=True)
class Encoder:
    """The three frozen translators of a clip, and the hashes of their weights."""

    video: VideoVAE
    audio: AudioVAE
    text: TextStates
    hashes: dict[str, str]

    @staticmethod
    def load(codecs: str | Path, device: str = "cpu") -> Encoder:
        """The codecs that ship ("nano"), or those of a folder with video_vae and audio_vae; and the text encoder.

        Raises:
            PhonofilmError: missing or corrupt weights.
        """
        from phonofilm.codecs.text import TextEncoder

        folder = codecs_folder(codecs)
        paths = {name: folder / f"{name}.safetensors" for name in ("video_vae", "audio_vae")}
        video = load_module(VideoVAE, paths["video_vae"], device)
        audio = load_module(AudioVAE, paths["audio_vae"], device)
        hashes = {name: file_sha256(path) for name, path in paths.items()}
        text = TextEncoder.load(device)
        return Encoder(video, audio, text, {**hashes, "text": text.digest})

    def grid(self, clips: ClipSource) -> Grid:
        """The grid of a source's clips; all of them have the same."""
        frames = clips.frames([0]).shape
        video, audio = self.video.config, self.audio.config
        geometry = Geometry(
            video_time=video.time,
            video_space=video.space,
            sample_rate=clips.sample_rate,
            mel_hop=audio.mel.hop,
            audio_time=audio.time,
            audio_head=audio.head,
        )
        if audio.mel.sample_rate != clips.sample_rate:
            raise PhonofilmError(f"the clips have {clips.sample_rate} Hz, the audio codec {audio.mel.sample_rate} Hz")
        return Grid(frames[1], frames[2], frames[3], Fraction(clips.fps), geometry)

    @torch.inference_mode()
    def encode(self, clips: ClipBatch, grid: Grid) -> dict[str, Tensor]:
        """One batch as the tensors of a shard."""
        device = next(self.video.parameters()).device
        with autocast(device):
            frames = to_model_frames(clips.frames.to(device), grid.model_frames)
            video, _ = self.video.encode(frames)
        samples = to_model_samples(clips.waveform.to(device), grid.mel_frames * grid.geometry.mel_hop)
        audio, _ = self.audio.encode(log_mel(samples, self.audio.config.mel))
        text = self.text.encode([record.caption for record in clips.records])
        return {
            "video": video.half().cpu(),
            "audio": audio.half().cpu(),
            "text": text.states.half().cpu(),
            "text_length": text.mask.sum(1).int().cpu(),
        }


def write_latents(
    source: ClipSource, count: int, encoder: Encoder, folder: Path, *, shard: int = 1000, batch: int = 16
) -> LatentStore:
    """Encode rows 0 to `count` of a source into a latent store; shards that are there already are kept.

    Raises:
        PhonofilmError: the folder holds latents of another source or of other codecs.
    """
    grid = encoder.grid(source)
    facts: dict[str, Any] = {
        "kind": "latents",
        "format": FORMAT,
        "source": source.digest(),
        "shard": shard,
        **encoder.hashes,
    }
    place = {"frames": grid.frames, "height": grid.height, "width": grid.width, "fps": str(grid.fps)}
    open_folder(folder, {**facts, **place, "geometry": asdict(grid.geometry)})
    todo = missing(folder, PREFIX, count, shard)
    meter = Meter(count, count - sum(len(rows) for _, rows in todo))
    for number, rows in todo:
        encoded: list[dict[str, Tensor]] = []
        records: list[ClipRecord] = []
        for some in batches(rows, batch):
            clips = source.read(some)
            encoded.append(encoder.encode(clips, grid))
            records += clips.records
            meter.add(len(some))
        write_shard(folder, PREFIX, number, _join(encoded), records)
    null = encoder.text.encode([""])
    save_tensors(folder / NULL, {"states": null.states[null.mask].half().cpu()})
    close_folder(folder, PREFIX, count, shard)
    return LatentStore(folder)


class LatentStore:
    """A folder of latents, memory-mapped.

    Raises:
        PhonofilmError: a folder without a finished store, or with one of another format.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.facts = read_facts(self.folder)
        if not (self.folder / NULL).exists() or "count" not in self.facts:
            raise PhonofilmError(f"the latents in {folder} are not finished; run the same precompute command again")
        if (written := self.facts.get("format", FORMAT)) != FORMAT:
            raise PhonofilmError(
                f"{folder} holds latents of format {written}, and format {FORMAT} is read: encode again"
            )
        self.shards = Shards(folder, PREFIX)
        self.null_states = load_tensors(self.folder / NULL)[0]["states"]

    def __len__(self) -> int:
        return int(self.facts["count"])

    def latents(self, name: str, rows: Sequence[int]) -> Tensor:
        """float16 video latents [B, C, T, H, W] or audio latents [B, S, C, T]; earlier stores have one mix."""
        found = self.shards.rows(name, rows)
        return found[:, None] if name == "audio" and found.ndim == 3 else found

    def text(self, rows: Sequence[int | None]) -> Text:
        """Token states of the captions in float32, padded to the longest of these; None gives the empty prompt's."""
        states = [self.null_states if row is None else self._states(row) for row in rows]
        lengths = torch.tensor([len(s) for s in states])
        padded = torch.zeros(len(states), int(lengths.max()), states[0].shape[-1], dtype=torch.float16)
        for row, s in zip(padded, states, strict=True):
            row[: len(s)] = s
        return Text(padded.float(), torch.arange(padded.shape[1]) < lengths[:, None])

    def captions(self, rows: Sequence[int]) -> list[str]:
        records = read_manifest(self.folder / "manifest.jsonl")
        return [records[row].caption for row in rows]

    def grid(self, patch: tuple[int, int, int]) -> Grid:
        """The grid of every clip in the store, in tokens of a network with this patch."""
        facts = self.facts
        geometry = replace(from_dict(Geometry, facts["geometry"]), patch=patch)
        return Grid(facts["frames"], facts["height"], facts["width"], Fraction(facts["fps"]), geometry)

    def digest(self) -> str:
        return self.shards.digest()

    def _states(self, row: int) -> Tensor:
        return self.shards.row("text", row, 0, int(self.shards.row("text_length", row)))


def _join(encoded: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Batches into one shard; token states are padded to the shard's longest prompt."""
    longest = max(part["text"].shape[1] for part in encoded)
    for part in encoded:
        part["text"] = F.pad(part["text"], (0, 0, 0, longest - part["text"].shape[1]))
    return {name: torch.cat([part[name] for part in encoded]) for name in encoded[0]}
