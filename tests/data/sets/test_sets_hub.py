"""Sets in the form of the Hugging Face hub, read row by row from a folder."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from curate_films import film
from phonofilm.app.cli.main import main
from phonofilm.data.sets import conversion
from phonofilm.data.sets.hub import HubSet
from phonofilm.data.sets.registry import layout_of, read_items
from phonofilm.errors import PhonofilmError

pytest.importorskip("datasets")
pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Parquet as the hub has it: films as bytes, a class, several captions; one film is none, one is not there."""
    films = [film(tmp_path / f"{name}.mp4", seed, seconds=0.5).read_bytes() for name, seed in (("a", 3), ("b", 4))]
    outside = tmp_path / "secret.mp4"
    outside.write_bytes(films[0])
    rows = [
        {"video": {"bytes": films[0], "path": "a.mp4"}, "captions": ["A ball.", "It falls."], "category": "toys"},
        {"video": {"bytes": b"no film", "path": "bad.mp4"}, "captions": ["Nothing."], "category": "none"},
        {"video": {"bytes": None, "path": str(outside)}, "captions": ["A file of this machine."], "category": "none"},
        {"video": {"bytes": films[1], "path": "b.mp4"}, "captions": [], "category": "toys"},
        {"video": {"bytes": films[1], "path": "c.mp4"}, "captions": ["Again."], "category": "toys"},
    ]
    (tmp_path / "set").mkdir()
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "set" / "train-00000-of-00001.parquet")
    return tmp_path / "set"


def entries(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member)) is not None}


def test_rows_become_shards_with_what_the_set_says(folder, tmp_path, capsys, monkeypatch):
    assert main(["data", "convert", f"hf:{folder}", "-o", str(tmp_path / "shards"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["written"] == 3
    assert set(said["left_out"]) == {"bad.mp4", "secret.mp4"}, "a row names no other file of this machine"
    assert "no media" in said["left_out"]["secret.mp4"]
    found = entries(tmp_path / "shards" / "train-00000.tar")
    assert list(found) == [f"{n:09d}{suffix}" for n in (0, 3, 4) for suffix in (".mp4", ".json")]
    beside = json.loads(found["000000000.json"])
    assert (beside["captions"], beside["labels"], beside["split"]) == (["A ball.", "It falls."], ["toys"], "train")
    items = read_items(tmp_path / "shards", layout_of(tmp_path / "shards"))
    assert [item.captions for item in items] == [("A ball.",), (), ("Again.",)]


def test_it_goes_on_after_whole_shards(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "PER_SHARD", 2)
    output = tmp_path / "shards"
    output.mkdir()
    quiet = lambda *said: None  # noqa: E731
    assert conversion.convert_rows(HubSet(f"hf:{folder}"), output, quiet, limit=3)[0] == 1
    kept = (output / "train-00000.tar").stat().st_mtime_ns
    assert conversion.convert_rows(HubSet(f"hf:{folder}"), output, quiet)[0] == 2
    assert (output / "train-00000.tar").stat().st_mtime_ns == kept, "a whole shard is not written again"
    names = [name for path in sorted(output.iterdir()) for name in entries(path) if name.endswith(".mp4")]
    assert names == ["000000000.mp4", "000000003.mp4", "000000004.mp4"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf:nothing", "names no data set"),
        ("hf:./no/such/folder", "cannot be opened"),
        ("{folder}:validation", "has no split 'validation'; it has train"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(folder, tmp_path, capsys, name, said):
    name, _, split = name.partition("}:")
    name = f"hf:{folder}" if split else name
    code = main(["data", "convert", name, "-o", str(tmp_path / "out"), *(["--split", split] if split else [])])
    assert code != 0
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_a_set_without_films_or_sounds_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    parquet.write_table(pa.table({"number": [1, 2]}), tmp_path / "set" / "train.parquet")
    with pytest.raises(PhonofilmError, match="has no column of films or sounds; it has number"):
        HubSet(f"hf:{tmp_path / 'set'}")


def test_split_and_limit_are_for_sets_of_the_hub(tmp_path, capsys):
    assert main(["data", "convert", str(tmp_path), "-o", str(tmp_path / "out"), "--limit", "3"]) != 0
    assert "--split and --limit are for sets of the hub" in capsys.readouterr().err
