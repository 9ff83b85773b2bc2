"""The whole way on small films: what is kept, what is not and why, and that nothing is done twice or lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curate_films import RATE, film, scene, voice
from fuzz.damage import damaged
from phonofilm import PhonofilmError
from phonofilm.data.curate import measuring, pipeline
from phonofilm.data.curate.common.records import Rights
from phonofilm.data.curate.common.step import Step
from phonofilm.data.curate.output.shards import read_index
from phonofilm.data.curate.pipeline import Job, curate, forecast, write_set
from phonofilm.data.curate.registry import STEPS
from phonofilm.data.curate.review import decide
from phonofilm.data.curate.rules import Rules
from phonofilm.media import write_clip
from phonofilm.media.shots.window import read_window
from phonofilm.types import Clip

COSTLY = tuple(step.name for step in STEPS if step.costly)
KEEP = ["sync unknown=keep", "lower rate=keep", "frozen=keep"]


def quiet(stage: str, done: int, total: int) -> None:
    pass


def job_of(films: Path, output: Path, **changes: object) -> Job:
    job = Job((films,), output, Rules.of(KEEP), workers=0, without=COSTLY)
    return replace(job, **changes)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    film(folder / "a.mp4", 1, 2, 3)
    silence = np.concatenate([voice(4), np.zeros((2, 2 * RATE), np.float32)], axis=1)
    film(folder / "b.mp4", 4, 5, sound=silence)
    film(folder / "c.mkv", 6, 2)  # its second scene is one of the first film
    (folder / "damaged.mp4").write_bytes((folder / "a.mp4").read_bytes()[:3000])
    (folder / "rights.toml").write_text('[default]\nlicense = "CC0-1.0"\n')
    return folder


@pytest.fixture(scope="module")
def made(films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, pipeline.Funnel, int]:
    job = job_of(films, tmp_path_factory.mktemp("set") / "data", rights=Rights(origin="made here"))
    funnel = curate(job, quiet)
    written, lost = write_set(job, funnel, quiet)
    assert lost == []
    return job, funnel, written


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("shards/*.tar"))}


def test_shots_are_found_judged_and_counted(made):
    _, funnel, written = made
    starts = {one.source.path.name: [] for one in funnel.verdicts}
    for one in funnel.verdicts:
        starts[one.source.path.name].append((round(float(one.shot.start), 1), one.does))
    assert starts["a.mp4"] == [(0.0, "keep"), (2.0, "keep"), (4.0, "keep")]
    assert starts["b.mp4"] == [(0.0, "keep"), (2.0, "drop")]
    assert [does for _, does in starts["c.mkv"]] == ["keep", "drop"]
    assert written == 5
    reasons = funnel.reasons()
    assert reasons["duplicate"] == 1
    assert reasons.get("no sound", 0) + reasons.get("silence", 0) == 1
    assert [Path(one.name).name for one in funnel.skipped] == ["damaged.mp4"]


def test_a_clip_of_a_shard_is_the_shot_of_the_film(made):
    job, funnel, _ = made
    rows = read_index(job.output / "index.parquet")
    assert {row["key"] for row in rows} == {one.shot.key for one in funnel.kept}
    row = next(row for row in rows if row["source_name"].endswith("a.mp4") and row["start"] > 1.5)
    with tarfile.open(job.output / "shards" / row["shard"]) as tar:
        content, beside = tar.extractfile(row["file"]).read(), json.load(tar.extractfile(row["key"] + ".json"))
    clip = job.output / f"look{Path(row['file']).suffix}"
    clip.write_bytes(content)
    start, stop = (Fraction(row[f"{name}_exact"]) for name in ("start", "stop"))
    inner = (Fraction(row[f"clip_{name}_exact"]) for name in ("in", "out"))
    one = read_window(job.given[0] / "a.mp4", start, stop)
    other = read_window(clip, *inner)
    assert np.array_equal(one.frames, other.frames)
    assert beside["license"] == row["license"] == "CC0-1.0"
    assert row["origin"] == "made here"
    assert row["frames"] == len(one.frames)


def test_sources_that_share_content_lie_in_one_split(made):
    _, funnel, _ = made
    split = {one.source.path.name: funnel.splits[one.source.digest] for one in funnel.verdicts}
    assert split["a.mp4"] == split["c.mkv"]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_the_shards(made):
    import webdataset

    job, _, written = made
    paths = [str(path) for path in sorted(job.output.glob("shards/*.tar"))]
    samples = list(webdataset.WebDataset(paths, shardshuffle=False, empty_check=False))
    assert len(samples) == written
    assert all("json" in sample and ("mp4" in sample or "mkv" in sample) for sample in samples)


def test_a_second_run_measures_nothing_and_writes_the_same_bytes(made, monkeypatch):
    job, funnel, written = made
    before = digests(job.output)

    def refuse(path: Path, *given: object) -> None:
        assert path.name == "damaged.mp4", "it was measured before"
        raise PhonofilmError("it is damaged")

    monkeypatch.setattr(measuring, "run_steps", lambda *given: pytest.fail("it was measured before"))
    monkeypatch.setattr(measuring.shot_finding, "find_shots", refuse)
    again = curate(job, quiet)
    assert again.reasons() == funnel.reasons()
    assert write_set(job, again, quiet)[0] == written
    assert digests(job.output) == before


def test_a_changed_step_alone_is_worked_out_again(made, monkeypatch):
    job, _, _ = made
    done: list[str] = []

    def noted(step: Step) -> Step:
        return replace(step, version=99, run=lambda *given: done.append(step.name) or step.run(*given))

    changed = tuple(noted(step) if step.name == "sound" else step for step in measuring.STEPS)
    monkeypatch.setattr(measuring, "STEPS", changed)
    monkeypatch.setattr("phonofilm.data.curate.registry.STEPS", changed)
    missing = forecast(job, quiet).missing
    assert missing["sound"] == 7
    assert missing["picture"] == missing["hashes"] == 0
    curate(job, quiet)
    assert done == ["sound"] * 7


def test_moved_thresholds_and_decisions_by_hand_change_the_verdicts(made):
    job, funnel, _ = made
    strict = curate(replace(job, rules=Rules.of([*KEEP, "short=3"])), quiet)
    assert strict.kept == []
    key = funnel.kept[0].shot.key
    lost = next(one.shot.key for one in funnel.verdicts if one.does == "drop")
    decide(job.output, {key: "drop", lost: "keep"})
    by_hand = {one.shot.key: one.does for one in curate(job, quiet).verdicts}
    assert (by_hand[key], by_hand[lost]) == ("drop", "keep")
    decide(job.output, {key: "undecided", lost: "undecided"})


def test_a_sample_is_drawn_by_its_seed(made):
    job, _, _ = made
    first, again, other = (
        [one.shot.key for one in curate(replace(job, sample=3, seed=seed), quiet).verdicts] for seed in (1, 1, 3)
    )
    assert len(first) == 3
    assert first == again != other


def test_what_is_in_a_test_set_is_thrown_out(made, tmp_path):
    job, _, _ = made
    film(tmp_path / "test" / "held.mp4", 1)
    funnel = curate(replace(job, against=(tmp_path / "test",)), quiet)
    leaked = [one for one in funnel.verdicts if any(finding.reason == "test set" for finding in one.findings)]
    assert [(one.source.path.name, float(one.shot.start)) for one in leaked] == [("a.mp4", 0.0)]
    decide(job.output, {leaked[0].shot.key: "keep"})  # which no hand can undo
    funnel = curate(replace(job, against=(tmp_path / "test",)), quiet)
    assert next(one.does for one in funnel.verdicts if one.shot.key == leaked[0].shot.key) == "drop"
    decide(job.output, {leaked[0].shot.key: "undecided"})


def test_a_mirrored_copy_of_a_test_set_is_set_aside_by_its_likeness(tmp_path):
    """Hashes do not know it; a film of something else stays."""
    films, test = tmp_path / "films", tmp_path / "test"
    film(films / "a.mp4", 41)
    x, y = np.meshgrid(np.arange(96), np.arange(64))
    discs = np.stack([(np.hypot(x % 32 - 16, (y + step) % 32 - 16) < 10) * 200 + 20 for step in range(24)])
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype(np.float32)[None]
    write_clip(Clip(frames=np.repeat(discs[..., None], 3, 3).astype(np.uint8), fps=12, waveform=tone, sample_rate=RATE),
               films / "b.mp4")  # fmt: skip
    test.mkdir()
    mirrored = np.ascontiguousarray(scene(41)[:, :, ::-1])
    write_clip(Clip(frames=mirrored, fps=12, waveform=voice(41), sample_rate=RATE), test / "held.mp4")
    job = job_of(films, tmp_path / "data", against=(test,))
    found = {one.source.path.name: one for one in curate(job, quiet).verdicts}
    assert [(one.reason, one.does) for one in found["a.mp4"].findings if one.does != "note"] == [
        ("like test set", "aside")
    ]
    assert found["b.mp4"].results["against"]["likeness"] < 0.85
    assert found["a.mp4"].results["against"]["like"]
    assert curate(replace(job, against=()), quiet).absent["likeness"] == "there is no test set (--against)"


def test_nothing_to_work_on_is_one_line(tmp_path):
    with pytest.raises(PhonofilmError, match="is not there"):
        curate(job_of(tmp_path / "none", tmp_path / "data"), quiet)


def command_of(films: Path, output: Path, workers: int = 0) -> list[str]:
    command = [sys.executable, "-m", "phonofilm", "data", "curate", str(films), "-o", str(output)]
    command += ["--workers", str(workers), "--origin", "made here", "--json"]
    command += [part for step in COSTLY for part in ("--without", step)]
    return command + [part for rule in KEEP for part in ("--rule", rule)]


def test_killed_again_and_again_it_ends_with_the_same_bytes(films, made, tmp_path):
    """SIGKILL at moments that are spread over a run; what was kept stays, and the set comes out as without."""
    job, _, _ = made
    output = tmp_path / "data"
    command = command_of(films, output)
    kept: list[int] = []
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wanted = (kept[-1] if kept else 0) + 2
        while process.poll() is None and len(list(output.rglob("results/*/*.json"))) < wanted:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kept.append(len(list(output.rglob("results/*/*.json"))))
    assert kept == sorted(kept)
    assert 0 < kept[0] < 7
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["counts"]["keep"] == 5
    assert digests(output) == digests(job.output)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_forty_times(films, made, tmp_path):
    """SIGKILL of the driver at any moment, with processes of its own at work; nothing is lost and nothing is twice."""
    job, _, _ = made
    output, draw = tmp_path / "data", np.random.default_rng(3)
    command, killed = command_of(films, output, workers=2), 0
    for _ in range(200):
        if killed == 40:
            break
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(float(draw.uniform(0.5, 12)))
        except subprocess.TimeoutExpired:
            killed += 1
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        else:  # it had ended: begin again
            shutil.rmtree(output)
    assert killed == 40
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["counts"]["keep"] == 5
    assert digests(output) == digests(job.output)
    keys = [row["key"] for row in read_index(output / "index.parquet")]
    assert len(keys) == len(set(keys)) == 5


def with_damaged(folder: Path, output: Path, count: int) -> None:
    """Each damaged film is listed with its reason or gives shots like any other, and the whole one is as without."""
    whole = film(folder / "films" / "a.mp4", 31, 32, seconds=1.5)
    alone = job_of(folder / "films", output / "alone")
    write_set(alone, curate(alone, quiet), quiet)
    for number in range(count):
        content = damaged(whole.read_bytes(), np.random.default_rng([7, number]))
        (folder / "films" / f"b-{number:03d}.mp4").write_bytes(content)
    job = job_of(folder / "films", output / "all", workers=1)
    funnel = curate(job, quiet)
    write_set(job, funnel, quiet)
    told = {Path(one.name.split(" at ")[0]).name for one in funnel.skipped if one.reason}
    judged = {Path(one.source.name).name for one in funnel.verdicts}
    identical = {path.name for path in (folder / "films").iterdir() if path.read_bytes() == whole.read_bytes()}
    every = {path.name for path in (folder / "films").iterdir()}
    assert told | judged | identical == every
    assert len(told) > count // 4, "most damage is noticed"
    rows = [
        [row for row in read_index(place / "index.parquet") if row["source_name"].endswith("a.mp4")]
        for place in (output / "alone", output / "all")
    ]
    own = [[{**row, "shard": "", "split": ""} for row in some] for some in rows]
    assert own[0] == own[1]
    assert len(own[0]) == 2


def test_damaged_films_are_listed(tmp_path):
    with_damaged(tmp_path / "in", tmp_path / "out", 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_five_hundred_damaged_films(tmp_path):
    with_damaged(tmp_path / "in", tmp_path / "out", 500)
