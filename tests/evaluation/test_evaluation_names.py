"""Names of clips and prompts: normal forms, odd bytes, links, line ends, and the index that generate writes."""

from __future__ import annotations

import json
import os
import unicodedata

import pytest

from phonofilm.evaluation.dataset import scan
from phonofilm.evaluation.prompts import read_prompts
from phonofilm.files import find_printable, printable, text_lines


@pytest.fixture
def wav():
    return b"RIFF\0\0\0\0WAVE" + bytes(32)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("cell.csv", 'name,prompt\r\na,"a red ball\r\nbounces"\r\nb,x\r\n', {"a": "a red ball\r\nbounces", "b": "x"}),
        ("cell.tsv", 'name\tprompt\na\t"one\ntwo"\n', {"a": "one\ntwo"}),
        ("line.csv", "name,prompt\na,a ball\u2028bounces\u0085on\n", {"a": "a ball\u2028bounces\u0085on"}),
        ("line.jsonl", '{"name": "a", "prompt": "a ball\u2028bounces"}\r\n\n', {"a": "a ball\u2028bounces"}),
        ("bom.csv", "\ufeffname,prompt\na,x\n", {"a": "x"}),
        ("form.csv", "name,prompt\ncafe\u0301.mp4,x\n", {"caf\u00e9": "x"}),
    ],
)
def test_only_line_ends_end_a_line(tmp_path, name, text, wanted):
    (tmp_path / name).write_bytes(text.encode())
    assert read_prompts(tmp_path / name) == wanted


def test_the_index_of_generate_names_files_first(tmp_path):
    """A later row called "0000" must not take the prompt of the file 0000-ab.mp4."""
    rows = [{"path": f"000{i}-ab.mp4", "name": f"000{i}", "prompt": f"p{i}", "seed": i} for i in range(2)]
    rows.append({"path": "0000.mp4", "name": "other", "prompt": "p2"})
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_prompts(tmp_path / "index.jsonl")
    assert (found["0000-ab"], found["0001-ab"], found["0001"], found["0000"]) == ("p0", "p1", "p1", "p2")


def test_names_of_two_normal_forms_are_one(tmp_path, wav):
    for form in ("NFC", "NFD"):
        (tmp_path / form).mkdir()
        (tmp_path / form / f"{unicodedata.normalize(form, 'café')}.wav").write_bytes(wav)
    assert [entry.name for entry in scan(tmp_path / "NFC").clips] == [
        entry.name for entry in scan(tmp_path / "NFD").clips
    ]


def test_a_name_that_is_not_utf8_can_be_written_and_found_again(tmp_path, wav):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/fa\xe7ade.wav")
    try:
        with open(path, "wb") as file:
            file.write(wav)
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    (entry,) = scan(tmp_path).clips
    assert entry.name == "fa\\xe7ade"
    assert entry.name.encode()
    assert find_printable(tmp_path, printable(entry.path.name)) == entry.path


def test_linked_folders_are_read_once_and_circles_end(tmp_path, wav):
    store, folder = tmp_path / "store", tmp_path / "clips"
    for path in (store, folder / "sub"):
        path.mkdir(parents=True)
    (store / "b.wav").write_bytes(wav)
    (folder / "sub" / "a.wav").write_bytes(wav)
    (folder / "link").symlink_to(store)
    (folder / "again").symlink_to(folder / "sub")
    (folder / "sub" / "up").symlink_to(folder)
    found = scan(folder)
    assert [entry.name for entry in found.clips] == ["link/b", "sub/a"]
    assert [line.split(" ")[0] for line in found.others] == ["again", "sub/up"]
    assert all("read already" in line for line in found.others)


def test_lines_end_where_lines_end():
    assert text_lines("a\u2028b\r\nc\x0bd\n") == ["a\u2028b", "c\x0bd", ""]
