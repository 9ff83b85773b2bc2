"""Tokenizers and language models of published folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from phonofilm.backends.published.files import eight_bit, stored_dtype, variant_of, weight_files
from phonofilm.backends.published.parts import refuse_scaled, unloadable
from phonofilm.errors import PhonofilmError


class PublishedTokens:
    """The tokenizer of a folder, padding every prompt to one length, as in training.

    Args:
        length: in tokens.
        side: where padding goes, "left" or "right".
    """

    def __init__(self, path: Path, length: int, side: str) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        except Exception as error:
            raise unloadable(path, error) from error
        self.length = length
        self._tokenizer.padding_side = side
        self._tokenizer.pad_token = self._tokenizer.pad_token or self._tokenizer.eos_token

    def __call__(self, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """int64 [B, length] and a mask of the same shape.

        Raises:
            PhonofilmError: a prompt that does not fit.
        """
        found = self._tokenizer([prompt.strip() for prompt in prompts], add_special_tokens=True)
        longest = max(len(ids) for ids in found.input_ids)
        if longest > self.length:
            raise PhonofilmError(f"the prompt has {longest} tokens, and {self.length} is the most; shorten it")
        padded = self._tokenizer.pad(found, padding="max_length", max_length=self.length, return_tensors="pt")
        return padded.input_ids, padded.attention_mask


def load_text_encoder(path: Path) -> nn.Module:
    """The language model of a folder, as stored, without vision and without its head over the vocabulary.

    Raises:
        PhonofilmError: weights that are corrupt, incomplete or of another network.
    """
    import transformers

    try:
        return _load(transformers, path)
    except PhonofilmError:
        raise
    except Exception as error:
        raise unloadable(path, error) from error


def _load(transformers: Any, path: Path) -> nn.Module:
    refuse_scaled(path)
    config = transformers.AutoConfig.from_pretrained(path, local_files_only=True)
    cls = getattr(transformers, config.architectures[0])
    files = weight_files(path)
    variant = variant_of(path)
    # "auto" is what config.json says, which is not of a variant
    dtype = stored_dtype(files) if eight_bit(files) or variant else "auto"
    options = {"local_files_only": True, "output_loading_info": True, "variant": variant}
    module, report = cls.from_pretrained(path, dtype=dtype, **options)
    if missing := sorted(map(str, report.get("missing_keys") or ())):
        raise PhonofilmError(f"{path}: {len(missing)} tensors are missing, first {missing[0]}; fetch it again")
    return language_model(module).eval().requires_grad_(False)


def language_model(module: nn.Module) -> nn.Module:
    """The part of a (multimodal) language model that turns tokens into states."""
    inner = getattr(module, "model", module)
    return getattr(inner, "language_model", inner)
