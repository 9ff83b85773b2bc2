"""What README and docs print is what works: every command is one that there is, and README's run as printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from itertools import takewhile
from pathlib import Path

import pytest
from typer.main import get_command

from phonofilm.app.cli.app import app
from phonofilm.media import probe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
ELSEWHERE = ("source ", "pip ", "make ")
"""What prepares a machine, and is tried by `make demo`, `make check-wheel` and `.ci/run`."""
SHIM = '#!/bin/sh\nexec "{python}" -m phonofilm.app.cli.main "$@"\n'


def blocks(page: Path, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M)
    return [block for language, block in found if language in languages]


def commands(page: Path) -> list[list[str]]:
    """The words of every `phonofilm …` in a page's blocks and indented lines, up to a pipe or the next command."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks(page, "", "bash") for line in block.splitlines()]
    lines += [line.strip() for line in text.splitlines() if line.startswith("    phonofilm ")]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("phonofilm ")]
    return [list(takewhile(lambda word: word not in ("|", "&&", ">", "&"), line)) for line in words]


PRINTED = [(page.relative_to(ROOT), words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize(("page", "words"), PRINTED, ids=lambda value: str(value)[:60])
def test_a_command_in_the_docs_is_one_that_there_is(page, words):
    command, rest = get_command(app), words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("phonofilm", rest)  # raises for an option that there is not, or one that is missing


def test_there_are_commands_to_try():
    assert len([page for page, _ in PRINTED if str(page) == "README.md"]) >= 10
    with pytest.raises(Exception, match="No such option: --chess"):
        test_a_command_in_the_docs_is_one_that_there_is(Path("README.md"), ["phonofilm", "info", "x", "--chess"])


def test_nobody_is_sent_to_an_index_for_the_name():
    """`pip install phonofilm` would bring what others may have put there."""
    written = [*PAGES, ROOT / "CONTRIBUTING.md", *(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*")]
    for page in written:
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        assert not re.search(r"pip install (-\S+ )*['\"]?phonofilm(?! @)\b", text), page
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"\.\[([\w,]+)\]", "".join(page.read_text(encoding="utf-8") for page in PAGES))
    assert named
    assert {extra for names in named for extra in names.split(",")} <= set(extras)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_readme_runs_as_printed(tmp_path):
    """In a folder that holds what a fresh clone does."""
    for path in ROOT.iterdir():
        if path.name not in (".git", ".venv", "out", "runs", "data", "dist", "build"):
            (tmp_path / path.name).symlink_to(path)
    shim = tmp_path / "bin" / "phonofilm"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(python=sys.executable))
    shim.chmod(0o755)
    folders = f"{shim.parent}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    environment = {"PATH": folders, "PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)}
    printed = [line for block in blocks(ROOT / "README.md", "bash") for line in block.splitlines() if line.strip()]
    for line in printed:
        command = f"make -n {line.split()[1]}" if line.startswith("make ") else line
        if not line.startswith(ELSEWHERE) or command != line:
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    for block in blocks(ROOT / "README.md", "python"):
        subprocess.run([sys.executable, "-c", block], cwd=tmp_path, env=environment, check=True)
    made = sorted(path.name for path in (tmp_path / "out").glob("*.mp4"))
    assert made == ["again.mp4", "film.mp4", "longer.mp4", "tuned.mp4", "with-sound.mp4", "xylophone.mp4"]
    assert probe(tmp_path / "out" / "with-sound.mp4").sample_rate is not None
    assert (tmp_path / "out" / "report" / "report.html").is_file()
    assert (tmp_path / "a.mp4").is_file()
