"""Nodes of ComfyUI (V3 schema) that let a Phonofilm server make film and sound."""

from __future__ import annotations

import io as bytes_io
import json
import wave
from dataclasses import dataclass, field
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import ComfyExtension, InputImpl, io
from PIL import Image

from .client import Server

PhonofilmServer = io.Custom("PHONOFILM_SERVER")
PhonofilmOptions = io.Custom("PHONOFILM_OPTIONS")
CATEGORY = "phonofilm"
STEMS = ("speech", "effects", "music")
SAMPLERS = ("euler", "heun", "multistep", "unipc")
FLAGS = ("draft", "upsample", "label", "notice", "publish_prompt")


@dataclass(frozen=True)
class Options:
    """What else is said of a job, as fields and files of the server's API; nothing is sent of what is not said."""

    fields: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


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


def _make(
    server: Server, path: str, fields: dict[str, Any], files: dict[str, bytes], options: Options | None = None
) -> io.NodeOutput:
    """Do a job with ComfyUI's own progress and interrupt; VIDEO, AUDIO and the film's record."""
    bar = comfy.utils.ProgressBar(100)
    interrupted = comfy.model_management.throw_exception_if_processing_interrupted
    more = options or Options()
    film = server.make(
        path, more.fields | fields, more.files | files, lambda done: bar.update_absolute(done, 100), interrupted
    )
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


def _more() -> Any:
    """What the node of options says."""
    return PhonofilmOptions.Input("options", optional=True)


def _listed(text: str, between: str = ",") -> list[str]:
    """The parts of a text, without space around them."""
    return [part.strip() for part in text.split(between) if part.strip()]


def _film() -> io.String.Input:
    """What a node that made a film says of it."""
    return io.String.Input("film", force_input=True)


def _rate() -> io.Float.Input:
    return io.Float.Input("fps", default=0.0, min=0.0, max=120.0, optional=True, tooltip="0: the model's own.")


def _words() -> tuple[io.String.Input, ...]:
    """What is said, and by whose voices."""
    lines = "A line each, as Hello@1.5 or man: Hi; and the words in quotes of the prompt."
    say = io.String.Input("say", default="", multiline=True, optional=True, tooltip=lines)
    return say, io.String.Input("voices", default="", optional=True, tooltip="Names, with commas between them.")


def _said(say: str, voices: str) -> dict[str, Any]:
    return {"say": _listed(say, "\n"), "voices": _listed(voices)}


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


