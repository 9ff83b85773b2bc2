"""Conditions that a generator can learn besides its prompt, measured on the clean latents (docs/extending.md)."""
