"""The layers of provenance that a job asks for, put on what it writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from phonofilm.errors import PhonofilmError
from phonofilm.extras import lacking, missing
from phonofilm.media import probe
from phonofilm.media.write import Seal
from phonofilm.provenance.kept.home import private_key
from phonofilm.provenance.kept.log import remember
from phonofilm.provenance.manifest.certificate import Identity, given_identity, own_identity
from phonofilm.provenance.manifest.sign import Claim, beside, sign
from phonofilm.provenance.watermark.given import mark_clip, mark_pieces
from phonofilm.provenance.watermark.signs import PUBLIC
from phonofilm.types import Clip, Made

SAID = ("task", "model", "weights", "seed", "generator", "request")
"""What a manifest repeats of a clip's metadata; its prompt only where that is to be published."""


@dataclass(frozen=True)
class Layers:
    """Which layers there are.

    Attributes:
        sign: a manifest, by `certificate` and `key` (PEM files) or the installation's own.
        watermark: a mark in sound and picture, by the public and the installation's private key.
        log: a fingerprint and the recipe, kept here.
        publish_prompt: whether the manifest holds the prompt.
    """

    sign: bool = True
    watermark: bool = True
    log: bool = True
    publish_prompt: bool = False
    certificate: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Marking:
    """Layers that are ready to be put on: keys are read, and whatever cannot be had was said before the work began."""

    layers: Layers
    keys: tuple[bytes, ...] = ()
    identity: Identity | None = None

    @staticmethod
    def of(layers: Layers, warn: Callable[[str], None]) -> Marking:
        """Read keys and certificates, or make them.

        Args:
            warn: told in one line where signing needs what is not installed.

        Raises:
            PhonofilmError: a certificate that is given cannot be used, or the installation's folder not be written.
        """
        keys = (PUBLIC, private_key()) if layers.watermark else ()
        identity = None
        if layers.sign and (absent := missing("provenance")):
            if layers.certificate is not None:
                raise lacking(absent[0], "signing")
            warn(f"the file gets no signed manifest: {lacking(absent[0], 'signing')}")
        elif layers.sign and layers.certificate is not None and layers.key is not None:
            identity = given_identity(layers.certificate, layers.key)
        elif layers.sign:
            identity = own_identity()
        return Marking(layers, keys, identity)

    def clip(self, clip: Clip, made: Made) -> Clip:
        """A clip with its marks in what of it was made."""
        return mark_clip(clip, made, self.keys) if self.keys else clip

    def pieces(self, clips: Iterator[Clip], given: Collection[str] = ()) -> Iterator[Clip]:
        """Pieces of a sound with their marks; stems that are `given` stay as they are."""
        return mark_pieces(clips, self.keys, given) if self.keys else clips

    def seal(self, metadata: Mapping[str, str], made: Made, given: tuple[str | Path, ...] = ()) -> Seal:
        """What gives a file its manifest before it takes its name."""
        said: dict[str, Any] = {name: metadata[name] for name in SAID if name in metadata}
        if self.layers.publish_prompt and "prompt" in metadata:
            said["prompt"] = metadata["prompt"]
        files = tuple(path for path in map(Path, given) if path.is_file())
        claim = Claim(made.part, files, " and ".join(f"the {name}" for name in made.streams), said)
        return partial(self._seal, replace(claim, marks=made.streams if self.keys else ()))

    def _seal(self, claim: Claim, file: Path, path: Path) -> None:
        if self.identity is None:
            beside(path).unlink(missing_ok=True)  # of another film that had this name
            return
        sign(file, claim, self.identity, path)

    def remember(self, path: Path, recipe: Mapping[str, Any], made: Made, warn: Callable[[str], None]) -> None:
        """Keep the fingerprint of what was made of a written file with its recipe; that it cannot be kept stops
        nothing."""
        if not self.layers.log:
            return
        try:
            remember(path, recipe, made.streams, _spans(path, made))
        except (PhonofilmError, OSError) as error:
            warn(f"{path.name} is not in the log of this installation: {error}")


def _spans(path: Path, made: Made) -> dict[str, tuple[float, float]]:
    """Seconds of the streams of which a part was made, where that part is known."""
    if not made.part:
        return {}
    info, found = probe(path), {}
    for name, (start, end), rate in (("picture", made.frames, info.fps), ("sound", made.samples, info.sample_rate)):
        if rate and end > start + 1:  # (0, 1) says that there is some
            found[name] = (float(start / rate), float(end / rate))
    return found
