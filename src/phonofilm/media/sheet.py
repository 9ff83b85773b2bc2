"""The contact sheet: a whole clip on one page, everything on one time axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from phonofilm.errors import PhonofilmError
from phonofilm.files import atomic, check_file
from phonofilm.media.fonts import draw_text, text_length, wrapped
from phonofilm.media.layouts import named
from phonofilm.media.spectrum import coloured, log_mel_picture, mel_position
from phonofilm.types import Clip, Event

WIDTH, LEFT, RIGHT = 1600, 76, 36
PLOT = WIDTH - LEFT - RIGHT
THUMB, WAVE, MEL, GAP = 118, 76, 190, 16
PAPER, PANEL, INK, FAINT, LINE = (17, 17, 22), (26, 26, 33), (238, 236, 230), (150, 149, 156), (48, 48, 58)
EVENT = (255, 214, 102)
CHANNELS = {"FL": "L", "FR": "R", "FC": "C", "BL": "Ls", "BR": "Rs", "SL": "Ls", "SR": "Rs", "BC": "Cs"}
WAVE_COLOURS = ((94, 201, 196), (244, 156, 104), (166, 206, 120), (190, 150, 230))
HERTZ = (100, 500, 1000, 2000, 4000, 8000, 16_000)


def sheet(clip: Clip, path: str | Path, events: Sequence[Event] | None = None) -> Path:
    """Write the contact sheet of a clip as PNG: frames, waveforms, log-mel spectrogram and events by time.

    Args:
        events: ticks to draw; default is the clip's own events.

    Raises:
        PhonofilmError: a name that is no .png, a clip without picture and sound, a folder that is not there.
    """
    check_sheet(path)
    image = draw_sheet(clip, clip.events if events is None else events)
    with atomic(path) as temporary:
        image.save(temporary, format="PNG", optimize=True)
    return Path(path)


def check_sheet(path: str | Path) -> Path:
    """The path, once it is known that a contact sheet could be written there; ask before the work, not after.

    Raises:
        PhonofilmError: it is not .png, or cannot be written.
    """
    if Path(path).suffix.lower() != ".png":
        raise PhonofilmError(f"{Path(path).name}: a contact sheet is a picture; name it .png")
    return check_file(path)


@dataclass(frozen=True)
class _Page:
    """A drawing in progress: `top` is where the next panel goes."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    seconds: float
    top: int

    def x(self, time: float) -> float:
        return LEFT + PLOT * time / self.seconds

    def down(self, height: int) -> _Page:
        return replace(self, top=self.top + height)


def draw_sheet(clip: Clip, events: Sequence[Event] = ()) -> Image.Image:
    """The contact sheet as an RGB picture, 1600 pixels wide."""
    if clip.seconds == 0:
        raise PhonofilmError("the clip is empty: there is nothing to draw")
    image = Image.new("RGB", (WIDTH, 4000), PAPER)
    page = _header(_Page(image, ImageDraw.Draw(image), clip.seconds, 30), clip)
    page = _frames(page, clip)
    page = _event_labels(page, events) if events else page
    panels = page.top
    page = _waveforms(page, clip)
    page = _spectrogram(page, clip)
    _event_lines(page, events, panels, page.top - GAP)
    page = _axis(page)
    return image.crop((0, 0, WIDTH, page.top + 20))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _header(page: _Page, clip: Clip) -> _Page:
    for line in wrapped(clip.prompt or "", 26, PLOT, 3):
        draw_text(page.draw, (LEFT, page.top), line, INK, 26)
        page = page.down(36)
    facts = "   ·   ".join(_facts(clip))
    for line in [facts] if text_length(facts, 16) <= PLOT else wrapped(facts, 16, PLOT, 2):
        draw_text(page.draw, (LEFT, page.top + 2), line, FAINT, 16)
        page = page.down(24)
    return page.down(18)


