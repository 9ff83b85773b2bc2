"""Data sets of the Hugging Face hub, or folders in their form, row by row: nothing is downloaded before it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonofilm.data.sets.items import FILMS, SOUNDS
from phonofilm.errors import PhonofilmError
from phonofilm.extras import optional

MARK = "hf:"
"""What the name of such a set begins with: `hf:OWNER/NAME`, `hf:OWNER/NAME/SUBSET` or `hf:./FOLDER`."""
LOCAL = (".", "/", "~")
MEDIA = ("video", "mp4", "mkv", "webm", "audio", "wav", "flac", "mp3", "file")
CAPTIONS = ("caption", "captions", "text", "prompt", "description")
LABELS = ("label", "labels", "category", "class", "human_labels")


@dataclass(frozen=True)
class Row:
    """One example of a set.

    Attributes:
        name: unique in the set where its files have names. content: of its media, encoded. suffix: such as ".mp4".
        labels: classes. captions: texts.
    """

    name: str
    content: bytes
    suffix: str
    labels: tuple[str, ...]
    captions: tuple[str, ...]


class HubSet:
    """One split of a set, whose rows come in the order of its files.

    Args:
        name: with its `MARK`. split: which; the first if None.

    Raises:
        PhonofilmError: no such set, no network, no such split, or no column that holds media.
    """

    def __init__(self, name: str, split: str | None = None) -> None:
        self.name = name
        path, subset = _parts(name.removeprefix(MARK))
        self._folder = Path(path).expanduser().resolve() if subset is None and path.startswith(LOCAL) else None
        loaded = _open(path, subset, name)
        self.splits: tuple[str, ...] = tuple(loaded)
        if split is not None and split not in loaded:
            raise PhonofilmError(f"{name} has no split {split!r}; it has {', '.join(self.splits)}")
        self.split = split or self.splits[0]
        rows = loaded[self.split]
        if rows.features is None:
            rows = rows._resolve_features()  # there is no public way; JSON has no schema before it is read
        self.columns: tuple[str, ...] = tuple(rows.features)
        self.media = _media_column(rows.features, name)
        self._names = {key: kind.names for key, kind in rows.features.items() if hasattr(kind, "int2str")}
        self._rows = _undecoded(rows, self.media)

    def rows(self, skip: int = 0) -> Iterator[Row | str]:
        """Rows from number `skip` on; of one without media the name alone.

        Raises:
            PhonofilmError: the connection broke, or a file of the set is damaged.
        """
        given = iter(self._rows.skip(skip) if skip else self._rows)
        number = skip
        while True:
            try:
                row = next(given)
            except StopIteration:
                return
            except Exception as error:  # whatever its readers and the network raise
                raise PhonofilmError(
                    f"{self.name} broke off at row {number}: {_first_line(error)}; run it again"
                ) from error
            yield self._row(row, number)
            number += 1

    def _row(self, row: Mapping[str, Any], number: int) -> Row | str:
        content, file = self._content(row[self.media])
        name = str(row.get("id") or row.get("name") or file or f"{number:09d}")
        if not content:
            return name
        captions = tuple(text for key in CAPTIONS if key in row for text in _texts(row[key], None))
        labels = tuple(text for key in LABELS if key in row for text in _texts(row[key], self._names.get(key)))
        return Row(name, content, _suffix(file, content, self.media), labels, captions)

    def _content(self, value: Any) -> tuple[bytes, str]:
        """Bytes of a cell of media, and the name of its file; both may be empty."""
        if isinstance(value, bytes):
            return value, ""
        if not isinstance(value, Mapping):
            return b"", ""
        path, content = str(value.get("path") or ""), value.get("bytes")
        return (content if content is not None else self._read(path)), path.rsplit("/", 1)[-1]

    def _read(self, path: str) -> bytes:
        """A file that a row names: of the hub or of the set's own folder, and no other file of this machine."""
        import fsspec

        inside = self._folder is not None and Path(path).resolve().is_relative_to(self._folder)
        if not path or not (path.startswith("hf://") or inside):
            return b""
        try:
            with fsspec.open(path, "rb") as opened:
                content: bytes = opened.read()
        except (OSError, ValueError):
            return b""
        return content


def _parts(name: str) -> tuple[str, str | None]:
    """The path of a set, and its subset where one is named."""
    if name.startswith(LOCAL):
        return name, None
    owner, _, rest = name.partition("/")
    title, _, subset = rest.partition("/")
    if not owner or not title:
        raise PhonofilmError(f"{MARK}{name} names no data set; write {MARK}OWNER/NAME, or {MARK}./FOLDER")
    return f"{owner}/{title}", subset or None


def _open(path: str, subset: str | None, name: str) -> Mapping[str, Any]:
    with optional("reading data sets of the hub"):
        from datasets import load_dataset
    try:
        loaded: Mapping[str, Any] = load_dataset(path, subset, streaming=True)
    except Exception as error:  # hub, network, readers: each has errors of its own
        raise PhonofilmError(f"{name} cannot be opened: {_first_line(error)}") from error
    if not loaded:
        raise PhonofilmError(f"{name} has no rows")
    return loaded


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


def _media_column(features: Mapping[str, Any], name: str) -> str:
    from datasets import Audio, Video

    for kind in (Video, Audio):
        for key, feature in features.items():
            if isinstance(feature, kind):
                return key
    for key in MEDIA:
        if key in features:
            return key
    raise PhonofilmError(f"{name} has no column of films or sounds; it has {', '.join(features)}")


def _undecoded(rows: Any, media: str) -> Any:
    """The rows with their media as bytes, never decoded here."""
    from datasets import Audio, Video

    for kind in (Video, Audio):
        if isinstance(rows.features[media], kind):
            return rows.cast_column(media, kind(decode=False))
    return rows


def _suffix(file: str, content: bytes, column: str) -> str:
    """By the file's name, else by its first bytes, else by the column's name."""
    named = f".{file.rsplit('.', 1)[-1].lower()}" if "." in file else ""
    if named in (*FILMS, *SOUNDS):
        return named
    if content[4:8] == b"ftyp":
        return ".mp4"
    begins = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\x1aE\xdf\xa3": ".mkv"}
    found = next((suffix for start, suffix in begins.items() if content.startswith(start)), "")
    return found or (f".{column}" if f".{column}" in (*FILMS, *SOUNDS) else ".bin")


def _texts(value: Any, names: list[str] | None) -> list[str]:
    """The texts of a cell, which may hold one, several, or numbers of classes."""
    values = value if isinstance(value, list) else [value]
    named = [names[v] if names is not None and isinstance(v, int) and 0 <= v < len(names) else v for v in values]
    return [str(one).strip() for one in named if one is not None and str(one).strip()]
