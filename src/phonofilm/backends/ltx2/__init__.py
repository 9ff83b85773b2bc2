"""LTX-2 and LTX-2.3: published components, our network."""

from __future__ import annotations

from phonofilm.backends.ltx2.backend import LTX2Backend

__all__ = ["LTX2Backend"]
