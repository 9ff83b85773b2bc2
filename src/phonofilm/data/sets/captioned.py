"""Sets whose clips have texts: Clotho, WebVid and OpenVid, WebDataset, and sets of our own."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from phonofilm.data.sets.items import FILMS, SOUNDS, Item, Layout, Media, table, text
from phonofilm.errors import PhonofilmError


def clotho(folder: Path) -> Iterator[Item]:
    """`clotho_captions_SPLIT.csv`: file name and five captions; sounds in `SPLIT/`."""
    for path in sorted(folder.rglob("clotho_captions_*.csv")):
        split = path.stem.removeprefix("clotho_captions_")
        places = [found for found in sorted(folder.rglob(split)) if found.is_dir()]
        place = places[0] if places else folder / split
        for row in table(path):
            name = text(row, "file_name", path)
            said = tuple(value for key, value in row.items() if key.startswith("caption_") and value)
            yield Item(f"{split}/{name}", place / name, captions=said, split=split)


def webvid(folder: Path) -> Iterator[Item]:
    """`results_*.csv`: videoid, contentUrl, duration, page_dir, name; films `page_dir/videoid.mp4`."""
    media = Media(folder, FILMS)
    for path in sorted(folder.rglob("results_*.csv")):
        for row in table(path):
            identity = text(row, "videoid", path)
            yield Item(identity, media.find(identity), captions=(text(row, "name", path),), split=path.stem[8:])


def openvid(folder: Path) -> Iterator[Item]:
    """`OpenVid*.csv` or `OpenVidHD.csv`: video and caption, and scores that are not read."""
    media = Media(folder, FILMS)
    for path in sorted([*folder.rglob("OpenVid*.csv"), *folder.rglob("openvid*.csv")]):
        for row in table(path):
            name = text(row, "video", path)
            yield Item(Path(name).stem, media.find(Path(name).stem), captions=(text(row, "caption", path),))


def webdataset(folder: Path) -> Iterator[Item]:
    """Tar files in which a sample's files share a stem: media with `.txt`, `.cls` or `.json` beside it."""
    for path in sorted(folder.rglob("*.tar")):
        try:
            with tarfile.open(path) as tar:
                yield from _samples(tar, path)
        except tarfile.TarError as error:
            raise PhonofilmError(f"{path} is damaged: {error}") from error


def _samples(tar: tarfile.TarFile, path: Path) -> Iterator[Item]:
    groups: dict[str, dict[str, tarfile.TarInfo]] = {}
    for member in tar:
        if member.isfile():
            stem, _, suffix = Path(member.name).name.partition(".")
            groups.setdefault(str(Path(member.name).parent / stem), {})[f".{suffix.lower()}"] = member
    for name, files in groups.items():
        kind = next((suffix for suffix in (*FILMS, *SOUNDS) if suffix in files), None)
        if kind is None:
            continue
        said = {suffix: _read(tar, files[suffix]) for suffix in (".txt", ".cls", ".json") if suffix in files}
        captions = [said[".txt"].strip()] if ".txt" in said else []
        labels = [said[".cls"].strip()] if ".cls" in said else []
        if ".json" in said:
            try:
                beside = json.loads(said[".json"])
            except ValueError as error:
                raise PhonofilmError(f"{path}: {name}.json is not JSON") from error
            caption = beside.get("caption") if isinstance(beside, dict) else None
            captions += [caption] if caption else []
        # a file inside a tar has no path of its own: the shard's, and its name within
        yield Item(f"{path.name}/{name}{kind}", path, labels=tuple(labels), captions=tuple(captions))


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = tar.extractfile(member)
    return "" if file is None else file.read().decode("utf-8", "replace")


LAYOUTS: tuple[Layout, ...] = (
    Layout("clotho", "Clotho, sound alone", ("clotho_captions_*.csv",), clotho),
    Layout("webvid", "WebVid", ("results_*.csv",), webvid),
    Layout("openvid", "OpenVid", ("OpenVid*.csv", "openvid*.csv"), openvid),
    Layout("webdataset", "WebDataset, also as data curate writes it", ("*.tar",), webdataset),
)
