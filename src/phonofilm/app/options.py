"""The options that several commands share, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phonofilm.errors import PhonofilmError

FORMATS_HELP = ".mp4 .webm .mkv (lossless) .mov .m4v .wav .gif"

Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help=f"What to write; its name says how: {FORMATS_HELP}")
]
Prompt = Annotated[str, typer.Option("--prompt", "-p", metavar="TEXT", help="What is seen and heard, in prose.")]
Negative = Annotated[str, typer.Option(metavar="TEXT", help="What to steer away from.")]
Image = Annotated[Path | None, typer.Option(metavar="FILE", help="A picture that becomes the first frame.")]
Seed = Annotated[int, typer.Option(metavar="N", help="The same seed on the same machine gives the same bytes.")]
Steps = Annotated[int | None, typer.Option(metavar="N", help="Steps of the sampler: more is finer and slower.")]
Guidance = Annotated[
    str | None,
    typer.Option(
        metavar="G|V,A", help="How strictly to follow the prompt, for both or for picture and sound; 1 is not."
    ),
]
Size = Annotated[str | None, typer.Option(metavar="WxH|N", help="Pixels, as 320x180 or one side of a square.")]
Fps = Annotated[str | None, typer.Option(metavar="RATE", help="Frames a second, as 12, 23.976 or 30000/1001.")]
Model = Annotated[str, typer.Option(metavar="NAME|DIR", help="A model by name (see phonofilm models) or its folder.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and no progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """(width, height) from "320x180" or "64".

    Raises:
        PhonofilmError: it is neither.
    """
    if text is None:
        return None
    sides = text.lower().replace("×", "x").split("x")
    try:
        numbers = [int(side) for side in sides]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise PhonofilmError(f"a size of {text!r} is not possible; write WxH as in 320x180, or one side as in 64")
    return numbers[0], numbers[-1]


def parse_guidance(text: str | None) -> tuple[float, float] | None:
    """(video, audio) scales from "3" or "3,7".

    Raises:
        PhonofilmError: it is neither.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise PhonofilmError(f"a guidance of {text!r} is not possible; write one number, or video,audio as in 3,7")
    return numbers[0], numbers[-1]