class SetOptions(io.ComfyNode):
    """What else can be said of a job."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        texts = {
            "model": "A model of the server; its usual one if empty.",
            "negative_prompt": "What to steer away from.",
            "guidance_scale": "How strictly to follow the prompt: a number, or two, as 3,7, for picture and sound.",
            "modality_guidance_scale": "How strictly picture and sound follow one another: one number, or two.",
            "stg_scale": "Spatio-temporal guidance of LTX-2: one number, or two.",
            "loras": "LoRAs of the server, as night:0.8, with commas between them.",
            "only": "Make these alone: video, audio, speech, effects, music.",
            "without": "Do without these.",
            "effects": "A prompt of the effects alone.",
            "music": "A prompt of the music alone.",
            "hits": "Seconds at which something sounds, as 0.5,1.25@0.8.",
            "adapters": "Control modules of the server, with commas between them.",
        }
        whole = {
            "num_inference_steps": (0, 1000, "0: the model's own."),
            "video_seed": (-1, 2**53, "Another seed for the picture; -1: the same."),
            "audio_seed": (-1, 2**53, "Another seed for the sound; -1: the same."),
        }
        level = {"default": 0.0, "min": -96.0, "max": 24.0, "step": 0.5, "optional": True, "tooltip": "Decibels."}
        return io.Schema(
            node_id="PhonofilmSetOptions",
            display_name="Phonofilm options",
            category=CATEGORY,
            description="What else can be said of a film; what a task does not take is refused in one sentence.",
            inputs=[
                *(io.String.Input(name, default="", optional=True, tooltip=said) for name, said in texts.items()),
                *(io.Int.Input(name, default=least, min=least, max=most, optional=True, tooltip=said)
                  for name, (least, most, said) in whole.items()),
                io.Combo.Input("sampler", options=["", *SAMPLERS], default="", optional=True),
                io.Combo.Input("mix_as", options=["", *STEMS], default="", optional=True,
                               tooltip="What a film's one mix of sound is taken for."),
                io.Combo.Input("sync", options=["", "on", "off"], default="", optional=True,
                               tooltip="Whether the sound is told moment by moment what is seen."),
                io.Float.Input("control_scale", default=-1.0, min=-1.0, max=4.0, step=0.05, optional=True,
                               tooltip="How strongly control modules count; -1: as is usual."),
                *(io.Float.Input(f"{stem}_gain", **level) for stem in STEMS),
                *(io.Boolean.Input(name, default=False, optional=True) for name in FLAGS),
                io.Audio.Input("follow", optional=True, tooltip="Be as loud over time as this sound."),
                *(io.Audio.Input(f"{stem}_given", optional=True, tooltip=f"The {stem}, which stay as they are.")
                  for stem in STEMS),
            ],
            outputs=[PhonofilmOptions.Output("options")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: str = "", negative_prompt: str = "", guidance_scale: str = "", modality_guidance_scale: str = "",
        stg_scale: str = "", loras: str = "", only: str = "", without: str = "", effects: str = "", music: str = "",
        hits: str = "", adapters: str = "", num_inference_steps: int = 0, video_seed: int = -1, audio_seed: int = -1,
        sampler: str = "", mix_as: str = "", sync: str = "", control_scale: float = -1.0, speech_gain: float = 0.0,
        effects_gain: float = 0.0, music_gain: float = 0.0, draft: bool = False, upsample: bool = False,
        label: bool = False, notice: bool = False, publish_prompt: bool = False, follow: Any = None,
        speech_given: Any = None, effects_given: Any = None, music_given: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        said: dict[str, Any] = {"model": model, "negative_prompt": negative_prompt, "guidance_scale": guidance_scale}
        said |= {"modality_guidance_scale": modality_guidance_scale, "stg_scale": stg_scale, "effects": effects}
        said |= {"music": music, "hits": hits, "sampler": sampler, "mix_as": mix_as}
        said |= {"loras": _listed(loras), "adapters": _listed(adapters), "only": _listed(only)}
        said |= {"without": _listed(without), "num_inference_steps": num_inference_steps}
        said |= {"draft": draft, "upsample": upsample, "label": label, "notice": notice}
        said |= {"publish_prompt": publish_prompt}
        gains = {"speech": speech_gain, "effects": effects_gain, "music": music_gain}
        said["gain"] = {stem: gain for stem, gain in gains.items() if gain}
        fields = {name: value for name, value in said.items() if value}
        seeds = {"video_seed": video_seed, "audio_seed": audio_seed, "control_scale": control_scale}
        fields |= {name: value for name, value in seeds.items() if value >= 0}
        fields |= {"sync": sync == "on"} if sync else {}
        given = {"follow": follow, "speech_file": speech_given, "effects_file": effects_given}
        files = {name: _sound_file(audio) for name, audio in (given | {"music_file": music_given}).items() if audio}
        return io.NodeOutput(Options(fields, files))


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
            _rate(),
            *_words(),
            _more(),
        )

    @classmethod
    def execute(
        cls, server: Server, prompt: str, seconds: float, seed: int, size: str = "", image: Any = None,
        fps: float = 0.0, say: str = "", voices: str = "", options: Options | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        files = {} if image is None else {"input_reference": _picture_file(image)}
        fields = {"prompt": prompt, "seconds": seconds, "seed": seed, "size": size, "fps": fps or None}
        return _make(server, "/v1/videos", fields | _said(say, voices), files, options)


class Foley(io.ComfyNode):
    """Sound for a film."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return _schema(
            "Foley",
            "foley",
            "The sound of a film; its picture stays.",
            io.Video.Input("video"),
            _prompt(),
            _seed(),
            _more(),
        )

    @classmethod
    def execute(
        cls, server: Server, video: Any, prompt: str, seed: int, options: Options | None = None
    ) -> io.NodeOutput:
        fields = {"prompt": prompt, "seed": seed}
        return _make(server, "/v1/videos/foley", fields, {"video": _film_file(video)}, options)


class Animate(io.ComfyNode):
    """A picture for a sound."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        image = io.Image.Input("image", optional=True)
        size = io.String.Input("size", default="", optional=True, tooltip="As 320x180; the model's own if empty.")
        given = io.Audio.Input("audio"), _prompt(), _seed(), image, size, _rate(), _more()
        return _schema("Animate", "animate", "A picture for a sound.", *given)

    @classmethod
    def execute(
        cls, server: Server, audio: Any, prompt: str, seed: int, image: Any = None, size: str = "", fps: float = 0.0,
        options: Options | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        files = {"audio": _sound_file(audio)} | ({} if image is None else {"input_reference": _picture_file(image)})
        fields = {"prompt": prompt, "seed": seed, "size": size, "fps": fps or None}
        return _make(server, "/v1/videos/animate", fields, files, options)


class Extend(io.ComfyNode):
    """A film that goes on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        seconds = io.Float.Input("seconds", default=2.0, min=0.2, max=600.0, step=0.1)
        given = io.Video.Input("video"), seconds, _prompt(), _seed(), _more()
        return _schema("Extend", "extend", "A film that goes on.", *given)

    @classmethod
    def execute(
        cls, server: Server, video: Any, seconds: float, prompt: str, seed: int, options: Options | None = None
    ) -> io.NodeOutput:
        fields = {"prompt": prompt, "seed": seed, "seconds": seconds}
        return _make(server, "/v1/videos/extensions", fields, {"video": _film_file(video)}, options)


