"""`phonofilm parity`: every fixture of a folder is checked or named, and nothing passes by not being looked at."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from phonofilm.app.cli.main import main
from phonofilm.app.cli.parity import parity_lines

FIXTURES = Path(__file__).parents[1] / "fixtures" / "networks"


@pytest.fixture
def folder(tmp_path):
    for name in ("imagebind_mel", "ltx2_3_transformer"):
        for suffix in (".json", ".npz"):
            shutil.copy(FIXTURES / f"{name}{suffix}", tmp_path)
    return tmp_path


def checked(capsys, *arguments):
    code = main(["parity", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def rename(folder, source, name, **fields):
    description = json.loads((folder / f"{source}.json").read_text()) | {"name": name} | fields
    (folder / f"{name}.json").write_text(json.dumps(description))
    shutil.copy(folder / f"{source}.npz", folder / f"{name}.npz")


def test_what_we_ported_passes_and_what_we_did_not_is_named(folder, capsys):
    rename(folder, "imagebind_mel", "stranger")
    code, found = checked(capsys, folder)
    assert code == 0
    assert found["ok"]
    assert found["counts"] == {"pass": 2, "no port": 1}
    rows = {row["name"]: row for row in found["fixtures"]}
    assert rows["stranger"]["error"] == "no port of stranger here"
    compared = {output["name"]: output["ok"] for output in rows["ltx2_3_transformer"]["outputs"]}
    assert compared["video_per_token"] is compared["audio_coords"] is True
    assert compared["video_per_token_cross"] is None
    lines = parity_lines(found["fixtures"])
    assert "2 of 3 fixtures pass; no port here of stranger" in lines[-1]
    assert any("video_per_token_cross" in line and "not compared" in line for line in lines)


def test_a_difference_fails_the_run(folder, capsys):
    outputs = dict(np.load(folder / "imagebind_mel.npz"))
    np.savez(folder / "imagebind_mel.npz", **{name: value + 0.01 for name, value in outputs.items()})
    code, found = checked(capsys, folder)
    assert code == 1
    assert not found["ok"]
    assert found["counts"] == {"fail": 1, "pass": 1}
    assert found["fixtures"][0]["outputs"][0]["max_abs_diff"] == pytest.approx(0.01, rel=0.05)


def test_damaged_and_half_fixtures_fail_in_one_line_each(folder, capsys):
    (folder / "broken.json").write_text("not json")
    (folder / "broken.npz").write_bytes(b"not numpy")
    (folder / "ltx2_3_transformer.npz").unlink()
    code, found = checked(capsys, folder)
    assert code == 1
    errors = {row["name"]: row["error"] for row in found["fixtures"] if row["status"] == "error"}
    assert errors.keys() == {"broken", "ltx2_3_transformer"}
    assert "broken.json is not a readable fixture" in errors["broken"]
    assert errors["ltx2_3_transformer"] == "ltx2_3_transformer.json has no ltx2_3_transformer.npz beside it"
    assert all("\n" not in line for line in errors.values())


def test_a_folder_in_which_nothing_is_ported_is_not_green(folder, capsys):
    rename(folder, "imagebind_mel", "stranger")
    code, found = checked(capsys, folder, "--only", "stranger")
    assert code == 1
    assert not found["ok"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nowhere"], "not a folder"), (["."], "no parity fixture"), ([str(FIXTURES), "--device", "tpu"], "device")],
)
def test_mistakes_get_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["parity", *arguments]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]
