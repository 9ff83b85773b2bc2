"""Folders of clips become a study: paired by name, blinded, with controls made from the reference."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.checkpoint import file_sha256
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.distortions import ANCHORS, distort, with_sound_of
from phonofilm.evaluation.study.protocol import CATCH_SECONDS, Rules, Stimulus, StimulusKind, Study, save_study
from phonofilm.files import check_folder, folder_for
from phonofilm.media import FORMATS, read_clip, write_clip
from phonofilm.types import Clip

REFERENCE = "reference"
MISMATCH = "mismatched sound"
CLIPS, PROBE = "clips", "probe"
PROBE_OFFSETS = tuple(range(-240, 241, 40))
"""Milliseconds by which the beep comes after the flash, one little film each."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Plan:
    """What the maker of a study decides; `None` takes what suits the material."""

    title: str = "Picture and sound"
    seed: int = 0
    likert: int | None = None
    pairs: int = 0
    anchors: int | None = None
    anchor_scenes: int = 4
    catches: int = 2
    duplicates: int = 2
    raters: int = 20
    rules: Rules = field(default_factory=Rules)


def build(
    systems: Mapping[str, Path],
    reference: Path | None,
    folder: Path,
    plan: Plan,
    prompts: Mapping[str, str],
    progress: Progress,
) -> Study:
    """Make a study folder; it is there as a whole or not at all.

    Every clip is written anew by one encoder and without its tags, so that no file tells who made it. Scenes that not
    every system has, and files that cannot be read or lack picture or sound, are left out and named in the study.

    Raises:
        PhonofilmError: the folder exists, or nothing is left to compare.
    """
    check_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        raise PhonofilmError(f"{folder} is not empty; a study is made once: name a new folder")
    sources = dict(systems) | ({REFERENCE: reference} if reference is not None else {})
    files = {name: _films(path) for name, path in sources.items()}
    items, left_out = _shared(files)
    with (
        folder_for(folder.parent),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as workshop,
    ):
        room = Path(workshop) / "study"
        (room / CLIPS).mkdir(parents=True)
        items, spoilt = _usable(files, items, progress)
        left_out += spoilt
        if not items:
            reasons = "; ".join(left_out)[:300]
            raise PhonofilmError(f"no scene is left that every system has with picture and sound: {reasons}")
        writer = _Writer(room, plan.seed, prompts, [])
        _write_systems(writer, files, items, progress)
        _write_controls(writer, files[REFERENCE if reference else next(iter(systems))], items, plan, progress)
        write_probe(room / PROBE)
        study = _study(writer.stimuli, tuple(sources), items, plan, left_out)
        save_study(study, room)
        if folder.exists():
            folder.rmdir()
        shutil.move(room, folder)
    return study


