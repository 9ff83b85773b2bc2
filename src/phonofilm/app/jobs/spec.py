"""A job in JSON: what a command line, a line of a batch and the body of an HTTP request have in common."""

from __future__ import annotations

import base64
import binascii
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from phonofilm.app.jobs.fields import READERS, Invalid, plain
from phonofilm.app.jobs.pool import Loading
from phonofilm.backends.canvas.stems import wanted
from phonofilm.backends.requests import Fault, check, value_faults
from phonofilm.choices import (
    DEVICES,
    NETWORKS,
    OFFLOADS,
    QUANTIZATIONS,
    STEMS,
    TASKS,
    NetworkName,
    Offload,
    Part,
    Quantization,
    SamplerName,
    Stem,
    Task,
)
from phonofilm.control.hits import is_midi, read_hits
from phonofilm.errors import PhonofilmError
from phonofilm.perception.speech.registry import split_name
from phonofilm.perception.speech.script import given_line
from phonofilm.types import Clip, Request, default_of, nearest

DATA_URL = "data:image/png;base64,"
FILES = ("image", "source", "given_stems", "follow", "hits")
"""The fields that are files or text here, and arrays or numbers in a `Request`."""
LOADING = ("offload", "network", "loras", "components", "upsample", "quantize", "adapters")
"""The fields that are options of `backends.load`."""


