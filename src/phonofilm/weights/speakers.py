"""Voices that are published on a hub: each is fetched by its name, and never unless asked for."""

from __future__ import annotations

from dataclasses import dataclass

from phonofilm.weights.catalog import Pinned, Published

_HUB = "https://huggingface.co/maureesewilliams/hibari"


@dataclass(frozen=True, kw_only=True)
class Speaker(Published):
    """A voice of hibari-tts.

    Attributes:
        file: its network, within the fetched folder.
        who: "woman" or "man".
        british: it speaks British rather than American English.
    """

    file: str
    who: str
    british: bool


def _speaker(name: str, who: str, variety: str, file: str, size: int, sha256: str) -> Speaker:
    return Speaker(
        name=name,
        title=f"hibari-tts {name}, {variety} {who}",
        pinned=(Pinned(file, f"{_HUB}/resolve/main/voices/{file}", sha256, size),),
        gigabytes=size / 1e9,
        license="Apache-2.0",
        license_url=_HUB,
        file=file,
        who=who,
        british=variety == "British",
    )


# sizes and hashes as hibari-tts 0.2.1 states them
_TABLE = """
kore woman American af_kore.int8.onnx 7936868 346885752673e45d42f9864c9e2432094bc4b6385df060d4b83273da764d2fa9
emma woman British bf_emma.int8.onnx 7936868 f709f0488ee63b583a22189a955aaf4257b9806dd330be3490661e53af0a89c1
fenrir man American am_fenrir_v2.int8.onnx 8031158 f59fbd87908c91f827bc21b1b89443757b9a8580db9eee20aa948deb731321f4
fable man British bm_fable.int8.onnx 7936868 c28529302f2d27cd12f62625c24425888c4e3c2675583100ec530259136b8bc6
"""
_ROWS = [line.split() for line in _TABLE.strip().splitlines()]
SPEAKERS = {name: _speaker(name, who, variety, file, int(size), sha) for name, who, variety, file, size, sha in _ROWS}
