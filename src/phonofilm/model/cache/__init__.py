"""Films chunk by chunk: the same network, which keeps the keys and values of earlier chunks instead of their tokens."""

from phonofilm.model.cache.causal import CausalNetwork
from phonofilm.model.cache.layout import ChunkLayout
from phonofilm.model.cache.store import ChunkCache, ChunkKeys

__all__ = ["CausalNetwork", "ChunkCache", "ChunkKeys", "ChunkLayout"]
