"""Phonofilm: generate, fine-tune, stream, serve and evaluate video with sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phonofilm.errors import Cancelled, PhonofilmError
from phonofilm.types import Clip, Event, Grid, Latents, Request

if TYPE_CHECKING:
    from phonofilm.backends.base import Backend

__version__ = "0.1.0"
__all__ = ["Cancelled", "Clip", "Event", "Grid", "Latents", "PhonofilmError", "Request", "load"]


def load(model: str = "nano", device: str = "auto", **options: Any) -> Backend:
    """Load a model that turns a `Request` into a `Clip`; see `phonofilm.backends.base.load`."""
    from phonofilm.backends.base import load as load_backend

    return load_backend(model, device=device, **options)