class InvalidRequest(PhonofilmError):
    """A job that cannot be done as it is written; `faults` has one line for each thing that is wrong."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class RequestSpec:
    """A `Request` whose clips and image are files, with the model's options; see there for what is not said here.

    Attributes:
        image: a file, or a data URL.
        source: a file. given_stems: a file each. follow: a file.
        hits: moments as "0.5,1.25@0.8", or a MIDI file.
        stems: a folder into which each stem is written too, as NAME-speech.wav and so on, and NAME-mix.wav.
        stem_tracks: the stems are further tracks of sound in an .mkv.
        say: lines besides the words in quotes of the prompt, or when these are said, as "TEXT@1.5".
        voices: of those who speak, in their order; usual ones for the rest.
        subtitles: what is said and heard is also written beside the clip, and as a track where it takes one.
        sign, watermark, log: the layers of provenance; all are on unless one says no ([provenance](provenance.md)).
        label, notice: whether what is made says so for eyes and ears too.
        publish_prompt: whether the manifest holds the prompt.
        c2pa_cert, c2pa_key: PEM files to sign with; the installation's own without them.
        device: "auto", "cpu", "cuda" or "mps".
        offload, network, loras, components, upsample, quantize, adapters: options of `backends.load`.
    """

    prompt: str = ""
    task: Task = "generate"
    seconds: float | None = None
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    seed: int = 0
    video_seed: int | None = None
    audio_seed: int | None = None
    steps: int | None = None
    guidance: tuple[float, float] | None = None
    modality_guidance: tuple[float, float] | None = None
    stg: tuple[float, float] | None = None
    negative: str = ""
    image: str | None = None
    source: str | None = None
    span: tuple[float, float] | None = None
    only: tuple[Part, ...] | None = None
    sampler: SamplerName | None = None
    model: str = "nano"
    no: tuple[Part, ...] = ()
    effects: str = ""
    music: str = ""
    given_stems: Mapping[Stem, str] = field(default_factory=dict)
    gain: Mapping[Stem, float] = field(default_factory=dict)
    mix_as: Stem | None = None
    draft: bool = False
    hits: str | None = None
    follow: str | None = None
    sync: bool | None = None
    control_scale: float | None = None
    stems: str | None = None
    stem_tracks: bool = False
    say: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    subtitles: bool = False
    sign: bool = True
    watermark: bool = True
    log: bool = True
    label: bool = False
    notice: bool = False
    publish_prompt: bool = False
    c2pa_cert: str | None = None
    c2pa_key: str | None = None
    device: str = "auto"
    offload: Offload | None = None
    network: NetworkName | None = None
    loras: tuple[str, ...] = ()
    components: str | None = None
    upsample: bool = False
    quantize: Quantization | None = None
    adapters: tuple[str, ...] = ()

    @staticmethod
    def from_json(values: Any, base: RequestSpec | None = None) -> RequestSpec:
        """Read and check a job; what the object leaves out, or has as null, is as in `base`.

        Raises:
            InvalidRequest: with one line for each field that is unknown or wrong.
        """
        if not isinstance(values, Mapping):
            raise InvalidRequest([Fault("request", 'a job is an object, as {"prompt": "…", "seed": 1}')])
        read: dict[str, Any] = {}
        faults: list[Fault] = []
        for name, value in values.items():
            if name not in READERS:
                faults.append(Fault(str(name), _unknown(str(name))))
            elif value is not None:
                try:
                    read[name] = READERS[name](value, name)
                except Invalid as error:
                    faults.append(error.fault)
        spec = replace(base or RequestSpec(), **read)
        wrong = {fault.path for fault in faults}
        faults += [fault for fault in spec.faults() if fault.path.partition("[")[0] not in wrong]
        if faults:
            raise InvalidRequest(faults)
        return spec

    def to_json(self) -> dict[str, Any]:
        """Plain values of all fields that are not as by default: `from_json(to_json())` is the same job."""
        return {f.name: plain(v) for f in fields(self) if (v := getattr(self, f.name)) != default_of(f)}

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it reads."""
        image = None if self.image is None or self.image.startswith(DATA_URL) else self.image
        midi = self.hits if self.hits is not None and is_midi(self.hits) else None
        named = (self.source, image, self.follow, midi, *self.given_stems.values())
        return tuple(name for name in named if name is not None)

    @property
    def omitted(self) -> list[str]:
        """Parts that the film will not have since `only` does not name them; a retake keeps those of its clip."""
        if self.only is None or self.task not in ("generate", "foley"):
            return []
        found = wanted(self.bare())
        there = {*found.stems, *self.given_stems}
        picture = ["the picture"] if self.task == "generate" and not found.picture else []
        return picture + ([stem for stem in STEMS if stem not in there] if there else ["the sound"])

    @staticmethod
    def of(
        request: Request, source: str | Path | None = None, given_stems: Mapping[Stem, str] = MappingProxyType({})
    ) -> RequestSpec:
        """The job of a request; its image is written into a data URL, and of source and stems you name the files.

        Raises:
            PhonofilmError: a source or a stem that has no file.
        """
        if absent := request.given_stems.keys() - given_stems.keys():
            raise PhonofilmError(f"a given stem has no JSON; save {min(absent)} and name its file in given_stems")
        if request.follow is not None:
            raise PhonofilmError("a sound to follow has no JSON; save it and name its file in follow")
        if request.source is not None and source is None:
            raise PhonofilmError("a source clip has no JSON; save it and name its file: RequestSpec.of(request, path)")
        shared = {f.name: getattr(request, f.name) for f in fields(Request) if f.name not in FILES}
        image = None if request.image is None else _data_url(request.image)
        file = None if source is None else str(source)
        hits = ",".join(f"{time!r}@{strength!r}" for time, strength in request.hits) or None
        return RequestSpec(**shared, image=image, source=file, given_stems=dict(given_stems), hits=hits)

    def faults(self) -> Iterator[Fault]:
        """All that can be seen to be wrong before a file is opened."""
        image = np.zeros((1, 1, 3), np.uint8) if self.image is not None else None
        stems = {stem: Clip(waveform=np.zeros((1, 1), np.float32), sample_rate=1) for stem in self.given_stems}
        yield from value_faults(replace(self.bare(), image=image, given_stems=stems))
        if self.task == "generate" and self.source is not None:
            yield Fault("source", "generate takes no source clip; foley, animate, extend and retake do")
        if self.task in TASKS[1:] and not self.source:
            yield Fault("source", f"{self.task} needs a clip to work on; name its file")
        yield from self._word_faults()
        if self.hits is not None and not is_midi(self.hits):
            try:
                read_hits(self.hits, self.seconds if self.task == "generate" else None)
            except PhonofilmError as error:
                yield Fault("hits", str(error))
        if (self.c2pa_cert is None) != (self.c2pa_key is None):
            yield Fault("c2pa_cert", "a certificate to sign with needs its key, and a key its certificate; give both")
        if self.device.split(":")[0] not in DEVICES:
            yield Fault("device", f"unknown device {self.device!r}; choose one of {', '.join(DEVICES)}")
        choices = {"offload": OFFLOADS, "network": NETWORKS, "quantize": QUANTIZATIONS}
        for name, known in choices.items():
            if (value := getattr(self, name)) not in (None, *known):
                yield Fault(name, f"{value!r} is not possible; choose one of {', '.join(known)}")

    def _word_faults(self) -> Iterator[Fault]:
        if self.task != "generate":
            for name in ("say", "voices"):
                if getattr(self, name):
                    yield Fault(name, f"{self.task} says nothing; generate does, and soundtrack puts words into a film")
            return
        for name, read, values in (("say", given_line, self.say), ("voices", split_name, self.voices)):
            for place, value in enumerate(values):
                try:
                    read(value)
                except PhonofilmError as error:
                    yield Fault(f"{name}[{place}]", str(error))

    @property
    def loading(self) -> Loading:
        """The model and what it is loaded with."""
        given = {name: getattr(self, name) for name in LOADING}
        return Loading(self.model, self.device, tuple((name, value) for name, value in given.items() if value))

    def bare(self) -> Request:
        """The request without what is in files: image, source and stems."""
        return Request(**{f.name: getattr(self, f.name) for f in fields(Request) if f.name not in FILES})

    def open(self) -> Request:
        """The request, its files read; extend and retake without a prompt take that of the clip.

        Raises:
            PhonofilmError: a file that cannot be read, or a clip on which the task is not possible.
        """
        return self._with(_read_clip)

    def outline(self) -> Request:
        """As `open`, with stand-ins of the clips' sizes that take no memory: enough to check the request.

        Raises:
            PhonofilmError: as for `open`, as far as the headers of the files tell.
        """
        return self._with(_stand_in)

    def _with(self, read: Callable[[str], Clip]) -> Request:
        source = read(self.source) if self.source is not None else None
        seconds = self.seconds if source is None or source.frames is None else float(source.picture_seconds)
        request = replace(self.bare(), source=source, image=_read_image(self.image), given_stems=self.read_stems(read))
        request = replace(request, **self.read_control(read, seconds))
        if self.task in ("extend", "retake") and source is not None and not self.prompt:
            request = replace(request, prompt=source.prompt or "")
        check(request)
        return request

    def read_control(self, read: Callable[[str], Clip], seconds: float | None) -> dict[str, Any]:
        """What control modules are told, as fields of a `Request`.

        Args:
            seconds: how long the clip will be, if that is known.

        Raises:
            PhonofilmError: hits that make no sense, or a file that cannot be read or has no sound.
        """
        found: dict[str, Any] = {}
        if self.hits is not None:
            found["hits"] = tuple((hit.time, hit.strength) for hit in read_hits(self.hits, seconds))
        if self.follow is not None:
            clip = read(self.follow)
            if clip.waveform is None:
                raise PhonofilmError(f"{self.follow} has no sound, so there is nothing to follow")
            found["follow"] = Clip(waveform=clip.waveform, sample_rate=clip.sample_rate)
        return found

    def read_stems(self, read: Callable[[str], Clip]) -> dict[Stem, Clip]:
        """The stems that are given, without the pictures of their files.

        Raises:
            PhonofilmError: a file that cannot be read, or without sound.
        """
        found: dict[Stem, Clip] = {}
        for stem, file in self.given_stems.items():
            clip = read(file)
            if clip.waveform is None:
                raise PhonofilmError(f"{file} has no sound, so it cannot be the {stem}")
            found[stem] = Clip(waveform=clip.waveform, sample_rate=clip.sample_rate, layout=clip.layout)
        return found


