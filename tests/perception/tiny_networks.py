"""Networks in transformers' layout, so small that they build at once, with random weights."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    ClapConfig,
    ClapModel,
    CLIPConfig,
    CLIPModel,
    ModernBertConfig,
    PeAudioEncoderConfig,
    PeAudioVideoConfig,
    PeAudioVideoEncoderConfig,
    PeAudioVideoModel,
    PeVideoEncoderConfig,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    ViTConfig,
    ViTModel,
)

WORDS = ["red", "ball", "bounces", "on", "wood", "dog", "barks"]


def tokenizer(folder: Path, first: int = 3) -> None:
    """Whole words between <s> and </s>, whose ids are the highest, as CLIP's closing token must be."""
    names = ["<pad>", "<unk>", "<mask>"][:first] + WORDS + ["<s>", "</s>"]
    made = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<s>", names.index("<s>")), ("</s>", names.index("</s>"))]
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=ends)
    made.save(str(folder / "tokenizer.json"))


def moved(network: torch.nn.Module) -> torch.nn.Module:
    """Every weight moved off its initial value, so that no zero or one hides a mistake."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network.eval()


def keep(network: torch.nn.Module, folder: Path) -> Path:
    moved(network).save_pretrained(folder)
    return folder


TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 12}


def tiny_clip(folder: Path) -> Path:
    text = {**TEXT, "max_position_embeddings": 8, "bos_token_id": 10, "eos_token_id": 11, "pad_token_id": 0}
    see = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    see |= {"image_size": 32, "patch_size": 16}
    config = CLIPConfig(text_config=text, vision_config=see, projection_dim=12)
    keep(CLIPModel(config), folder)
    tokenizer(folder)
    return folder


def tiny_clap(folder: Path, fused: bool = False) -> Path:
    text = {**TEXT, "max_position_embeddings": 10, "pad_token_id": 1, "type_vocab_size": 1}
    hear = {"patch_embeds_hidden_size": 16, "depths": [1, 1], "num_attention_heads": [2, 2], "hidden_size": 32}
    hear |= {"window_size": 8, "spec_size": 256, "num_mel_bins": 64, "enable_fusion": fused}
    keep(ClapModel(ClapConfig(text_config=text, audio_config=hear, projection_dim=12)), folder)
    tokenizer(folder)
    return folder


def tiny_dino(folder: Path) -> Path:
    config = ViTConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    return keep(ViTModel(config, add_pooling_layer=False), folder)


def tiny_videomae(folder: Path) -> Path:
    config = VideoMAEConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, num_labels=4
    )
    return keep(VideoMAEForVideoClassification(config), folder)


def tiny_pe_av() -> PeAudioVideoModel:
    """It sees through a plain transformer, where the published ones have timm's; a folder could not say so."""
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2}
    size = {"hidden_size": 16, "intermediate_size": 32, "head_dim": 8, **layers}
    see = ViTConfig(hidden_size=16, intermediate_size=32, image_size=32, num_labels=8, **layers)
    dac = {"model_type": "dac", "downsampling_ratios": [4, 8], "encoder_hidden_size": 4, "codebook_dim": 8}
    both = PeAudioVideoEncoderConfig(
        audio_config=PeAudioEncoderConfig(dac_config=dac, **size),
        video_config=PeVideoEncoderConfig(vision_config=see, **size),
        **size,
    )
    ends = {"pad_token_id": 0, "bos_token_id": 10, "eos_token_id": 11, "cls_token_id": 10, "sep_token_id": 11}
    text = ModernBertConfig(hidden_size=16, intermediate_size=32, vocab_size=12, **layers, **ends)
    return moved(PeAudioVideoModel(PeAudioVideoConfig(text_config=text, audio_video_config=both)))
