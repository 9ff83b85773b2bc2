"""The options that several commands share, said once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from phonofilm.app.cli.common.command import complete, complete_model
from phonofilm.choices import DEVICES, NETWORKS, OFFLOADS, PARTS, QUANTIZATIONS, SAMPLERS, STEMS
from phonofilm.errors import PhonofilmError

if TYPE_CHECKING:
    from phonofilm.provenance.layers import Layers

SPEECH, SOUND, SAMPLING, MODEL = "What is said", "Which parts of the film", "How to sample", "Which model, and where"
CONTROL = "What is to happen when"
PROVENANCE = "How it says that a model made it"
SOUNDING_FORMATS = ".mp4 .webm .mkv (lossless) .mov .m4v .wav"
FORMATS_HELP = f"{SOUNDING_FORMATS} .gif"

Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help=f"What to write: {FORMATS_HELP}; - is standard output.")
]
SoundingOutput = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", help=f"What to write: {SOUNDING_FORMATS}; - is standard output."),
]
Prompt = Annotated[str, typer.Option("--prompt", "-p", metavar="TEXT", help="What is seen and heard, in prose.")]
Image = Annotated[Path | None, typer.Option(metavar="FILE", help="A picture that becomes the first frame.")]
Size = Annotated[str | None, typer.Option(metavar="WxH|N", help="Pixels, as 320x180 or one side of a square.")]
Fps = Annotated[str | None, typer.Option(metavar="RATE", help="Frames a second, as 12, 23.976 or 30000/1001.")]


def _option(
    panel: str,
    *flags: str,
    help: str,
    metavar: str | None = None,
    choices: Sequence[str] = (),
    completion: Callable[..., list[str]] | None = None,
) -> Any:
    """An option in a panel of the help; the names that it takes, if given, are shown and completed."""
    if choices:
        metavar, completion = "|".join(choices), complete(*choices)
    return typer.Option(*flags, metavar=metavar, help=help, autocompletion=completion, rich_help_panel=panel)


Say = Annotated[
    list[str] | None,
    _option(SPEECH, metavar="TEXT[@S]", help='Words that are said, at a time if one is given: "Hello@1.5", "man: Hi".'),
]
Voice = Annotated[
    list[str] | None,
    _option(SPEECH, metavar="NAME", help="Whose voice: one for each who speaks (see phonofilm models)."),
]
Subtitles = Annotated[
    bool,
    _option(SPEECH, "--subtitles", help="Write what is said and heard beside it as .vtt, and into .mkv and .webm."),
]


Seed = Annotated[int, _option(SAMPLING, metavar="N", help="The same seed on the same machine gives the same film.")]
Model = Annotated[
    str,
    _option(
        MODEL,
        metavar="NAME|DIR",
        completion=complete_model,
        help="A model by name (see phonofilm models) or its folder.",
    ),
]
Device = Annotated[str, _option(MODEL, choices=DEVICES, help="Where to compute.")]
Sign = Annotated[bool, _option(PROVENANCE, "--sign/--no-sign", help="A signed manifest (C2PA).")]
Watermark = Annotated[
    bool, _option(PROVENANCE, "--watermark/--no-watermark", help="Marks in sound and picture that only programs find.")
]
Log = Annotated[bool, _option(PROVENANCE, "--log/--no-log", help="Keep a fingerprint and the recipe on this machine.")]
PublishPrompt = Annotated[bool, _option(PROVENANCE, "--publish-prompt", help="Put the prompt into the manifest.")]
Certificate = Annotated[
    str | None,
    _option(PROVENANCE, metavar="PEM", help="Sign with this certificate, not with the installation's own."),
]
Key = Annotated[str | None, _option(PROVENANCE, metavar="PEM", help="The key of it.")]


LIVE = "While the rest still comes"
Live = Annotated[
    bool,
    _option(LIVE, "--live", help="Follow input as it comes: - is standard input, or name a file that still grows."),
]
RawFrames = Annotated[
    str | None, _option(LIVE, "--raw", metavar="WxH@FPS", help="With --live: RGB frames without a container.")
]


@dataclass(frozen=True)
class GenerationOptions:
    """What every command that makes film can be told about how; see `expand_options`."""

    seed: Seed = 0
    video_seed: Annotated[int | None, _option(SAMPLING, metavar="N", help="Another seed for the picture.")] = None
    audio_seed: Annotated[int | None, _option(SAMPLING, metavar="N", help="Another seed for the sound.")] = None
    steps: Annotated[
        int | None,
        _option(SAMPLING, metavar="N", help="Steps of the sampler: more is finer and slower."),
    ] = None
    draft: Annotated[
        bool,
        _option(
            SAMPLING,
            "--draft",
            help="Quick and rough: half the size, a third of the steps, no guidance; of our own models.",
        ),
    ] = False
    sampler: Annotated[
        str | None,
        _option(SAMPLING, choices=SAMPLERS, help="How the steps are taken; by default as suits the model."),
    ] = None
    guidance: Annotated[
        str | None,
        _option(
            SAMPLING,
            metavar="G|V,A",
            help="How strictly to follow the prompt, for both or for picture and sound; 1 is not.",
        ),
    ] = None
    modality_guidance: Annotated[
        str | None,
        _option(SAMPLING, metavar="G|V,A", help="How strictly picture and sound follow one another; 1 is not."),
    ] = None
    negative: Annotated[str, _option(SAMPLING, metavar="TEXT", help="What to steer away from.")] = ""
    stg: Annotated[
        str | None,
        _option(
            SAMPLING,
            metavar="G|V,A",
            help="Spatio-temporal guidance of LTX-2, for both or for picture and sound; 0 is none.",
        ),
    ] = None
    upsample: Annotated[
        bool,
        _option(SAMPLING, "--upsample", help="LTX-2: make half the size first, then enlarge and refine it."),
    ] = False
    model: Model = "nano"
    components: Annotated[
        str | None,
        _option(MODEL, metavar="NAME|DIR", help="For a single file of LTX-2: the model that has its other components."),
    ] = None
    device: Device = "auto"
    lora: Annotated[
        list[str] | None,
        _option(MODEL, metavar="FILE[:X]", help="A LoRA (adapter) for the model, X strong; several are added."),
    ] = None
    offload: Annotated[
        str | None,
        _option(MODEL, choices=OFFLOADS, help="Where the parts of a public model wait; chosen if left."),
    ] = None
    quantize: Annotated[
        str | None,
        _option(MODEL, choices=QUANTIZATIONS, help="Keep the weights of a public model's transformers in 8 or 4 bits."),
    ] = None
    network: Annotated[
        str | None,
        _option(MODEL, choices=NETWORKS, help="Which code runs a public model's transformer."),
    ] = None
    sign: Sign = True
    watermark: Watermark = True
    log: Log = True
    label: Annotated[bool, _option(PROVENANCE, "--label", help="Write AI into the picture that is made.")] = False
    notice: Annotated[
        bool, _option(PROVENANCE, "--notice", help="Say it at the beginning of the sound that is made.")
    ] = False
    publish_prompt: PublishPrompt = False
    c2pa_cert: Certificate = None
    c2pa_key: Key = None
    dry_run: Annotated[
        bool,
        _option(MODEL, "--dry-run", help="Say what a public model would take here, and load nothing."),
    ] = False

    def values(self) -> dict[str, Any]:
        """Fields of a `RequestSpec`, those that were given."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "dry_run"}
        return {"loras": given.pop("lora"), **given}


