"""Folders of clips become a study: paired by name, blinded, with controls made from the reference."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from phonofilm.checkpoint import file_sha256
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation import prompts as evaluation_prompts
from phonofilm.evaluation.dataset import FAMILIES, FILMS, normal_name, scan
from phonofilm.evaluation.distortions import ANCHORS, distort, with_sound_of
from phonofilm.evaluation.study.protocol import (
    CATCH_SECONDS,
    MUSHRA_SCALES,
    Mushra,
    Rules,
    Stimulus,
    StimulusKind,
    Study,
    save_study,
)
from phonofilm.files import check_folder, folder_for, text_lines
from phonofilm.media import read_clip, write_clip
from phonofilm.types import Clip, Progress

REFERENCE = "reference"
MISMATCH = "mismatched sound"
CLIPS, PROBE = "clips", "probe"
PROBE_OFFSETS = tuple(range(-240, 241, 40))
"""Milliseconds by which the beep comes after the flash, one little film each."""
MUSHRA_ANCHORS = {
    "audio": (("low-pass 3.5 kHz", "low-pass", 3500.0), ("low-pass 7 kHz", "low-pass", 7000.0)),
    "sync": (("sound 500 ms late", "audio-shift", -0.5), ("sound 125 ms late", "audio-shift", -0.125)),
}
"""The low and the mid-range anchor of each MUSHRA scale; for sound those of ITU-R BS.1534-3."""


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
    mushra: int = 0
    mushra_scale: str = "audio"
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
    if plan.mushra and plan.mushra_scale not in MUSHRA_ANCHORS:
        raise PhonofilmError(f"MUSHRA judges {' or '.join(MUSHRA_ANCHORS)}, not {plan.mushra_scale!r}")
    if plan.mushra and reference is None:
        raise PhonofilmError("MUSHRA compares with a reference: add --reference DIR with true clips of the same names")
    files, left_out = {}, []
    for name, path in sources.items():
        files[name], lines = _films(name, path)
        left_out += lines
    items, lacking = _shared(files)
    left_out += lacking
    with (
        folder_for(folder.parent),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as workshop,
    ):
        room = Path(workshop) / "study"
        (room / CLIPS).mkdir(parents=True)
        items, spoilt = _usable(files, items, plan, progress)
        left_out += spoilt
        if not items:
            reasons = "; ".join(left_out)[:300]
            raise PhonofilmError(f"no scene is left that every system has with picture and sound: {reasons}")
        writer = _Writer(room, plan.seed, prompts, [])
        _write_systems(writer, files, items, progress)
        left_out += [f"prompt of {scene}: no such scene" for scene in sorted(set(prompts) - set(items))]
        good = files[REFERENCE if reference else next(iter(systems))]
        if plan.likert != 0 and (plan.likert or not plan.mushra):
            _write_controls(writer, good, items, plan, progress)
        if plan.mushra:
            _write_mushra(writer, good, items, plan, progress)
        write_probe(room / PROBE)
        study = _study(writer.stimuli, tuple(sources), items, plan, left_out)
        save_study(study, room)
        if folder.exists():
            folder.rmdir()
        shutil.move(room, folder)
    return study


def _study(stimuli: list[Stimulus], names: tuple[str, ...], items: list[str], plan: Plan, left_out: list[str]) -> Study:
    cells = len(names) * len(items)
    likert = (0 if plan.mushra else min(cells, 24)) if plan.likert is None else plan.likert
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
            mushra=_mushra(plan),
        )
    except ValueError as error:
        raise PhonofilmError(f"this study is not possible: {error}") from error


def _mushra(plan: Plan) -> Mushra | None:
    if not plan.mushra:
        return None
    low, middle = (name for name, _, _ in MUSHRA_ANCHORS[plan.mushra_scale])
    return Mushra(plan.mushra, MUSHRA_SCALES[plan.mushra_scale], (low, middle))


def _films(system: str, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Films of a folder by scene, and a line for each file that is none or that has the name of another."""
    found: dict[str, Path] = {}
    left_out = []
    for entry in scan(folder).clips:
        scene, file = normal_name(entry.name), normal_name(entry.path.relative_to(folder).as_posix())
        if entry.problem or entry.path.suffix.lower() not in FILMS:
            left_out.append(f"{system}/{file}: {entry.problem or 'has no picture'}")
        elif scene in found:
            left_out.append(f"{system}/{file}: has the name of {normal_name(found[scene].name)}: keep one of them")
        else:
            found[scene] = entry.path
    if not found:
        raise PhonofilmError(f"{folder} holds no films; put clips of the same names into one folder for each system")
    return found, left_out


