"""Backends: everything that turns a `Request` into a `Clip`."""

from __future__ import annotations

from phonofilm.backends.base import Backend
from phonofilm.backends.registry import load

__all__ = ["Backend", "load"]
