"""The options that several commands share, said once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from phonofilm.errors import PhonofilmError

OFFLOADS = ("none", "model", "sequential", "disk")
NETWORKS = ("phonofilm", "diffusers")
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
Lora = Annotated[
    list[str] | None,
    typer.Option("--lora", metavar="FILE[:X]", help="A LoRA for a public model, X strong; several are added."),
]
Offload = Annotated[
    str | None,
    typer.Option(metavar="none|model|sequential|disk", help="Where the parts of a public model wait; chosen if left."),
]
Network = Annotated[
    str | None, typer.Option(metavar="phonofilm|diffusers", help="Which code runs a public model's transformer.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what a public model would take here, and load nothing.")]
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


@dataclass(frozen=True)
class Loading:
    """How a model is loaded, and whether it is at all.

    Attributes:
        options: of `backends.load`, those that were given.
        dry_run: only say what it would take.
    """

    device: str
    options: dict[str, Any]
    dry_run: bool

    @staticmethod
    def of(device: str, offload: str | None, network: str | None, lora: Sequence[str] | None, dry_run: bool) -> Loading:
        """From the command line.

        Raises:
            PhonofilmError: a choice that there is not.
        """
        for name, value, known in (("--offload", offload, OFFLOADS), ("--network", network, NETWORKS)):
            if value is not None and value not in known:
                raise PhonofilmError(f"{name} {value} is not possible; choose one of {', '.join(known)}")
        given = {"offload": offload, "network": network, "loras": tuple(lora or ()) or None}
        return Loading(device, {name: value for name, value in given.items() if value is not None}, dry_run)
