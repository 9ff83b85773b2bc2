"""Nodes of ComfyUI (V3 schema) that let a Phonofilm server make film and sound."""

from __future__ import annotations

import io as bytes_io
import json
import wave
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import ComfyExtension, InputImpl, io
from PIL import Image

from .client import Server

PhonofilmServer = io.Custom("PHONOFILM_SERVER")
CATEGORY = "phonofilm"
STEMS = ("speech", "effects", "music")


def _image_of(content: bytes) -> torch.Tensor:
    """IMAGE float32 [1, H, W, 3] of a picture file."""
    pixels = np.asarray(Image.open(bytes_io.BytesIO(content)).convert("RGB"))
    return torch.from_numpy(pixels.astype(np.float32) / 255)[None]


def _picture_file(image: torch.Tensor) -> bytes:
    """PNG of the first picture of an IMAGE."""
    file = bytes_io.BytesIO()
    pixels = (image[0].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _samples(content: bytes) -> tuple[np.ndarray, int]:
    """float32 [C, N] and rate of a WAV file of 16 or 24 bits, plain or extensible."""
    place, rate, channels, width = 12, 0, 1, 2
    while place + 8 <= len(content):
        name, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        body = content[place + 8 : place + 8 + size]
        if name == b"fmt ":
            channels, rate = int.from_bytes(body[2:4], "little"), int.from_bytes(body[4:8], "little")
            width = int.from_bytes(body[14:16], "little") // 8
        if name == b"data":
            parts = np.frombuffer(body[: len(body) // width * width], np.uint8).reshape(-1, width)
            wide = np.zeros((len(parts), 4), np.uint8)
            wide[:, 4 - width :] = parts  # to the upper end of 32 bits
            samples = wide.view("<i4").reshape(-1, channels).T
            return (samples / 2.0**31).astype(np.float32), rate
        place += 8 + size + size % 2
    raise ValueError("a WAV file without samples")


def _audio_of(content: bytes) -> dict[str, Any]:
    """AUDIO of a WAV file."""
    samples, rate = _samples(content)
    return {"waveform": torch.from_numpy(samples.copy())[None], "sample_rate": rate}


def _sound_file(audio: dict[str, Any]) -> bytes:
    """A WAV file of an AUDIO."""
    samples = (audio["waveform"][0].clamp(-1, 1) * 32767).round().to(torch.int16).cpu().numpy()
    file = bytes_io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(len(samples))
        output.setsampwidth(2)
        output.setframerate(int(audio["sample_rate"]))
        output.writeframes(np.ascontiguousarray(samples.T).astype("<i2").tobytes())
    return file.getvalue()


def _film_file(video: Any) -> bytes:
    """MP4 of a VIDEO."""
    file = bytes_io.BytesIO()
    video.save_to(file)
    return file.getvalue()


def _make(server: Server, path: str, fields: dict[str, Any], files: dict[str, bytes]) -> io.NodeOutput:
    """Do a job with ComfyUI's own progress and interrupt; VIDEO, AUDIO and the film's record."""
    bar = comfy.utils.ProgressBar(100)
    interrupted = comfy.model_management.throw_exception_if_processing_interrupted
    film = server.make(path, fields, files, lambda done: bar.update_absolute(done, 100), interrupted)
    video = InputImpl.VideoFromFile(bytes_io.BytesIO(server.content(film, "video")))
    audio = _audio_of(server.content(film, "audio")) if "audio" in film["variants"] else None
    return io.NodeOutput(video, audio, json.dumps(film))


def _schema(name: str, title: str, about: str, *inputs: Any, outputs: list[Any] | None = None) -> io.Schema:
    """A node that asks a server; one that makes a film, if no outputs are named."""
    film = [io.Video.Output("video"), io.Audio.Output("audio"), io.String.Output("film")]
    return io.Schema(
        node_id=f"Phonofilm{name}",
        display_name=f"Phonofilm {title}",
        category=CATEGORY,
        description=about,
        inputs=[PhonofilmServer.Input("server"), *inputs],
        outputs=film if outputs is None else outputs,
    )


def _film() -> io.String.Input:
    """What a node that made a film says of it."""
    return io.String.Input("film", force_input=True)


def _prompt() -> io.String.Input:
    return io.String.Input("prompt", default="", multiline=True, tooltip="What is seen and heard.")


def _seed() -> io.Int.Input:
    return io.Int.Input("seed", default=0, min=0, max=2**53, control_after_generate=True)


class Load(io.ComfyNode):
    """A server."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PhonofilmLoad",
            display_name="Phonofilm server",
            category=CATEGORY,
            description="A server that phonofilm serve started.",
            inputs=[
                io.String.Input("url", default=Server.url),
                io.String.Input("key", default="", optional=True, tooltip="Only where the server asks for one."),
            ],
            outputs=[PhonofilmServer.Output("server")],
        )

    @classmethod
    def execute(cls, url: str, key: str = "") -> io.NodeOutput:
        return io.NodeOutput(Server(url, key))


class Generate(io.ComfyNode):
    """A film from words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return _schema(
            "Generate",
            "generate",
            "A film with sound from words, and perhaps from its first picture.",
            _prompt(),
            io.Float.Input("seconds", default=4.0, min=0.2, max=600.0, step=0.1),
            io.String.Input("size", default="", optional=True, tooltip="As 320x180; the model's own if empty."),
            _seed(),
            io.Image.Input("image", optional=True),
        )

    @classmethod
    def execute(
        cls, server: Server, prompt: str, seconds: float, seed: int, size: str = "", image: Any = None
    ) -> io.NodeOutput:
        files = {} if image is None else {"input_reference": _picture_file(image)}
        fields = {"prompt": prompt, "seconds": seconds, "seed": seed, "size": size}
        return _make(server, "/v1/videos", fields, files)


class Foley(io.ComfyNode):
    """Sound for a film."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return _schema(
            "Foley", "foley", "The sound of a film; its picture stays.", io.Video.Input("video"), _prompt(), _seed()
        )

    @classmethod
    def execute(cls, server: Server, video: Any, prompt: str, seed: int) -> io.NodeOutput:
        return _make(server, "/v1/videos/foley", {"prompt": prompt, "seed": seed}, {"video": _film_file(video)})


class Animate(io.ComfyNode):
    """A picture for a sound."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        image = io.Image.Input("image", optional=True)
        return _schema(
            "Animate", "animate", "A picture for a sound.", io.Audio.Input("audio"), _prompt(), _seed(), image
        )

    @classmethod
    def execute(cls, server: Server, audio: Any, prompt: str, seed: int, image: Any = None) -> io.NodeOutput:
        files = {"audio": _sound_file(audio)} | ({} if image is None else {"input_reference": _picture_file(image)})
        return _make(server, "/v1/videos/animate", {"prompt": prompt, "seed": seed}, files)


class Extend(io.ComfyNode):
    """A film that goes on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        seconds = io.Float.Input("seconds", default=2.0, min=0.2, max=600.0, step=0.1)
        return _schema("Extend", "extend", "A film that goes on.", io.Video.Input("video"), seconds, _prompt(), _seed())

    @classmethod
    def execute(cls, server: Server, video: Any, seconds: float, prompt: str, seed: int) -> io.NodeOutput:
        fields = {"prompt": prompt, "seed": seed, "seconds": seconds}
        return _make(server, "/v1/videos/extensions", fields, {"video": _film_file(video)})


class Retake(io.ComfyNode):
    """A part of a film again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        start = io.Float.Input("start", default=0.0, min=0.0, max=600.0, step=0.05)
        end = io.Float.Input("end", default=1.0, min=0.0, max=600.0, step=0.05)
        video = io.Video.Input("video")
        return _schema("Retake", "retake", "A part of a film, made again.", video, start, end, _prompt(), _seed())

    @classmethod
    def execute(cls, server: Server, video: Any, start: float, end: float, prompt: str, seed: int) -> io.NodeOutput:
        fields = {"prompt": prompt, "seed": seed, "start": start, "end": end}
        return _make(server, "/v1/videos/retake", fields, {"video": _film_file(video)})


class Stems(io.ComfyNode):
    """The sounds of a film apart."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        outputs = [io.Audio.Output(name) for name in STEMS]
        about = "Speech, effects and music of a film whose model keeps them apart."
        return _schema("Stems", "stems", about, _film(), outputs=outputs)

    @classmethod
    def execute(cls, server: Server, film: str) -> io.NodeOutput:
        return io.NodeOutput(*(_audio_of(server.content(json.loads(film), name)) for name in STEMS))


class Sheet(io.ComfyNode):
    """Frames of a film."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        about = "Frames of a film side by side."
        return _schema("Sheet", "sheet", about, _film(), outputs=[io.Image.Output("image")])

    @classmethod
    def execute(cls, server: Server, film: str) -> io.NodeOutput:
        return io.NodeOutput(_image_of(server.content(json.loads(film), "spritesheet")))


class Phonofilm(ComfyExtension):
    """All of them."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [Load, Generate, Foley, Animate, Extend, Retake, Stems, Sheet]


async def comfy_entrypoint() -> Phonofilm:
    """What ComfyUI calls."""
    return Phonofilm()
