"""Sets whose clips have classes: AudioSet and AudioSet-Strong, VGGSound, AVE, MUSIC, FSD50K."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from phonofilm.config import parse_json
from phonofilm.data.sets.items import SOUNDS, Item, Layout, Media, number, one, table, text
from phonofilm.errors import PhonofilmError
from phonofilm.types import Event


def audioset(folder: Path) -> Iterator[Item]:
    """`*_segments.csv`: id, start, end, classes; remarks for a header. Clips are cut out, or ten seconds of a film."""
    names, media = _display_names(folder), Media(folder)
    for path in sorted(folder.rglob("*_segments.csv")):
        for row in table(path, columns=("id", "start", "end", "labels")):
            start, stop = number(row, "start", path), number(row, "end", path)
            labels = tuple(names.get(label, label) for label in row["labels"].split(","))
            yield _cut(media, row["id"], start, stop, labels, path.stem.removesuffix("_segments"))


def _cut(media: Media, identity: str, start: float, stop: float, labels: tuple[str, ...], split: str) -> Item:
    """A clip of its own under one of its usual names, or a part of the whole film."""
    name = f"{identity}_{round(start * 1000)}"
    stems = (name, f"{identity}_{start:.3f}_{stop:.3f}", f"{identity}_{round(start):06d}")
    own = media.find(*stems)
    if own.is_file():
        return Item(name, own, labels=labels, split=split)
    return Item(name, media.find(identity), start, stop, labels, split=split)


def _display_names(folder: Path) -> dict[str, str]:
    """Names of classes by their machine ids, where a table of them is there."""
    for path in folder.rglob("class_labels_indices.csv"):
        return {row["mid"]: row["display_name"] for row in table(path) if {"mid", "display_name"} <= set(row)}
    for path in folder.rglob("mid_to_display_name.tsv"):
        return {row["mid"]: row["name"] for row in table(path, "\t", ("mid", "name"))}
    return {}


def audioset_strong(folder: Path) -> Iterator[Item]:
    """`audioset_*_strong.tsv`: id_milliseconds, start, end, class; times count from the start of the clip."""
    names, media = _display_names(folder), Media(folder)
    for path in sorted(folder.rglob("*_strong.tsv")):
        clips: dict[str, list[Event]] = {}
        for row in table(path, "\t"):
            kind = names.get(text(row, "label", path), text(row, "label", path))
            begin, end = (number(row, f"{side}_time_seconds", path) for side in ("start", "end"))
            clips.setdefault(text(row, "segment_id", path), []).append(Event(begin, "sound", end=end, label=kind))
        for segment, events in clips.items():
            identity, _, start = segment.rpartition("_")
            if not start.isdigit():
                raise PhonofilmError(f"{path}: segment_id {segment!r} does not end in milliseconds")
            begin = int(start) / 1000
            labels = tuple(dict.fromkeys(event.label or "" for event in events))
            item = _cut(media, identity, begin, begin + 10, labels, path.stem.removesuffix("_strong"))
            ordered = tuple(sorted(events, key=lambda event: event.time))
            yield Item(segment, item.file, item.start, item.stop, labels, events=ordered, split=item.split)


def vggsound(folder: Path) -> Iterator[Item]:
    """`vggsound.csv` without a header: id, start, class, split; clips `ID_000030.mp4` of ten seconds."""
    path, media = one(folder, "vggsound.csv"), Media(folder)
    for row in table(path, columns=("id", "start", "label", "split")):
        start = number(row, "start", path)
        yield _cut(media, row["id"], start, start + 10, (row["label"],), row["split"])


def ave(folder: Path) -> Iterator[Item]:
    """`Annotations.txt`: class & id & quality & start & end of the event; clips `ID.mp4` of ten seconds."""
    path, media = one(folder, "Annotations.txt"), Media(folder)
    splits = {
        line.split("&")[1]: file.stem.removesuffix("Set")
        for file in sorted(folder.rglob("*Set.txt"))
        for line in file.read_text(encoding="utf-8").split("\n")
        if line.count("&") >= 4
    }
    for row in table(path, "&"):
        label, identity = text(row, "Category", path), text(row, "VideoID", path)
        begin, end = number(row, "StartTime", path), number(row, "EndTime", path)
        event = Event(begin, "sound", end=end, label=label)
        yield Item(identity, media.find(identity), labels=(label,), events=(event,), split=splits.get(identity, ""))


def music(folder: Path) -> Iterator[Item]:
    """`MUSIC_solo_videos.json` and `MUSIC_duet_videos.json`: ids of films by instruments."""
    media = Media(folder)
    for path in sorted(folder.rglob("MUSIC*_videos.json")):
        try:
            listed = parse_json(path.read_text(encoding="utf-8"))["videos"]
            pairs = [(instruments, identity) for instruments, films in listed.items() for identity in films]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PhonofilmError(f'{path} is not {{"videos": {{instrument: [ids]}}}}') from error
        for instruments, identity in pairs:
            kind = "duet" if "duet" in path.stem else "solo"
            yield Item(identity, media.find(identity), labels=tuple(instruments.split()), split=kind)


def fsd50k(folder: Path) -> Iterator[Item]:
    """`dev.csv` and `eval.csv`: name, classes, ids (and split); sounds in `FSD50K.*_audio`."""
    for path in sorted([*folder.rglob("dev.csv"), *folder.rglob("eval.csv")]):
        audio = next((found for found in folder.rglob(f"FSD50K.{path.stem}_audio")), folder)
        media = Media(audio, SOUNDS)
        for row in table(path):
            labels = tuple(label.replace("_", " ") for label in text(row, "labels", path).split(","))
            split = row.get("split", "test")
            yield Item(f"{path.stem}-{row['fname']}", media.find(row["fname"]), labels=labels, split=split)


LAYOUTS: tuple[Layout, ...] = (
    Layout("audioset-strong", "AudioSet with times of its sounds", ("*_strong.tsv",), audioset_strong),
    Layout("audioset", "AudioSet", ("*_segments.csv",), audioset),
    Layout("vggsound", "VGGSound", ("vggsound.csv",), vggsound),
    Layout("ave", "AVE", ("Annotations.txt",), ave),
    Layout("music", "MUSIC", ("MUSIC*_videos.json",), music),
    Layout("fsd50k", "FSD50K, sound alone", ("FSD50K.ground_truth/dev.csv", "dev.csv"), fsd50k),
)