def _unknown(name: str) -> str:
    close = get_close_matches(name, READERS, n=1, cutoff=0.7)
    return f"unknown field {name!r}; " + (f"did you mean {close[0]}?" if close else f"there are {', '.join(READERS)}")


def _read_image(image: str | None) -> np.ndarray | None:
    """uint8 [H, W, 3] of a file or a data URL."""
    from phonofilm.media import read_image

    if image is None or not image.startswith("data:"):
        return None if image is None else read_image(image)
    header, _, content = image.partition(",")
    try:
        if not header.endswith(";base64"):
            raise ValueError(header)
        decoded = base64.b64decode(content, validate=True)
    except (ValueError, binascii.Error) as error:
        raise PhonofilmError("image: the data URL must read data:image/png;base64,…") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(decoded)
        try:
            return read_image(path)
        except PhonofilmError as error:
            raise PhonofilmError("image: the data URL holds no picture that can be read; use PNG or JPEG") from error


def _data_url(image: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return DATA_URL + base64.b64encode(buffer.getvalue()).decode()


def _read_clip(path: str) -> Clip:
    """A clip with the stems that an .mkv may carry."""
    from phonofilm.media import read_clip
    from phonofilm.media.sound.stems import read_stems

    clip = read_clip(path)
    return clip if clip.waveform is None else clip.with_(stems=read_stems(path, clip.waveform.shape))


def _stand_in(path: str) -> Clip:
    from phonofilm.media import probe

    found = probe(path)
    frames = waveform = None
    if found.size is not None and found.fps is not None:
        width, height = found.size
        count = max(1, nearest(Fraction(found.seconds) * found.fps))
        frames = np.broadcast_to(np.zeros(3, np.uint8), (count, height, width, 3))
    if found.sample_rate is not None and found.channels is not None:
        samples = max(1, nearest(Fraction(found.seconds) * found.sample_rate))
        waveform = np.broadcast_to(np.zeros(1, np.float32), (found.channels, samples))
    fps, rate = (None if frames is None else found.fps), (None if waveform is None else found.sample_rate)
    return Clip(frames, fps, waveform, rate, prompt=found.metadata.get("prompt"))
