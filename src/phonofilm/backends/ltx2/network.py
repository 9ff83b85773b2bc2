"""The transformer of a published LTX-2: its weights in our network, or in diffusers' for comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from phonofilm.backends.ltx2.config import network_config
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.published.files import eight_bit
from phonofilm.backends.published.files import stored_dtype as published_dtype
from phonofilm.backends.published.parts import load_diffusers
from phonofilm.backends.published.scaled import split, widened
from phonofilm.choices import NetworkName
from phonofilm.control.lora.merge import Lora, merge
from phonofilm.errors import PhonofilmError
from phonofilm.model.names import PREFIX, from_published
from phonofilm.model.tokens import noise_levels
from phonofilm.model.transformer import AVTransformer
from phonofilm.types import Latents, Positions, Text


def load_network(folder: Folder, loras: Sequence[Lora] = (), network: NetworkName = "phonofilm") -> nn.Module:
    """The transformer on the CPU, in the dtype of its file (bfloat16 where that is an 8-bit one).

    Raises:
        PhonofilmError: weights that are corrupt, incomplete, or of another network.
    """
    if network == "diffusers":
        if loras:
            raise PhonofilmError("LoRA files go with our own network; omit --network diffusers")
        return _diffusers_network(folder)
    config = network_config(folder.configs["transformer"], str(folder.path / "transformer"))
    with torch.device("meta"):  # the initial weights would cost time and memory, and are thrown away
        module = AVTransformer(config)
    where = str(folder.transformer[0].parent if len(folder.transformer) > 1 else folder.transformer[0])
    expected = module.state_dict()
    try:
        tensors = from_published(read_published(folder.transformer), expected)
    except PhonofilmError as error:
        raise PhonofilmError(f"{where}: {error}") from error
    wrong = [name for name, tensor in tensors.items() if tensor.shape != expected[name].shape]
    if wrong:
        found, needed = tuple(tensors[wrong[0]].shape), tuple(expected[wrong[0]].shape)
        raise PhonofilmError(f"{where}: {len(wrong)} tensors do not fit, first {wrong[0]} ({found} for {needed})")
    module.load_state_dict(tensors, assign=True)
    for lora in loras:
        merge(module, lora)
    return module.to(stored_dtype(folder.transformer)).eval().requires_grad_(False)


def stored_dtype(paths: Sequence[Path]) -> torch.dtype:
    """What the transformer's matrices are stored in; bfloat16 stands for 8-bit ones and for mixtures."""
    return published_dtype(paths, "to_q.weight")


