"""Frozen translators between media and latents: causal, chunk by chunk or whole, with explicit state."""
