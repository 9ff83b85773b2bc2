"""The fields of every request, with their documentation, and what job they make. JSON and forms have the same ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

from phonofilm import strict_json
from phonofilm.app.jobs import fields

Text = Annotated[str, StringConstraints(max_length=10_000)]
Short = Annotated[str, StringConstraints(max_length=200)]
Size = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,4}x[0-9]{2,4}$")]


def _listed(value: Any) -> Any:
    """A form gives one value, or several of the same name."""
    return [value] if isinstance(value, str) else value


def _from_json(value: Any) -> Any:
    """A form gives lists of objects, and objects with names of any letters, as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return strict_json.loads(value.encode(errors="surrogatepass"))
    except ValueError as error:
        raise ValueError(f"{error}; in a form this is JSON text") from None


def _numbered(value: Any) -> Any:
    """Numbers may come as text, as in forms and in OpenAI's "seconds"."""
    if isinstance(value, str):
        try:
            return int(value) if value.strip().lstrip("-").isdecimal() else float(value)
        except ValueError:
            return value
    return value


# limits stand before what reads numbers, so that the schema names them
NUMBERED = BeforeValidator(_numbered)
FINITE = Field(allow_inf_nan=False)
Seconds = Annotated[float, Field(gt=0, le=600), FINITE, NUMBERED]
Moment = Annotated[float, Field(ge=0, le=600), FINITE, NUMBERED]


def _no_file(value: str) -> str:
    """A name or a line, and never the name of a file here."""
    if value.lower().strip().endswith((".onnx", ".vtt", ".srt")):
        raise ValueError("this may not be the name of a file")
    return value


def _read(reader: Callable[[Any, str], Any]) -> PlainValidator:
    """Reads a value as every job in JSON does, in words of its own."""

    def read(value: Any) -> Any:
        try:
            return reader(value, "")
        except fields.Invalid as error:
            raise ValueError(str(error)) from None

    return PlainValidator(read)


def _moments(value: Any, path: str) -> str:
    """Hits, and never the name of a file here."""
    said = fields.moments(value, path)
    if len(said) > 10_000 or not MOMENTS.fullmatch(said):
        raise fields.Invalid(path, "hits are seconds, perhaps with a strength, as in 0.5,1.25@0.8")
    return said


MOMENTS = re.compile(r"[0-9eE.+\-@,\s]*", re.ASCII)
SCALE = {"type": "number", "minimum": 0, "maximum": 100}
PAIR = {"type": "array", "items": SCALE, "minItems": 1, "maxItems": 2}
Scales = Annotated[tuple[float, float], _read(fields.scales), WithJsonSchema({"anyOf": [SCALE, PAIR]})]
"""Of picture and sound: one number for both, [3, 7], or "3,7"."""
HIT = r"[0-9]{1,2}(\.[0-9]{1,6})?(@(1|0\.[0-9]{0,5}[1-9]))?"
HITS = {"type": "string", "pattern": f"^{HIT}(,{HIT}){{0,99}}$"}
Moments = Annotated[str, _read(_moments), WithJsonSchema(HITS)]
Names = Annotated[list[Short], BeforeValidator(_listed), Field(max_length=8)]
Decibels = Annotated[float, Field(ge=-96, le=24), FINITE, NUMBERED]
Seed = Annotated[int, Field(ge=0, lt=2**63), NUMBERED]

Texts = Annotated[list[Annotated[Text, AfterValidator(_no_file)]], BeforeValidator(_listed), Field(max_length=100)]
Part = Literal["video", "audio", "speech", "effects", "music"]
Parts = Annotated[list[Part], BeforeValidator(_listed), Field(max_length=5)]


