"""A latent store in miniature, of random numbers."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from phonofilm.data.manifest import ClipRecord, write_manifest


def save_tiny_latents(folder: Path) -> Path:
    """Two clips, each three times (the first two are held out), with three stems and their prompts."""
    folder.mkdir()
    draw, pair = torch.Generator().manual_seed(1), [0, 1] * 3
    shards = {
        "video": torch.randn(2, 2, 13, 4, 4, generator=draw).half()[pair],
        "audio": torch.randn(2, 3, 4, 13, generator=draw).half()[pair],
        "text": torch.randn(2, 5, 8, generator=draw).half()[pair],
        "text_length": torch.tensor([3, 5] * 3, dtype=torch.int32),
        "stem_text": torch.randn(2, 3, 4, 8, generator=draw).half()[pair],
        "stem_text_length": torch.tensor([[1, 2, 4]] * 6, dtype=torch.int32),
    }
    save_file(shards, folder / "latents-00000.safetensors")
    null = {"states": torch.randn(2, 8, generator=draw).half(), "silence": torch.randn(4, 13, generator=draw).half()}
    save_file(null, folder / "null.safetensors")
    write_manifest(folder / "manifest.jsonl", [ClipRecord(i, "", i, "toy", i, f"{i % 2}") for i in range(6)])
    geometry = {"patch": [1, 4, 4], "video_time": 2, "video_space": 8, "mel_hop": 250, "audio_time": 8}
    geometry |= {"sample_rate": 24_000, "audio_head": 4}
    facts = {"frames": 24, "height": 32, "width": 32, "fps": "24", "geometry": geometry, "format": 2}
    facts |= {"count": 6, "video_vae": "v", "audio_vae": "a", "text": "t", "stems": ["speech", "effects", "music"]}
    (folder / "store.json").write_text(json.dumps(facts))
    return folder
