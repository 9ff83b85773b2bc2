"""`phonofilm keys`: looking at keys makes nothing, and what is made opens something."""

from __future__ import annotations

from phonofilm.app.cli.main import main


def test_to_look_at_keys_makes_no_folder(tmp_path, capsys):
    data = tmp_path / "data"
    assert main(["keys", "list", "--data", str(data)]) == 0
    assert main(["keys", "revoke", "4f2a90c1d3e5", "--data", str(data)]) != 0
    assert not data.exists()
    capsys.readouterr()
    assert main(["keys", "new", "anna", "--data", str(data)]) == 0
    key = capsys.readouterr().out.strip()
    assert main(["keys", "list", "--data", str(data)]) == 0
    assert key.split("_")[1] in capsys.readouterr().out
