"""The dual-stream transformer, and the U-Net that it is compared with."""

from phonofilm.model.config import PRESETS, Door, StreamConfig, TransformerConfig
from phonofilm.model.transformer import AVTransformer

__all__ = ["PRESETS", "AVTransformer", "Door", "StreamConfig", "TransformerConfig"]
