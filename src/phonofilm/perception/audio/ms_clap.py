"""MS-CLAP 2023: sound and English text in one space, the backbone of the MS-CLAP score.

Elizalde et al., "Natural language supervision for general-purpose audio representations" (2023): the HTSAT and the
GPT-2 that transformers describes, each with a projection, under the names of the published CLAP_weights_2023.pth. Its
mel bands are those of 32 kHz though it hears 44.1 kHz, as published. Where the published code takes 7 s at random, the
first 7 s are heard; a shorter sound is repeated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.errors import PhonofilmError
from phonofilm.perception.common.devices import OnDevice
from phonofilm.perception.common.mel import slaney_bank
from phonofilm.perception.common.optional_imports import mono
from phonofilm.perception.common.ported_checkpoints import read_state
from phonofilm.perception.common.transformers_checkpoints import Words

WEIGHTS = "CLAP_weights_2023.pth"
SECONDS, LENGTH = 7, 77
FFT, HOP, BANDS, LOW, HIGH, BANK_RATE = 1024, 320, 64, 50.0, 14_000.0, 32_000
END = " <|endoftext|>"

RENAMES = (
    (r"^audio_encoder\.projection\.", "audio_projection."),
    (r"^caption_encoder\.projection\.", "text_projection."),
    (r"^caption_encoder\.base\.", "text_model."),
    (r"^audio_encoder\.base\.htsat\.bn0\.", "audio_model.audio_encoder.batch_norm."),
    (r"^audio_encoder\.base\.htsat\.", "audio_model.audio_encoder."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.relative_position", ".attention.self.relative_position"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
"""Published names to transformers', in this order, for the audio part."""

UNUSED = re.compile(
    r"spectrogram_extractor|logmel_extractor|tscam_conv|htsat\.head|attn_mask|^logit_scale|\.masked_bias$"
)


class Projection(nn.Module):
    """Two linear layers with a way around the second, and a norm."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = (
            nn.Linear(width, embedding, bias=False),
            nn.Linear(embedding, embedding, bias=False),
        )
        self.layer_norm = nn.LayerNorm(embedding)

    def forward(self, x: Tensor) -> Tensor:
        first = self.linear1(x)
        return self.layer_norm(first + self.linear2(F.gelu(first)))


class MsClapNetwork(nn.Module):
    """Both encoders with their projections."""

    def __init__(self, text: bool = True) -> None:
        super().__init__()
        from transformers import ClapAudioConfig, ClapAudioModel, GPT2Config, GPT2Model

        self.audio_model = ClapAudioModel(ClapAudioConfig(spec_size=256, hidden_size=768, num_mel_bins=BANDS))
        self.audio_projection = Projection(768, 1024)
        self.text_model = GPT2Model(GPT2Config()) if text else None
        self.text_projection = Projection(768, 1024) if text else None

    def sound(self, mel: Tensor) -> Tensor:
        """Log-mel float [B, T, 64] -> [B, 1024], not of unit length."""
        return self.audio_projection(self.audio_model(input_features=mel[:, None]).pooler_output)

    def read(self, ids: Tensor) -> Tensor:
        """Ids int [1, L] that end with the closing token -> [1, 1024], not of unit length."""
        assert self.text_model is not None
        assert self.text_projection is not None
        last = int((ids != 0).sum()) - 1  # the id 0 pads, as published
        return self.text_projection(self.text_model(input_ids=ids).last_hidden_state[:, last])


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published tensors under the names of `MsClapNetwork`; what it has no use for is left out."""
    found: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if UNUSED.search(key):
            continue
        audio = key.startswith("audio_encoder.base.")
        name = key
        for pattern, other in RENAMES if audio else RENAMES[:3]:
            name = re.sub(pattern, other, name)
        if ".attn.qkv." in name and audio:
            for part, share in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                found[name.replace(".attn.qkv.", f".attention.self.{part}.")] = share
        else:
            found[name] = tensor
    return found


def build(state: Mapping[str, Tensor], source: str, text: bool = True) -> MsClapNetwork:
    """The network with published tensors.

    Raises:
        PhonofilmError: some are missing, or are another network's.
    """
    network = MsClapNetwork(text)
    try:
        missing, extra = network.load_state_dict(renamed(state), strict=False)
    except RuntimeError as error:
        raise PhonofilmError(f"{source} are not weights of MS-CLAP 2023: tensors of other shapes") from error
    missing = [key for key in missing if not key.endswith(("relative_position_index", "num_batches_tracked"))]
    extra = [key for key in extra if not key.endswith("attn.bias") and (text or not key.startswith("text_"))]
    if missing or extra:
        raise PhonofilmError(
            f"{source} are not weights of MS-CLAP 2023: {len(missing)} tensors are missing and {len(extra)} unknown"
        )
    return network.eval().requires_grad_(False)


class MsClap:
    """Sound and text to unit vectors."""

    sample_rate: ClassVar[int] = 44_100

    def __init__(self, network: Any, words: Words) -> None:
        self._network, self._words = network, words

    @staticmethod
    def load(folder: str | Path, device: str = "cpu") -> MsClap:
        """From a folder of CLAP_weights_2023.pth and GPT-2's tokenizer.json.

        Raises:
            PhonofilmError: one of them is missing or another network's.
        """
        path = Path(folder) / WEIGHTS
        network = build(read_state(path), str(path))
        return MsClap(network if device == "cpu" else OnDevice(network, device), Words(folder, LENGTH))

    def sound(self, waveform: np.ndarray) -> Tensor:
        """float [N] at 44.1 kHz -> float32 [1024]."""
        with torch.inference_mode():
            return F.normalize(self._network.sound(log_mel(torch.from_numpy(mono(waveform)))[None])[0], dim=-1)

    def text(self, prompt: str) -> tuple[Tensor, int]:
        """float32 [1024], and the tokens that did not fit."""
        ids, cut = self._words(prompt + END)
        with torch.inference_mode():
            return F.normalize(self._network.read(ids)[0], dim=-1), cut


def log_mel(waveform: Tensor) -> Tensor:
    """Mono float [N] at 44.1 kHz -> log-mel float32 [T, 64] in dB of its first 7 s, repeated where it is shorter.

    Raises:
        ValueError: there is no sound.
    """
    if not len(waveform):
        raise ValueError("MS-CLAP needs sound")
    length = SECONDS * MsClap.sample_rate
    x = waveform.repeat(-(-length // len(waveform)))[:length].double()
    window = torch.hann_window(FFT, dtype=torch.float64)
    spectrum = torch.stft(x, FFT, HOP, window=window, pad_mode="reflect", return_complex=True)
    power = spectrum.abs().square().mT @ slaney_bank(BANDS, LOW, HIGH, FFT, BANK_RATE)
    return (10 * torch.log10(power.clamp_min(1e-10))).float()
