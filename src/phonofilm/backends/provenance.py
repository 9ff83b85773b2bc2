"""What a clip says about how it was made, so that it can be made again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.types import Request

_ASKED = (
    "task",
    "negative",
    "video_seed",
    "audio_seed",
    "span",
    "only",
    "no",
    "effects",
    "music",
    "gain",
    "mix_as",
    "draft",
    "sync",
    "control_scale",
)
_SAMPLED = ("steps", "sampler", "guidance", "modality_guidance", "stg")
"""Where a request leaves these open, the model's own decide."""


def provenance_metadata(
    request: Request, model: str, weights: str, notices: list[str], trained: ModelDefaults | None = None
) -> dict[str, str]:
    """`Clip.metadata` of what a backend made: everything that decided it, so that it can be made again."""
    from phonofilm import __version__
    from phonofilm.media import provenance

    decided = {name: getattr(request, name) for name in (*_ASKED, *_SAMPLED)}
    for name in _SAMPLED:
        if decided[name] is None:
            decided[name] = getattr(trained, name, None)
    decided["hits"] = ",".join(f"{time:g}@{strength:g}" for time, strength in request.hits)
    decided["follow"] = None if request.follow is None else "a sound that was given"
    decided["draft"] = "yes" if request.draft else None
    for name in ("only", "no"):
        decided[name] = ",".join(decided[name] or ())
    decided = {name: value for name, value in decided.items() if value not in (None, "", {})}
    facts = {name: _said(value) for name, value in decided.items()}
    return provenance(
        prompt=request.prompt,
        seed=request.seed,
        model=model,
        weights=weights,
        composite=request.source is not None or request.image is not None or bool(request.given_stems),
        generator=f"phonofilm {__version__}",
        computed=_computed(),
        **facts,
        request=request.digest,
        notices="\n".join(notices) or None,
    )


def _said(value: Any) -> Any:
    """A value as JSON has it; what is neither a list nor an object is text."""
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else str(value)


def _computed() -> str | None:
    """What the last bits of a result depend on beside its seed: library, processor's vector units, threads, devices.

    Another number of threads sums in another order: of a clip's pixels about one in 50,000 is then a level of 255 off.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    parts = [
        f"torch {torch.__version__}",
        torch.backends.cpu.get_cpu_capability(),
        f"{torch.get_num_threads()} threads",
    ]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)