class Retake(io.ComfyNode):
    """A part of a film again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        start = io.Float.Input("start", default=0.0, min=0.0, max=600.0, step=0.05)
        end = io.Float.Input("end", default=1.0, min=0.0, max=600.0, step=0.05)
        given = io.Video.Input("video"), start, end, _prompt(), _seed(), _more()
        return _schema("Retake", "retake", "A part of a film, made again.", *given)

    @classmethod
    def execute(
        cls, server: Server, video: Any, start: float, end: float, prompt: str, seed: int,
        options: Options | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        fields = {"prompt": prompt, "seed": seed, "start": start, "end": end}
        return _make(server, "/v1/videos/retake", fields, {"video": _film_file(video)}, options)


class Soundtrack(io.ComfyNode):
    """A whole sound track."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return _schema(
            "Soundtrack",
            "sound track",
            "Effects that are made, words, music that is given, and the film's own sound.",
            io.Video.Input("video"),
            _prompt(),
            _seed(),
            *_words(),
            io.Audio.Input("music", optional=True),
            io.Boolean.Input("make_effects", default=True, optional=True),
            io.Boolean.Input("keep", default=False, optional=True, tooltip="Whether the film's own sound stays, too."),
            io.Float.Input("loudness", default=-23.0, min=-50.0, max=-5.0, optional=True, tooltip="LUFS."),
            _more(),
        )

    @classmethod
    def execute(
        cls, server: Server, video: Any, prompt: str, seed: int, say: str = "", voices: str = "", music: Any = None,
        make_effects: bool = True, keep: bool = False, loudness: float = -23.0, options: Options | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        fields = {"prompt": prompt, "seed": seed, "make_effects": make_effects, "keep": keep, "loudness": loudness}
        files = {"video": _film_file(video)} | ({} if music is None else {"music_file": _sound_file(music)})
        return _make(server, "/v1/videos/soundtrack", fields | _said(say, voices), files, options)


class Story(io.ComfyNode):
    """A film of several shots."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        shots = json.dumps([{"prompt": "A red ball bounces.", "seconds": 2}, {"prompt": "Rain.", "seconds": 2}])
        looks = 'JSON, as {"anna": "a woman with red hair"}.'
        return _schema(
            "Story",
            "story",
            "A film of several shots, cut or dissolved, with music that goes on over the cuts.",
            io.String.Input(
                "shots", default=shots, multiline=True, tooltip="A list in JSON, as docs/serving.md has it."
            ),
            _seed(),
            io.String.Input("cast", default="", multiline=True, optional=True, tooltip=f"Who is in it. {looks}"),
            io.String.Input("places", default="", multiline=True, optional=True, tooltip=f"Where it is. {looks}"),
            io.String.Input("music_prompt", default="", optional=True, tooltip="Music that the model makes."),
            io.Audio.Input("music", optional=True),
            io.Float.Input("music_gain", default=0.0, min=-60.0, max=20.0, optional=True, tooltip="Decibels."),
            io.String.Input("size", default="", optional=True, tooltip="As 320x180; the model's own if empty."),
            _rate(),
            _more(),
        )

    @classmethod
    def execute(
        cls, server: Server, shots: str, seed: int, cast: str = "", places: str = "", music_prompt: str = "",
        music: Any = None, music_gain: float = 0.0, size: str = "", fps: float = 0.0, options: Options | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        fields = {"shots": shots, "seed": seed, "size": size, "fps": fps or None}
        fields |= {"cast": cast.strip(), "places": places.strip()}
        if music_prompt or music is not None:
            fields["music"] = {"prompt": music_prompt, "gain": music_gain}
        files = {} if music is None else {"music_file": _sound_file(music)}
        return _make(server, "/v1/videos/story", fields, files, options)


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
        makers = [Generate, Foley, Animate, Extend, Retake, Soundtrack, Story]
        return [Load, SetOptions, *makers, Stems, Sheet]


async def comfy_entrypoint() -> Phonofilm:
    """What ComfyUI calls."""
    return Phonofilm()
