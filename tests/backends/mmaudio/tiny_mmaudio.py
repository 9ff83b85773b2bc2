"""MMAudio in miniature, in its published layout: random weights under the published names."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import CLIPConfig, CLIPModel

from phonofilm.codecs.mmaudio.bigvgan import BigVGAN, BigVGANConfig
from phonofilm.codecs.mmaudio.mel_vae import MelVAE, MelVAEConfig
from phonofilm.model.mmaudio.network import MMAudio, MMAudioConfig

VOCODER = {"resblock": "1", "activation": "snakebeta", "snake_logscale": True, "num_mels": 8}
VOCODER |= {"upsample_initial_channel": 16, "upsample_rates": [8, 8, 8], "upsample_kernel_sizes": [16, 16, 16]}
VOCODER |= {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3]], "use_tanh_at_final": False}
VOCODER |= {"use_bias_at_final": False}
SYNC = 12


def random(module: nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {name: 0.2 * torch.randn(tensor.shape) for name, tensor in module.state_dict().items()}


def normed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With weight norm, as vocoders are published."""
    found = {}
    for name, tensor in state.items():
        if name.endswith(".weight"):
            found[name.removesuffix("weight") + "weight_v"] = tensor
            found[name.removesuffix("weight") + "weight_g"] = tensor.norm(dim=(1, 2), keepdim=True)
        else:
            found[name.replace("alpha", "act.alpha").replace("beta", "act.beta")] = tensor
    return found


def tiny_clip(folder: Path) -> None:
    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"max_position_embeddings": 8, "vocab_size": 12, "bos_token_id": 10, "eos_token_id": 11, "pad_token_id": 0}
    see = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(text_config=text, vision_config={**see, "image_size": 32, "patch_size": 16}, projection_dim=10)
    CLIPModel(config).save_pretrained(folder)
    names = ["<pad>", "<unk>", "a", "dog", "barks", "ball", "bounces", "on", "wood", "red", "<s>", "</s>"]
    made = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 10), ("</s>", 11)])
    made.save(str(folder / "tokenizer.json"))


def tiny_mmaudio(folder: Path) -> Path:
    """A folder that makes sound at 44.1 kHz."""
    vocoder = folder / "bigvgan_v2_44khz_128band_512x"
    vocoder.mkdir(parents=True)
    network = MMAudio(MMAudioConfig(6, 32, 2, joint=2, fused=1, clip=10, sync=SYNC, text=16, words=8, second=True))
    torch.save(random(network), folder / "mmaudio_tiny_44k_v2.pth")
    vae = random(MelVAE(MelVAEConfig(8, 6, 8)))
    vae["data_std"] = 1 + vae["data_std"].abs()
    torch.save(vae, folder / "v1-44.pth")
    torch.save({"generator": normed(random(BigVGAN(BigVGANConfig.of(VOCODER))))}, vocoder / "bigvgan_generator.pt")
    (vocoder / "config.json").write_text(json.dumps(VOCODER))
    torch.save({}, folder / "synchformer_state_dict.pth")
    tiny_clip(folder / "clip")
    return folder
