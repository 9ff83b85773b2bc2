"""`phonofilm score DIR`: a folder of clips, made by anyone, against what their prompts ask for.

From files alone: nothing here was learned, and nothing is shared with any generator. Each number stands
beside the same number on true clips (the reference), on pictures with another clip's sound (shuffled),
and beside a self-test of the instrument.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.dataset import Entry, scan
from phonofilm.evaluation.foley_world.detect import Observation, observe, outside
from phonofilm.evaluation.foley_world.metrics import Value, f1_counts, match, pooled, shuffled_sync, summarise, sync
from phonofilm.files import printable
from phonofilm.types import Clip, Event, Progress
from phonofilm.workers import Workers

REFERENCE_SEED = 20_000_000  # far from every seed that training draws
PROTOCOL = "foley-world-score/2"
Found = TypeVar("Found")


def score_folder(
    folder: str | Path,
    truth: str | Path | None = None,
    reference: int = 200,
    workers: int = 2,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score every clip of a folder and its sub-folders; prompts and true events come from the files' own metadata.

    Args:
        folder: of clips, as `evaluate` reads one: every kind of film and sound, hidden files omitted.
        truth: folder of true clips with the same names, whose events the clips are held against
            (for foley and animate).
        reference: how many true clips stand beside it and test the instrument; 0 leaves them out.
        workers: processes.
        progress: told of clips that are scored, and of scenes that are drawn for the reference, which takes minutes.

    Returns:
        protocol, clips (how many are scored), unreadable and outside (file and reason of each: what is not a family's
        prompt or picture has no score), no_clips, scores, reference and self_test; see `counts.summarise`.

    Raises:
        PhonofilmError: no folder, or no clip in it that can be read and scored.
    """
    report = progress or (lambda stage, done, total: None)
    found = scan(folder)
    known = true_events(Path(truth), report) if truth is not None else {}
    jobs = [(entry, known.get(entry.name)) for entry in found.clips]
    scenes = _reference_scenes(reference)
    with Workers(workers) as pool:
        seen = list(_told(pool.map(_observe_file, jobs), report, "scoring", len(jobs)))
        clips = [clip for clip in seen if isinstance(clip, Observation)]
        left = [bad for bad in seen if not isinstance(bad, Observation)]
        if not clips:
            raise PhonofilmError(f"no clip in {folder} can be scored: {left[0]['file']}: {left[0]['why']}")
        true = list(_told(pool.map(_observe_truth, scenes), report, "drawing truth", len(scenes)))
    result: dict[str, Any] = {
        "protocol": PROTOCOL,
        "clips": len(clips),
        "unreadable": [{key: bad[key] for key in ("file", "why")} for bad in left if bad["kind"] == "unreadable"],
        "outside": [{key: bad[key] for key in ("file", "why")} for bad in left if bad["kind"] == "outside"],
        "no_clips": list(found.others),
        "unpaired": [_file(entry) for entry, events in jobs if truth is not None and events is None],
        "scores": summarise(clips),
    }
    if true:
        result["reference"] = summarise([scene for scene, _ in true])
        result["self_test"] = self_test([scene for scene, _ in true], [clicks for _, clicks in true])
    return result


def _told(found: Iterable[Found], report: Progress, stage: str, total: int) -> Iterator[Found]:
    """The same, telling how many there were so far."""
    report(stage, 0, total)
    for done, one in enumerate(found, start=1):
        report(stage, done, total)
        yield one


def true_events(folder: Path, progress: Progress | None = None) -> dict[str, tuple[Event, ...]]:
    """True events of each clip of a folder, by name without suffix, from the files' metadata."""
    from phonofilm.media import read_clip

    try:
        clips = [entry for entry in scan(folder).clips if not entry.problem]
    except PhonofilmError as error:
        hint = f"write true clips first: phonofilm world bounce -n 64 --mp4 -o {folder}"
        raise PhonofilmError(f"{error} ({hint})") from error
    report = progress or (lambda stage, done, total: None)
    return {entry.name: read_clip(entry.path).events for entry in _told(clips, report, "reading truth", len(clips))}


def self_test(clips: Sequence[Observation], clicks: Sequence[Observation]) -> dict[str, Any]:
    """Does the instrument find what is there, and nothing where nothing is? On true clips.

    Args:
        clips: true clips. clicks: the same pictures with a click track for sound.
    """
    tested = {
        "heard_precision": _share(clips, "onsets", True),
        "heard_recall": _share(clips, "onsets", False),
        "seen_precision": _share(clips, "sights", True),
        "seen_recall": _share(clips, "sights", False),
        "f1_shuffled": shuffled_sync(clips),
        "f1_after_250ms": pooled([_shifted(clip, 0.25) for clip in clips]),
        "f1_still_picture": pooled([sync(replace(clip, sights=()), 0.06) for clip in clips]),
        "f1_click_track": pooled([sync(clip, 0.06) for clip in clicks]),
    }
    chance = tested["f1_shuffled"].high + 0.05
    passed = all(tested[f"{a}_{b}"].value >= 0.95 for a in ("heard", "seen") for b in ("precision", "recall"))
    passed = passed and all(tested[f"f1_{n}"].value <= chance for n in ("after_250ms", "still_picture", "click_track"))
    return {"passed": passed, **{name: value.as_dict() for name, value in tested.items()}}


def _share(clips: Sequence[Observation], kind: str, precision: bool) -> Value:
    counts = []
    for clip in clips:
        found, truth = [e.time for e in getattr(clip, kind)], list(clip.truth or ())
        counts.append((float(len(match(found, truth, 0.06))), float(len(found if precision else truth))))
    return pooled(counts)


def _shifted(clip: Observation, seconds: float) -> tuple[float, float]:
    return f1_counts([s.time for s in clip.sights], [o.time + seconds for o in clip.onsets], 0.06)


def _observe_file(job: tuple[Entry, tuple[Event, ...] | None]) -> Observation | dict[str, str]:
    from phonofilm.media import read_clip

    entry, events = job
    left = {"file": _file(entry), "kind": "unreadable"}
    if entry.problem:
        return {**left, "why": entry.problem}
    try:
        clip = read_clip(entry.path)
    except PhonofilmError as error:
        return {**left, "why": str(error)}
    if reason := outside(clip):
        return {**left, "kind": "outside", "why": reason}
    return observe(clip, entry.name, events if events is not None else (clip.events or None))


def _file(entry: Entry) -> str:
    return printable(entry.path.name)


def _reference_scenes(count: int) -> list[tuple[str, int]]:
    return [(("bounce", "strike")[i % 2], REFERENCE_SEED + i // 2) for i in range(count)]


def _observe_truth(scene: tuple[str, int]) -> tuple[Observation, Observation]:
    """A true clip, and its picture with a click track, observed."""
    from phonofilm import world

    clip = world.clips([world.sample(*scene)])[0]
    return observe(clip, f"{scene[0]}-{scene[1]}", clip.events), observe(_with_clicks(clip, scene[1]), "clicks")


def _with_clicks(clip: Clip, seed: int) -> Clip:
    """Half a second between clicks, from a random moment on."""
    rng, (true, rate) = np.random.default_rng(seed), clip.sound
    waveform = np.zeros_like(true)
    burst = rng.standard_normal(200).astype(np.float32) * np.exp(-np.arange(200) / 40).astype(np.float32) * 0.5
    for start in range(int(rng.uniform(0, 0.5) * rate), waveform.shape[1] - 200, rate // 2):
        waveform[:, start : start + 200] += burst
    return clip.with_(waveform=waveform)