@dataclass(frozen=True)
class LiveOptions:
    """What the commands that make film as it is watched can be told about how; see `expand_options`."""

    seed: Seed = 0
    model: Model = "nano"
    device: Device = "auto"
    sign: Sign = True
    watermark: Watermark = True
    log: Log = True
    publish_prompt: PublishPrompt = False
    c2pa_cert: Certificate = None
    c2pa_key: Key = None

    @property
    def layers(self) -> Layers:
        """The layers of provenance.

        Raises:
            PhonofilmError: a certificate without its key, or the other way round.
        """
        from phonofilm.provenance.layers import Layers

        if (self.c2pa_cert is None) != (self.c2pa_key is None):
            raise PhonofilmError("a certificate to sign with needs its key, and a key its certificate; give both")
        return Layers(self.sign, self.watermark, self.log, self.publish_prompt, self.c2pa_cert, self.c2pa_key)


@dataclass(frozen=True)
class StemOptions:
    """What can be said of the parts of a film: the picture, speech, effects and music; see `expand_options`."""

    effects: Annotated[str, _option(SOUND, metavar="TEXT", help="What the effects are, where not as PROMPT says.")] = ""
    music: Annotated[str, _option(SOUND, metavar="TEXT", help="What the music is, where not as PROMPT says.")] = ""
    only: Annotated[
        str | None,
        _option(
            SOUND,
            metavar="SET",
            completion=complete(*PARTS),
            help=f"Make only these, as effects,music: of video, {', '.join(STEMS)}, audio (all sound).",
        ),
    ] = None
    no: Annotated[
        list[str] | None,
        _option(
            SOUND,
            metavar="PART",
            completion=complete(*PARTS),
            help="Do without a part; a stem is given to the model as silence.",
        ),
    ] = None
    speech: Annotated[
        Path | None,
        _option(SOUND, metavar="FILE", help="Words that are given, on the clip's clock: they stay."),
    ] = None
    given: Annotated[
        list[str] | None,
        _option(SOUND, metavar="STEM=FILE", help="A stem that is given, as music=song.wav."),
    ] = None
    gain: Annotated[
        list[str] | None,
        _option(SOUND, metavar="STEM=DB", help="Louder or softer, as speech=-3."),
    ] = None
    mix_as: Annotated[
        str | None,
        _option(SOUND, choices=STEMS, help="What the sound of a clip is taken for; guessed if left."),
    ] = None
    stems: Annotated[
        Path | None,
        _option(SOUND, metavar="DIR", help="Write each stem as a WAV too, and their mix."),
    ] = None
    stem_tracks: Annotated[
        bool,
        _option(SOUND, "--stem-tracks", help="Keep the stems in an .mkv, after the mix."),
    ] = False

    def values(self) -> dict[str, Any]:
        """Fields of a `RequestSpec`, those that were given."""
        given = list(self.given or ())
        if self.speech is not None:
            if any(one.partition("=")[0].strip() == "speech" for one in given):
                raise PhonofilmError("speech is given twice; leave out --speech or --given speech=…")
            given.append(f"speech={self.speech}")
        names = [field.name for field in fields(self) if field.name not in ("speech", "given")]
        said = {name: getattr(self, name) for name in names}
        return {**said, "given_stems": given or None, "stems": None if self.stems is None else str(self.stems)}


