"""Wan 2.2: silent film by two experts, through diffusers' components."""

from __future__ import annotations

from phonofilm.backends.wan.backend import WanBackend

__all__ = ["WanBackend"]