class Body(BaseModel):
    """A field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class ImageReference(Body):
    """A picture by its address: a data URL, or an https URL of a host that this server may ask."""

    image_url: Annotated[str, StringConstraints(max_length=400_000)] | None = Field(None, description="The address.")
    file_id: Short | None = Field(None, description="Not possible here: send the file itself.")


class VideoReference(Body):
    """A film that was made here, by its id."""

    id: Short = Field(description="As `video_…`.")


class Common(Body):
    """What every job may say."""

    model: Short | None = Field(None, description="A name of `GET /v1/models`; the server's usual one if not said.")
    priority: Annotated[int, Field(ge=-10, le=10), NUMBERED] = Field(0, description="Higher ones are made first.")
    webhook_url: Annotated[str, StringConstraints(max_length=2000)] | None = Field(
        None, description="Told of the end; its host must be one that this server may ask."
    )
    user: Short | None = Field(None, description="Taken for compatibility and not used.")


class Gains(Body):
    """Levels of stems."""

    speech: Decibels | None = Field(None, description="Decibels; 0 leaves it as it is.")
    effects: Decibels | None = Field(None, description="Decibels; 0 leaves it as it is.")
    music: Decibels | None = Field(None, description="Decibels; 0 leaves it as it is.")


class Steering(Common):
    """How a model samples, and how the film says that a model made it."""

    seed: Seed = Field(0, description="The same seed gives the same film.")
    video_seed: Seed | None = Field(None, description="Another seed for the picture.")
    audio_seed: Seed | None = Field(None, description="Another seed for the sound.")
    negative_prompt: Text = Field("", description="What to steer away from.")
    num_inference_steps: Annotated[int, Field(ge=1, le=1000), NUMBERED] | None = Field(None, description="Steps.")
    guidance_scale: Scales | None = Field(
        None, description="How strictly to follow the prompt, for both or [picture, sound]; 1 is not."
    )
    modality_guidance_scale: Scales | None = Field(
        None, description="How strictly picture and sound follow one another, for both or [picture, sound]; 1 is not."
    )
    stg_scale: Scales | None = Field(
        None, description="Spatio-temporal guidance of LTX-2, for both or [picture, sound]; 0 is none."
    )
    sampler: Literal["euler", "heun", "multistep", "unipc"] | None = Field(None, description="How steps are taken.")
    draft: bool = Field(False, description="Quick and rough.")
    upsample: bool = Field(False, description="LTX-2: make half the size first, then enlarge and refine it.")
    loras: Names = Field([], description="LoRAs of this server (`GET /v1/models`), as NAME or NAME:STRENGTH.")
    label: bool = Field(False, description="Write AI into the picture that is made.")
    notice: bool = Field(False, description="Say it at the beginning of the sound that is made.")
    publish_prompt: bool = Field(False, description="Put the prompt into the signed manifest.")

    def request(self) -> dict[str, Any]:
        """The fields of a `RequestSpec` that these are."""
        made: dict[str, Any] = {"negative": self.negative_prompt, "steps": self.num_inference_steps}
        made |= {"guidance": self.guidance_scale, "modality_guidance": self.modality_guidance_scale}
        made["stg"] = self.stg_scale
        alike = ("seed", "video_seed", "audio_seed", "sampler", "draft", "upsample", "loras")
        return made | {name: getattr(self, name) for name in (*alike, "label", "notice", "publish_prompt")}


class Sampling(Steering):
    """A clip of its own."""

    effects: Text = Field("", description="A prompt of the effects alone, for models with stems.")
    music: Text = Field("", description="A prompt of the music alone, for models with stems.")

    def request(self) -> dict[str, Any]:
        """See `Steering.request`."""
        return super().request() | {"effects": self.effects, "music": self.music}


class Choosing(Sampling):
    """Which parts of a film are made, and how loud."""

    only: Parts | None = Field(None, description="Make these parts alone.")
    without: Parts = Field([], description="Do without these parts.")
    gain: Gains | None = Field(None, description="Levels of stems in decibels, for models with stems.")

    def request(self) -> dict[str, Any]:
        """See `Steering.request`."""
        gain = {} if self.gain is None else self.gain.model_dump(exclude_none=True)
        return super().request() | {"only": self.only, "no": self.without, "gain": gain}


class Timing(Choosing):
    """What is to happen when; each needs a control module that hears it."""

    hits: Moments | None = Field(
        None, description="Seconds at which something sounds, as 0.5,1.25@0.8; or MIDI as `hits_file` of a form."
    )
    follow: VideoReference | None = Field(
        None, description="Be as loud over time as this sound: a file in a form, or an object with the id of a film."
    )
    sync: bool | None = Field(None, description="Whether the sound is told moment by moment what is seen.")
    control_scale: Annotated[float, Field(ge=0, le=4), FINITE, NUMBERED] | None = Field(
        None, description="How strongly control modules count; 1 is usual, 0 not at all."
    )
    adapters: Names = Field([], description="Control modules of this server (`GET /v1/models`).")

    def request(self) -> dict[str, Any]:
        """See `Steering.request`."""
        names = ("hits", "sync", "control_scale", "adapters")
        return super().request() | {name: getattr(self, name) for name in names}


class OfMix(Body):
    """What the sound of a film is."""

    mix_as: Literal["speech", "effects", "music"] | None = Field(
        None, description="The stem that a film's one mix of sound is taken for; guessed if not said."
    )


class Making(Timing):
    """A film from words, and perhaps from its first picture and given stems (`speech_file` and so on of a form)."""

    prompt: Text = Field(min_length=1, description="What is seen and heard, in prose; words in quotes are spoken.")
    seconds: Seconds | None = Field(None, description="How long; the model's own length if not said.")
    size: Size | None = Field(None, description="WIDTHxHEIGHT in pixels; the model's own size if not said.")
    fps: Annotated[float, Field(ge=1, le=120), FINITE, NUMBERED] | None = Field(None, description="Frames a second.")
    input_reference: ImageReference | None = Field(
        None, description="The first picture: a file in a form, or an object with its address."
    )
    generate_sound: bool = Field(True, description="False for a silent film.")
    say: Texts = Field([], description='What is said besides the words in quotes, as "Hello@1.5" or "man: Hi".')
    voices: Texts = Field([], description="Whose voices, in the order of who speaks.")
    subtitles: bool = Field(False, description="Also write what is said and heard as WebVTT.")

    def request(self) -> dict[str, Any]:
        made = super().request() | {"task": "generate", "prompt": self.prompt, "seconds": self.seconds}
        made |= {"size": self.size, "fps": self.fps, "say": self.say, "voices": self.voices}
        made["subtitles"] = self.subtitles
        if not self.generate_sound:
            made["no"] = [*self.without, "audio"]
        return made


class Remixing(Common):
    """The same job with other words."""

    prompt: Text = Field(min_length=1, description="The new words.")


class Working(Sampling):
    """A job on a film: sent as a file of a form, or made here."""

    video: VideoReference | None = Field(None, description="A film: a file in a form, or an object with its id.")
    prompt: Text = Field("", description="What is seen and heard.")

    def request(self) -> dict[str, Any]:
        """See `Steering.request`."""
        made = super().request() | {"prompt": self.prompt}
        return made | ({"mix_as": self.mix_as} if isinstance(self, OfMix) else {})


class Editing(Working, Timing, OfMix):
    """A film made again by other words, or a part of it; stems of it may be given (`speech_file` and so on)."""

    prompt: Text = Field(min_length=1, description="What is seen and heard then.")
    start: Moment = Field(0.0, description="Where the part begins that is made again, in seconds.")
    end: Moment | None = Field(None, description="Where it ends; the end of the film if not said.")


class Retaking(Working, Timing, OfMix):
    """A part of a film, made again; the rest stays as it is. Its stems may be given (`speech_file` and so on)."""

    start: Moment = Field(description="Where it begins, in seconds.")
    end: Moment = Field(description="Where it ends, in seconds.")


class Extending(Working, Choosing, OfMix):
    """A film that goes on; stems of what is added may be given (`speech_file` and so on of a form)."""

    seconds: Seconds = Field(description="By how much.")


class Foley(Working, Timing):
    """Sound for a film, whose picture stays as it is; stems may be given (`speech_file` and so on of a form)."""

    subtitles: bool = Field(False, description="Also write what is heard as WebVTT.")

    def request(self) -> dict[str, Any]:
        return super().request() | {"subtitles": self.subtitles}


class Animating(Working, Choosing, OfMix):
    """A picture for a sound: the film's sound, or a sound file, stays as it is; stems may be made beside it (`only`,
    `effects`, `music`) or given (`speech_file` and so on of a form)."""

    input_reference: ImageReference | None = Field(None, description="The first picture.")
    size: Size | None = Field(None, description="WIDTHxHEIGHT in pixels.")
    fps: Annotated[float, Field(ge=1, le=120), FINITE, NUMBERED] | None = Field(None, description="Frames a second.")

    def request(self) -> dict[str, Any]:
        return super().request() | {"size": self.size, "fps": self.fps}


class Soundtrack(Working):
    """A whole sound track: effects that are made, words, music that is given, and the film's own sound."""

    make_effects: bool = Field(True, description="Whether a model makes effects of the picture.")
    say: Texts = Field([], description='Lines, as "Hello@1.5" or "man: Hi".')
    voices: Texts = Field([], description="Whose voices.")
    keep: bool = Field(False, description="Whether the film's own sound stays, too.")
    subtitles: bool = Field(False, description="Also write what is said and heard as WebVTT.")
    loudness: Annotated[float, Field(ge=-50, le=-5), FINITE, NUMBERED] = Field(-23.0, description="LUFS of the whole.")


