"""A film that is taken out is nowhere any more, and what knew it is told."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from curate_films import film
from phonofilm import PhonofilmError
from phonofilm.data.curate.common.records import Rights
from phonofilm.data.curate.output.record import COLUMNS
from phonofilm.data.curate.output.shards import read_index
from phonofilm.data.curate.pipeline import Job, curate, write_set
from phonofilm.data.curate.removal import remove_source
from phonofilm.data.curate.review import decide, decisions
from phonofilm.data.curate.rules import Rules
from phonofilm.data.curate.versions import set_digest

COSTLY = ("sync", "content", "faces", "events", "speech", "onscreen", "caption")


def quiet(stage: str, done: int, total: int) -> None:
    pass


def test_a_film_is_taken_out_for_good(tmp_path):
    films, output = tmp_path / "films", tmp_path / "data"
    film(films / "a.mp4", 11, 12, seconds=1.5)
    film(films / "b.mp4", 13, seconds=1.5)
    job = Job(
        (films,), output, Rules.of(["lower rate=keep"]), Rights("CC0-1.0", "made here"), workers=0, without=COSTLY,
        shares={"validation": 0, "test": 0},
    )  # fmt: skip
    assert write_set(job, curate(job, quiet), quiet)[0] == 3
    rows = read_index(output / "index.parquet")
    digest, version = next(row["source"] for row in rows if "a.mp4" in row["source_name"]), set_digest(rows)
    card = json.loads((output / "croissant.json").read_text())
    assert card["license"] == ["CC0-1.0"]
    assert card["usageInfo"] == "Consent: not said"
    assert [field["name"] for field in card["recordSet"][0]["field"]] == list(COLUMNS)
    decide(output, {rows[0]["key"]: "keep", rows[2]["key"]: "keep"})
    save_file({"w": torch.zeros(1)}, tmp_path / "seen.safetensors", {"data": f"set {version}"})
    save_file({"w": torch.zeros(1)}, tmp_path / "other.safetensors", {"data": "set 0123"})

    done = remove_source(output, "a.mp4", [tmp_path])
    assert (done.source, done.clips, done.results) == (digest, 2, 2)
    assert done.versions == (version,)
    assert [Path(path).name for path in done.weights] == ["seen.safetensors"]
    left = read_index(output / "index.parquet")
    assert [Path(row["source_name"]).name for row in left] == ["b.mp4"]
    with tarfile.open(output / "shards" / left[0]["shard"]) as tar:
        assert {name.split(".")[0] for name in tar.getnames()} == {left[0]["key"]}
    assert list(decisions(output)) == [left[0]["key"]]
    assert not any(digest in str(path) for path in output.rglob("*"))

    again = curate(job, quiet)
    assert [(Path(one.name).name, one.reason) for one in again.skipped] == [("a.mp4", "it was taken out of this set")]
    assert write_set(job, again, quiet)[0] == 1
    for name, said in (("none.mp4", "no source"), ("b", "no source")):
        with pytest.raises(PhonofilmError, match=said):
            remove_source(output, name)
    with pytest.raises(PhonofilmError, match="is no set"):
        remove_source(tmp_path / "films", "b.mp4")
    assert remove_source(output, str(films / "b.mp4")).clips == 1
    assert not list(output.glob("shards/*.tar"))
    with pytest.raises(PhonofilmError, match="is not there"):
        curate(replace(job, given=(tmp_path / "gone",)), quiet)
