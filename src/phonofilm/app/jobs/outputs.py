"""What a job writes: its clip, and beside it the stems of its sound, all of them or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.backends.canvas.stems import stems_of, wanted
from phonofilm.choices import STEMS
from phonofilm.errors import PhonofilmError
from phonofilm.media.subtitles.cues import Cue
from phonofilm.media.write import Seal
from phonofilm.types import Clip, Request

MIX = "mix"


@dataclass(frozen=True)
class StemOutput:
    """Where stems go.

    Attributes:
        folder: for a WAV each, and one of their mix; None for no such files.
        tracks: whether they are tracks of the film itself.
    """

    folder: Path | None = None
    tracks: bool = False

    @staticmethod
    def of(request: Request | RequestSpec) -> StemOutput:
        """What a job in JSON says; a request says nothing of files."""
        if not isinstance(request, RequestSpec):
            return StemOutput()
        return StemOutput(None if request.stems is None else Path(request.stems), request.stem_tracks)

    def __bool__(self) -> bool:
        return self.folder is not None or self.tracks

    def check(self, path: Path, read: Iterable[str | None] = ()) -> None:
        """Refuse what cannot be written beside, or into, an output.

        Args:
            read: files that the job reads, which are not to be replaced.

        Raises:
            PhonofilmError: a folder that is a file or not writable, or tracks in a file that does not hold them.
        """
        from phonofilm.files import check_folder, check_not_read
        from phonofilm.media import check_stem_tracks

        if self.folder is not None:
            check_folder(self.folder)
            for name in (*STEMS, MIX):
                check_not_read(stem_path(self.folder, path, name), read)
        if self.tracks:
            check_stem_tracks(path)

    def check_model(self, request: Request, backend: object) -> None:
        """Refuse a model whose sound has no stems, and a film without sound.

        Raises:
            PhonofilmError: with what to do instead.
        """
        if self and not stems_of(backend):
            raise PhonofilmError(
                f"{request.model} has one mix of sound: stems need a model with speech, effects and music apart"
            )
        if self and not wanted(request).stems and request.task != "animate":
            raise PhonofilmError("there are no stems without sound; omit --stems and --stem-tracks")


@contextmanager
def beside(folder: Path | None, path: Path) -> Iterator[Callable[[str], Path]]:
    """Names of files to write for the stems of a clip; they take their places when all has gone well.

    Args:
        folder: where they go, as NAME-speech.wav for a clip NAME.mp4; None if none will be asked for.

    Yields:
        the file to write for a stem.
    """
    if folder is None:
        yield lambda stem: path
        return
    from phonofilm.files import folder_for

    with folder_for(folder), tempfile.TemporaryDirectory(prefix=".phonofilm-", dir=folder) as temporary:
        yield lambda stem: Path(temporary) / stem_path(folder, path, stem).name
        for file in sorted(Path(temporary).glob("*.wav")):
            os.replace(file, folder / file.name)


def stem_path(folder: Path, path: Path, stem: str) -> Path:
    """The file of one stem of a clip."""
    return folder / f"{path.stem}-{stem}.wav"


def write_outputs(
    clip: Clip,
    path: Path,
    output: StemOutput,
    subtitles: Sequence[Cue] = (),
    seal: Seal | None = None,
    check: Callable[[], None] = lambda: None,
    given: Collection[str] = (),
) -> dict[str, str]:
    """Write a clip and its stems; returns the files of the stems by name. `seal` and `check` as for `write_clip`.

    Args:
        given: stems that no model made: their files say nothing of one and are not signed.

    Raises:
        PhonofilmError: as `write_clip`; nothing is left then.
    """
    from phonofilm.media import write_clip

    parts = with_mix(clip)
    with beside(output.folder, path) as place:
        if output.folder is not None:
            for name, stem in parts.items():
                metadata = {} if name in given else clip.metadata
                alone = Clip(waveform=stem, sample_rate=clip.sample_rate, metadata=metadata)
                write_clip(alone, place(name), seal=None if name in given else seal, check=check)
        write_clip(clip, path, stem_tracks=output.tracks, subtitles=subtitles, seal=seal, check=check)
    return files(output.folder, path, parts)


class Tape:
    """Stems that come piece by piece, kept on disk until all of them are there."""

    def __init__(self, folder: Path | None, place: Callable[[str], Path], path: Path) -> None:
        self.folder, self.place, self.path = folder, place, path
        self.channels: dict[str, int] = {}

    def add(self, clip: Clip) -> None:
        """Keep the stems and the mix of a piece."""
        if self.folder is None:
            return
        for name, stem in with_mix(clip).items():
            self.channels[name] = len(stem)
            with self._raw(name).open("ab") as file:
                file.write(np.ascontiguousarray(stem.T).tobytes())

    def write(
        self, sample_rate: int, metadata: Mapping[str, str], seal: Seal | None = None, given: Collection[str] = ()
    ) -> dict[str, str]:
        """Write a WAV for each; returns the files by name. `given` as for `write_outputs`."""
        from phonofilm.media import write_clip

        for name, channels in self.channels.items():
            stem = np.memmap(self._raw(name), np.float32, "r").reshape(-1, channels).T
            alone = Clip(waveform=stem, sample_rate=sample_rate, metadata={} if name in given else metadata)
            write_clip(alone, self.place(name), seal=None if name in given else seal)
        return files(self.folder, self.path, self.channels)

    def _raw(self, name: str) -> Path:
        return self.place(name).with_suffix(".raw")


@contextmanager
def tapes(folder: Path | None, path: Path) -> Iterator[Tape]:
    """A `Tape` for a clip whose stems go into a folder; without one nothing is kept."""
    with beside(folder, path) as place:
        yield Tape(folder, place, path)


def with_mix(clip: Clip) -> Mapping[str, np.ndarray]:
    """The stems of a clip, and their mix."""
    return {**clip.stems, MIX: clip.waveform} if clip.waveform is not None and clip.stems else {}


def files(folder: Path | None, path: Path, names: Mapping[str, object]) -> dict[str, str]:
    """The files of stems by their names."""
    return {} if folder is None else {name: str(stem_path(folder, path, name)) for name in names}
