"""The contact sheet of a story: a row for each shot, with its first, middle and last pictures."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from phonofilm.app.story.board import Placed, Story
from phonofilm.app.story.joining import Read
from phonofilm.files import atomic
from phonofilm.media.fonts import draw_text, wrapped
from phonofilm.media.sheet import FAINT, INK, PAPER, WIDTH, check_sheet

PICTURES, HEIGHT, TEXT, GAP = 5, 180, 420, 14


def story_sheet(path: Path, story: Story, placed: Sequence[Placed], read: Read, fps: Fraction) -> Path:
    """Write the sheet as PNG.

    Raises:
        PhonofilmError: a name that is no .png, or a folder that is not to be written in.
    """
    check_sheet(path)
    image = Image.new("RGB", (WIDTH, GAP + (HEIGHT + GAP) * len(placed)), PAPER)
    draw = ImageDraw.Draw(image)
    for number, place in enumerate(placed):
        top, shot = GAP + number * (HEIGHT + GAP), story.shot[number]
        draw_text(draw, (GAP, top), f"{number + 1}", INK, 30)
        begins = f"{float(place.start / fps):.2f} s, for {float(place.frames / fps):.2f} s"
        joined = f"{shot.join}" if number else "begins"
        draw_text(draw, (GAP + 50, top + 6), f"{begins} · {joined}", FAINT, 18)
        for line, text in enumerate(wrapped(story.text(number), 20, TEXT - 2 * GAP, 5)):
            draw_text(draw, (GAP, top + 42 + 26 * line), text, INK, 20)
        frames = read(number).picture.frames
        shown = np.linspace(0, len(frames) - 1, PICTURES).round().astype(int)
        wide = (WIDTH - TEXT - GAP) // PICTURES - GAP
        for place_of, frame in enumerate(shown):
            picture = Image.fromarray(frames[frame])
            scale = min(wide / picture.width, HEIGHT / picture.height)
            picture = picture.resize(
                (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS
            )
            image.paste(picture, (TEXT + place_of * (wide + GAP), top))
    with atomic(path) as temporary:
        image.save(temporary, format="PNG")
    return path