class Shot(Body):
    """One shot of a story."""

    prompt: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"\S")] = Field(
        description="What is seen and heard in it."
    )
    seconds: Seconds = Field(description="How long it is.")
    cast: Names = Field([], description="Who is in it: names of the story's `cast`.")
    place: Short | None = Field(None, description="Where it is: a name of the story's `places`.")
    effects: Text = Field("", description="A prompt of its effects alone, for models with stems.")
    say: Texts = Field([], description='What is said besides the words in quotes, as "Hello@1.5" or "man: Hi".')
    voices: Names = Field([], description="Whose voices, in the order of who speaks.")
    join: Literal["cut", "dissolve"] = Field("cut", description="How it begins; the first one is a cut.")
    overlap: Annotated[float, Field(gt=0, le=600), FINITE, NUMBERED] = Field(
        0.5, description="Seconds of a dissolve, fewer than the shot has."
    )
    seed: Seed | None = Field(None, description="Its own seed; the story's with the shot's number added if not said.")

    def request(self) -> dict[str, Any]:
        """The fields of a `RequestSpec` that are its own."""
        names = ("prompt", "seconds", "effects", "say", "voices", "seed")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class Bed(Body):
    """Music that goes on under all shots; in a form `music_file` may be given instead of a prompt."""

    prompt: Text = Field("", description="Music that the model makes, for models with stems.")
    gain: Annotated[float, Field(ge=-60, le=20), FINITE, NUMBERED] = Field(0.0, description="Decibels.")


