"""A study's server and its store, killed at random moments: what was acknowledged is there, once, as it was given."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="needs the study extra: pip install -e '.[study]'")
from study_material import Caller, answers_to, study_of
from test_app_study import Killable

from phonofilm.app.study.flow import Flow
from phonofilm.evaluation.study.store import Ratings

WRITER = """
import sys
from pathlib import Path
from phonofilm.evaluation.study.store import Ratings
store = Ratings(Path(sys.argv[1]), "0" * 64)
rater = store.join(0.0)
print("ready", rater.seat, flush=True)
for trial in range(100_000):
    store.rate(rater.seat, trial, {"sync": trial % 5 + 1, "overall": None}, float(trial))
    store.note(rater.seat, trial, "ended", float(trial), {"clip": 0})
    print(trial, flush=True)
"""


def test_a_store_killed_at_random_moments_keeps_all_that_it_acknowledged(tmp_path):
    moments = random.Random(0)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        with process:
            assert process.stdout is not None
            seat = int(process.stdout.readline().split()[1])
            killer = threading.Timer(moments.uniform(0.05, 0.5), process.kill)
            killer.start()
            acknowledged = [int(line) for line in process.stdout if line.endswith("\n")]
            killer.join()
        store = Ratings(tmp_path, "0" * 64)
        kept = {r.trial: dict(r.answers) for r in store.ratings() if r.seat == seat}
        assert set(acknowledged) <= set(kept)
        assert len(kept) <= len(acknowledged) + 1, "at most the one under way was not acknowledged"
        assert kept == {trial: {"sync": trial % 5 + 1, "overall": None} for trial in range(len(kept))}
        ended = [e.trial for e in store.events(seat, kind="ended")]
        assert ended == list(range(len(ended)))
        assert len(ended) >= len(acknowledged)


@pytest.mark.slow
def test_a_server_killed_at_random_moments_loses_nothing(tmp_path, tmp_path_factory):
    folder, study = study_of(tmp_path)
    server = Killable(folder, tmp_path_factory.mktemp("log") / "serve.txt")
    acknowledged: dict[tuple[int, int], dict] = {}
    joined: dict[str, str] = {}
    done = threading.Event()

    def kill() -> None:
        moments = random.Random(1)
        while not done.wait(moments.uniform(2, 6)) and server.kills < 8:
            server.stop()
            server.kills += 1
            server.start()

    def take_part(number: int) -> None:
        rater = Caller(server.send)
        joined[str(number)] = rater.token
        flow = Flow.of(folder)
        me = flow.who(rater.token)
        while rater.state()["stage"] == "headphones":
            rater.post("api/headphones", {"heard": flow.sides(me)})
        rater.post("api/latency", {"offset": 0.0})
        while (state := rater.state())["stage"] != "done":
            rater.play(state["trial"], time.sleep)
            answers = answers_to(state["trial"], me.seat)
            rater.post(f"api/rate/{state['trial']['index']}", {"answers": answers})
            acknowledged[me.seat, state["trial"]["index"]] = answers

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(take_part, range(8)))
    finally:
        done.set()
        killer.join()
        server.stop()
    assert server.kills >= 2
    store = Ratings(folder, study.hash)
    assert {(r.seat, r.trial): r.answers for r in store.ratings()} == acknowledged
    assert set(joined.values()) <= {rater.token for rater in store.raters()}
    assert len(acknowledged) == 8 * len(study.trials(0))
