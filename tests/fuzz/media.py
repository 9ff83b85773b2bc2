"""Films, sounds and pictures as a target: seeds from `tests/fixtures/fuzz`, read in every way that Phonofilm reads."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from fuzz.runner import Target

SEEDS = Path(__file__).parents[1] / "fixtures" / "fuzz"
PICTURES = (".png", ".jpg", ".gif")


def use(path: Path) -> None:
    """Read a file as every command that takes it does; a refusal by one way does not spare the others."""
    from phonofilm.errors import PhonofilmError
    from phonofilm.media import probe, read_clip, read_image
    from phonofilm.media.film import Film

    refused = None
    ways = [lambda: probe(path), lambda: read_clip(path), lambda: read_clip(path, seconds=0.2, squash=16, channels=2)]
    ways.append(lambda: list(islice(Film.open(path).frames(size=(8, 8)), 20)))
    if path.suffix in PICTURES:
        ways = [*ways[:2], lambda: read_image(path)]
    for way in ways:
        try:
            way()
        except PhonofilmError as error:
            refused = error
            if "\n" in str(error):
                raise
    if refused is not None:
        raise refused


def target() -> Target:
    return Target("media", {path.name: path.read_bytes() for path in sorted(SEEDS.iterdir())}, use)
