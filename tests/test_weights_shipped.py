"""Weights by name and by folder: which file each part of a model is read from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from phonofilm.checkpoint import load_tensors, save_tensors
from phonofilm.errors import PhonofilmError
from phonofilm.weights import PARTS, codecs_folder, digest, embedded, locate, part_files


def left_by_training(folder: Path, **metadata: str) -> Path:
    """nano's transformer alone, beside a checkpoint, as a run leaves them."""
    folder.mkdir()
    shutil.copy(embedded() / "transformer.safetensors", folder)
    shutil.copy(embedded() / "audio_vae.safetensors", folder / "checkpoint.safetensors")
    if metadata:
        tensors, said = load_tensors(folder / "transformer.safetensors")
        save_tensors(folder / "transformer.safetensors", tensors, {**said, **metadata})
    return folder


def test_a_transformer_alone_gets_the_codecs_that_its_latents_were_made_with(tmp_path: Path) -> None:
    folder = left_by_training(tmp_path / "run")
    assert locate(folder) == folder
    assert part_files(folder) == {
        "transformer": folder / "transformer.safetensors",
        **{part: codecs_folder("nano") / f"{part}.safetensors" for part in PARTS[1:]},
    }
    assert digest(folder) == digest(embedded())  # a checkpoint beside it counts for nothing


def test_codecs_of_other_latents_are_not_taken(tmp_path: Path) -> None:
    folder = left_by_training(tmp_path / "run", audio_vae="0" * 64)
    with pytest.raises(PhonofilmError, match=r"lacks video_vae.safetensors, audio_vae.safetensors, vocoder.saf"):
        locate(folder)


def test_codecs_in_the_folder_come_first_and_all_together(tmp_path: Path) -> None:
    folder = left_by_training(tmp_path / "run")
    shutil.copy(embedded() / "vocoder.safetensors", folder)
    assert part_files(folder)["vocoder"] == folder / "vocoder.safetensors"
    with pytest.raises(PhonofilmError, match=r"lacks video_vae.safetensors, audio_vae.safetensors in"):
        locate(folder)


def test_a_folder_without_weights_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(PhonofilmError, match="there are no weights in"):
        digest(tmp_path)