def read_published(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The transformer's tensors of published files; scaled 8-bit matrices come out in bfloat16.

    Raises:
        PhonofilmError: a corrupt file.
    """
    from safetensors import SafetensorError, safe_open

    eight_bit(paths)  # numbers of a kind that safetensors does not read either
    tensors: dict[str, Tensor] = {}
    for path in paths:
        try:
            with safe_open(path, framework="pt") as opened:
                names = list(opened.keys())
                whole = any(name.startswith(PREFIX) for name in names)
                ours = [name for name in names if not whole or name.startswith(PREFIX)]
                tensors |= {name: opened.get_tensor(name) for name in ours if "embeddings_connector" not in name}
        except (SafetensorError, OSError) as error:
            raise PhonofilmError(f"weights {path} are corrupt ({error}); fetch or copy them again") from error
        except RuntimeError as error:
            raise PhonofilmError(f"weights {path} do not fit into this machine's memory ({error})") from error
    own, scales = split(tensors)
    return {name: _as_used(name, tensor, scales.get(name)) for name, tensor in own.items()}


def _as_used(name: str, tensor: Tensor, scale: Tensor | None) -> Tensor:
    wide = widened(name, tensor, scale)
    return wide if wide is tensor else wide.bfloat16()


def _diffusers_network(folder: Folder) -> nn.Module:
    from diffusers import LTX2VideoTransformer3DModel

    if folder.transformer[0].parent == folder.path:
        raise PhonofilmError("--network diffusers needs the folder of the transformer, not a single file")
    dtype = stored_dtype(folder.transformer)
    # the configuration of LTX-2 leaves away what its spatio-temporal guidance needs
    return load_diffusers(LTX2VideoTransformer3DModel, folder.path / "transformer", dtype, perturbed_attn=True)


@dataclass(frozen=True)
class PairedText:
    """Our network behind the interface of `sampling.Denoiser`, with one text for both streams.

    LTX-2 tells each stream the text in its own words. Both come as one `Text`, video channels first, so that
    guidance may batch and pad them like any other; they are separated here. Rows run one by one where memory
    counts: a step takes as long, and its activations are those of one row.

    Attributes:
        width: channels of the video's text.
        rows: how many rows of a batch run at once.
    """

    network: nn.Module
    width: int
    rows: int = 1

    def __call__(
        self,
        latents: Latents,
        sigma: Latents,
        text: Text,
        positions: Positions,
        *,
        exchange: Tensor | None = None,
        unmixed: Mapping[int, Latents] | None = None,
    ) -> Latents:
        """See `AVTransformer.forward`."""
        made = []
        for start in range(0, len(text.states), self.rows):
            part = slice(start, start + self.rows)
            states, mask = text.states[part], text.mask[part]
            made.append(
                self.network(
                    latents.map(lambda v, part=part: v[part]),
                    sigma.map(lambda v, part=part: v[part]),
                    Text(states[..., : self.width], mask),
                    positions,
                    exchange=None if exchange is None else exchange[part],
                    unmixed=_rows(unmixed, part),
                    audio_text=Text(states[..., self.width :], mask),
                )
            )
        return _joined(made)


def _rows(unmixed: Mapping[int, Latents] | None, part: slice) -> Mapping[int, Latents] | None:
    return None if unmixed is None else {block: masks.map(lambda m: m[part]) for block, masks in unmixed.items()}


def _joined(parts: list[Latents]) -> Latents:
    video = None if parts[0].video is None else torch.cat([part.video for part in parts if part.video is not None])
    audio = None if parts[0].audio is None else torch.cat([part.audio for part in parts if part.audio is not None])
    return Latents(video, audio)


class DiffusersNetwork(nn.Module):
    """diffusers' transformer behind our forward, in its convention: for comparison.

    The streams' attention to each other is modulated by the other stream's noise level as diffusers' pipelines do.
    It agrees with the original where all tokens of both streams have one level, and only there.
    """

    def __init__(self, network: nn.Module, cross_timestep: bool = True) -> None:
        super().__init__()
        self.network, self.cross_timestep = network, cross_timestep

    def forward(
        self,
        latents: Latents,
        sigma: Latents,
        text: Text,
        positions: Positions,
        *,
        exchange: Tensor | None = None,
        audio_text: Text | None = None,
        unmixed: Mapping[int, Latents] | None = None,
    ) -> Latents:
        """As `AVTransformer.forward`.

        Raises:
            PhonofilmError: an absent stream, which diffusers' forward does not have.
        """
        video, audio = latents.video, latents.audio
        if video is None or audio is None or sigma.video is None or sigma.audio is None or audio_text is None:
            raise PhonofilmError("diffusers' network needs both streams; omit --network diffusers")
        dtype, device = next(self.network.parameters()).dtype, video.device
        levels = noise_levels(sigma.video, tuple(video.shape[2:]), (1, 1, 1))
        steps = rearrange(video, "b c t h w -> b (t h w) c").shape[1]
        audio_levels = noise_levels(sigma.audio, (1, audio.shape[3]), (1,))
        mask = text.mask.to(torch.int64)
        out, sound = self.network(
            hidden_states=rearrange(video, "b c t h w -> b (t h w) c").to(dtype),
            audio_hidden_states=audio[:, 0].mT.to(dtype),
            encoder_hidden_states=text.states.to(dtype),
            audio_encoder_hidden_states=audio_text.states.to(dtype),
            timestep=1000 * levels.repeat_interleave(steps // levels.shape[1], 1),
            audio_timestep=1000 * audio_levels.repeat_interleave(audio.shape[3] // audio_levels.shape[1], 1),
            sigma=1000 * levels.amax(1),
            audio_sigma=1000 * audio_levels.amax(1),
            encoder_attention_mask=mask,
            audio_encoder_attention_mask=mask,
            video_coords=_coordinates(positions.video, len(video), device),
            audio_coords=_coordinates(positions.audio, len(video), device),
            isolate_modalities=exchange is not None and not bool(exchange.any()),
            use_cross_timestep=self.cross_timestep,
            spatio_temporal_guidance_blocks=list(unmixed or ()) or None,
            perturbation_mask=_perturbed(unmixed),
            return_dict=False,
        )
        t, h, w = video.shape[2:]
        return Latents(rearrange(out, "b (t h w) c -> b c t h w", t=t, h=h, w=w).to(video), sound.mT[:, None].to(audio))


def _perturbed(unmixed: Mapping[int, Latents] | None) -> Tensor | None:
    """float32 [B], 0 where a row is disturbed; diffusers knows one mask for both streams and all blocks.

    Raises:
        PhonofilmError: one stream's scale is 0, so that only the other is to be disturbed.
    """
    if not unmixed:
        return None
    masks = next(iter(unmixed.values()))
    if masks.video is None or masks.audio is None:
        raise PhonofilmError("diffusers' network disturbs both streams; give --stg two scales that are not 0, or 0")
    return 1 - masks.video.float()


def _coordinates(bounds: Any, batch: int, device: torch.device) -> Tensor:
    """float32 [B, axes, tokens, 2]."""
    moved = torch.from_numpy(bounds).float().to(device).transpose(0, 1)
    return moved.unsqueeze(0).expand(batch, -1, -1, -1)