Look = Annotated[str, StringConstraints(min_length=1, max_length=10_000, pattern=r"\S")]
Looks = Annotated[dict[Short, Look], BeforeValidator(_from_json), Field(max_length=50)]
SHOTS = 100


class Telling(Steering):
    """A film of several shots, cut or dissolved, with music that goes on over the cuts."""

    shots: Annotated[list[Shot], BeforeValidator(_from_json), Field(min_length=1, max_length=SHOTS)] = Field(
        description="The shots in their order; in a form, JSON text."
    )
    music: Bed | None = Field(None, description="Music under all of them.")
    cast: Looks = Field({}, description="Who is in it, and what each looks and sounds like, by name.")
    places: Looks = Field({}, description="Where it is, and what each place looks and sounds like, by name.")
    size: Size | None = Field(None, description="WIDTHxHEIGHT in pixels; the model's own size if not said.")
    fps: Annotated[float, Field(ge=1, le=120), FINITE, NUMBERED] | None = Field(None, description="Frames a second.")

    def request(self) -> dict[str, Any]:
        """See `Steering.request`; what all shots have in common."""
        told = " / ".join(shot.prompt for shot in self.shots)
        return super().request() | {"task": "generate", "prompt": told, "size": self.size, "fps": self.fps}

    def board(self, music_file: str | None) -> dict[str, Any]:
        """The storyboard, as its TOML file has it."""
        shots = [shot.model_dump(exclude_none=True) for shot in self.shots]
        board: dict[str, Any] = {"shot": shots, "cast": self.cast, "places": self.places}
        if self.music is not None or music_file is not None:
            bed = {} if self.music is None else self.music.model_dump()
            board["music"] = bed if music_file is None else bed | {"file": music_file}
        return board


