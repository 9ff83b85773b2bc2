"""A decoded frame becomes sRGB: matrix, range, primaries and transfer as the film says them, upright.

High dynamic range (PQ and HLG) is mapped to standard range, so that reference white (203 cd/m², ITU-R BT.2408)
comes out as a light white and what is brighter lies above it. What has no known way to sRGB is refused.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from phonofilm.errors import PhonofilmError
from phonofilm.media.container import DECODER_ERRORS, MAX_PIXELS, memory_room
from phonofilm.types import nearest

SCALING = (
    Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
)
HD_HEIGHT = 720
REFERENCE_WHITE = 203.0
PEAK = 1000.0  # cd/m², the display that HLG is made for, and the brightest that is told from what is brighter still
KNEE = 0.75  # of reference white: below it nothing is changed
LEVELS = 4096

RGB, UNSPECIFIED = 0, 2
# AVCOL_SPC of FFmpeg to the names of swscale, which takes these matrices and no others
MATRICES = {
    1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M, 9: Colorspace.BT2020,
}  # fmt: skip
OTHER_MATRICES = {
    8: "YCgCo", 10: "BT.2020 with constant luminance", 11: "Y'D'zD'x", 12: "chromaticity-derived", 13: "chromaticity-"
    "derived with constant luminance", 14: "ICtCp", 15: "Dolby Vision without a standard base layer (IPT)",
}  # fmt: skip
_P3 = [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]]
_BT2020 = [[1.660491, -0.587641, -0.07285], [-0.12455, 1.1329, -0.008349], [-0.018151, -0.100579, 1.11873]]
WIDE = {ColorPrimaries.BT2020: _BT2020, ColorPrimaries.SMPTE431: _P3, ColorPrimaries.SMPTE432: _P3}
"""Linear light of wide primaries (BT.2020, P3) to that of BT.709 and sRGB."""
STANDARD_RANGE = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15})
HDR = frozenset({int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)})
OTHER_TRANSFERS = {9: "logarithmic", 10: "logarithmic", 17: "SMPTE 428 (digital cinema)"}


class Pictures:
    """Frames of one file as arrays.

    Attributes:
        path: named in errors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reformatter = VideoReformatter()

    def whole(self, frame: Any, aspect: Fraction, smallest: tuple[int, int] | None = None) -> np.ndarray:
        """uint8 [H, W, 3], upright, with square pixels.

        Args:
            aspect: how wide a pixel is for its height.
            smallest: (width, height); the picture may be shrunk while it is converted, to no less than this.
        """
        turns, mirrored = orientation(frame)
        width, height = max(1, nearest(frame.width * aspect)), frame.height
        how: Any = SCALING
        if smallest is not None:
            least = smallest if turns % 2 == 0 else smallest[::-1]
            if width >= 2 * least[0] and height >= 2 * least[1]:
                (width, height), how = least, Interpolation.AREA
        pixels = self._srgb(frame, width, height, how)
        pixels = pixels[:, ::-1] if mirrored else pixels
        return np.ascontiguousarray(np.rot90(pixels, turns))

    def square(self, frame: Any, side: int) -> np.ndarray:
        """uint8 [side, side, 3], shrunk before it becomes RGB, as it is stored."""
        return self._srgb(frame, side, side, Interpolation.AREA)

    def _srgb(self, frame: Any, width: int, height: int, how: Any) -> np.ndarray:
        matrix = _matrix(frame, self.path)
        transfer, wide = int(frame.color_trc), WIDE.get(frame.color_primaries)
        if transfer not in STANDARD_RANGE | HDR | {int(ColorTrc.LINEAR)}:
            raise _unknown(self.path, f"transfer ({OTHER_TRANSFERS.get(transfer, transfer)})")
        plain = transfer in STANDARD_RANGE and wide is None
        if width * height > MAX_PIXELS or 6 * width * height > memory_room():
            raise PhonofilmError(f"{self.path}: a picture of {width}x{height} is too large to read")
        try:
            converted = self.reformatter.reformat(
                frame,
                format="rgb24" if plain else "rgb48le",
                width=width,
                height=height,
                src_colorspace=matrix,
                # a frame's own range is not asked for unless it is named
                src_color_range=ColorRange.JPEG if int(frame.color_range) == ColorRange.JPEG else None,
                interpolation=how,
                threads=1,
            ).to_ndarray()
        except DECODER_ERRORS as error:
            raise PhonofilmError(f"{self.path} is damaged: a picture of it cannot be converted") from error
        return converted if plain else to_srgb(converted, transfer, wide)


