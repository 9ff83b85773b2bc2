"""The files that a job works on: sent with it, fetched, or made here before; each is looked at before it is taken."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path

from phonofilm.app.server.base.files import RESULTS
from phonofilm.app.server.base.roles import GIVEN_STEM, MUSIC
from phonofilm.app.server.base.settings import Settings
from phonofilm.app.server.http.access import Identity
from phonofilm.app.server.http.bodies import ImageReference, VideoReference
from phonofilm.app.server.http.reading import Sent
from phonofilm.app.server.store.queue import Queue
from phonofilm.app.server.store.records import Job
from phonofilm.app.server.work.look import Looked, look
from phonofilm.app.server.work.outgoing import Outgoing
from phonofilm.app.web.refusals import RefusedError
from phonofilm.choices import STEMS
from phonofilm.errors import PhonofilmError

PICTURE_BYTES = 20 * 2**20
IMAGE = "input_reference"


@dataclass
class Given:
    """Files that a job works on, by role, and what they hold."""

    files: dict[str, Looked] = field(default_factory=dict)
    copies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seconds: float | None = None
    parent: str | None = None

    @property
    def names(self) -> dict[str, str]:
        """Roles, and the names of their files."""
        named = {role: f"{role}{looked.suffix}" for role, looked in self.files.items()}
        return named | {role: f"{role}{Path(place[-1]).suffix}" for role, place in self.copies.items()}


@dataclass(frozen=True)
class Inputs:
    """Takes files, whoever sends them."""

    settings: Settings
    queue: Queue
    outgoing: Outgoing

    def image(self, sent: Sent, reference: ImageReference | None, place: Path, given: Given) -> None:
        """The first picture: a file, a data URL, or one that is fetched.

        Raises:
            RefusedError: 400.
        """
        path = sent.files.get(IMAGE)
        if path is None and reference is not None:
            if reference.image_url is None:
                raise RefusedError(400, "send the picture itself, or its image_url", {}, "invalid_value", IMAGE)
            path = place / "fetched"
            path.write_bytes(self._fetched(reference.image_url))
        if path is not None:
            given.files["image"] = self._look(path, "image", IMAGE)

    def source(
        self, sent: Sent, reference: VideoReference | None, who: Identity, given: Given, audio: bool = False
    ) -> None:
        """The film that a job works on: a file, or one that was made here.

        Raises:
            RefusedError: 400, or 404 where there is no such film of this owner.
        """
        name = next((name for name in ("video", "audio") if name in sent.files), None)
        if name is not None:
            looked = self._look(sent.files[name], "film", name)
            if not audio and not looked.picture:
                raise RefusedError(400, "this file has no picture", code="invalid_file", param=name)
            given.files["source"], given.seconds = looked, looked.seconds
        elif reference is not None:
            variants = ("video", "audio") if audio else ("video",)
            job, given.copies["source"] = self._made_here(reference, who, variants, "video")
            given.seconds, given.parent = job.seconds, job.id
        else:
            raise RefusedError(400, "send a film: as a file, or the id of one as video[id]", {}, "missing", "video")

    def follow(self, sent: Sent, reference: VideoReference | None, who: Identity, given: Given) -> None:
        """A sound as loud over time as the new one is to be: a file, or that of a film that was made here.

        Raises:
            RefusedError: 400, 404.
        """
        if "follow" in sent.files:
            given.files["follow"] = self._sound(sent.files["follow"], "follow")
        elif reference is not None:
            _, given.copies["follow"] = self._made_here(reference, who, ("audio", "video"), "follow")

    def stems(self, sent: Sent, given: Given) -> None:
        """Stems that are not made but given.

        Raises:
            RefusedError: 400.
        """
        for stem in STEMS:
            if (name := f"{stem}_file") in sent.files:
                given.files[f"{GIVEN_STEM}{stem}"] = self._sound(sent.files[name], name)

    def music(self, sent: Sent, given: Given) -> None:
        """Music that is laid under a film.

        Raises:
            RefusedError: 400.
        """
        if "music_file" in sent.files:
            given.files[MUSIC] = self._sound(sent.files["music_file"], "music_file")

    def hits(self, sent: Sent, said: str | None, seconds: float | None) -> str | None:
        """Moments at which something sounds: those that are said, or the notes of a MIDI file within the clip.

        Raises:
            RefusedError: 400.
        """
        path = sent.files.get("hits_file")
        if path is None:
            return said
        if said is not None:
            raise RefusedError(400, "say hits or send a MIDI file, not both", code="invalid_value", param="hits_file")
        if seconds is None:
            what = "how much of a MIDI file is played depends on the clip's length; say seconds"
            raise RefusedError(400, what, code="invalid_value", param="seconds")
        return self._look(path, "midi", "hits_file", seconds).hits

    def _sound(self, path: Path, param: str) -> Looked:
        looked = self._look(path, "film", param)
        if not looked.sound:
            raise RefusedError(400, "this file has no sound", code="invalid_file", param=param)
        return looked

    def _made_here(
        self, reference: VideoReference, who: Identity, variants: tuple[str, ...], param: str
    ) -> tuple[Job, tuple[str, ...]]:
        """A job of this owner, and where the first of these files of it is."""
        job = self.queue.get(reference.id, who.sees)
        if job is None:
            raise RefusedError(404, "there is no such film", code="not_found", param=param)
        files = job.result.get("files", {})
        entry = next((files[name] for name in variants if name in files), None)
        if entry is None:
            raise RefusedError(400, "that job has made no film to work on", code="invalid_value", param=param)
        return job, (RESULTS, job.id, str(job.result["attempt"]), entry["name"])

    def _fetched(self, url: str) -> bytes:
        try:
            if url.startswith("data:"):
                header, _, content = url.partition(",")
                if not header.endswith(";base64"):
                    raise PhonofilmError("a data URL must read data:image/png;base64,…")
                return base64.b64decode(content, validate=True)
            return self.outgoing.get(url, PICTURE_BYTES)
        except (PhonofilmError, binascii.Error) as error:
            said = str(error) if isinstance(error, PhonofilmError) else "the data URL is not base64"
            raise RefusedError(400, said, code="image_url", param=IMAGE) from None

    def _look(self, path: Path, kind: str, param: str, seconds: float | None = None) -> Looked:
        longest = self.settings.seconds if seconds is None else seconds
        try:
            return look(path, kind, self.settings.pixels, longest, self.settings.decode_seconds)
        except PhonofilmError as error:
            raise RefusedError(400, str(error), code="invalid_file", param=param) from None
