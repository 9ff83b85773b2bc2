"""LTX-2's codecs: video and audio VAEs, their mel spectrogram, and decoding in tiles."""