def _facts(clip: Clip) -> Iterator[str]:
    yield f"{clip.seconds:.2f} s"
    if clip.frames is not None and clip.fps is not None:
        count, height, width, _ = clip.frames.shape
        yield f"{count} frames at {float(clip.fps):.5g} fps"
        yield f"{width} x {height}"
    if clip.waveform is not None and clip.sample_rate:
        channels = len(clip.waveform)
        yield f"{clip.sample_rate / 1000:g} kHz {({1: 'mono', 2: 'stereo'}).get(channels, f'{channels} channels')}"
        yield f"peak {20 * np.log10(max(float(np.abs(clip.waveform).max(initial=0)), 1e-6)):.1f} dB"
    if "model" in clip.metadata:
        yield f"model {clip.metadata['model']}"
    if "seed" in clip.metadata:
        yield f"seed {clip.metadata['seed']}"


def _frames(page: _Page, clip: Clip) -> _Page:
    """A strip in which each picture is the frame on show at the middle of its place on the time axis."""
    if clip.frames is None or clip.fps is None or not len(clip.frames):
        return page
    _, height, width, _ = clip.frames.shape
    span = PLOT * float(clip.picture_seconds) / page.seconds
    count = max(1, min(len(clip.frames), round(span / (THUMB * width / height))))
    tall = min(2 * THUMB, max(1, round(span / count * height / width)))
    page.draw.rectangle((LEFT - 8, page.top, LEFT + span + 8, page.top + tall + 36), (8, 8, 10))
    _sprockets(page, page.top + 5, span)
    _sprockets(page, page.top + tall + 23, span)
    for index in range(count):
        left, right = (round(LEFT + span * (index + k) / count) for k in (0, 1))
        middle = clip.picture_seconds * Fraction(2 * index + 1, 2 * count)
        frame = clip.frames[min(len(clip.frames) - 1, int(middle * clip.fps))]
        thumb = Image.fromarray(frame).resize((right - left - 3, tall), Image.Resampling.LANCZOS)
        page.image.paste(thumb, (left + 1, page.top + 18))
    return page.down(tall + 36 + GAP)


def _sprockets(page: _Page, top: int, span: float) -> None:
    for x in np.arange(LEFT + 2, LEFT + span - 8, 24.0):
        page.draw.rounded_rectangle((x, top, x + 12, top + 7), 2, (44, 44, 50))


def _event_labels(page: _Page, events: Sequence[Event]) -> _Page:
    """Names of the events on as many rows as it takes (at most 4) for none to cover another."""
    free = [0.0] * 4
    placed: list[tuple[float, int, Event]] = []
    for event in sorted(events, key=lambda e: e.time):
        x = page.x(event.time)
        text = event.label or event.kind
        row = next((row for row, until in enumerate(free) if until <= x), None)
        if row is not None and x <= LEFT + PLOT:
            free[row] = x + text_length(text, 14) + 16
            placed.append((x, row, event))
    rows = 1 + max((row for _, row, _ in placed), default=0)
    for x, row, event in placed:
        y = page.top + 20 * row
        page.draw.line((x, y + 2, x, page.top + 20 * rows), EVENT, 1)
        draw_text(page.draw, (x + 5, y), event.label or event.kind, EVENT, 14)
        if event.end is not None:
            page.draw.line((x, y + 18, page.x(min(event.end, page.seconds)), y + 18), EVENT, 2)
    return page.down(20 * rows)


def _event_lines(page: _Page, events: Sequence[Event], top: int, bottom: int) -> None:
    over = Image.new("RGBA", page.image.size)
    draw = ImageDraw.Draw(over)
    for event in events:
        if 0 <= event.time <= page.seconds:
            draw.line((page.x(event.time), top, page.x(event.time), bottom), (*EVENT, 120), 1)
    page.image.paste(over, (0, 0), over)


