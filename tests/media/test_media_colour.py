"""Colours come out as the film says them: matrix, range, primaries, high dynamic range."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorTrc
from PIL import Image, ImageCms

from phonofilm.errors import PhonofilmError
from phonofilm.media import read_clip, read_image
from phonofilm.media.colour import to_srgb
from phonofilm.media.film import Film

COLOURS = np.array([[200, 40, 60], [40, 180, 70], [50, 70, 210], [128, 128, 128], [235, 235, 235], [12, 12, 12]])
# Kr and Kb of each matrix, by FFmpeg's number
SD = (0.299, 0.114)
WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: SD, 6: SD, 7: (0.212, 0.087), 9: (0.2627, 0.0593)}


def coded(rgb: np.ndarray, matrix: int, full: bool, bits: int) -> np.ndarray:
    """Y'CbCr [..., 3] of R'G'B' in [0, 1] as integers (ITU-R BT.709-6, sections 3 and 4)."""
    kr, kb = WEIGHTS[matrix]
    r, g, b = np.moveaxis(rgb, -1, 0)
    y = kr * r + (1 - kr - kb) * g + kb * b
    parts = np.stack([y, (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)], axis=-1)
    step = 2 ** (bits - 8)
    scale, shift = ((255, 255, 255), (0, 128, 128)) if full else ((219, 224, 224), (16, 128, 128))
    return np.round((parts * scale + shift) * step).astype(np.uint16)


def film(
    path: Path,
    rgb: np.ndarray,
    *,
    matrix: int,
    full: bool = False,
    bits: int = 8,
    transfer: int = 2,
    primaries: int = 2,
) -> Path:
    """A frame of 32 x 16 for each colour [N, 3] in [0, 1], without loss, and with these tags."""
    with av.open(path, "w") as output:
        stream = output.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv444p" if bits == 8 else "yuv444p10le"
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, 2 if full else 1
        context.color_trc, context.color_primaries = transfer, primaries
        for index, yuv in enumerate(coded(rgb, matrix if matrix in WEIGHTS else 1, full, bits)):
            frame = av.VideoFrame(32, 16, stream.pix_fmt)
            kind = np.dtype(np.uint8 if bits == 8 else np.uint16)
            for plane, level in zip(frame.planes, yuv, strict=True):
                plane.update(np.full(plane.buffer_size // kind.itemsize, level, kind).tobytes())
            frame.pts, frame.time_base = index, Fraction(1, 10)
            frame.colorspace, frame.color_range = matrix, 2 if full else 1
            frame.color_trc, frame.color_primaries = transfer, primaries
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def read(path: Path) -> np.ndarray:
    frames = read_clip(path).frames
    assert np.array_equal(np.stack(list(Film.open(path).frames())), frames)
    return frames.mean(axis=(1, 2))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
def test_matrix_and_range(tmp_path: Path, matrix: int, full: bool) -> None:
    found = read(film(tmp_path / "film.mkv", COLOURS / 255, matrix=matrix, full=full))
    np.testing.assert_allclose(found, COLOURS, atol=3)


def test_ten_bits_in_full_range(tmp_path: Path) -> None:
    found = read(film(tmp_path / "film.mkv", COLOURS / 255, matrix=1, full=True, bits=10))
    np.testing.assert_allclose(found, COLOURS, atol=2)


def test_full_range_of_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    with av.open(path, "w") as output:
        stream = output.add_stream("mjpeg", rate=10, options={"qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuvj444p"
        stream.bit_rate = 10_000_000
        for level in (0, 16, 128, 235, 255):
            planes = np.full((3, 16, 32), 128, np.uint8)
            planes[0] = level
            output.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuvj444p")))
        output.mux(stream.encode(None))
    np.testing.assert_allclose(read(path).mean(axis=1), [0, 16, 128, 235, 255], atol=2)


def pq(nits: np.ndarray) -> np.ndarray:
    """Signal of luminance in cd/m² (SMPTE ST 2084)."""
    power = (np.asarray(nits) / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(scene: np.ndarray) -> np.ndarray:
    """Signal of scene light in [0, 1] (ITU-R BT.2100)."""
    scene = np.asarray(scene)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def grey(signal: np.ndarray) -> np.ndarray:
    return np.repeat(np.atleast_1d(signal)[:, None], 3, axis=1)


@pytest.mark.parametrize("transfer", [ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67])
def test_reference_white_of_hdr_is_a_light_white(tmp_path: Path, transfer: int) -> None:
    nits = np.array([0.05, 20, 203, 600, 1000, 1000])
    # of HLG, display light is scene light to the power of 1.2
    signals = pq(nits) if transfer == ColorTrc.SMPTE2084 else hlg((nits / 1000) ** (1 / 1.2))
    found = read(film(tmp_path / "film.mkv", grey(signals), matrix=9, bits=10, transfer=int(transfer), primaries=9))
    assert np.abs(found - found[:, :1]).max() < 2  # grey stays grey
    dark, dim, white, bright, peak, beyond = found[:, 0]
    assert dark < 6
    # 20 of 203 cd/m² is below the knee, so it is as it would be in standard range
    assert abs(dim - 255 * (1.055 * (20 / 203) ** (1 / 2.4) - 0.055)) < 3
    assert 232 <= white <= 246
    assert white + 4 < bright < peak <= beyond <= 255
    assert peak >= 252


def test_wide_primaries_are_brought_to_those_of_srgb(tmp_path: Path) -> None:
    """A BT.709 red, said in BT.2020 (linear .6274, .0691, .0164), in PQ and in standard range."""
    linear = np.array([[0.6274, 0.0691, 0.0164]])
    standard = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    found = read(film(tmp_path / "wide.mkv", standard, matrix=9, bits=10, transfer=14, primaries=9))
    np.testing.assert_allclose(found, [[255, 0, 0]], atol=4)
    found = read(film(tmp_path / "pq.mkv", pq(linear * 100), matrix=9, bits=10, transfer=16, primaries=9))
    assert abs(found[0, 0] - 255 * (1.055 * (100 / 203) ** (1 / 2.4) - 0.055)) < 4
    assert found[0, 1:].max() < 14


def test_standard_range_is_left_alone() -> None:
    """Whatever the transfer of a film of standard range is called, its levels are those it holds."""
    levels = np.arange(256, dtype=np.uint16)[:, None, None].repeat(3, axis=-1)
    made = to_srgb(levels * 257, 14, [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert np.abs(made.astype(int) - levels).max() <= 1


@pytest.mark.parametrize(("tags", "said"), [
    ({"matrix": 1, "transfer": 9}, "logarithmic"),
    ({"matrix": 8}, "YCgCo"),
    ({"matrix": 14, "transfer": 16, "primaries": 9}, "ICtCp"),
    ({"matrix": 10, "primaries": 9}, "constant luminance"),
])  # fmt: skip
def test_what_has_no_known_way_to_srgb_is_refused(tmp_path: Path, tags: dict, said: str) -> None:
    path = film(tmp_path / "film.mkv", COLOURS / 255, bits=10, **tags)
    for way in (read_clip, Film.open):
        with pytest.raises(PhonofilmError, match=said) as refused:
            way(path)
        assert "SDR" in str(refused.value)
        assert "\n" not in str(refused.value)


def test_primaries_of_hdtv_and_sd_are_taken_as_they_are(tmp_path: Path) -> None:
    for primaries in (ColorPrimaries.BT709, ColorPrimaries.SMPTE170M, ColorPrimaries.BT470BG):
        path = film(tmp_path / f"{int(primaries)}.mkv", COLOURS / 255, matrix=1, primaries=int(primaries))
        np.testing.assert_allclose(read(path), COLOURS, atol=3)


def test_pictures_of_other_depths_and_profiles(tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    np.testing.assert_allclose(read_image(tmp_path / "deep.png")[..., 0], levels / 257, atol=1)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    Image.new("RGB", (8, 8), (200, 40, 60)).save(tmp_path / "srgb.png", icc_profile=profile.tobytes())
    np.testing.assert_allclose(read_image(tmp_path / "srgb.png")[0, 0], (200, 40, 60), atol=2)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ"))
    Image.new("RGB", (8, 8), (200, 40, 60)).save(tmp_path / "odd.png", icc_profile=lab.tobytes()[:100])
    np.testing.assert_allclose(read_image(tmp_path / "odd.png")[0, 0], (200, 40, 60), atol=2)
