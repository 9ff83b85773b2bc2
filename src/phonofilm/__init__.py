"""Phonofilm: generate, fine-tune, stream, serve and evaluate video with sound."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phonofilm.backends.base import Backend
    from phonofilm.errors import Cancelled, PhonofilmError
    from phonofilm.types import Clip, Event, Grid, Latents, Request

__version__ = "0.1.0"
__all__ = ["Cancelled", "Clip", "Event", "Grid", "Latents", "PhonofilmError", "Request", "load"]

_ROOMS = {"Cancelled": "errors", "PhonofilmError": "errors"}


def __getattr__(name: str) -> Any:
    """The public types are imported on first use, which keeps the command line's help quick."""
    if name not in __all__:
        raise AttributeError(f"module 'phonofilm' has no attribute {name!r}")
    return getattr(import_module(f"phonofilm.{_ROOMS.get(name, 'types')}"), name)


def __dir__() -> list[str]:
    """The public names alone, for completion in a shell or a notebook."""
    return sorted([*__all__, "__version__", "__doc__"])


def load(model: str = "nano", device: str = "auto", **options: Any) -> Backend:
    """Load a model that turns a `Request` into a `Clip`; see `phonofilm.backends.registry.load`."""
    from phonofilm.backends.registry import load as load_backend

    return load_backend(model, device=device, **options)
