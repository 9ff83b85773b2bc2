"""From a curated set to weights: clips of equal shape in buckets, and the set's digest all the way."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curate_films import FPS, film
from phonofilm import PhonofilmError
from phonofilm.checkpoint import read_metadata
from phonofilm.data import precompute
from phonofilm.data.clips import RawStore
from phonofilm.data.curate.common.records import Rights
from phonofilm.data.curate.output.shards import read_index
from phonofilm.data.curate.pipeline import Job, curate, write_set
from phonofilm.data.curate.removal import remove_source
from phonofilm.data.curate.rules import Rules
from phonofilm.data.curate.versions import set_digest
from phonofilm.data.curated import Bucket, bucket_of, curated_sources
from phonofilm.media.shots.window import read_window
from phonofilm.training.loop import fit
from phonofilm.training.tasks.base import make_task

COSTLY = ("sync", "content", "faces", "events", "speech", "onscreen", "caption")


def quiet(stage: str, done: int, total: int) -> None:
    pass


@pytest.mark.parametrize(
    ("aspect", "seconds", "found"),
    [
        (1.0, 4.0, Bucket(128, 128, 4.0)),
        (1.5, 3.9, Bucket(160, 96, 2.0)),
        (1.78, 9.0, Bucket(160, 96, 4.0)),
        (0.56, 2.0, Bucket(96, 160, 2.0)),
        (1.0, 1.9, None),
    ],
)
def test_the_bucket_of_a_clip(aspect: float, seconds: float, found: Bucket | None) -> None:
    assert bucket_of(aspect, seconds, 128, (2.0, 4.0)) == found


def test_weights_say_which_set_they_saw(tmp_path: Path) -> None:
    films, output = tmp_path / "films", tmp_path / "data"
    one = film(films / "a.mp4", 21, 22, seconds=3.0)
    film(films / "b.mp4", 23, seconds=2.2)
    job = Job(
        (films,), output, Rules.of(["lower rate=keep", "frozen=keep"]), Rights("CC-BY-4.0"), workers=0, without=COSTLY,
        shares={"validation": 0, "test": 0},
    )  # fmt: skip
    write_set(job, curate(job, quiet), quiet)
    rows = read_index(output / "index.parquet")
    digest = set_digest(rows)
    command = ["set", str(output), "--seconds", "1,3", "--size", "64", "--fps", str(FPS), "--sample-rate", "16000"]
    assert precompute.main([*command, "-o", str(tmp_path / "raw")]) == 0
    stores = {path.name: RawStore(path) for path in sorted((tmp_path / "raw").iterdir())}
    found = {name: len(store) for name, store in stores.items()}
    assert found == {"64x64-1s": 2, "64x64-3s": 2}, "two shots of 3 s, and one of 2.2 s in two"
    store = stores["64x64-3s"]
    assert store.sets == {digest: ["CC-BY-4.0"]}
    assert store.records[0].params["license"] == "CC-BY-4.0"
    (begin,) = {row["start_exact"] for row in rows if row["key"] == store.records[0].params["key"]}
    true = read_window(one, Fraction(begin), Fraction(begin) + 3, 64)
    assert store.frames([0]).shape[1:] == (3 * FPS, 64, 64, 3)
    heard = store.waveforms([0])[0].numpy()
    # copied sound lies within 1.5 ms of where it was, which noise cannot bear: its loudness is compared
    loud = [wave[0, :48_000].reshape(-1, 800).std(axis=1) for wave in (heard, true.waveform)]
    assert np.corrcoef(*loud)[0, 1] > 0.98

    model = {"widths": [8, 8], "encoder_depths": [1, 1], "decoder_depths": [1, 1]}
    run = {"output": str(tmp_path / "run"), "steps": 1, "batch": 1, "precision": "fp32", "validate_every": 0}
    values = {"kind": "video_vae", "run": run, "model": model}
    data = {"folder": str(tmp_path / "raw" / "64x64-3s"), "held_out": 1, "window": 5}
    path = fit(make_task(values | {"data": data}))
    assert json.loads(read_metadata(path)["sets"]) == {digest: ["CC-BY-4.0"]}
    assert remove_source(output, "b.mp4", [tmp_path / "run"]).weights == (str(path),)


def test_what_is_no_set_or_too_short_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PhonofilmError, match="is no curated set"):
        curated_sources(tmp_path, 64, (1.0,), 12, 16_000)
    assert precompute.main(["set", str(tmp_path), "--seconds", "two", "-o", str(tmp_path / "raw")]) != 0
