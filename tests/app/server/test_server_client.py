"""The official client of OpenAI against `phonofilm serve` as people run it: create, poll, download."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
import warnings

import pytest
from live import Live
from studio import png

openai = pytest.importorskip("openai")


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    made = Live(tmp_path_factory.mktemp("live") / "data")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def client(live):
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none needed", max_retries=0) as made:
        yield made


def test_create_poll_download(client, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        film = client.videos.create(prompt="a red ball", model="fake", seconds="1", size="32x32")
        assert film.status == "queued"
        done = client.videos.poll(film.id, poll_interval_ms=100)
        assert (done.status, done.progress, done.error) == ("completed", 100, None)
        for variant in ("video", "thumbnail", "spritesheet"):
            client.videos.download_content(film.id, variant=variant).write_to_file(tmp_path / variant)
        assert (tmp_path / "video").read_bytes()[4:8] == b"ftyp"
        with_picture = client.videos.create_and_poll(
            prompt="it falls", model="fake", seconds="0.5", input_reference=("a.png", png()), poll_interval_ms=100
        )
        assert with_picture.status == "completed"
        remixed = client.videos.remix(film.id, prompt="a blue ball")
        assert client.videos.poll(remixed.id, poll_interval_ms=100).remixed_from_video_id == film.id
        content = ("film.mp4", (tmp_path / "video").read_bytes())  # this client's own check refuses its {"id": …}
        longer = client.videos.extend(prompt="it goes on", seconds="1", video=content)
        assert float(client.videos.poll(longer.id, poll_interval_ms=100).seconds) == pytest.approx(2, abs=0.1)
        edited = client.videos.edit(prompt="a green ball", video=content)
        assert client.videos.poll(edited.id, poll_interval_ms=100).status == "completed"
        ids = [one.id for one in client.videos.list(limit=2)]  # goes through all pages
        assert ids == [edited.id, longer.id, remixed.id, with_picture.id, film.id]
        assert client.videos.delete(film.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.videos.retrieve(film.id)
        with pytest.raises(openai.BadRequestError, match="seconds"):
            client.videos.create(prompt="x", model="fake", seconds="-1")
    assert [model.id for model in client.models.list()] == ["fake"]
    sound = client.audio.speech.create(input="hello", model="any", voice="fake", response_format="wav")
    assert sound.content.startswith(b"RIFF")


def test_curl_makes_a_film(live, tmp_path):
    command = ["curl", "-sf", f"{live.url}/v1/videos/sync", "-F", "prompt=a ball", "-F", "seconds=0.5"]
    subprocess.run([*command, "-o", tmp_path / "film.mp4"], check=True)
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_worker_that_is_killed_is_begun_again_and_a_polite_stop_finishes_what_is_begun(tmp_path):
    live = Live(tmp_path / "data")
    lines = [json.loads(line) for line in live.log.read_text().splitlines() if line.startswith("{")]
    assert any(line["event"] == "worker ready" for line in lines)
    worker = next(line["worker"] for line in lines if line["event"] == "worker ready")
    pids = subprocess.run(["pgrep", "-P", str(live.process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(pids[0]), signal.SIGKILL)
    body = json.dumps({"prompt": "a ball", "seconds": 0.5}).encode()
    request = urllib.request.Request(f"{live.url}/v1/videos", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        id = json.loads(answer.read())["id"]
    until = time.monotonic() + 200
    while time.monotonic() < until:
        with urllib.request.urlopen(f"{live.url}/v1/videos/{id}") as answer:
            film = json.loads(answer.read())
        if film["status"] == "completed":
            break
        time.sleep(0.2)
    assert film["status"] == "completed"
    assert live.stop() == 0
    events = [json.loads(line) for line in live.log.read_text().splitlines() if line.startswith("{")]
    names = [line["event"] for line in events]
    assert "worker died and is begun again" in names
    assert names[-1] == "server stopped"
    assert {line["worker"] for line in events if line["event"] == "worker ready"} > {worker}
    assert [line["job"] for line in events if line["event"] == "job ended"] == [id]
