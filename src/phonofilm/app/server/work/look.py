"""Looks at one uploaded file in a process of its own, with limits of time and memory; `python -m` this module.

A file that is made to break a decoder breaks this process alone. A picture is written anew as PNG, so that nothing but
its pixels goes on.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from phonofilm import media
from phonofilm.control.hits import read_midi
from phonofilm.errors import PhonofilmError

MEMORY = 3 * 2**30
GRACE = 30.0
"""Seconds for a child to begin, besides four times its processor time."""
KINDS = {"film": ("mp4", "mkv", "avi", "gif", "wav", "flac", "ogg", "mp3"), "image": ("png", "jpg", "webp")}
KINDS |= {"midi": ("mid",)}
MOST_HITS = 500
"""Notes of a MIDI file that are taken."""
MARKS = {b"\x1aE\xdf\xa3": "mkv", b"GIF8": "gif", b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3"}
MARKS |= {b"MThd": "mid", b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg"}
FORMS = {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}


@dataclass(frozen=True)
class Looked:
    """What a file holds.

    Attributes:
        path: of the file to go on with. seconds: of a film or a sound.
        hits: the notes of a MIDI file, as a `RequestSpec` has them.
    """

    path: Path
    suffix: str
    seconds: float = 0.0
    picture: bool = False
    sound: bool = False
    hits: str = ""


def suffix_of(head: bytes) -> str | None:
    """The kind of a file by its first bytes, never by its name; None for what is not taken, playlists among them."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return "mp4"
    if head[:4] in (b"RIFF", b"RF64"):
        return FORMS.get(head[8:12])
    known = next((suffix for mark, suffix in MARKS.items() if head.startswith(mark)), None)
    return known or ("mp3" if head[:1] == b"\xff" and head[1:2] >= b"\xe0" else None)


def look(path: Path, kind: str, pixels: int, seconds: float, decode_seconds: float) -> Looked:
    """Look at a file in a child process.

    Args:
        kind: "film" (or sound), "image" or "midi". pixels, seconds: at most; of MIDI what lies within these seconds
            counts. decode_seconds: processor time, at most.

    Raises:
        PhonofilmError: another kind of file, damaged, too large, or too hard to decode.
    """
    with path.open("rb") as file:
        suffix = suffix_of(file.read(16))
    if suffix not in KINDS[kind]:
        raise PhonofilmError(f"this is no {kind} of a kind that is taken here; send one of {', '.join(KINDS[kind])}")
    named = path.rename(path.with_suffix(f".{suffix}"))
    limits = [str(pixels), str(seconds), str(max(1, round(decode_seconds)))]
    command = [sys.executable, "-m", __name__, kind, str(named), *limits]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=4 * decode_seconds + GRACE, stdin=subprocess.DEVNULL
        )
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError):
        found = None
    if found is None:
        raise PhonofilmError(f"the {kind} cannot be decoded within the limits of this server; send a simpler one")
    if "error" in found:
        raise PhonofilmError(found["error"].replace(str(named), f"the {kind}").replace(named.name, f"the {kind}"))
    path = Path(found.pop("path"))
    return Looked(path, path.suffix, **found)


def main(kind: str, name: str, pixels: int, seconds: float, decode_seconds: int) -> dict[str, object]:
    """What the child does; returns what it found."""
    resource.setrlimit(resource.RLIMIT_CPU, (decode_seconds, decode_seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    path = Path(name)
    try:
        if kind == "midi":
            return _midi(path, seconds)
        return _image(path, pixels) if kind == "image" else _film(path, pixels, seconds)
    except PhonofilmError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": f"{name} takes too much memory to decode; send a smaller one"}


def _image(path: Path, pixels: int) -> dict[str, object]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PhonofilmError(f"{path} is no picture that can be read") from error
    if width * height > pixels:
        raise PhonofilmError(f"{path} has {width}x{height} pixels; send at most {pixels} in all")
    clean = path.with_name(f"{path.stem}-clean.png")
    Image.fromarray(media.read_image(path)).save(clean)
    path.unlink()
    return {"path": str(clean), "seconds": 0.0, "picture": True, "sound": False}


def _film(path: Path, pixels: int, seconds: float) -> dict[str, object]:
    found = media.probe(path)
    if found.size is not None and found.size[0] * found.size[1] > pixels:
        raise PhonofilmError(f"{path} has {found.size[0]}x{found.size[1]} pixels; send at most {pixels} in all")
    if found.seconds > seconds:
        raise PhonofilmError(f"{path} lasts {found.seconds:.0f} s; send at most {seconds:g} s")
    clip = media.read_clip(path, size=16)  # every frame is decoded, and nearly nothing kept
    if clip.seconds > seconds + 1:
        raise PhonofilmError(f"{path} lasts {clip.seconds:.0f} s; send at most {seconds:g} s")
    picture, sound = clip.frames is not None, clip.waveform is not None
    return {"path": str(path), "seconds": clip.seconds, "picture": picture, "sound": sound}


def _midi(path: Path, seconds: float) -> dict[str, object]:
    found = read_midi(path, seconds)
    if len(found) > MOST_HITS:
        raise PhonofilmError(f"{path} has {len(found)} notes within {seconds:g} s; send at most {MOST_HITS}")
    return {"path": str(path), "hits": ",".join(f"{hit.time:.9g}@{hit.strength:.3g}" for hit in found)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))))