class Speaking(Body):
    """Words that are said."""

    input: Annotated[str, StringConstraints(min_length=1, max_length=4096)] = Field(description="The words.")
    model: Short = Field(description="Taken as it is: there is one.")
    voice: Short | VideoReference = Field(
        description="heart, joe, or one of those that `phonofilm models` lists, shifted by semitones as heart-3; "
        "OpenAI's names stand for the nearest."
    )
    response_format: Literal["wav", "pcm"] = Field(
        "wav", description="wav, or pcm: 16 bits, one channel, at the voice's rate. Other formats are not made."
    )
    speed: Annotated[float, Field(ge=0.25, le=4), FINITE, NUMBERED] = Field(1.0, description="Only 1 is possible.")
    instructions: Text | None = Field(None, description="Not possible here.")
    stream_format: Literal["audio"] = Field("audio", description="Only whole sounds are sent.")


class Film(BaseModel):
    """A job, as OpenAI's clients read it, with fields of ours at the end."""

    id: str = Field(description="Its name.")
    object: Literal["video"] = Field("video", description="What it is.")
    model: str = Field(description="The model.")
    status: Literal["queued", "in_progress", "completed", "failed"] = Field(description="Where it stands.")
    progress: int = Field(description="Percent of the work that is done.", ge=0, le=100)
    created_at: int = Field(description="When it was accepted, in seconds since 1970.")
    completed_at: int | None = Field(None, description="When it ended.")
    expires_at: int | None = Field(None, description="When its files are erased.")
    size: str = Field(description="Pixels, WIDTHxHEIGHT; empty as long as nobody knows.")
    seconds: str = Field(description="How long the film is, or will be; empty as long as nobody knows.")
    prompt: str | None = Field(None, description="The words it was asked for with.")
    remixed_from_video_id: str | None = Field(None, description="The film it was made of.")
    error: dict[str, str] | None = Field(None, description="Why it failed: code and message.")
    task: str = Field(description="generate, foley, animate, extend, retake, edit, remix, soundtrack, story or speech.")
    stage: str | None = Field(None, description="What is being done.")
    seconds_left: float | None = Field(None, description="About how long it will still take.")
    queue_position: int | None = Field(None, description="How many are made before it.")
    variants: list[str] = Field([], description="What `content?variant=` gives.")
    notices: list[str] = Field([], description="What one should know about the film.")
    facts: dict[str, Any] = Field({}, description="Frames, samples, events and so on.")


class Films(BaseModel):
    """A page of a list."""

    object: Literal["list"] = "list"
    data: list[Film] = Field(description="The films.")
    first_id: str | None = Field(None, description="The id of the first.")
    last_id: str | None = Field(None, description="The id of the last, for `after`.")
    has_more: bool = Field(description="Whether there are more.")


class Deleted(BaseModel):
    """A film that is no more."""

    id: str = Field(description="Its name.")
    object: Literal["video.deleted"] = Field("video.deleted", description="What happened.")
    deleted: bool = Field(True, description="Whether it did.")


class Model(BaseModel):
    """A model that this server runs."""

    id: str = Field(description="Its name.")
    object: Literal["model"] = Field("model", description="What it is.")
    created: int = Field(0, description="Not known: 0.")
    owned_by: str = Field("phonofilm", description="Whose server it is on.")
    loras: list[str] = Field([], description="LoRAs that may be asked for with it.")
    adapters: list[str] = Field([], description="Control modules that may be asked for with it.")


class Models(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model] = Field(description="The models.")
