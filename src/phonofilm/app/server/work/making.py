"""A job of the store becomes files in a folder."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

from phonofilm import __version__
from phonofilm.app.jobs.pool import BackendPool
from phonofilm.app.jobs.runner import run
from phonofilm.app.jobs.soundtrack import SoundtrackSpec, make_soundtrack
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.app.server.base.roles import MUSIC, fields_of, split_strength
from phonofilm.app.server.store.records import Job
from phonofilm.app.server.work.policy import Content, Policy, ask
from phonofilm.app.server.work.previews import events_of, make_previews, peaks
from phonofilm.app.server.work.watch import fraction
from phonofilm.app.story.board import story_of
from phonofilm.app.story.making import SHOT, StorySpec, make_story, shots_folder
from phonofilm.backends.base import JobContext
from phonofilm.backends.canvas.stems import stems_of, wanted
from phonofilm.errors import PhonofilmError
from phonofilm.media import provenance, read_metadata, write_clip
from phonofilm.media.metadata import COMPOSITE, digest_of
from phonofilm.perception.speech.registry import TextToSpeech
from phonofilm.provenance.layers import Layers, Marking
from phonofilm.types import Clip
from phonofilm.types import Made as MadeParts

MAKING = ("prompt", "negative", "effects", "music")
LOCAL = ("shots", "made")
"""Facts about a story that only its folder of shots gives a meaning."""
STEPS = 100
"""Into which the progress of a shot is divided."""


@dataclass(frozen=True)
class Made:
    """What a job made.

    Attributes:
        files: by variant, as "video", "audio" and "thumbnail".
        seconds: how long it lasts.
        facts: about it, for programs.
    """

    files: Mapping[str, Path]
    seconds: float
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Maker:
    """Does jobs of every kind.

    Attributes:
        models, loras, adapters: what clients call each of these, and what it is here.
    """

    models: Mapping[str, str]
    device: str
    pool: BackendPool
    policies: Sequence[Policy] = ()
    loras: Mapping[str, str] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)

    def make(self, job: Job, inputs: Mapping[str, Path], folder: Path, context: JobContext) -> Made:
        """Do a job.

        Args:
            inputs: files that it works on, by their role: "source", "image", "music".
            folder: to write into.

        Raises:
            PhonofilmError: it is not possible, or a policy is against it.
            Cancelled: `context` said so.
        """
        given = inputs.get("source") or inputs.get("music")
        text = _words(job.spec)
        ask(self.policies, Content("before", job.task, text, inputs.get("image"), given))
        made = {"film": self._film, "soundtrack": self._soundtrack, "speech": self._speech, "story": self._story}
        found = made[job.kind](job, inputs, folder, context)
        film = found.files.get("video") or found.files["audio"]
        ask(self.policies, Content("after", job.task, text, inputs.get("image"), film))
        return found

    def spec(self, job: Job, inputs: Mapping[str, Path]) -> RequestSpec:
        """The request of a job, with files and model as they are here."""
        values = dict(job.spec.get("request", {}))
        values |= fields_of({role: str(file) for role, file in inputs.items()})
        for name, files in (("loras", self.loras), ("adapters", self.adapters)):
            if name in values:
                values[name] = [_file_of(said, files) for said in values[name]]
        return RequestSpec.from_json(values | {"model": self.models[job.model], "device": self.device})

    def _film(self, job: Job, inputs: Mapping[str, Path], folder: Path, context: JobContext) -> Made:
        spec = self.spec(job, inputs)
        if job.spec.get("stems", True):
            with self.pool.use(spec.loading, context) as backend:
                has = stems_of(backend) and (spec.task == "animate" or wanted(spec.bare()).made)
            spec = replace(spec, stems=str(folder) if has else None)
        sound_alone = "video" in spec.no or (spec.only is not None and "video" not in spec.only)
        path = folder / ("video.wav" if sound_alone and spec.task == "generate" else "video.mp4")
        facts = run(spec, path, context, self.pool)
        stems = {name: Path(file) for name, file in facts.pop("stems", {}).items()}
        return self._shown(path, facts, stems, context)

    def _soundtrack(self, job: Job, inputs: Mapping[str, Path], folder: Path, context: JobContext) -> Made:
        given = dict(job.spec["soundtrack"])
        spec = SoundtrackSpec(
            making=self.spec(job, inputs),
            make=given.get("effects", True),
            say=tuple(given.get("say", ())),
            voices=tuple(given.get("voices", ())),
            music_file=str(inputs["music"]) if "music" in inputs else None,
            keep=given.get("keep", False),
            subtitles=given.get("subtitles", False),
            loudness=given.get("loudness", -23.0),
        )
        path = folder / "video.mp4"
        return self._shown(path, make_soundtrack(spec, path, context, self.pool), {}, context)

    def _story(self, job: Job, inputs: Mapping[str, Path], folder: Path, context: JobContext) -> Made:
        board = dict(job.spec["story"])
        if MUSIC in inputs:
            board["music"] = {**board["music"], "file": str(inputs[MUSIC].absolute())}
        told = StorySpec(story_of(board, "story", folder), self.spec(job, inputs), folder)
        path = folder / "video.mp4"
        facts = make_story(told, path, shot_by_shot(context), self.pool)
        rmtree(shots_folder(path))
        return self._shown(path, {name: value for name, value in facts.items() if name not in LOCAL}, {}, context)

    def _shown(self, path: Path, facts: dict[str, Any], stems: Mapping[str, Path], context: JobContext) -> Made:
        step: Callable[[int, int], None] = lambda done, total: context("previews", done, total)  # noqa: E731
        metadata = read_metadata(path)
        known = MadeParts(samples=(0, 1), part=metadata.get("digital_source_type") == COMPOSITE)
        seal = None
        if metadata.get("ai_generated") == "true":
            seal = Marking.of(Layers(watermark=False), context.warn).seal(metadata, known, (path,))
        files = {"audio" if path.suffix == ".wav" else "video": path, **make_previews(path, path.parent, step, seal)}
        files |= {f"stem-{name}": file for name, file in stems.items()}
        if stems:
            files["stems"] = _zipped(stems, path.parent / "stems.zip")
        subtitles = facts.pop("subtitles", None)
        if subtitles:
            files["subtitles"] = Path(subtitles)
        facts = {name: value for name, value in facts.items() if name not in ("path", "prompt")}
        return Made(files, float(facts["seconds"]), facts | {"events": events_of(path)})

    def _speech(self, job: Job, inputs: Mapping[str, Path], folder: Path, context: JobContext) -> Made:
        given = job.spec["speech"]
        context("speaking", 0, 1)
        said = TextToSpeech()(given["input"], given["voice"])
        waveform = said.waveform[None]
        told = {"prompt": given["input"], "seed": 0, "model": "speech", "weights": f"voice {given['voice']}"}
        metadata = provenance(**told, task="speech", request=digest_of(told), generator=f"phonofilm {__version__}")
        made = MadeParts(samples=(0, waveform.shape[1]))
        marking = Marking.of(Layers(), context.warn)
        clip = marking.clip(Clip(waveform=waveform, sample_rate=said.sample_rate, metadata=metadata), made)
        context("writing", 0, 1)
        path, shape = folder / "audio.wav", folder / "waveform.json"
        write_clip(clip, path, seal=marking.seal(metadata, made))
        marking.remember(path, metadata, made, context.warn)
        shape.write_text(json.dumps({"seconds": said.seconds, "peaks": peaks(waveform)}))
        words = [{"time": word.time, "end": word.end, "label": word.label, "kind": "word"} for word in said.words]
        facts = {"sample_rate": said.sample_rate, "channels": 1, "samples": len(said.waveform), "events": words}
        return Made({"audio": path, "waveform": shape}, said.seconds, facts)


def shot_by_shot(context: JobContext) -> JobContext:
    """A context for a story: the steps of each of its shots count as a part of the sampling of the whole."""
    at, of, reached = 0, 1, 0.0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal at, of, reached
        if stage == SHOT:
            at, of, reached = done, total, 0.0
        if context.progress is not None:
            reached = fraction(stage, done, total, reached)
            context.progress("sampling", round(STEPS * (at + reached)), STEPS * of)

    told = JobContext(progress, context.cancel, context.tell)
    told.notices = context.notices
    return told


def _file_of(said: str, files: Mapping[str, str]) -> str:
    """What a client's name of a LoRA or adapter is here, with the strength that may follow it."""
    name, strength = split_strength(said, files)
    if name not in files:
        raise PhonofilmError(f"{said} is not here any more; ask for another one")
    return files[name] + strength


def _zipped(stems: Mapping[str, Path], path: Path) -> Path:
    """The sound of all stems in one file, as it is."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, stem in stems.items():
            file.write(stem, f"{name}.wav")
    return path


def _words(spec: Mapping[str, Any]) -> str:
    """All text of a job, for policies."""
    request = spec.get("request", {})
    said = (
        *request.get("say", ()),
        *spec.get("soundtrack", {}).get("say", ()),
        spec.get("speech", {}).get("input", ""),
    )
    found = [*(request.get(name, "") for name in MAKING), *said, *_story_words(spec.get("story", {}))]
    return "\n".join(text for text in found if text)


def _story_words(board: Mapping[str, Any]) -> Iterator[str]:
    """All text of a storyboard, for policies."""
    yield from (*board.get("cast", {}).values(), *board.get("places", {}).values())
    yield board.get("music", {}).get("prompt", "")
    for shot in board.get("shot", ()):
        yield from (shot["prompt"], shot.get("effects", ""), *shot.get("say", ()))
