"""A published Wan in miniature: every component with random weights, saved in diffusers' layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("diffusers", reason="public models need the extra: pip install -e '.[public]'")

WORDS = ["a", "red", "ball", "bounces", "on", "wood", "the", "mallet", "plays", "blurred"]
TEXT = 16


def save_text(folder: Path) -> None:
    """UMT5's encoder and a tokenizer of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    vocabulary = {word: n for n, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    config = UMT5Config(
        vocab_size=32, d_model=TEXT, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")


def save_expert(folder: Path, name: str, channels: int, latents: int, seed: int) -> None:
    from diffusers import WanTransformer3DModel

    torch.manual_seed(seed)
    network = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=channels,
        out_channels=latents,
        text_dim=TEXT,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=64,
    ).eval()
    for parameter in network.parameters():  # as made they hardly listen to text or noise level
        torch.nn.init.normal_(parameter, std=0.3 if parameter.ndim < 2 else parameter[0].numel() ** -0.5)
    network.save_pretrained(folder / name)


def save_tiny_wan(folder: Path, kind: str = "t2v") -> Path:
    """All that the published repository has, small: kind "t2v", "i2v" or "ti2v"."""
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler

    torch.manual_seed(1)
    save_text(folder)
    one = kind == "ti2v"
    latents = 8 if one else 4
    options: dict[str, Any] = {"base_dim": 4, "z_dim": latents, "dim_mult": [1, 1, 2, 2], "num_res_blocks": 1}
    if one:
        options |= {
            "is_residual": True,
            "patch_size": 2,
            "in_channels": 12,
            "out_channels": 12,
            "scale_factor_spatial": 16,
            "decoder_base_dim": 4,
        }
    options |= {"latents_mean": [0.1 * n for n in range(latents)], "latents_std": [1 + 0.1 * n for n in range(latents)]}
    AutoencoderKLWan(temperal_downsample=[False, True, True], **options).save_pretrained(folder / "vae")
    channels = 2 * latents + 4 if kind == "i2v" else latents
    save_expert(folder, "transformer", channels, latents, 2)
    if not one:
        save_expert(folder, "transformer_2", channels, latents, 3)
    UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0).save_pretrained(
        folder / "scheduler"
    )
    network = ["diffusers", "WanTransformer3DModel"]
    index = {
        "_class_name": "WanImageToVideoPipeline" if kind == "i2v" else "WanPipeline",
        "_diffusers_version": "0.42.0",
        "boundary_ratio": {"t2v": 0.875, "i2v": 0.9}.get(kind),
        "expand_timesteps": one,
        "scheduler": ["diffusers", "UniPCMultistepScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": network,
        "transformer_2": [None, None] if one else network,
        "vae": ["diffusers", "AutoencoderKLWan"],
        **({"image_encoder": [None, None], "image_processor": [None, None]} if kind == "i2v" else {}),
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="session")
def tiny_wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_wan(tmp_path_factory.mktemp("tiny-wan"))


@pytest.fixture(scope="session")
def tiny_wan_i2v(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_wan(tmp_path_factory.mktemp("tiny-wan-i2v"), "i2v")


@pytest.fixture(scope="session")
def tiny_wan_5b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_wan(tmp_path_factory.mktemp("tiny-wan-5b"), "ti2v")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path / "work"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
