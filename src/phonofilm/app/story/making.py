"""A storyboard becomes a film: shot by shot by whatever model there is, kept until they are asked for again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm import __version__
from phonofilm.app.jobs.pool import BackendPool
from phonofilm.app.jobs.runner import layers_of, run
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.app.jobs.speech import rate_of
from phonofilm.app.story.board import Placed, Story, timeline
from phonofilm.app.story.joining import lay, own_sound, pictures
from phonofilm.app.story.memory import Remembering, told_without
from phonofilm.app.story.sheet import story_sheet
from phonofilm.backends.base import Backend, JobContext
from phonofilm.backends.canvas.fit import to_length
from phonofilm.backends.canvas.stems import stems_of
from phonofilm.backends.registry import fingerprint
from phonofilm.backends.requests import MAX_SECONDS
from phonofilm.backends.streamed import window_of
from phonofilm.choices import Stem
from phonofilm.config import parse_json
from phonofilm.errors import PhonofilmError
from phonofilm.files import check_folder, folder_for, write_bytes
from phonofilm.media import check_output, provenance, read_clip, stored_size, write_clip
from phonofilm.media.metadata import digest_of
from phonofilm.media.resample import mix, resample_audio
from phonofilm.media.sheet import check_sheet
from phonofilm.media.sound.stems import read_stems
from phonofilm.media.write import write_joined
from phonofilm.provenance.layers import Marking
from phonofilm.provenance.watermark.picture import mark_frames
from phonofilm.provenance.watermark.sound import mark_sound
from phonofilm.signals.limiting import limited
from phonofilm.types import Clip, Made, nearest

INDEX = "shots.json"
SHOT = "shot"
"""The stage that is reported before each shot, whose own stages follow."""
ANOTHER = 1000
"""Added to the seed of a shot that is taken again without saying with which."""


@dataclass(frozen=True)
class StorySpec:
    """What is made of a storyboard.

    Attributes:
        base: model, seed and how to sample, for all shots. folder: where the storyboard lies.
        resume: keep the shots that are there. retakes: numbers of shots (from 1) that are made anew, and with which
            seed, if that is said.
    """

    story: Story
    base: RequestSpec
    folder: Path
    resume: bool = False
    retakes: Mapping[int, int | None] | None = None
    sheet: Path | None = None


def shots_folder(path: Path) -> Path:
    """Where the shots of a film are kept: beside it."""
    return path.with_name(f"{path.stem}.story")


def make_story(
    spec: StorySpec, path: Path, job: JobContext | None = None, pool: BackendPool | None = None
) -> dict[str, Any]:
    """Make the shots that are not there yet, and the film of all of them; returns the facts.

    Raises:
        PhonofilmError: a shot that is not possible, or a file that cannot be written. Shots that are made stay.
        Cancelled: `job` said so.
    """
    job, pool = job or JobContext(), pool or BackendPool()
    check_output(path)
    if path.suffix.lower() in (".gif", ".wav"):
        raise PhonofilmError(f"{path.name}: a story has picture and sound; use .mp4, .webm, .mkv or .mov")
    if spec.sheet is not None:
        check_sheet(spec.sheet)
    folder = check_folder(shots_folder(path))
    marking = Marking.of(layers_of(spec.base), job.warn)
    with folder_for(folder):
        maker = _Maker(spec, folder, job, pool)
        maker.make()
        facts = _join(maker, path, marking, job)
        if spec.sheet is not None:
            story_sheet(spec.sheet, spec.story, maker.placed, maker.clip, maker.fps)
            facts["sheet"] = str(spec.sheet)
        return facts


class _Maker:
    """Makes the shots of a story, each of which is a file that is named by all that decides it."""

    def __init__(self, spec: StorySpec, folder: Path, job: JobContext, pool: BackendPool) -> None:
        self.spec, self.folder, self.job, self.pool = spec, folder, job, pool
        self.story = spec.story
        with pool.use(spec.base.loading, job) as backend:
            self.stems, self.rate = stems_of(backend), rate_of(backend)
            self.remembers = isinstance(backend, Remembering)
            window = window_of(backend)
            self.base = _outlined(spec, backend)
        fps = self.base.fps or window.fps
        if fps is None:
            raise PhonofilmError("the model says no frame rate of its own; write fps = 24 into the storyboard")
        self.fps: Fraction = fps
        self.base = replace(self.base, fps=fps)
        self.placed = timeline(self.story, fps)
        self.weights = fingerprint(spec.base.model, **dict(spec.base.loading.options))
        self.seeds = self._seeds()
        self.made: list[int] = []
        self.files: list[Path] = []
        self.bed: np.ndarray | None = None
        self.bed_made = False

    @property
    def samples(self) -> int:
        """Of the whole film."""
        return nearest(self.placed[-1].end / self.fps * self.rate)

    def make(self) -> None:
        """Make all that is not there."""
        names = tuple(dict.fromkeys(n for s in self.story.shot for n in (*s.cast, *([s.place] if s.place else []))))
        again = [n for n in names if sum(n in s.cast or n == s.place for s in self.story.shot) > 1]
        if again and not self.remembers:
            self.job.warn(told_without(self.spec.base.model, tuple(again)))
        self.bed = self._music()
        for number in range(len(self.story.shot)):
            self.job(SHOT, number, len(self.story.shot))
            self.files.append(self._shot(number))
        kept = {file.name for file in self.files}
        facts = {"seeds": {str(n + 1): seed for n, seed in self.seeds.items()}, "shots": [f.name for f in self.files]}
        write_bytes(self.folder / INDEX, (json.dumps(facts) + "\n").encode())
        for old in self.folder.glob("shot-*.mkv"):
            if old.name not in kept:
                old.unlink()

    def clip(self, number: int) -> Clip:
        """A shot that is made, with its stems."""
        clip = read_clip(self.files[number])
        return clip if clip.waveform is None else clip.with_(stems=read_stems(self.files[number], clip.waveform.shape))

    def _seeds(self) -> dict[int, int]:
        """The seed of each shot: what the board says, what an earlier retake chose, or what this one does."""
        kept = _kept_seeds(self.folder) if self.spec.resume or self.spec.retakes else {}
        found = {}
        for number, shot in enumerate(self.story.shot):
            usual = self.spec.base.seed + number if shot.seed is None else shot.seed
            found[number] = kept.get(number, usual) if shot.seed is None else usual
        for number, seed in (self.spec.retakes or {}).items():
            if not 1 <= number <= len(found):
                raise PhonofilmError(f"there is no shot {number} to take again; there are {len(found)}")
            found[number - 1] = found[number - 1] + ANOTHER if seed is None else seed
        return found

    def _music(self) -> np.ndarray | None:
        """float32 [2, N]: the bed of the whole film, made once or read."""
        music = self.story.music
        if music is None:
            return None
        if music.file is not None:
            clip = read_clip(self.spec.folder / music.file)
            if clip.waveform is None or not clip.sample_rate:
                raise PhonofilmError(f"the music {music.file} has no sound")
            sound = resample_audio(mix(clip.waveform, 2, clip.layout), clip.sample_rate, self.rate)
        else:
            sound = self._made_music(music.prompt)
        return np.asarray(to_length(sound, self.samples) * np.float32(10 ** (music.gain / 20)), np.float32)

    def _made_music(self, prompt: str) -> np.ndarray:
        seconds = float(self.placed[-1].end / self.fps)
        if "music" not in self.stems:
            raise PhonofilmError(
                f"{self.spec.base.model} has one mix of sound and makes no music by itself: give [music] file = …, or "
                "leave it out"
            )
        if seconds > MAX_SECONDS:
            raise PhonofilmError(f"a story of {seconds:.0f} s is too long for music of a model; give [music] file = …")
        self.bed_made = True
        spec = replace(self.base, prompt=prompt, music=prompt, seconds=seconds, only=("music",))
        file = self.folder / f"music-{self._digest(spec, None)}.mkv"
        if not (self.spec.resume or self.spec.retakes) or not file.is_file():
            run(spec, file, self.job, self.pool)
        clip = read_clip(file)
        return clip.sound.waveform

    def _shot(self, number: int) -> Path:
        shot, place = self.story.shot[number], self.placed[number]
        spec = replace(
            self.base,
            prompt=self.story.text(number),
            seconds=float(place.frames / self.fps),
            seed=self.seeds[number],
            effects=shot.effects,
            say=shot.say,
            voices=shot.voices,
            stem_tracks=bool(self.stems),
        )
        under = self._under(place)
        file = self.folder / f"shot-{number + 1:02d}-{self._digest(spec, under, number)}.mkv"
        if (self.spec.resume or self.spec.retakes) and file.is_file():
            return file
        try:
            self._make_shot(number, spec, under, file)
        except PhonofilmError as error:
            raise type(error)(f"shot {number + 1}: {error}") from error
        self.made.append(number + 1)
        return file

    def _make_shot(self, number: int, spec: RequestSpec, under: np.ndarray | None, file: Path) -> None:
        if self.remembers:
            self._make_remembering(number, spec, under, file)
            return
        if under is None:
            run(spec, file, self.job, self.pool)
            return
        given = self.folder / f"under-{number + 1:02d}.mkv"
        try:
            write_clip(Clip(waveform=under, sample_rate=self.rate), given)
            run(replace(spec, given_stems={"music": str(given)}), file, self.job, self.pool)
        finally:
            given.unlink(missing_ok=True)

    def _make_remembering(self, number: int, spec: RequestSpec, under: np.ndarray | None, file: Path) -> None:
        """By a model that has memory, of the first appearance of each."""
        shot = self.story.shot[number]
        names = (*shot.cast, *([shot.place] if shot.place else []))
        first = {name: self.story.first_with(name) for name in names}
        given: dict[Stem, Clip] = {} if under is None else {"music": Clip(waveform=under, sample_rate=self.rate)}
        with self.pool.use(spec.loading, self.job) as backend:
            assert isinstance(backend, Remembering)
            memories = {name: backend.remember(self.clip(n)) for name, n in first.items() if n < number}
            request = replace(spec.open(), given_stems=given)
            clip = backend.generate_with(request, memories, self.job.progress, self.job.cancel)
        write_clip(clip, file, stem_tracks=bool(clip.stems))

    def _under(self, place: Placed) -> np.ndarray | None:
        """The bed under a shot, where the model hears it."""
        if self.bed is None or "music" not in self.stems:
            return None
        start, end = (nearest(frame / self.fps * self.rate) for frame in (place.start, place.end))
        return self.bed[:, start:end]

    def _digest(self, spec: RequestSpec, under: np.ndarray | None, number: int = -1) -> str:
        told = [spec.to_json(), self.weights]
        if under is not None:
            told.append(hashlib.sha256(np.ascontiguousarray(under).tobytes()).hexdigest())
        if self.remembers and number >= 0:  # what it remembers decides it as well
            shot = self.story.shot[number]
            names = (*shot.cast, *([shot.place] if shot.place else []))
            told.append([self.files[n].name for name in names if (n := self.story.first_with(name)) < number])
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def _outlined(spec: StorySpec, backend: Backend) -> RequestSpec:
    """What all shots have in common, with the storyboard's size and rate; no shot is signed by itself."""
    said = {name: value for name, value in (("size", spec.story.size), ("fps", spec.story.fps)) if value is not None}
    base = RequestSpec.from_json({"prompt": "-", **said}, spec.base)
    return replace(base, sign=False, watermark=False, log=False, label=False, notice=False)


