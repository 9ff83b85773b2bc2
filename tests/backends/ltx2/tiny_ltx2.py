"""A published LTX-2 in miniature: every component with random weights, saved in diffusers' layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

WORDS = ["a", "red", "ball", "bounces", "on", "wood", "hears", "and", "sees", "the", "mallet", "plays"]
HEADS, HEAD, AUDIO_HEAD, TEXT = 2, 16, 8, 24


def transformer_options(preset: str = "ltx2") -> dict[str, Any]:
    newer = preset == "ltx2_3"
    return {
        "in_channels": 8,
        "out_channels": 8,
        "num_attention_heads": HEADS,
        "attention_head_dim": HEAD,
        "cross_attention_dim": HEADS * HEAD,
        "audio_in_channels": 32,
        "audio_out_channels": 32,
        "audio_num_attention_heads": HEADS,
        "audio_attention_head_dim": AUDIO_HEAD,
        "audio_cross_attention_dim": HEADS * AUDIO_HEAD,
        "num_layers": 2,
        "caption_channels": TEXT,
        "rope_type": "split",
        "gated_attn": newer,
        "cross_attn_mod": newer,
        "audio_gated_attn": newer,
        "audio_cross_attn_mod": newer,
        "use_prompt_embeddings": not newer,
        "perturbed_attn": newer,
    }


def save_transformer(folder: Path, preset: str = "ltx2", seed: int = 0, **options: Any) -> None:
    """With `options` of diffusers' class in place of its small ones."""
    from diffusers import LTX2VideoTransformer3DModel

    torch.manual_seed(seed)
    network = LTX2VideoTransformer3DModel(**transformer_options(preset) | options).eval()
    for parameter in network.parameters():  # as made they hardly listen to text, noise level or the other stream
        torch.nn.init.normal_(parameter, std=0.3 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5)
    network.save_pretrained(folder / "transformer")


def save_text(folder: Path, preset: str = "ltx2") -> None:
    """Gemma 3 and its tokenizer, and the connectors after them."""
    from diffusers.pipelines.ltx2 import LTX2TextConnectors
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    save_tokenizer(folder)
    text = {
        "hidden_size": TEXT,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "vocab_size": 64,
        "sliding_window": 128,
    }
    vision = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "image_size": 14,
        "patch_size": 14,
    }
    config = Gemma3Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=1,
        image_token_index=63,
        boi_token_index=62,
        eoi_token_index=61,
    )
    Gemma3ForConditionalGeneration(config).save_pretrained(folder / "text_encoder")
    newer = preset == "ltx2_3"
    widths = (HEADS * HEAD, HEADS * AUDIO_HEAD) if newer else (TEXT, TEXT)
    connectors = LTX2TextConnectors(
        caption_channels=TEXT,
        text_proj_in_factor=3,
        video_connector_num_attention_heads=2,
        video_connector_attention_head_dim=widths[0] // 2,
        video_connector_num_layers=1,
        video_connector_num_learnable_registers=16,
        audio_connector_num_attention_heads=2,
        audio_connector_attention_head_dim=widths[1] // 2,
        audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=16,
        rope_type="split",
        per_modality_projections=newer,
        video_hidden_dim=widths[0],
        audio_hidden_dim=widths[1],
    )
    connectors.save_pretrained(folder / "connectors")


def save_tokenizer(folder: Path) -> None:
    from transformers import GemmaTokenizer

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    vocabulary = {word: n for n, word in enumerate([*special, *"abcdefghijklmnopqrstuvwxyz▁", *WORDS])}
    GemmaTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder / "tokenizer")


def save_codecs(folder: Path) -> None:
    from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video
    from diffusers.pipelines.ltx2 import LTX2Vocoder

    AutoencoderKLLTX2Video(
        latent_channels=8,
        block_out_channels=(8, 16, 32, 64),
        decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        decoder_causal=False,
        spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    ).save_pretrained(folder / "vae")
    AutoencoderKLLTX2Audio(base_channels=32, latent_channels=2, ch_mult=(1, 1, 1), num_res_blocks=1).save_pretrained(
        folder / "audio_vae"
    )
    LTX2Vocoder(hidden_channels=32, resnet_kernel_sizes=[3], resnet_dilations=[[1]]).save_pretrained(folder / "vocoder")


def save_tiny_ltx2(folder: Path, preset: str = "ltx2", **options: Any) -> Path:
    """All that the published repository has, small."""
    torch.manual_seed(1)
    save_text(folder, preset)
    save_codecs(folder)
    save_transformer(folder, preset, **options)
    save_index(folder)
    return folder


def save_index(folder: Path) -> None:
    """What says which classes the folder holds."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift_terminal=0.1).save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "LTX2Pipeline",
        "_diffusers_version": "0.42.0",
        "text_encoder": ["transformers", "Gemma3ForConditionalGeneration"],
        "tokenizer": ["transformers", "GemmaTokenizerFast"],
        "connectors": ["ltx2", "LTX2TextConnectors"],
        "transformer": ["diffusers", "LTX2VideoTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLLTX2Video"],
        "audio_vae": ["diffusers", "AutoencoderKLLTX2Audio"],
        "vocoder": ["ltx2", "LTX2Vocoder"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
