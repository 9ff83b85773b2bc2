"""A file that is written gets its manifest: inside it where its kind carries one, else beside it."""

from __future__ import annotations

import datetime
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phonofilm import __version__
from phonofilm.errors import PhonofilmError
from phonofilm.extras import optional
from phonofilm.files import atomic, write_bytes
from phonofilm.media.metadata import COMPOSITE, TRAINED_ALGORITHMIC_MEDIA
from phonofilm.provenance.manifest.certificate import Identity, trusted_roots

CARRIES = {
    ".mp4": "video/mp4",
    ".m4v": "video/x-m4v",
    ".mov": "video/quicktime",
    ".wav": "audio/wav",
    ".gif": "image/gif",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".avi": "video/avi",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
"""Kinds of files that carry a manifest, by their MIME types."""
OTHER = "application/octet-stream"
"""Files of any other kind, over all of whose bytes a manifest beside them counts."""
BESIDE = ".c2pa"
CORE = {"backing_store_memory_threshold_in_mb": 16}
"""Copies in the making lie on disk where they are larger."""
PIECES = {"merkle_tree_chunk_size_in_kb": 1024}
"""Picture and sound of an MP4 are hashed in pieces, so that a film of any length is signed and verified in the same
memory. An MP4 in fragments, as one that grew, and files of other kinds are hashed 256 MiB at a time."""


@dataclass(frozen=True)
class Claim:
    """What a manifest says of a file.

    Attributes:
        composite: part of it was given.
        given: the films that it was made of, the one that was worked on first.
        made: what a model made, in words: "the sound", "the picture from 1 to 2.5 s".
        said: facts for programs: model, weights, task, seed, and the prompt if it may be published.
        marks: which marks lie in sound and picture ("sound", "picture").
    """

    composite: bool = False
    given: tuple[Path, ...] = ()
    made: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


def mime(path: str | Path) -> str:
    """The MIME type of a file whose kind carries a manifest, or that of all others."""
    return CARRIES.get(Path(path).suffix.lower(), OTHER)


def beside(path: str | Path) -> Path:
    """The manifest beside a file that cannot carry one."""
    path = Path(path)
    return path.with_name(path.name + BESIDE)


def sign(file: Path, claim: Claim, identity: Identity, path: Path | None = None) -> Path:
    """Give a file its manifest; returns where this is. The file itself is replaced in one step, or stays as it was.

    Args:
        path: the name that the file is about to take, if it is not its own yet.

    Raises:
        PhonofilmError: c2pa-python is not installed, or the file or a given one cannot be signed.
    """
    with optional("signing"):
        import c2pa
    path = path or file
    kind, target = mime(path), beside(path)
    info = c2pa.C2paSignerInfo(identity.algorithm.encode(), identity.chain, identity.key, None)
    try:
        builder = c2pa.Builder(json.dumps(_definition(path, claim)), context=context(pieces=_is_in_one(file)))
        for number, given in enumerate(claim.given):
            _add_given(builder, given, "parentOf" if number == 0 else "componentOf")
        signer = c2pa.Signer.from_info(info)
        if kind != OTHER:
            with atomic(file) as temporary:
                with file.open("rb") as source, temporary.open("w+b") as signed:
                    builder.sign(signer, kind, source, signed)
                os.chmod(temporary, file.stat().st_mode & 0o777)
            return path
        builder.set_no_embed()
        with file.open("rb") as source:
            manifest = builder.sign(signer, kind, source, _Nowhere())
        return write_bytes(target, manifest)
    except c2pa.C2paError as error:
        raise PhonofilmError(f"{path.name} cannot be signed: {error}; --no-sign writes it without") from error


def context(pieces: bool = False) -> Any:
    """Settings of the library: nothing is fetched from anywhere, and the roots of this installation are trusted.

    Args:
        pieces: hash what is signed in pieces (`PIECES`).
    """
    with optional("signing"):
        import c2pa
    anchors = trusted_roots().decode()
    settings: dict[str, Any] = {
        "verify": {"verify_trust": bool(anchors), "remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
        "core": CORE | (PIECES if pieces else {}),
    }
    if anchors:
        settings["trust"] = {"user_anchors": anchors}
    return c2pa.Context.from_dict(settings)


def _is_in_one(path: Path) -> bool:
    """Whether all picture and sound of a file lie in one box of media data, as in an MP4 that is not in fragments."""
    boxes, place, end = [], 0, path.stat().st_size
    with path.open("rb") as file:
        while place + 8 <= end:
            file.seek(place)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            size = int.from_bytes(head[8:16], "big") if size == 1 else size or end - place
            if size < 8:
                return False
            boxes.append(kind)
            place += size
    return place == end and boxes.count(b"mdat") == 1 and b"moof" not in boxes


def _add_given(builder: Any, path: Path, relationship: str) -> None:
    """A given file as an ingredient; its own manifest, inside or beside it, comes with it."""
    import c2pa

    said: dict[str, Any] = {"title": path.name, "relationship": relationship, "label": f"given {path.name}"}
    own = beside(path)
    if mime(path) == OTHER and own.is_file():
        manifest = own.read_bytes()
        with path.open("rb") as file:
            found = json.loads(c2pa.Reader(OTHER, file, manifest, context=context()).json())
        name = f"manifest of {path.name}"
        builder.add_resource(name, io.BytesIO(manifest))
        said |= {"active_manifest": found["active_manifest"], "validation_results": found["validation_results"]}
        said |= {"manifest_data": {"format": "application/c2pa", "identifier": name}}
    with path.open("rb") as file:
        builder.add_ingredient(json.dumps(said), mime(path), file)


def _definition(path: Path, claim: Claim) -> dict[str, Any]:
    source = COMPOSITE if claim.composite else TRAINED_ALGORITHMIC_MEDIA
    agent = {"name": "Phonofilm", "version": __version__}
    parameters = {"ingredientIds": [f"given {file.name}" for file in claim.given[:1]]}
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    made: dict[str, Any] = {"action": "c2pa.created", "digitalSourceType": source, "softwareAgent": agent, "when": when}
    actions = [made]
    if claim.given:
        opened: dict[str, Any] = {"action": "c2pa.opened", "softwareAgent": agent, "parameters": parameters}
        actions = [opened, made | {"action": "c2pa.edited"}]
    if claim.made:
        actions[-1]["description"] = f"A model made {claim.made}."
    if claim.marks:
        actions.append({"action": "c2pa.watermarked.unbound", "softwareAgent": agent, "description": _marked(claim)})
    assertions: list[dict[str, Any]] = [{"label": "c2pa.actions", "data": {"actions": actions}}]
    if claim.said:
        assertions.append({"label": "org.phonofilm.recipe", "data": claim.said})
    return {
        "claim_generator_info": [{"name": "Phonofilm", "version": __version__}],
        "title": path.name,
        "format": mime(path),
        "assertions": assertions,
    }


def _marked(claim: Claim) -> str:
    return f"A mark without content lies in the {' and the '.join(claim.marks)}."


class _Nowhere:
    """A stream that a signed copy is written into which nobody needs."""

    def __init__(self) -> None:
        self.at = self.end = 0

    def write(self, content: bytes) -> int:
        self.at += len(content)
        self.end = max(self.end, self.at)
        return len(content)

    def read(self, count: int = -1) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.end)[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def flush(self) -> None:
        pass