def _kept_seeds(folder: Path) -> dict[int, int]:
    file = folder / INDEX
    if not file.is_file():
        return {}
    try:
        seeds = parse_json(file.read_bytes())["seeds"]
        return {int(number) - 1: int(seed) for number, seed in seeds.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PhonofilmError(f"{file} is damaged; remove the folder {folder} and make the story anew") from error


def _join(maker: _Maker, path: Path, marking: Marking, job: JobContext) -> dict[str, Any]:
    """Write the film of all shots."""
    fps, rate, placed = maker.fps, maker.rate, maker.placed
    job("joining", 0, len(placed))
    own = np.zeros((2, maker.samples), np.float32)
    size = (0, 0)
    for number, place in enumerate(placed):
        clip = maker.clip(number)
        size = clip.picture.frames.shape[2], clip.picture.frames.shape[1]
        sound = own_sound(clip)
        sound = mix(resample_audio(sound, clip.sound.sample_rate, rate), 2, clip.layout)
        after = placed[number + 1].overlap if number + 1 < len(placed) else 0
        lay(own, sound, place, after, fps, rate)
        job("joining", number + 1, len(placed))
    given = np.zeros_like(own) if maker.bed is None else maker.bed
    made, under = (own + given, np.zeros_like(own)) if maker.bed_made else (own, given)
    if marking.keys:
        made = made + mark_sound(made, rate, marking.keys)
    whole = made + under
    frames = pictures(maker.clip, placed)
    if marking.keys:
        frames = _marked(frames, fps, marking)
    metadata = _metadata(maker)
    job("writing", 0, 1)
    known = Made((0, placed[-1].end), (0, maker.samples), part=maker.bed is not None and not maker.bed_made)
    files = [] if not known.part else [str(maker.spec.folder / (maker.story.music.file or ""))]  # type: ignore[union-attr]
    seal = marking.seal(metadata, known, tuple(files))
    pieces = limited(lambda start, stop: whole[:, start:stop], whole.shape[1], rate)
    write_joined(path, frames, size, fps, pieces, rate, metadata, seal=seal, check=job.check)
    marking.remember(path, metadata, known, job.warn)
    facts: dict[str, Any] = {"path": str(path), "seconds": round(float(placed[-1].end / fps), 6)}
    facts |= dict(zip(("width", "height"), stored_size(path, size), strict=True))
    facts |= {"frames": placed[-1].end, "samples": maker.samples, "sample_rate": rate, "fps": str(fps)}
    starts = [round(float(place.start / fps), 6) for place in placed]
    facts |= {"shots": [str(file) for file in maker.files], "starts": starts, "made": maker.made}
    return facts | {"seeds": [maker.seeds[number] for number in range(len(placed))]}


def _marked(frames: Iterator[np.ndarray], fps: Fraction, marking: Marking) -> Iterator[np.ndarray]:
    """Frames with their marks, a dozen at a time."""
    batch: list[np.ndarray] = []
    done = 0
    for frame in frames:
        batch.append(frame)
        if len(batch) == 12:
            yield from mark_frames(np.stack(batch), fps, marking.keys, done)
            done, batch = done + len(batch), []
    if batch:
        yield from mark_frames(np.stack(batch), fps, marking.keys, done)


def _metadata(maker: _Maker) -> dict[str, str]:
    return provenance(
        prompt=" / ".join(shot.prompt for shot in maker.story.shot),
        seed=maker.spec.base.seed,
        model=maker.spec.base.model,
        weights=maker.weights,
        composite=maker.bed is not None and not maker.bed_made,
        task="story",
        request=digest_of(maker.spec.base.to_json(), asdict(maker.story), sorted(maker.seeds.items())),
        shots=len(maker.placed),
        generator=f"phonofilm {__version__}",
    )
