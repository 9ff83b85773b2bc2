"""One request becomes one file, and the facts about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phonofilm.app.cli.session import Report, Session
from phonofilm.types import Clip, Request

if TYPE_CHECKING:
    from phonofilm.media.film import Film


def numbered(output: Path, count: int) -> list[Path]:
    """The names of `count` outputs: the one given, or that with -1, -2, … before its suffix."""
    if count == 1:
        return [output]
    return [output.with_name(f"{output.stem}-{number}{output.suffix}") for number in range(1, count + 1)]


class Maker:
    """A model that is loaded once and makes clip after clip."""

    def __init__(
        self, session: Session, report: Report, model: str, device: str, options: Mapping[str, Any] = {}
    ) -> None:
        from phonofilm.backends import load

        self.session, self.report = session, report
        report.progress("loading", 0, 1)
        self.backend = load(model, device=device, **options)

    def make(self, request: Request, path: Path) -> dict[str, Any]:
        """Generate and write; returns the facts about what was written.

        Raises:
            Cancelled: the session was interrupted.
            PhonofilmError: the request, or the writing, is not possible.
        """
        from phonofilm.media import write_clip

        clip = self.backend.generate(request, self.report.progress, self.session.cancelled)
        for line in clip.metadata.get("notices", "").splitlines():
            self.report.warn(line)
        self.report.progress("writing", 0, 1)
        write_clip(clip, path)
        return facts(clip, path, request.seed)

    def add_sound(self, film: Film, request: Request, path: Path) -> dict[str, Any]:
        """Write a film with the sound that the model makes of it; returns the facts about what was written.

        Raises:
            Cancelled: the session was interrupted.
            PhonofilmError: damage in the film, or the writing is not possible.
        """
        from phonofilm.backends.streamed import foley_film

        made = foley_film(self.backend, film, path, request, self.report.progress, self.session.cancelled)
        for line in made.metadata.get("notices", "").splitlines():
            self.report.warn(line)
        known: dict[str, Any] = {"path": str(path), "seconds": round(float(film.seconds), 6), "seed": request.seed}
        if path.suffix.lower() != ".wav":
            width, height = film.size
            known |= {"frames": film.ticks, "width": width, "height": height, "fps": str(film.fps)}
            known |= {"picture": "copied" if made.copied else "encoded again"}
        known |= {"samples": made.samples, "channels": made.channels, "sample_rate": made.sample_rate}
        return known | _origin(made.metadata)


def facts(clip: Clip, path: Path, seed: int) -> dict[str, Any]:
    """What a program wants to know about a written clip."""
    known: dict[str, Any] = {"path": str(path), "seconds": round(clip.seconds, 6), "seed": seed}
    if clip.frames is not None:
        count, height, width, _ = clip.frames.shape
        known |= {"frames": count, "width": width, "height": height, "fps": str(clip.fps)}
    if clip.waveform is not None:
        channels, samples = clip.waveform.shape
        known |= {"samples": samples, "channels": channels, "sample_rate": clip.sample_rate}
    return known | _origin(clip.metadata)


def _origin(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name: metadata[name] for name in ("prompt", "model", "weights") if name in metadata}


def say_plan(report: Report, request: Request, device: str, options: Mapping[str, Any]) -> None:
    """What making a clip with a public model would take on this machine.

    Raises:
        PhonofilmError: a model of our own, which needs no plan, or one that is not here.
    """
    from phonofilm.backends.base import plan

    report.progress("planning", 0, 1)
    found = plan(request, device, **options)
    report.set_fields(plan=found.facts(), model=request.model)
    for line in found.lines():
        report.print_line(line)
