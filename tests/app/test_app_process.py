"""The command line as a process of its own: start-up, signals at every stage, closed pipes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PHONOFILM = [sys.executable, "-m", "phonofilm.app.cli.main"]
SLOW = """
import sys, time
from phonofilm.app.cli.main import main
from phonofilm.backends.fake import FakeBackend
from phonofilm.media import write as media

def slow(stage):
    print(stage, file=sys.stderr, flush=True)
    for _ in range(200):
        time.sleep(0.05)

if sys.argv[1] == "sampling":
    made = FakeBackend.generate
    FakeBackend.generate = lambda self, *a, **k: (slow("sampling"), made(self, *a, **k))[1]
if sys.argv[1] == "swallowed":
    def swallow(self, request, progress=None, cancel=None):
        try:
            slow("sampling")
        except KeyboardInterrupt:
            raise ImportError("a library that turns an interrupt into something else")
    FakeBackend.generate = swallow
if sys.argv[1] == "writing":
    muxed = media._mux
    def half(clip, path, *rest):
        path.write_bytes(b"half a film")
        slow("writing")
    media._mux = half
sys.exit(main(sys.argv[2:]))
"""


IMPORTING = """
import os, signal, sys
from phonofilm.app.cli.main import main

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.exit(main(sys.argv[2:]))
"""


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stage", ["sampling", "writing", "swallowed"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_at_any_stage_and_leaves_nothing(stage, number, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    arguments = ["generate", "x", "-o", "out.mp4", "--model", "fake", "--seconds", "0.5"]
    process = start(tmp_path, sys.executable, "slow.py", stage, *arguments)
    assert process.stderr is not None
    assert process.stderr.readline().strip() in ("sampling", "writing")
    time.sleep(0.2)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert err == "phonofilm: interrupted; nothing was left half-written\n"
    assert out == ""
    assert os.listdir(tmp_path) == ["slow.py"]


@pytest.mark.parametrize("module", ["typer", "phonofilm.app.cli.app", "numpy", "av", "phonofilm.backends.fake"])
def test_a_signal_during_start_up_is_one_line(module, tmp_path):
    """Whatever is being imported at that moment."""
    (tmp_path / "start.py").write_text(IMPORTING)
    arguments = ["generate", "x", "-o", "out.mp4", "--model", "fake", "--seconds", "0.5"]
    process = start(tmp_path, sys.executable, "start.py", module, *arguments)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err == "phonofilm: interrupted; nothing was left half-written\n"
    assert os.listdir(tmp_path) == ["start.py"]


def test_help_is_quick(tmp_path):
    """Less than half a second of work; what time it takes is up to who else is on the machine."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*PHONOFILM, "--help"], cwd=tmp_path, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.75
    modules = "import sys, phonofilm.app.cli.main as c; c.main(['--help']); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", modules], check=True, capture_output=True, text=True).stdout
    for heavy in ("torch", "av", "scipy", "PIL", "numpy", "transformers"):
        assert f"'{heavy}'" not in loaded


def test_json_is_all_there_is_on_standard_output(tmp_path):
    command = [*PHONOFILM, "generate", "x", "-o", "out.mp4", "--model", "fake", "--seconds", "0.5", "--json"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["outputs"][0]["path"] == "out.mp4"
    assert done.stderr == ""


def test_a_reader_who_left_is_no_error_worth_a_traceback(tmp_path):
    done = subprocess.run(
        f"{' '.join(PHONOFILM)} generate --help | head -1", shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(
    ("command", "message"), [("doctor --help", "the disk is full"), ("info none.mp4 --json", "none.mp4 is not there")]
)
def test_a_full_standard_output_is_one_line(command, message, buffered, tmp_path):
    """Whether it is met as the line is written, or as the last of it is flushed."""
    variables = {**os.environ, "PYTHONUNBUFFERED": buffered}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PHONOFILM, *command.split()], stdout=full, stderr=subprocess.PIPE, text=True, env=variables
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"phonofilm: {message}")
    assert done.stderr.count("\n") == 1
