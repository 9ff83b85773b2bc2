"""Workers under Ctrl-C: quick to stop, silent, and no file of theirs is left half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phonofilm.workers import Workers, cores, one_thread

SCRIPT = """
import sys, time
from pathlib import Path
from phonofilm.files import atomic
from phonofilm.workers import Workers

def job(name):
    with atomic(name) as temporary:
        temporary.write_bytes(b"half")
        Path(f"started-{name}").touch()
        time.sleep(60)

if __name__ == "__main__":
    try:
        with Workers(2, sys.argv[1]) as pool:
            list(pool.map(job, [f"{n}.bin" for n in range(8)]))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs groups of processes")
@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("alone", [False, True], ids=["terminal", "kill"])
def test_an_interrupt_ends_all_of_them_quietly(start, alone, tmp_path):
    """From a terminal it goes to every process, from `kill -INT` to the parent alone."""
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "script.py", start], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while len(list(tmp_path.glob("started-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    (os.kill if alone else os.killpg)(process.pid, signal.SIGINT)
    try:
        _, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 130
    assert err == ""
    left = {path.name for path in tmp_path.iterdir() if path.name != "__pycache__"}
    assert left == {"script.py", "started-0.bin", "started-1.bin"}


def test_what_they_do_comes_back_in_order():
    with Workers(2, "spawn") as pool:
        assert list(pool.map(str, range(5))) == ["0", "1", "2", "3", "4"]


def numeric_threads() -> set[int]:
    import scipy.linalg  # noqa: F401, its own library is loaded after the worker began
    import torch
    from threadpoolctl import threadpool_info

    return {torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())}


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_they_share_the_cores(start):
    with Workers(max(2, cores()), start) as pool:
        assert pool.submit(numeric_threads).result() == {1}
    with Workers(1, start) as pool:
        assert max(pool.submit(numeric_threads).result()) == cores()


def test_one_thread_is_for_a_while(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = numeric_threads()
    inside = []

    def interrupted() -> None:
        with one_thread():
            inside.append((numeric_threads(), os.environ["MKL_NUM_THREADS"]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert inside == [({1}, "1")]
    assert numeric_threads() == before
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert "MKL_NUM_THREADS" not in os.environ


def test_an_error_of_one_is_the_callers(tmp_path):
    with pytest.raises(FileNotFoundError), Workers(1) as pool:
        pool.submit(Path(tmp_path / "none").read_bytes).result()
