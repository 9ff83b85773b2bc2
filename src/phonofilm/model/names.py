"""What our parameters are called in the published files of LTX-2: one table for both spellings.

The files of Lightricks keep the original names behind `model.diffusion_model.`; those of diffusers have their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

from phonofilm.errors import PhonofilmError

Spelling = Literal["original", "diffusers"]
PREFIX = "model.diffusion_model."
T = TypeVar("T")

# ours, original, diffusers. A name is translated by the longest row that begins it.
_STREAMS: tuple[tuple[str, str, str], ...] = (
    ("video.patchify", "patchify_proj", "proj_in"),
    ("audio.patchify", "audio_patchify_proj", "audio_proj_in"),
    ("video.text", "caption_projection", "caption_projection"),
    ("audio.text", "audio_caption_projection", "audio_caption_projection"),
    ("video.table", "scale_shift_table", "scale_shift_table"),
    ("audio.table", "audio_scale_shift_table", "audio_scale_shift_table"),
    ("video.out", "proj_out", "proj_out"),
    ("audio.out", "audio_proj_out", "audio_proj_out"),
)
# Noise-level embeddings: ours splits each in `<kind>timestep` and `<kind>modulation`.
_NOISE: tuple[tuple[str, str, str], ...] = (
    ("video.", "adaln_single", "time_embed"),
    ("audio.", "audio_adaln_single", "audio_time_embed"),
    ("video.exchange_", "av_ca_video_scale_shift_adaln_single", "av_cross_attn_video_scale_shift"),
    ("audio.exchange_", "av_ca_audio_scale_shift_adaln_single", "av_cross_attn_audio_scale_shift"),
    ("video.gate_", "av_ca_a2v_gate_adaln_single", "av_cross_attn_video_a2v_gate"),
    ("audio.gate_", "av_ca_v2a_gate_adaln_single", "av_cross_attn_audio_v2a_gate"),
    ("video.text_", "prompt_adaln_single", "prompt_adaln"),
    ("audio.text_", "audio_prompt_adaln_single", "audio_prompt_adaln"),
)
# Within block i: ours `blocks.i.`, theirs `transformer_blocks.i.`.
_BLOCK: tuple[tuple[str, str, str], ...] = (
    ("video.self_attention", "attn1", "attn1"),
    ("audio.self_attention", "audio_attn1", "audio_attn1"),
    ("video.text_attention", "attn2", "attn2"),
    ("audio.text_attention", "audio_attn2", "audio_attn2"),
    ("video.exchange", "audio_to_video_attn", "audio_to_video_attn"),
    ("audio.exchange", "video_to_audio_attn", "video_to_audio_attn"),
    ("video.feed_forward.up", "ff.net.0.proj", "ff.net.0.proj"),
    ("audio.feed_forward.up", "audio_ff.net.0.proj", "audio_ff.net.0.proj"),
    ("video.feed_forward.down", "ff.net.2", "ff.net.2"),
    ("audio.feed_forward.down", "audio_ff.net.2", "audio_ff.net.2"),
    ("video.table", "scale_shift_table", "scale_shift_table"),
    ("audio.table", "audio_scale_shift_table", "audio_scale_shift_table"),
    ("video.text_table", "prompt_scale_shift_table", "prompt_scale_shift_table"),
    ("audio.text_table", "audio_prompt_scale_shift_table", "audio_prompt_scale_shift_table"),
    ("video.exchange_table", "scale_shift_table_a2v_ca_video", "video_a2v_cross_attn_scale_shift_table"),
    ("audio.exchange_table", "scale_shift_table_a2v_ca_audio", "audio_a2v_cross_attn_scale_shift_table"),
)
# Within an attention.
_ATTENTION: tuple[tuple[str, str, str], ...] = (
    ("norm_q", "q_norm", "norm_q"),
    ("norm_k", "k_norm", "norm_k"),
    ("to_out", "to_out.0", "to_out.0"),
    ("to_gate", "to_gate_logits", "to_gate_logits"),
)


def published_name(ours: str, spelling: Spelling) -> str:
    """The published name of one of our parameters, without `PREFIX`.

    Raises:
        PhonofilmError: the parameter is not one of LTX-2's.
    """
    column = 1 if spelling == "original" else 2
    if ours.startswith("blocks."):
        _, index, rest = ours.split(".", 2)
        rest = _begin(rest, _rows(_BLOCK, column))
        part, _, leaf = rest.partition(".")
        if "attn" in part and leaf:
            rest = f"{part}.{_begin(leaf, _rows(_ATTENTION, column), strict=False)}"
        return f"transformer_blocks.{index}.{rest}"
    return _begin(ours, _rows(_STREAMS, column) | _noise_rows(column))


def from_published(tensors: Mapping[str, T], parameters: Iterable[str]) -> dict[str, T]:
    """A published state dict in our names, in either spelling, with or without `PREFIX`.

    Args:
        tensors: of a whole published file, or what stands for each; what does not belong to the transformer is left out
            by its name.
        parameters: names of our parameters, all of which must be there.

    Raises:
        PhonofilmError: a tensor that our network needs is missing, or one of the transformer's has no place in it.
    """
    behind = any(name.startswith(PREFIX) for name in tensors)
    theirs = {name.removeprefix(PREFIX): t for name, t in tensors.items() if not behind or name.startswith(PREFIX)}
    theirs = {name: t for name, t in theirs.items() if "embeddings_connector" not in name}
    spelling: Spelling = "original" if "patchify_proj.weight" in theirs else "diffusers"
    names = {ours: published_name(ours, spelling) for ours in parameters}
    if missing := sorted(set(names.values()) - set(theirs)):
        raise PhonofilmError(f"not the weights of this network: {len(missing)} tensors are missing, first {missing[0]}")
    if extra := sorted(set(theirs) - set(names.values())):
        raise PhonofilmError(f"not the weights of this network: {len(extra)} tensors are unknown, first {extra[0]}")
    return {ours: theirs[name] for ours, name in names.items()}


def _rows(table: tuple[tuple[str, str, str], ...], column: int) -> dict[str, str]:
    return {row[0]: row[column] for row in table}


def _noise_rows(column: int) -> dict[str, str]:
    parts = (("timestep", "emb.timestep_embedder"), ("modulation.linear", "linear"))
    return {f"{row[0]}{ours}": f"{row[column]}.{theirs}" for row in _NOISE for ours, theirs in parts}


def _begin(name: str, rows: dict[str, str], strict: bool = True) -> str:
    """Translate the beginning of a dotted name."""
    for ours in sorted(rows, key=len, reverse=True):
        if name == ours or name.startswith(f"{ours}."):
            return rows[ours] + name[len(ours) :]
    if strict:
        raise PhonofilmError(f"{name} has no counterpart in LTX-2")
    return name
