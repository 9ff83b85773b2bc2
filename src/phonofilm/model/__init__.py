"""The dual-stream transformer, and the U-Net that it is compared with."""

from phonofilm.model.config import PRESETS, ConditionInput, StreamConfig, TransformerConfig
from phonofilm.model.transformer import AVTransformer
from phonofilm.model.unet import UNET_PRESETS, UNet3D, UNetConfig

__all__ = [
    "PRESETS",
    "UNET_PRESETS",
    "AVTransformer",
    "ConditionInput",
    "StreamConfig",
    "TransformerConfig",
    "UNet3D",
    "UNetConfig",
]
