"""Our own models live: chunks of time, each denoised on the keys and values of those before it."""

from phonofilm.streaming.native.options import LiveOptions
from phonofilm.streaming.native.source import NativeSource, open_native

__all__ = ["LiveOptions", "NativeSource", "open_native"]
