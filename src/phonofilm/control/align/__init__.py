"""Alignment without training: frozen weights, steered while a clip is sampled."""
