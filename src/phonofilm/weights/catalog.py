"""The public models that Phonofilm runs: where they are published, on what terms, and what they can do.

The networks that judge clips are in `judges`.
"""

from __future__ import annotations

from dataclasses import dataclass

_COMPONENTS = ("connectors", "vae", "audio_vae", "vocoder", "scheduler", "text_encoder", "tokenizer")
_LAYOUT = ("model_index.json", *(f"{name}/*" for name in (*_COMPONENTS, "transformer")))
_AROUND = ("model_index.json", "transformer/config.json", *(f"{name}/*" for name in _COMPONENTS))
_LTX_TERMS = (
    "LTX-2 Community License (free below 10 million USD of yearly revenue) for the model, "
    "Gemma Terms of Use for its text encoder"
)
_LTX_TASKS = ("generate", "foley", "animate", "extend", "retake")
_WAN_COMPONENTS = ("scheduler", "text_encoder", "tokenizer", "transformer", "vae")
_WAN_LAYOUT = ("model_index.json", *(f"{name}/*" for name in _WAN_COMPONENTS))
_WAN_PAIR = (*_WAN_LAYOUT, "transformer_2/*")


@dataclass(frozen=True)
class Pinned:
    """A file that is published at an address of its own, outside huggingface.co, and what names its content.

    Attributes:
        name: what it is called here.
        url: where it is.
        sha256: the SHA-256 of its content, or the first digits of it where only these are published.
        size: in bytes, or None where nobody states it.
    """

    name: str
    url: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """Weights that can be fetched.

    Attributes:
        name: what `phonofilm weights get` takes.
        title: its name and size, for people.
        repository: on huggingface.co, or "" where all of it is pinned.
        patterns: which files of the repository are needed.
        pinned: further files, at addresses of their own.
        gigabytes: about what a fetch brings, from the parameter counts; the fetch itself states the exact size.
        license: the terms in one line; `license_url` has them in full.
    """

    name: str
    title: str
    repository: str = ""
    patterns: tuple[str, ...] = ()
    pinned: tuple[Pinned, ...] = ()
    gigabytes: float
    license: str
    license_url: str


@dataclass(frozen=True, kw_only=True)
class PublicModel(Published):
    """One published model that generates.

    Attributes:
        family: which backend runs it.
        transformer: the single file that holds the transformer, or None where a folder does.
        tasks: what it can do, as `Request.task` calls it.
        distilled: made for eight steps without guidance.
    """

    family: str
    tasks: tuple[str, ...] = _LTX_TASKS
    transformer: str | None = None
    distilled: bool = False


def _wan(name: str, published: str, what: str, patterns: tuple[str, ...], gigabytes: float) -> PublicModel:
    return PublicModel(
        name=name,
        title=f"{published.replace('-', ' ', 1)}, {what}; {name}+foley adds sound",
        family="wan",
        repository=f"Wan-AI/{published}-Diffusers",
        patterns=patterns,
        gigabytes=gigabytes,
        license="Apache-2.0",
        license_url=f"https://huggingface.co/Wan-AI/{published}-Diffusers",
        tasks=("generate",),
    )


_MODELS = (
    PublicModel(
        name="ltx2",
        title="LTX-2, 19B, picture and sound at 24 fps",
        family="ltx2",
        repository="Lightricks/LTX-2",
        patterns=(*_LAYOUT, "latent_upsampler/*", "ltx-2-19b-distilled-lora-384.safetensors"),
        gigabytes=78,
        license=_LTX_TERMS,
        license_url="https://huggingface.co/Lightricks/LTX-2/blob/main/LICENSE",
    ),
    PublicModel(
        name="ltx2-distilled",
        title="LTX-2 distilled, 19B, eight steps",
        family="ltx2",
        repository="Lightricks/LTX-2",
        patterns=(*_AROUND, "latent_upsampler/*", "ltx-2-19b-distilled.safetensors"),
        gigabytes=75,
        license=_LTX_TERMS,
        license_url="https://huggingface.co/Lightricks/LTX-2/blob/main/LICENSE",
        transformer="ltx-2-19b-distilled.safetensors",
        distilled=True,
    ),
    PublicModel(
        name="ltx2.3",
        title="LTX-2.3, 22B, picture and sound at 24 fps, sound at 48 kHz",
        family="ltx2",
        repository="diffusers/LTX-2.3-Diffusers",
        patterns=_LAYOUT,
        gigabytes=77,
        license=_LTX_TERMS,
        license_url="https://huggingface.co/Lightricks/LTX-2.3/blob/main/LICENSE",
    ),
    PublicModel(
        name="ltx2.3-distilled",
        title="LTX-2.3 distilled, 22B, eight steps",
        family="ltx2",
        repository="diffusers/LTX-2.3-Distilled-Diffusers",
        patterns=_LAYOUT,
        gigabytes=77,
        license=_LTX_TERMS,
        license_url="https://huggingface.co/Lightricks/LTX-2.3/blob/main/LICENSE",
        distilled=True,
    ),
    _wan("wan2.2", "Wan2.2-T2V-A14B", "silent film from text, two experts of 14B, 16 fps", _WAN_PAIR, 126),
    _wan("wan2.2-i2v", "Wan2.2-I2V-A14B", "silent film from a picture, two experts of 14B, 16 fps", _WAN_PAIR, 126),
    _wan("wan2.2-5b", "Wan2.2-TI2V-5B", "silent film from text or a picture, 5B, 24 fps", _WAN_LAYOUT, 34),
)
CATALOG: dict[str, PublicModel] = {model.name: model for model in _MODELS}


def find(name: str) -> PublicModel | None:
    """The catalogue's entry of a name, or None."""
    return CATALOG.get(name)
