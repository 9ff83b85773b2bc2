"""MMAudio's network: latents of sound at a time of the flow, under pictures, their sync features and a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.errors import PhonofilmError
from phonofilm.model.mmaudio.layers import FinalBlock, Gated, JointBlock, StreamBlock, TimeConv, TimeEmbedding, turns

SEGMENT = 8
"""Sync features of one segment of the film, each with a position of its own."""


@dataclass(frozen=True)
class MMAudioConfig:
    """The network's sizes.

    Attributes:
        latents: channels of a latent. width, heads: of the tokens.
        joint: blocks in which sound, pictures and text attend to one another. fused: blocks of the sound alone.
        clip, sync, text: channels of the features of pictures, of sync and of text; `words`: tokens of a text.
        second: the second version (`_v2`), which has SiLU in place of SELU and another embedding of time.
    """

    latents: int = 20
    width: int = 448
    heads: int = 7
    joint: int = 4
    fused: int = 8
    clip: int = 1024
    sync: int = 768
    text: int = 1024
    words: int = 77
    second: bool = False

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> MMAudioConfig:
        """Read off published weights.

        Raises:
            PhonofilmError: they are not this network's.
        """
        try:
            width, latents = tensors["audio_input_proj.0.weight"].shape[:2]
            head = len(tensors["fused_blocks.0.attn.q_norm.weight"])
            words, text = tensors["empty_string_feat"].shape
            clip, sync = (tensors[f"empty_{name}_feat"].shape[-1] for name in ("clip", "sync"))
        except (KeyError, ValueError) as error:
            raise PhonofilmError("these are not the weights of MMAudio's network") from error
        joint, fused = (
            len({name.split(".")[1] for name in tensors if name.startswith(f"{kind}_blocks.")})
            for kind in ("joint", "fused")
        )
        second = "text_input_proj.2.w1.weight" in tensors
        return MMAudioConfig(latents, width, width // head, joint, fused, clip, sync, text, words, second)


class Told(NamedTuple):
    """What depends on no time, as blocks read it: pictures, sync at the latents' rate, text, one vector for all."""

    clip: Tensor
    sync: Tensor
    text: Tensor
    whole: Tensor


class MMAudio(nn.Module):
    """See the module; parameters are named as published weights name them, of both versions and all sizes."""

    def __init__(self, config: MMAudioConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        act: type[nn.Module] = nn.SiLU if config.second else nn.SELU
        between = [nn.SiLU()] if config.second else []
        self.audio_input_proj = nn.Sequential(TimeConv(config.latents, width, 7), act(), Gated(width, 4 * width, 7))
        self.clip_input_proj = nn.Sequential(nn.Linear(config.clip, width), *between, Gated(width, 4 * width, 3))
        self.sync_input_proj = nn.Sequential(TimeConv(config.sync, width, 7), act(), Gated(width, 4 * width, 3))
        self.text_input_proj = nn.Sequential(nn.Linear(config.text, width), *between, Gated(width, 4 * width))
        self.clip_cond_proj, self.text_cond_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.global_cond_mlp = Gated(width, 4 * width)
        self.sync_pos_emb = nn.Parameter(torch.zeros(1, 1, SEGMENT, config.sync))
        self.t_embed = TimeEmbedding(width, width if config.second else 256, 1 if config.second else 10_000)
        last = config.joint - 1
        self.joint_blocks = nn.ModuleList([JointBlock(width, config.heads, i == last) for i in range(config.joint)])
        self.fused_blocks = nn.ModuleList([StreamBlock(width, config.heads, 3) for _ in range(config.fused)])
        self.final_layer = FinalBlock(width, config.latents)
        self.latent_mean = nn.Parameter(torch.zeros(1, 1, config.latents), requires_grad=False)
        self.latent_std = nn.Parameter(torch.ones(1, 1, config.latents), requires_grad=False)
        self.empty_string_feat = nn.Parameter(torch.zeros(config.words, config.text), requires_grad=False)
        self.empty_clip_feat = nn.Parameter(torch.zeros(1, config.clip))
        self.empty_sync_feat = nn.Parameter(torch.zeros(1, config.sync))

    def nothing(self, pictures: int, moments: int) -> tuple[Tensor, Tensor, Tensor]:
        """The learnt features that stand for no picture, no sync and no text, one clip of each."""
        clip, sync = self.empty_clip_feat.expand(1, pictures, -1), self.empty_sync_feat.expand(1, moments, -1)
        return clip, sync, self.empty_string_feat[None]

    def tell(self, clip: Tensor, sync: Tensor, text: Tensor, length: int) -> Told:
        """What no time changes: computed once for all steps.

        Args:
            clip: features of pictures [B, N, C], 8 a second. sync: [B, 8·S, C] of S segments. text: [B, 77, C].
            length: of the latents.

        Raises:
            ValueError: sync features that are no whole segments.
        """
        if sync.shape[1] % SEGMENT:
            raise ValueError(f"{sync.shape[1]} sync features are no whole segments of {SEGMENT}")
        placed = (sync.unflatten(1, (-1, SEGMENT)) + self.sync_pos_emb).flatten(1, 2)
        clip, sync, text = self.clip_input_proj(clip), self.sync_input_proj(placed), self.text_input_proj(text)
        sync = F.interpolate(sync.mT, size=length, mode="nearest-exact").mT
        whole = self.global_cond_mlp(self.clip_cond_proj(clip.mean(1)) + self.text_cond_proj(text.mean(1)))
        return Told(clip, sync, text, whole)

    def forward(self, latents: Tensor, time: Tensor, told: Told) -> Tensor:
        """The flow, from noise (time 0) to data (time 1), in the shape of the latents [B, N, C]; time [B]."""
        length, head = latents.shape[1], self.config.width // self.config.heads
        rotation = turns(length, head, 1.0, latents)
        seen = turns(told.clip.shape[1], head, length / told.clip.shape[1], latents)
        whole = (self.t_embed(time) + told.whole)[:, None]
        each = whole + told.sync
        streams = self.audio_input_proj(latents), told.clip, told.text
        for block in self.joint_blocks:
            streams = block(streams, (each, whole, whole), (rotation, seen, None))
        x = streams[0]
        for block in self.fused_blocks:
            x = block(x, each, rotation)
        made: Tensor = self.final_layer(x, whole)
        return made

    def normalised(self, latents: Tensor) -> Tensor:
        return (latents - self.latent_mean) / self.latent_std

    def unnormalised(self, latents: Tensor) -> Tensor:
        return latents * self.latent_std + self.latent_mean
