"""Prompts to what LTX-2's two streams are told: a language model's states at every layer, then the connectors."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from phonofilm.backends.published.text import PublishedTokens, language_model, load_text_encoder
from phonofilm.types import Text

__all__ = ["MAX_TOKENS", "Tokens", "connect", "language_model", "load_text_encoder", "states_of"]

MAX_TOKENS = 1024


class Tokens(PublishedTokens):
    """The tokenizer of a folder, padding on the left to `MAX_TOKENS`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, MAX_TOKENS, "left")


@torch.no_grad()
def states_of(encoder: nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Hidden states of every layer [B, L, D, layers + 1]."""
    found = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
    return torch.stack(found.hidden_states, dim=-1)


@torch.no_grad()
def connect(connectors: nn.Module, states: torch.Tensor, mask: torch.Tensor) -> Text:
    """What both streams are told, video channels first: [B, L, Dv + Da]. Registers take the place of padding."""
    states = states.to(next(connectors.parameters()).dtype)
    video, audio, kept = connectors(states, mask, padding_side="left")
    return Text(torch.cat([video, audio], -1), kept.bool())
