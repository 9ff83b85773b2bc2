"""What is written of a clip, in the index and beside it in the shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from phonofilm.data.curate.common.records import Shot, Source
from phonofilm.data.curate.common.step import Value

COLUMNS: Mapping[str, str] = {
    "key": "string", "split": "string", "shard": "string", "file": "string",
    "clip_in": "float64", "clip_out": "float64", "clip_in_exact": "string", "clip_out_exact": "string",
    "source": "string", "source_name": "string", "start": "float64", "stop": "float64",
    "start_exact": "string", "stop_exact": "string", "seconds": "float64", "frames": "int64", "fps": "float64",
    "crop": "string", "sample_rate": "int64", "channels": "int64",
    "license": "string", "origin": "string", "consent": "string",
    "sync_known": "bool", "offset_ms": "float64", "sync_confidence": "float64",
    "caption": "string", "captions": "string", "speech": "string", "language": "string", "vtt": "string",
    "speakers": "int64", "turns": "string", "aesthetic": "float64", "desync": "float64",
    "events": "string", "notes": "string",
}  # fmt: skip
"""Columns of the index, with their kinds. `crop` is (left, top, right, bottom) as shares of the picture."""


def record_of(
    source: Source, shot: Shot, results: Mapping[str, Value], reasons: Sequence[str], split: str
) -> dict[str, Any]:
    """Everything but the place in a shard."""
    picture, sound = results.get("picture", {}), results.get("sound", {})
    sync, speech, caption = results.get("sync", {}), results.get("speech", {}), results.get("caption", {})
    return {
        "key": shot.key, "split": split, "source": shot.source, "source_name": source.name,
        "start": float(shot.start), "stop": float(shot.stop),
        "start_exact": str(shot.start), "stop_exact": str(shot.stop), "seconds": shot.seconds,
        "frames": picture.get("frames"), "fps": picture.get("fps"), "crop": picture.get("crop"),
        "sample_rate": sound.get("rate"), "channels": sound.get("channels"),
        **asdict(source.rights),
        "sync_known": sync.get("known"), "offset_ms": sync.get("offset_ms"),
        "sync_confidence": sync.get("confidence"),
        "caption": caption.get("prompt"), "captions": dict(caption) or None,
        "speech": speech.get("text"), "language": speech.get("language"), "vtt": speech.get("vtt"),
        "speakers": results.get("speakers", {}).get("count"), "turns": results.get("speakers", {}).get("turns"),
        "aesthetic": results.get("aesthetic", {}).get("score"), "desync": results.get("desync", {}).get("seconds"),
        "events": results.get("events", {}).get("events"),
        "notes": list(reasons),
    }  # fmt: skip
