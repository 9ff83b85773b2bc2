"""What a clip says about how it was made, so that it can be made again."""

from __future__ import annotations

from phonofilm.backends.trained import ModelDefaults
from phonofilm.types import Request

_ASKED = ("task", "negative", "video_seed", "audio_seed", "span", "only")
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
    decided = {name: value for name, value in decided.items() if value not in (None, "")}
    facts = {name: list(value) if isinstance(value, tuple) else str(value) for name, value in decided.items()}
    return provenance(
        prompt=request.prompt,
        seed=request.seed,
        model=model,
        weights=weights,
        generator=f"phonofilm {__version__}",
        **facts,
        request=request.digest,
        notices="\n".join(notices) or None,
    )