def _waveforms(page: _Page, clip: Clip) -> _Page:
    if clip.waveform is None or not clip.waveform.shape[1]:
        page.draw.rectangle((LEFT, page.top, LEFT + PLOT - 1, page.top + 44), PANEL)
        page.draw.text((LEFT + 14, page.top + 14), "no sound", FAINT, _font(15))
        return page.down(44 + GAP)
    count = len(clip.waveform)
    names = _channel_names(count, clip.layout)
    span = max(1, round(PLOT * float(clip.sound_seconds) / page.seconds))
    # one scale for all channels, so that what is louder on one side looks louder; silence stays flat
    scale = max(float(np.abs(clip.waveform).max()), 0.02)
    for index, (name, channel) in enumerate(zip(names, clip.waveform, strict=True)):
        colour = WAVE_COLOURS[index % len(WAVE_COLOURS)]
        page.draw.rectangle((LEFT, page.top, LEFT + PLOT - 1, page.top + WAVE - 1), PANEL)
        page.image.paste(Image.fromarray(_wave(channel / scale, span, colour)), (LEFT, page.top))
        page.draw.text((LEFT - 14, page.top + WAVE // 2), name, colour, _font(16), anchor="rm")
        page = page.down(WAVE + 4)
    return page.down(GAP - 4)


def _channel_names(count: int, layout: Sequence[str]) -> list[str]:
    known = ["mono"] if count == 1 else [CHANNELS.get(name, name) for name in named(count, layout)]
    # side and back channels of one sound must not be called alike
    alike = len(set(known)) < len(known)
    return (list(named(count, layout)) if alike else known) or [str(index + 1) for index in range(count)]


def _wave(channel: np.ndarray, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    """uint8 [WAVE, width, 3]: the peaks dim, the root mean square bright, edges smooth."""
    edges = np.linspace(0, len(channel), width + 1).astype(int)
    starts = np.minimum(edges[:-1], len(channel) - 1)
    size = np.maximum(1, np.diff(edges))
    high, low = np.maximum.reduceat(channel, starts), np.minimum.reduceat(channel, starts)
    rms = np.sqrt(np.add.reduceat(channel.astype(np.float64) ** 2, starts) / size)
    peaks = _coverage(low, high)
    body = np.minimum(_coverage(-rms, rms), peaks)
    alpha = np.maximum(0.45 * peaks, body)[..., None]
    return (np.array(PANEL) * (1 - alpha) + np.array(colour) * alpha).round().astype(np.uint8)


def _coverage(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """float [WAVE, columns]: how much of each pixel lies between two levels in [-1, 1], at least a hairline."""
    middle, reach = WAVE / 2, WAVE / 2 - 4
    top, bottom = middle - np.maximum(high, 0) * reach - 0.5, middle - np.minimum(low, 0) * reach + 0.5
    rows = np.arange(WAVE)[:, None]
    return np.clip(np.minimum(rows + 1, bottom) - np.maximum(rows, top), 0, 1)


def _spectrogram(page: _Page, clip: Clip) -> _Page:
    if clip.waveform is None or not clip.waveform.shape[1] or not clip.sample_rate:
        return page
    span = max(1, round(PLOT * float(clip.sound_seconds) / page.seconds))
    page.draw.rectangle((LEFT, page.top, LEFT + PLOT - 1, page.top + MEL - 1), PANEL)
    picture = coloured(log_mel_picture(clip.waveform, clip.sample_rate, span, MEL // 2).repeat(2, axis=0))
    page.image.paste(Image.fromarray(picture), (LEFT, page.top))
    lowest = float(page.top + MEL + GAP)
    for hertz in HERTZ:
        y = page.top + MEL * (1 - mel_position(hertz, clip.sample_rate))
        if page.top + 6 <= y and lowest - y >= 20:
            text = f"{hertz // 1000}k" if hertz >= 1000 else str(hertz)
            page.draw.text((LEFT - 14, y), text, FAINT, _font(13), anchor="rm")
            page.draw.line((LEFT - 8, y, LEFT - 3, y), FAINT)
            lowest = y
    return page.down(MEL + GAP)


def _axis(page: _Page) -> _Page:
    """Seconds below, and a short tick at every step."""
    step = next(s for s in (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 1e9) if page.seconds / s <= 16)
    y = page.top - GAP + 6
    page.draw.line((LEFT, y, LEFT + PLOT, y), LINE, 2)
    for index in range(int(page.seconds / step + 1e-6) + 1):
        x = page.x(index * step)
        page.draw.line((x, y, x, y + 8), FAINT)
        page.draw.text((x, y + 13), f"{index * step:g} s", FAINT, _font(14), anchor="mt")
    return page.down(GAP + 16)