def _study(stimuli: list[Stimulus], names: tuple[str, ...], items: list[str], plan: Plan, left_out: list[str]) -> Study:
    cells = len(names) * len(items)
    likert = min(cells, 24) if plan.likert is None else plan.likert
    kinds = len({s.system for s in stimuli if s.kind == "anchor"})
    anchors = (kinds if plan.anchors is None else plan.anchors) if likert and kinds else 0
    try:
        return Study(
            title=plan.title,
            seed=plan.seed,
            systems=names,
            items=tuple(items),
            stimuli=tuple(stimuli),
            likert=likert,
            pairs=plan.pairs,
            anchors=anchors,
            catches=plan.catches if likert else 0,
            duplicates=min(plan.duplicates, likert // 2),
            raters=plan.raters,
            rules=plan.rules,
            left_out=tuple(left_out),
        )
    except ValueError as error:
        raise PhonofilmError(f"this study cannot be: {error}") from error


def _films(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise PhonofilmError(f"folder {folder} does not exist; name a folder of clips, one for each system")
    kinds = {suffix for suffix in FORMATS if suffix not in (".wav", ".gif")} | {".avi", ".mpg", ".mpeg", ".ts"}
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in kinds}
    if not found:
        raise PhonofilmError(f"{folder} holds no films; put clips of the same names into one folder for each system")
    return found


def _shared(files: Mapping[str, Mapping[str, Path]]) -> tuple[list[str], list[str]]:
    """Scenes that all systems have, and a line for each that some lack."""
    every = sorted({item for mine in files.values() for item in mine})
    lacking = {item: [name for name, mine in files.items() if item not in mine] for item in every}
    return [i for i in every if not lacking[i]], [f"{i}: not in {', '.join(by)}" for i, by in lacking.items() if by]


def _usable(
    files: Mapping[str, Mapping[str, Path]], items: Sequence[str], progress: Progress
) -> tuple[list[str], list[str]]:
    """Scenes of which every version can be decoded and has picture and sound."""
    good, bad = [], []
    for done, item in enumerate(items):
        progress("checking", done, len(items))
        problems = [p for name, mine in files.items() if (p := _problem(name, mine[item]))]
        bad += problems
        if not problems:
            good.append(item)
    return good, bad


def _problem(name: str, path: Path) -> str | None:
    try:
        clip = read_clip(path)
    except PhonofilmError as error:
        return f"{name}/{path.name}: {error}"
    if clip.frames is None or not len(clip.frames):
        return f"{name}/{path.name}: has no picture"
    if clip.waveform is None or not np.abs(clip.waveform).max(initial=0) > 1e-4:
        return f"{name}/{path.name}: has no sound, or silence alone"
    return None


@dataclass
class _Writer:
    """Writes blinded files and keeps their list."""

    room: Path
    seed: int
    prompts: Mapping[str, str]
    stimuli: list[Stimulus]

    def add(self, clip: Clip, system: str, item: str, kind: StimulusKind) -> None:
        blinded = hmac.new(str(self.seed).encode(), f"{kind}/{system}/{item}".encode(), hashlib.sha256).hexdigest()[:16]
        # nothing in the file may say who made it; the study's manifest keeps that
        bare = clip.with_(metadata={}, prompt=None, events=(), stems={})
        path = write_clip(bare, self.room / CLIPS / f"{blinded}.mp4")
        prompt = self.prompts.get(item)
        seconds = round(clip.seconds, 4)
        self.stimuli.append(Stimulus(path.name, system, item, kind, seconds, file_sha256(path), prompt))


def _write_systems(
    writer: _Writer, files: Mapping[str, Mapping[str, Path]], items: Sequence[str], progress: Progress
) -> None:
    total = len(files) * len(items)
    for name, mine in files.items():
        for item in items:
            progress("blinding", len(writer.stimuli), total)
            writer.add(read_clip(mine[item]), name, item, "reference" if name == REFERENCE else "system")


def _write_controls(
    writer: _Writer, good: Mapping[str, Path], items: Sequence[str], plan: Plan, progress: Progress
) -> None:
    """Anchors and catch trials from a few scenes of the reference, or of the first system where there is none."""
    rng = np.random.default_rng(plan.seed)
    chosen = [items[i] for i in sorted(rng.permutation(len(items))[: max(1, plan.anchor_scenes)])]
    for done, item in enumerate(chosen):
        progress("anchors", done, len(chosen))
        clip = read_clip(good[item])
        # early or late by turns: who only minds one of the two is caught as well
        writer.add(distort(clip, "audio-shift", CATCH_SECONDS * (-1) ** done), "catch", item, "catch")
        if plan.anchors == 0:
            continue
        for name, kind, level in ANCHORS:
            writer.add(distort(clip, kind, level), name, item, "anchor")
        if len(items) > 1:
            other = items[(items.index(item) + 1) % len(items)]
            writer.add(with_sound_of(clip, read_clip(good[other])), MISMATCH, item, "anchor")


def write_probe(folder: Path) -> None:
    """The little films of the latency probe: a flash in the middle of two seconds, and a beep near it."""
    folder.mkdir()
    for offset in PROBE_OFFSETS:
        write_clip(flash_and_beep(offset / 1000), folder / f"{offset}.mp4")


def flash_and_beep(late: float, seconds: float = 2.0, fps: int = 25, rate: int = 48_000) -> Clip:
    """A disc that flashes for 80 ms at half time, and a 1 kHz beep of 60 ms that starts `late` seconds after it."""
    count, height, width = round(seconds * fps), 180, 320
    y, x = np.mgrid[:height, :width]
    disc = np.clip(70 - np.hypot(y - height / 2, x - width / 2), 0, 1)[..., None]
    frames = np.full((count, height, width, 3), 24, np.uint8)
    frames[count // 2 : count // 2 + 2] = (24 + disc * 231).astype(np.uint8)
    time = np.arange(round(seconds * rate)) / rate - seconds / 2 - late
    beep = 0.5 * np.sin(2 * np.pi * 1000 * time) * ((time >= 0) & (time < 0.06))
    return Clip(frames=frames, fps=fps, waveform=np.stack([beep, beep]).astype(np.float32), sample_rate=rate)  # type: ignore[arg-type]


def read_prompts(path: Path) -> dict[str, str]:
    """{scene: text} from a JSON object, or from lines "scene<TAB>text".

    Raises:
        PhonofilmError: the file cannot be read, or is neither.
    """
    import json

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PhonofilmError(f"prompts {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if path.suffix.lower() == ".json":
        try:
            found: Any = json.loads(text)
        except ValueError as error:
            raise PhonofilmError(f"prompts {path} are not JSON: {error}") from error
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise PhonofilmError(f'prompts {path} must be one object: {{"scene": "text", …}}')
        return found
    return dict(_tabbed(path, text))


def _tabbed(path: Path, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            scene, tab, prompt = line.partition("\t")
            if not tab:
                raise PhonofilmError(f"prompts {path}, line {number}: write the scene's name, a tab, and its text")
            yield scene.strip(), prompt.strip()
