"""Files and folders that are whole or not there, and checks that come before hours of work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from phonofilm import files
from phonofilm.errors import PhonofilmError
from phonofilm.files import atomic, check_file, check_folder, folder_for, write_bytes


def interrupted_after(path: Path) -> None:
    write_bytes(path, b"x")
    raise KeyboardInterrupt


def failing(path: Path, number: int) -> None:
    path.write_bytes(b"half")
    raise OSError(number, os.strerror(number), str(path))


def test_a_folder_that_an_error_leaves_empty_is_not_left(tmp_path):
    with pytest.raises(KeyboardInterrupt), folder_for(tmp_path / "new"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
    with pytest.raises(KeyboardInterrupt), folder_for(tmp_path / "new"):
        interrupted_after(tmp_path / "new" / "whole")
    assert os.listdir(tmp_path / "new") == ["whole"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyboardInterrupt), folder_for(tmp_path / "mine"):
        raise KeyboardInterrupt
    assert (tmp_path / "mine").is_dir(), "it was there before"


def test_what_cannot_be_made_is_said_before(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(PhonofilmError, match="is a file; name a folder"):
        check_folder(tmp_path / "file")
    with pytest.raises(PhonofilmError, match="file is a file; name a folder"):
        check_folder(tmp_path / "file" / "folder")
    with pytest.raises(PhonofilmError, match="file is a file; name a folder"):
        check_file(tmp_path / "file" / "folder" / "out.mp4")
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(PhonofilmError, match="is a folder; name a file"):
        check_file(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PhonofilmError, match=r"is not writable; choose another one for out\.mp4"):
        check_file(tmp_path / "out.mp4")


def test_a_place_that_is_not_there_or_not_to_be_reached_is_said_before(tmp_path, monkeypatch):
    (tmp_path / "gone").symlink_to(tmp_path / "drive")
    for name in ("gone", "gone/sub"):
        with pytest.raises(PhonofilmError, match=r"gone is a link to what is not there; choose another folder"):
            check_folder(tmp_path / name)
    with pytest.raises(PhonofilmError, match=r"cannot be reached: File name too long; choose another folder"):
        check_folder(tmp_path / ("n" * 300) / "sub")
    monkeypatch.setattr(files, "_is_there", lambda path: False)  # as where a whole drive is missing
    monkeypatch.setattr(Path, "exists", lambda path: False)
    with pytest.raises(PhonofilmError, match=r"^/ is not there; choose another folder for out\.mp4$"):
        check_file("/mnt/out.mp4")


def test_missing_folders_are_made_and_those_that_an_error_leaves_empty_are_removed(tmp_path):
    write_bytes(tmp_path / "a" / "b" / "file", b"x")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"x"
    with pytest.raises(PhonofilmError, match="the disk is full"), atomic(tmp_path / "c" / "d" / "out") as temporary:
        failing(temporary, errno.ENOSPC)
    with pytest.raises(KeyboardInterrupt), folder_for(tmp_path / "a" / "e" / "f"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == ["b"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full: .*out was not written; free some space"),
        (errno.EFBIG, "out cannot be written: File too large"),
        (errno.EROFS, "out cannot be written: Read-only file system; choose another folder"),
        (errno.ENAMETOOLONG, "out cannot be written: File name too long; choose another name or folder"),
    ],
)
def test_what_goes_wrong_while_writing_is_one_line(tmp_path, number, message):
    with pytest.raises(PhonofilmError, match=message), atomic(tmp_path / "out") as temporary:
        failing(temporary, number)
    assert os.listdir(tmp_path) == []


def test_an_error_of_another_file_is_not_said_of_this_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"), atomic(tmp_path / "out"):
        (tmp_path / "other").read_bytes()