def _shared(files: Mapping[str, Mapping[str, Path]]) -> tuple[list[str], list[str]]:
    """Scenes that all systems have, and a line for each that some lack."""
    every = sorted({item for mine in files.values() for item in mine})
    lacking = {item: [name for name, mine in files.items() if item not in mine] for item in every}
    return [i for i in every if not lacking[i]], [f"{i}: not in {', '.join(by)}" for i, by in lacking.items() if by]


def _usable(
    files: Mapping[str, Mapping[str, Path]], items: Sequence[str], plan: Plan, progress: Progress
) -> tuple[list[str], list[str]]:
    """Scenes of which every version can be decoded and has picture and sound."""
    good, bad = [], []
    for done, item in enumerate(items):
        progress("checking", done, len(items))
        filtered = plan.mushra > 0 and plan.mushra_scale == "audio"
        rates = {name: 16_000 if filtered and name == REFERENCE else 0 for name in files}
        problems = [p for name, mine in files.items() if (p := _problem(name, mine[item], rates[name]))]
        bad += problems
        if not problems:
            good.append(item)
    return good, bad


def _problem(name: str, path: Path, least_rate: int = 0) -> str | None:
    file = f"{name}/{normal_name(path.name)}"
    try:
        clip = read_clip(path)
    except PhonofilmError as error:
        return f"{file}: {error}"
    if clip.frames is None or not len(clip.frames):
        return f"{file}: has no picture"
    if clip.waveform is None or not np.abs(clip.waveform).max(initial=0) > 1e-4:
        return f"{file}: has no sound, or silence alone"
    if (clip.sample_rate or 0) < least_rate:
        return f"{file}: has sound of {clip.sample_rate} Hz; the anchors of MUSHRA need {least_rate} Hz"
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


def _write_mushra(
    writer: _Writer, good: Mapping[str, Path], items: Sequence[str], plan: Plan, progress: Progress
) -> None:
    """Of every scene the two anchors, and the reference once more under another name, to be shown as such."""
    for done, item in enumerate(items):
        progress("MUSHRA anchors", done, len(items))
        clip = read_clip(good[item])
        for name, kind, level in MUSHRA_ANCHORS[plan.mushra_scale]:
            writer.add(distort(clip, kind, level), name, item, "mushra-anchor")
        writer.add(clip, "open reference", item, "open-reference")


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
    """{scene: text} from lines "scene<TAB>text", or from any file of prompts that `evaluate` reads.

    Raises:
        PhonofilmError: the file cannot be read, or is neither; the message says which line.
    """
    if path.suffix.lower() in (".json", ".jsonl", ".csv"):
        return evaluation_prompts.read_prompts(path)
    try:
        data = path.read_bytes()
        # Excel's "Unicode text" is UTF-16; its UTF-8 begins with a byte order mark, as Notepad's does
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PhonofilmError(f"prompts {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    lines = text_lines(text.replace("\r\n", "\n").replace("\r", "\n"))
    if path.suffix.lower() == ".tsv" and _is_head(lines[0]):
        return evaluation_prompts.read_prompts(path)
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        scene, tab, prompt = line.partition("\t")
        if not line.strip():
            continue
        if not tab or not scene.strip():
            raise PhonofilmError(f"prompts {path}, line {number}: write the scene's name, a tab, and its text")
        name = scene_name(_unquoted(scene))
        if name in found:
            raise PhonofilmError(f"prompts {path}, line {number}: scene {name!r} has a text already; keep one of them")
        found[name] = _unquoted(prompt)
    if not found:
        raise PhonofilmError(f"there are no prompts in {path}")
    return found


def scene_name(text: str) -> str:
    """The scene that a name or a file name stands for, in Unicode's normal form C."""
    path = PurePosixPath(text)
    return normal_name(path.with_suffix("").as_posix() if path.suffix.lower() in FAMILIES else text)


def _is_head(line: str) -> bool:
    cells = {cell.strip().lower() for cell in line.split("\t")}
    return bool(cells & set(evaluation_prompts.NAMES)) and bool(cells & set(evaluation_prompts.TEXTS))


def _unquoted(cell: str) -> str:
    """A cell without the quotes that spreadsheets put around text that has quotes of its own."""
    cell = cell.strip()
    inner = cell[1:-1]
    if len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell
