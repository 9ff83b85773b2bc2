"""One job becomes one file, and the facts about it; no terminal is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from phonofilm.app.jobs.label import labelled, noticed, noticed_pieces
from phonofilm.app.jobs.outputs import StemOutput, tapes, write_outputs
from phonofilm.app.jobs.pool import BackendPool, Loading
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.app.jobs.speech import (
    check_subtitles,
    check_words,
    lines_told,
    sounds_of,
    spoken,
    told,
    with_speech,
    write_subtitles,
)
from phonofilm.backends.base import Backend, JobContext
from phonofilm.backends.requests import remarks
from phonofilm.backends.streamed import check_film, foley_film
from phonofilm.files import check_not_read
from phonofilm.media.subtitles.cues import cues_of
from phonofilm.media.write import Seal
from phonofilm.provenance.layers import Layers, Marking
from phonofilm.provenance.watermark.given import made_of
from phonofilm.types import Clip, Made, Request

SOUND_ALONE = Made(samples=(0, 1), part=True)
"""Of a film that was given, all sound was made."""


def run(
    request: Request | RequestSpec, path: str | Path, job: JobContext | None = None, pool: BackendPool | None = None
) -> dict[str, Any]:
    """Do a job and write its file; returns the facts about what was written.

    Args:
        job: told of progress and notices, and asked between steps whether to stop.
        pool: models that are loaded, or are loaded here, and stay so for the next job.

    Raises:
        PhonofilmError: the request, or the writing, is not possible; nothing is left half-written.
        Cancelled: `job` said so.
    """
    from phonofilm.media import check_output, left_out

    job, pool, path = job or JobContext(), pool or BackendPool(), check_output(path)
    if isinstance(request, RequestSpec):
        check_not_read(path, request.files)
    output = StemOutput.of(request)
    output.check(path, request.files if isinstance(request, RequestSpec) else ())
    if isinstance(request, RequestSpec) and request.subtitles:
        check_subtitles(path, request.files)
    if isinstance(request, RequestSpec) and request.task == "foley":
        return _add_sound(request, path, output, job, pool)
    loading, subtitles = Loading(request.model), False
    say: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    spec = request if isinstance(request, RequestSpec) else RequestSpec()
    marking = Marking.of(layers_of(spec), job.warn)
    if isinstance(request, RequestSpec):
        loading, say, voices, subtitles = request.loading, request.say, request.voices, request.subtitles
        if request.source is not None or request.image is not None:
            job("reading", 0, 1)
        request = request.open()
    for line in remarks(request):
        job.warn(line)
    with pool.use(loading, job) as backend:
        output.check_model(request, backend)
        words = spoken(request, say, voices, backend, job)
        clip = backend.generate(with_speech(request, words, backend), job.progress, job.cancel)
        clip = told(clip, words, backend, job)
    job("marking", 0, 1)
    clip, made = _marked(clip, request, spec, marking)
    _tell(clip.metadata, job)
    for line in left_out(clip, path):
        job.warn(line)
    job("writing", 0, 1)
    cues = cues_of(clip.events, clip.seconds) if subtitles and clip.waveform is not None else ()
    seal = marking.seal(clip.metadata, made, spec.files)
    stems = write_outputs(clip, path, output, cues, seal, job.check, clip.stems.keys() - set(made.stems))
    marking.remember(path, recipe(spec, clip.metadata), made, job.warn)
    written: dict[str, Any] = {"stems": stems, "said": lines_told(words)}
    written |= {"subtitles": write_subtitles(cues, path, job) if subtitles else None}
    return facts(clip, path, request.seed) | {name: value for name, value in written.items() if value}


def layers_of(spec: RequestSpec) -> Layers:
    """The layers of provenance that a job asks for."""
    return Layers(spec.sign, spec.watermark, spec.log, spec.publish_prompt, spec.c2pa_cert, spec.c2pa_key)


def recipe(spec: RequestSpec, metadata: Mapping[str, str]) -> dict[str, Any]:
    """What the log keeps of how a file was made."""
    return {**{name: value for name, value in metadata.items() if name not in ("events", "notices")}, **spec.to_json()}


def _marked(clip: Clip, request: Request, spec: RequestSpec, marking: Marking) -> tuple[Clip, Made]:
    """A clip with the labels that people see and hear, and then the marks that they do not."""
    made = made_of(clip, request)
    if spec.label:
        clip = labelled(clip, made)
    if spec.notice:
        clip = noticed(clip, made)
    return marking.clip(clip, made), made


def _add_sound(spec: RequestSpec, path: Path, output: StemOutput, job: JobContext, pool: BackendPool) -> dict[str, Any]:
    """The sound of a film of any length, read and written window by window."""
    from phonofilm.media import read_clip
    from phonofilm.media.film import Film

    job("reading", 0, 1)
    marking = Marking.of(layers_of(spec), job.warn)

    def treat(pieces: Iterator[Clip]) -> Iterator[Clip]:
        return marking.pieces(noticed_pieces(pieces) if spec.notice else pieces, tuple(request.given_stems))

    def seal(metadata: Mapping[str, str]) -> Seal:
        return marking.seal(metadata, SOUND_ALONE, spec.files)

    film = Film.open(spec.source or "")
    control = spec.read_control(read_clip, float(film.seconds))
    asked = replace(spec.bare(), given_stems=spec.read_stems(read_clip), **control)
    request = check_film(asked, film, path)
    with pool.use(spec.loading, job) as backend, tapes(output.folder, path) as tape:
        output.check_model(request, backend)
        spoken(request, (), (), backend, job)
        cues = cues_of(sounds_of(film.path)) if spec.subtitles else ()
        watched = (job.progress, job.cancel, tape.add)
        made = foley_film(backend, film, path, request, *watched, output.tracks, cues, treat, seal)
        stems = tape.write(made.sample_rate, made.metadata, seal(made.metadata), tuple(request.given_stems))
    marking.remember(path, recipe(spec, made.metadata), SOUND_ALONE, job.warn)
    _tell(made.metadata, job)
    known: dict[str, Any] = {"path": str(path), "seconds": round(float(film.seconds), 6), "seed": request.seed}
    if path.suffix.lower() != ".wav":
        width, height = film.size
        known |= {"frames": film.ticks, "width": width, "height": height, "fps": str(film.fps)}
        known |= {"picture": "copied" if made.copied else "encoded again"}
    known |= {"samples": made.samples, "channels": made.channels, "sample_rate": made.sample_rate}
    written: dict[str, Any] = {
        "stems": stems,
        "subtitles": write_subtitles(cues, path, job) if spec.subtitles else None,
    }
    return known | _origin(made.metadata) | {name: value for name, value in written.items() if value}


def check_job(spec: RequestSpec, backend: Backend) -> None:
    """Refuse what a loaded model cannot do, before anything is computed; of a source only its header is read.

    Raises:
        PhonofilmError: with what is wrong and what to do.
    """
    request = spec.outline()
    StemOutput.of(spec).check_model(request, backend)
    backend.check(request)
    check_words(request, spec.say, spec.voices)


def facts(clip: Clip, path: Path, seed: int) -> dict[str, Any]:
    """What a program wants to know about a written clip."""
    from phonofilm.media import stored_size

    known: dict[str, Any] = {"path": str(path), "seconds": round(clip.seconds, 6), "seed": seed}
    if clip.frames is not None:
        count, height, width, _ = clip.frames.shape
        width, height = stored_size(path, (width, height))
        known |= {"frames": count, "width": width, "height": height, "fps": str(clip.fps)}
    if clip.waveform is not None:
        channels, samples = clip.waveform.shape
        known |= {"samples": samples, "channels": channels, "sample_rate": clip.sample_rate}
    return known | _origin(clip.metadata)


def numbered(output: Path, count: int) -> list[Path]:
    """The names of `count` outputs: the one given, or that with -1, -2, … before its suffix."""
    if count == 1:
        return [output]
    return [output.with_name(f"{output.stem}-{number}{output.suffix}") for number in range(1, count + 1)]


def _tell(metadata: Mapping[str, str], job: JobContext) -> None:
    for line in metadata.get("notices", "").splitlines():
        job.warn(line)


def _origin(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name: metadata[name] for name in ("prompt", "model", "weights") if name in metadata}
