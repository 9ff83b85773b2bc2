"""Prompts to what Wan is told."""

from __future__ import annotations

import html
from pathlib import Path

import torch
from torch import nn

from phonofilm.backends.published.text import PublishedTokens
from phonofilm.types import Text

MAX_TOKENS = 512


class Tokens(PublishedTokens):
    """The tokenizer of a folder, padding on the right to `MAX_TOKENS`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, MAX_TOKENS, "right")


def cleaned(prompt: str) -> str:
    """As captions were in training: no entities of HTML, single spaces."""
    return " ".join(html.unescape(html.unescape(prompt)).split())


@torch.no_grad()
def states_of(encoder: nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> Text:
    """States [B, L, D], zeros where there is padding; the networks attend to those too, as in training."""
    states = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    return Text(states * mask[..., None].to(states), torch.ones_like(mask, dtype=torch.bool))
