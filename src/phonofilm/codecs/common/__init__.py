"""Layers and spectra that several codecs are built of."""
