"""What a file says about itself: made by a model, from which prompt, seed and weights.

Every container keeps a title and a comment, whatever else it can or cannot keep, so all is said there:
the comment is a sentence for people followed by one JSON object for programs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from phonofilm.config import parse_json
from phonofilm.errors import PhonofilmError
from phonofilm.events import read_event
from phonofilm.types import Clip, Event

SENTENCE = "AI-generated video with sound, made by Phonofilm."
# IPTC's term for media made wholly by a trained model; C2PA manifests use the same one
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TRAINED_ALGORITHMIC_MEDIA = SOURCE_TYPES + "trainedAlgorithmicMedia"
COMPOSITE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
"""What has parts that were given."""


def provenance(
    *, prompt: str, seed: int, model: str, weights: str, composite: bool = False, **more: Any
) -> dict[str, str]:
    """`Clip.metadata` of something a model made; `weights` is a hash, `more` is whatever else decided it.

    Args:
        composite: whether parts of it were given.
    """
    source = COMPOSITE if composite else TRAINED_ALGORITHMIC_MEDIA
    said = {"ai_generated": True, "digital_source_type": source, "prompt": prompt}
    said |= {"seed": seed, "model": model, "weights": weights, **more}
    return {key: _text(value) for key, value in said.items() if value is not None}


def digest_of(*said: Any) -> str:
    """SHA-256 of plain values that decided what was made, as 64 hex digits: the `request` of metadata."""
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def to_tags(clip: Clip, metadata: Mapping[str, str]) -> dict[str, str]:
    """Container tags (title, comment) that hold the prompt, the metadata and the events of a clip."""
    said = {**clip.metadata, **metadata}
    if clip.prompt is not None:
        said.setdefault("prompt", clip.prompt)
    if clip.fps is not None:
        said["fps"] = str(clip.fps)
    if clip.layout:
        # some containers do not keep it, and some keep another one
        said["layout"] = "+".join(clip.layout)
    if clip.events:
        said["events"] = events_text(clip.events)
    if not said:
        return {}
    body = json.dumps(said, ensure_ascii=False).replace("\x00", "")
    comment = f"{SENTENCE} {body}" if said.get("ai_generated") == "true" else body
    return (
        {"title": said["prompt"].replace("\x00", ""), "comment": comment} if "prompt" in said else {"comment": comment}
    )


def events_text(events: Iterable[Event]) -> str:
    """Events as the text that `to_events` reads."""
    plain = [{k: v for k, v in asdict(event).items() if v is not None} for event in events]
    return json.dumps(plain, ensure_ascii=False)


def from_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """What `to_tags` wrote; the tags of a foreign file come back as they are."""
    plain = {key.lower(): value for key, value in tags.items()}
    comment = plain.get("comment", "")
    try:
        said = parse_json(comment[comment.index("{") :])
    except ValueError:
        return plain
    return {str(key): _text(value) for key, value in said.items()} if isinstance(said, dict) else plain


def to_events(metadata: Mapping[str, str]) -> tuple[Event, ...]:
    """The events that were written with a clip, if any."""
    try:
        values = parse_json(metadata.get("events", "[]"))
        return tuple(map(read_event, values)) if isinstance(values, list) else ()
    except (ValueError, PhonofilmError):
        return ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
