"""What a published LTX-2 says of itself, in our terms: the network, the clock, and how it wants to be sampled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.errors import PhonofilmError
from phonofilm.model.config import PRESETS, TransformerConfig
from phonofilm.types import Geometry

DISTILLED_SIGMAS = (1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0)
"""The levels that the distilled weights were made for (Lightricks, ltx-pipelines constants)."""

SHIFT, TERMINAL = math.exp(2.05), 0.1
"""The schedule's shift, whatever the number of tokens, and its last level before 0 (LTX2Scheduler)."""

STG_BLOCKS = {"ltx2": 29, "ltx2_3": 28}
"""The block that spatio-temporal guidance disturbs (Lightricks, ltx-pipelines constants)."""

MAX_SECONDS = Fraction(20)
"""Positions in time are relative to this."""

# What our network does not have; every published LTX-2 and LTX-2.3 has these values.
_FIXED: dict[str, Any] = {
    "patch_size": 1,
    "patch_size_t": 1,
    "audio_patch_size": 1,
    "audio_patch_size_t": 1,
    "activation_fn": "gelu-approximate",
    "qk_norm": "rms_norm_across_heads",
    "norm_elementwise_affine": False,
    "attention_bias": True,
    "attention_out_bias": True,
    "causal_offset": 1,
    "timestep_scale_multiplier": 1000,
    "cross_attn_timestep_scale_multiplier": 1000,
    "ff_bias": True,
    "audio_ff_bias": True,
    "use_prompt_adaln_single": True,
    "use_keyframes_abs_pos_embedding": False,
}


def preset_of(theirs: Mapping[str, Any]) -> str:
    """Which preset a transformer's config.json is a size of: "ltx2" or "ltx2_3"."""
    return "ltx2" if theirs.get("use_prompt_embeddings", True) else "ltx2_3"


def network_config(theirs: Mapping[str, Any], where: str = "transformer") -> TransformerConfig:
    """Our config of a transformer in diffusers' config.json.

    Raises:
        PhonofilmError: an option that our network does not have, as those of LTX-2.5.
    """
    for name, value in _FIXED.items():
        if theirs.get(name, value) != value:
            raise PhonofilmError(
                f"{where} has {name} = {theirs[name]}, which our network does not know; LTX-2 and LTX-2.3 are supported"
            )
    if theirs.get("rope_type", "interleaved") != "split":
        raise PhonofilmError(f"{where} has interleaved rotary positions, which no published LTX-2 has; fetch it again")
    preset = preset_of(theirs)
    full, both = PRESETS[preset], preset == "ltx2_3"
    for name in ("gated_attn", "cross_attn_mod", "audio_gated_attn", "audio_cross_attn_mod"):
        if bool(theirs.get(name, False)) != both:
            raise PhonofilmError(f"{where} mixes options of LTX-2 and LTX-2.3 ({name} = {theirs.get(name, False)})")
    heads, audio_heads = theirs["num_attention_heads"], theirs["audio_num_attention_heads"]
    width, audio_width = heads * theirs["attention_head_dim"], audio_heads * theirs["audio_attention_head_dim"]
    text = theirs.get("caption_channels", 3840)
    place = (float(theirs["base_height"]), float(theirs["base_width"]))
    video = replace(
        full.video,
        channels=theirs["in_channels"],
        width=width,
        heads=heads,
        text_heads=heads,
        layers=theirs["num_layers"],
        extent=(float(theirs["pos_embed_max_pos"]), *place),
        text_width=width if both else text,
    )
    audio = replace(
        full.audio,
        channels=theirs["audio_in_channels"],
        width=audio_width,
        heads=audio_heads,
        text_heads=audio_heads,
        layers=theirs["num_layers"],
        extent=(float(theirs["audio_pos_embed_max_pos"]),),
        text_width=audio_width if both else text,
    )
    return replace(
        full,
        video=video,
        audio=audio,
        exchange_heads=audio_heads,
        exchange_head_width=theirs["audio_attention_head_dim"],
        rotary_base=float(theirs.get("rope_theta", 10_000.0)),
        eps=float(theirs.get("norm_eps", 1e-6)),
    )


def sampling(configs: Mapping[str, Mapping[str, Any]], distilled: bool) -> ModelDefaults:
    """The clock and the defaults of a model, from the config.json of its components.

    The clock runs at the rate of the vocoder rather than that of the mel spectrogram. In seconds, every hop and
    every latent is the same, and no sound is resampled that need not be.
    """
    preset, rate = preset_of(configs["transformer"]), configs["vocoder"]["output_sampling_rate"]
    audio, video = configs["audio_vae"], configs["vae"]
    if rate * audio["mel_hop_length"] % audio["sample_rate"]:
        raise PhonofilmError(f"the vocoder's rate of {rate} is no multiple of the mel spectrogram's frames")
    geometry = Geometry(
        video_time=video["temporal_compression_ratio"],
        video_space=video["spatial_compression_ratio"],
        patch=(1, 1, 1),
        sample_rate=rate,
        mel_hop=rate * audio["mel_hop_length"] // audio["sample_rate"],
        audio_time=4,
    )
    # a network of fewer layers than the published ones is disturbed in its last
    block = min(STG_BLOCKS[preset], configs["transformer"]["num_layers"] - 1)
    guided = {"guidance": (3.0, 7.0), "modality_guidance": (3.0, 3.0), "rescale": 0.7, "stg": (1.0, 1.0)}
    steps = len(DISTILLED_SIGMAS) - 1 if distilled else 40 if preset == "ltx2" else 30
    return ModelDefaults(
        size=(768, 512),
        fps=Fraction(24),
        seconds=Fraction(5),
        prediction="velocity",
        steps=steps,
        shift=SHIFT,
        geometry=geometry,
        stg_blocks=(block,),
        **({} if distilled else guided),  # type: ignore[arg-type]
    )