def orientation(frame: Any) -> tuple[int, bool]:
    """Quarter turns (anticlockwise) and whether the picture is mirrored (left to right, before it is turned)."""
    data = bytes(_side_data(frame).get(SideData.DISPLAYMATRIX, b""))[:20]
    a, b, _, c, d = struct.unpack("=5i", data) if len(data) == 20 else (1, 0, 0, 0, 1)
    if a * d - b * c >= 0:
        return round(frame.rotation / 90) % 4, False
    # the rotation that is left once left and right are exchanged
    return round(float(np.degrees(np.arctan2(b, -a)) / 90)) % 4, True


def _matrix(frame: Any, path: Path) -> Colorspace | None:
    stated = int(frame.colorspace)
    if stated in OTHER_MATRICES:
        raise _unknown(path, f"colours ({OTHER_MATRICES[stated]})")
    if stated in MATRICES:
        return MATRICES[stated]
    hdr = int(frame.color_trc) in HDR or frame.color_primaries == ColorPrimaries.BT2020
    if not hdr and SideData.DOVI_METADATA in _side_data(frame):
        raise _unknown(path, "colours (Dolby Vision without a standard base layer)")
    if hdr:
        return Colorspace.BT2020
    # by convention untagged HD film is BT.709, and everything smaller BT.601
    return Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601


def _side_data(frame: Any) -> dict[Any, Any]:
    try:
        return {entry.type: entry for entry in frame.side_data}
    except ValueError:  # of a kind that PyAV does not know yet
        return {}


def _unknown(path: Path, what: str) -> PhonofilmError:
    return PhonofilmError(f"{path}: the picture's {what} cannot be read; convert it to SDR (BT.709) first")


def to_srgb(pixels: np.ndarray, transfer: int, primaries: list[list[float]] | None) -> np.ndarray:
    """uint8 [H, W, 3] sRGB of uint16 [H, W, 3] with another transfer or wider primaries."""
    light = _to_light(transfer)[pixels >> 4]
    if transfer == ColorTrc.ARIB_STD_B67:
        # the opto-optical transfer of HLG works on luminance (ITU-R BT.2100, table 5), system gamma 1.2
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= (PEAK / REFERENCE_WHITE) * np.maximum(luminance, 1e-6)[..., None] ** np.float32(0.2)
    if primaries is not None:
        light = np.maximum(light @ np.array(primaries, np.float32).T, 0)
    if transfer in HDR:
        brightest = light.max(axis=-1, keepdims=True)
        light *= _tone(brightest) / np.maximum(brightest, 1e-6)
    return _from_light()[(np.minimum(light, 1) ** np.float32(0.5) * (LEVELS - 1) + 0.5).astype(np.int32)]


@lru_cache(maxsize=4)
def _to_light(transfer: int) -> np.ndarray:
    """float32 [4096]: linear light of each signal level; 1 is reference white, but of HLG the brightest of a scene."""
    signal = np.arange(LEVELS) / (LEVELS - 1)
    if transfer == ColorTrc.SMPTE2084:  # SMPTE ST 2084, equation 4.1
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = signal ** (1 / m2)
        light = 10_000 / REFERENCE_WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    elif transfer == ColorTrc.ARIB_STD_B67:  # ITU-R BT.2100, table 5
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    elif transfer == ColorTrc.LINEAR:
        light = signal
    else:  # film of standard range is shown as it is, so the inverse of sRGB's own curve
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _from_light() -> np.ndarray:
    """uint8 [4096]: sRGB (IEC 61966-2-1) of the square of each level, which spaces dark ones finely."""
    light = (np.arange(LEVELS) / (LEVELS - 1)) ** 2
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * signal + 0.5).astype(np.uint8)


def _tone(light: np.ndarray) -> np.ndarray:
    """Brightness in [0, 1] of light relative to reference white: as it is up to a knee, and bent to the peak above.

    The bend is Reinhard's curve with a white point (Reinhard et al., "Photographic tone reproduction", eq. 4).
    """
    over = np.maximum(light - KNEE, 0) / (1 - KNEE)
    peak = (PEAK / REFERENCE_WHITE - KNEE) / (1 - KNEE)
    return np.minimum(np.minimum(light, KNEE) + (1 - KNEE) * over * (1 + over / peak**2) / (1 + over), 1)