@dataclass(frozen=True)
class ControlOptions:
    """What control modules can be told; see `expand_options`."""

    hits: Annotated[
        str | None,
        _option(CONTROL, metavar="S[@X],…|FILE.mid", help="When something sounds, and how strongly: 0.5,1.25@0.8."),
    ] = None
    follow: Annotated[
        str | None, _option(CONTROL, metavar="FILE", help="Be as loud over time as the sound of this file.")
    ] = None
    sync: Annotated[
        str | None,
        _option(CONTROL, choices=("on", "off"), help="Tell the sound moment by moment what is seen."),
    ] = None
    control_scale: Annotated[
        float | None,
        _option(CONTROL, metavar="X", help="How strongly control modules count; 1 is usual, 0 not at all."),
    ] = None
    adapter: Annotated[
        list[str] | None,
        _option(CONTROL, metavar="FILE", help="A control module that hears one of these; several add up."),
    ] = None

    def values(self) -> dict[str, Any]:
        """Fields of a `RequestSpec`, those that were given."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"adapters": given.pop("adapter"), **given}


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command in whose signature each parameter that is a dataclass of options has become these options."""
    hints: dict[str, Any] = get_type_hints(command)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.name in groups:
            parameters += _options(groups[parameter.name])
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def gathered(**given: Any) -> None:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in groups.items()
        }
        command(**given, **made)

    gathered.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    gathered.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return gathered


def _options(kind: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]
