"""The API: OpenAI's videos and what is beside it, in its own words and its own errors."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from sqlalchemy import event
from studio import FILM, Studio, png

from phonofilm.app.server.http import films
from phonofilm.app.server.http.others import samples_of
from phonofilm.app.server.store.deliveries import Deliveries
from phonofilm.app.server.work.outgoing import Reply
from phonofilm.app.server.work.webhooks import Messenger, shown


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    return Studio(tmp_path_factory.mktemp("studio"))


@pytest.fixture(scope="module")
def film(studio) -> dict:
    return studio.made(seconds=1)


def test_the_server_never_imports_torch():
    code = "import sys, phonofilm.app.server.http.run; print({'torch', 'av', 'transformers'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_a_film_from_words(studio):
    answer = studio.client.post("/v1/videos", json=FILM)
    assert answer.status_code == 200, answer.text
    film = answer.json()
    assert (film["object"], film["status"], film["progress"]) == ("video", "queued", 0)
    assert (film["seconds"], film["size"], film["model"], film["prompt"]) == ("0.5", "32x32", "fake", "a red ball")
    assert film["queue_position"] == 0
    not_yet = studio.client.get(f"/v1/videos/{film['id']}/content")
    assert (not_yet.status_code, not_yet.json()["error"]["code"]) == (409, "not_ready")
    studio.work()
    done = studio.client.get(f"/v1/videos/{film['id']}").json()
    assert (done["status"], done["progress"], done["error"]) == ("completed", 100, None)
    assert done["expires_at"] - done["completed_at"] == 30 * 86400
    assert done["facts"]["frames"] == 6
    assert str(studio.settings.folder) not in json.dumps(done)


def test_every_variant_and_any_part_of_it(studio, film):
    path = f"/v1/videos/{film['id']}/content"
    whole = studio.client.get(path)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert whole.content[4:8] == b"ftyp"
    part = studio.client.get(path, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    assert studio.client.get(path, headers={"Range": "bytes=99999999-"}).status_code == 416
    assert studio.client.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert studio.client.head(path).headers["content-length"] == str(len(whole.content))
    starts = {"audio": b"RIFF", "thumbnail": b"RIFF", "spritesheet": b"\xff\xd8", "stems": b"PK", "music": b"RIFF"}
    for variant, start in starts.items():
        assert studio.client.get(path, params={"variant": variant}).content.startswith(start), variant
    names = zipfile.ZipFile(io.BytesIO(studio.client.get(f"{path}?variant=stems").content)).namelist()
    assert names == ["speech.wav", "effects.wav", "music.wav", "mix.wav"]
    recipe = studio.client.get(f"{path}?variant=recipe").json()
    assert recipe["request"]["prompt"] == "a red ball"
    assert studio.client.get(f"{path}?variant=subtitles").status_code == 404
    wrong = studio.client.get(f"{path}?variant=../../etc/passwd")
    assert wrong.status_code == 400


def test_lists_and_erasing(studio):
    ids = [studio.client.post("/v1/videos", json=FILM).json()["id"] for _ in range(3)]
    page = studio.client.get("/v1/videos", params={"limit": 2}).json()
    assert [one["id"] for one in page["data"]] == ids[:0:-1]
    assert (page["object"], page["has_more"], page["last_id"]) == ("list", True, ids[1])
    rest = studio.client.get("/v1/videos", params={"limit": 1, "after": page["last_id"]}).json()
    assert rest["data"][0]["id"] == ids[0]
    for id in ids:
        gone = studio.client.delete(f"/v1/videos/{id}").json()
        assert gone == {"id": id, "object": "video.deleted", "deleted": True}
        assert studio.client.get(f"/v1/videos/{id}").status_code == 404


def test_erasing_removes_every_file(studio):
    film = studio.made()
    folder = studio.settings.folder / "results" / film["id"]
    assert folder.is_dir()
    studio.client.delete(f"/v1/videos/{film['id']}")
    assert not folder.exists()


def test_cancelling_is_failed_with_a_code_until_it_is_erased(studio):
    id = studio.client.post("/v1/videos", json=FILM).json()["id"]
    film = studio.client.post(f"/v1/videos/{id}/cancel").json()
    assert (film["status"], film["error"]["code"]) == ("failed", "cancelled")
    assert studio.client.get(f"/v1/videos/{id}/content").json()["error"]["code"] == "cancelled"


@pytest.mark.parametrize(
    ("how", "seconds"),
    [("edits", 1.0), ("retake", 1.0), ("extensions", 1.5), ("foley", 1.0), ("animate", 1.0), ("soundtrack", 1.0)],
)
def test_work_on_a_film_that_was_made_here_and_on_one_that_is_sent(studio, film, how, seconds):
    more = {"edits": {"prompt": "a blue ball"}, "retake": {"start": 0.2, "end": 0.6}, "extensions": {"seconds": "0.5"}}
    fields = more.get(how, {"prompt": "a ball"})
    first = studio.client.post(f"/v1/videos/{how}", json={**fields, "video": {"id": film["id"]}})
    assert first.status_code == 200, first.text
    assert first.json()["remixed_from_video_id"] == film["id"]
    content = studio.client.get(f"/v1/videos/{film['id']}/content").content
    if how in ("edits", "foley"):
        sent = studio.client.post(f"/v1/videos/{how}", data=fields, files={"video": ("../../x.mp4", content)})
        assert sent.status_code == 200, sent.text
    studio.work()
    for answer in [first] + ([sent] if how in ("edits", "foley") else []):
        done = studio.client.get(f"/v1/videos/{answer.json()['id']}").json()
        assert done["status"] == "completed", done["error"]
        assert float(done["seconds"]) == pytest.approx(seconds, abs=0.1)


def test_remixing(studio, film):
    answer = studio.client.post(f"/v1/videos/{film['id']}/remix", json={"prompt": "a green box"})
    assert answer.status_code == 200, answer.text
    studio.work()
    done = studio.client.get(f"/v1/videos/{answer.json()['id']}").json()
    assert (done["status"], done["remixed_from_video_id"], done["prompt"]) == ("completed", film["id"], "a green box")
    assert done["size"] == film["size"]


@pytest.mark.parametrize("how", ["file", "data", "url"])
def test_a_first_picture(studio, how):
    studio.network.addresses["pictures.example"] = ["93.184.216.34"]
    studio.network.answers["pictures.example/a.png"] = Reply(200, {}, png())
    data = "data:image/png;base64," + base64.b64encode(png()).decode()
    if how == "file":
        answer = studio.client.post("/v1/videos", data=FILM, files={"input_reference": ("a.png", png())})
    elif how == "data":
        answer = studio.client.post("/v1/videos", json=FILM | {"input_reference": {"image_url": data}})
    else:
        form = FILM | {"input_reference[image_url]": "https://pictures.example/a.png"}
        answer = studio.client.post("/v1/videos", data=form)
    assert answer.status_code == 200, answer.text
    studio.work()
    assert studio.client.get(f"/v1/videos/{answer.json()['id']}").json()["status"] == "completed"


def test_sync_and_speech_answer_with_the_thing_itself(studio):
    with studio.working():
        film = studio.client.post("/v1/videos/sync", json=FILM)
        said = studio.client.post("/v1/audio/speech", json={"input": "hello there", "voice": "fake", "model": "x"})
        raw = studio.client.post(
            "/v1/audio/speech", json={"input": "hello", "voice": "fake", "model": "x", "response_format": "pcm"}
        )
    assert (film.status_code, film.content[4:8]) == (200, b"ftyp")
    assert said.content.startswith(b"RIFF")
    assert len(samples_of(said.content)) > 2000
    assert raw.headers["content-type"] == "audio/pcm"
    again = studio.client.get("/v1/videos", params={"limit": 1}).json()["data"][0]
    assert len(raw.content) == 2 * again["facts"]["samples"], "16 bits a sample"
    assert np.abs(np.frombuffer(raw.content, "<i2")).max() > 1000
    for wrong in ({"voice": "nobody"}, {"speed": 2}, {"voice": "/etc/x.onnx"}, {"response_format": "mp3"}):
        answer = studio.client.post("/v1/audio/speech", json={"input": "hi", "voice": "fake", "model": "x", **wrong})
        assert answer.status_code == 400, wrong


def test_events_tell_of_every_change_up_to_the_end(studio):
    id = studio.client.post("/v1/videos", json=FILM).json()["id"]
    with studio.working(), studio.client.stream("GET", f"/v1/videos/{id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    assert told[-1]["status"] == "completed"
    assert told[0]["status"] in ("queued", "in_progress", "completed")


def test_one_job_a_key_of_idempotency(studio):
    headers = {"Idempotency-Key": "k1"}
    first = studio.client.post("/v1/videos", json=FILM, headers=headers).json()
    again = studio.client.post("/v1/videos", json=FILM, headers=headers)
    assert again.json()["id"] == first["id"]
    other = studio.client.post("/v1/videos", json=FILM | {"seed": 4}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency")
    form = {"files": {"input_reference": ("a", png())}, "headers": {"Idempotency-Key": "k2"}, "data": FILM}
    one = studio.client.post("/v1/videos", **form).json()["id"]
    assert studio.client.post("/v1/videos", **form).json()["id"] == one
    assert {path.name for path in (studio.settings.folder / "inputs" / one).iterdir()} == {"image.png"}
    assert not list((studio.settings.folder / "incoming").iterdir())
    studio.work()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"seconds": "x"}, "seconds"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": float("inf")}, None),
        ({"size": "big"}, "size"),
        ({"size": "5000x5000"}, "size[0]"),
        ({"size": "10x10"}, "size[0]"),
        ({"seed": -1}, "seed"),
        ({"fps": 1000}, "fps"),
        ({"sampler": "best"}, "sampler"),
        ({"video_url": "x"}, "video_url"),
        ({"source": "/etc/passwd"}, "source"),
        ({"stems": "/tmp/x"}, "stems"),
        ({"only": ["smell"]}, "only.0"),
        ({"without": ["video", "audio"]}, None),
        ({"say": ["hi"], "voices": ["nobody"]}, "voices[0]"),
        ({"input_reference": {"file_id": "x"}}, "input_reference"),
        ({"webhook_url": "http://inside.example"}, "webhook_url"),
        ({"priority": 100}, "priority"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(studio, fields, param):
    body = json.dumps(FILM | fields)
    answer = studio.client.post("/v1/videos", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert param is None or error["param"] == param
    assert "\n" not in error["message"]


def test_what_cannot_be_is_refused(studio, film):
    post = studio.client.post
    assert post("/v1/videos", json=FILM | {"model": "sora-2"}).json()["error"]["code"] == "model_not_found"
    assert post("/v1/videos", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert post("/v1/videos", content=b"[]", headers={"Content-Type": "application/json"}).status_code == 400
    assert post("/v1/videos", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert post("/v1/videos/foley", json={}).json()["error"]["param"] == "video"
    assert post("/v1/videos/foley", json={"video": {"id": "video_" + "0" * 32}}).status_code == 404
    late = post("/v1/videos/retake", json={"video": {"id": film["id"]}, "start": 0.5, "end": 0.2})
    assert late.json()["error"]["param"] == "start"
    assert studio.client.get("/v1/videos/nonsense").status_code == 400
    assert studio.client.get("/v1/nothing").status_code == 404
    assert studio.client.put("/v1/videos").status_code == 405


def test_what_is_unfinished_says_what_is_missing(studio):
    answer = studio.client.post("/v1/videos/characters", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_available")


def test_the_quick_answer_about_a_film_is_that_of_the_route_byte_by_byte(tmp_path, monkeypatch):
    studio = Studio(tmp_path)
    film = studio.made()
    waiting = [studio.client.post("/v1/videos", json=FILM | {"priority": n}).json()["id"] for n in (0, 5, 0)]
    nobody = f"video_{'0' * 32}"
    asked = [f"/v1/videos/{id}" for id in (film["id"], *waiting, nobody)]
    quick = [studio.client.get(path) for path in asked]
    assert [answer.json().get("queue_position") for answer in quick[1:4]] == [1, 0, 2]
    assert 'route="/v1/videos/{video_id}",status="404"' in studio.client.get("/metrics").text
    stranger = studio.called(key="pf_no")
    refused = studio.called(key=studio.key("bert", "write")).get(asked[0])
    monkeypatch.setattr(films, "_PATH", re.compile("never"))
    for one, other in zip(quick, [studio.client.get(path) for path in asked], strict=True):
        assert (one.status_code, one.content, one.headers) == (other.status_code, other.content, other.headers)
    again = studio.called(key=studio.key("carl", "write")).get(asked[0])
    assert (refused.status_code, refused.content) == (again.status_code, again.content) == (403, refused.content)
    assert stranger.get(asked[0]).status_code == 200, "on this machine alone no key is needed"


def test_a_film_is_looked_up_in_one_statement(tmp_path):
    studio, told = Studio(tmp_path), []
    film = studio.client.post("/v1/videos", json=FILM).json()
    event.listen(studio.parts.database.engine, "before_cursor_execute", lambda *asked: told.append(asked[2]))
    assert studio.client.get(f"/v1/videos/{film['id']}").status_code == 200
    assert len(told) == 1, told


def test_models_health_and_metrics(studio, film):
    assert studio.client.get("/v1/models").json()["data"][0]["id"] == "fake"
    assert studio.client.get("/v1/models/fake").json()["object"] == "model"
    assert studio.client.get("/healthz").json() == {"ok": True}
    assert studio.client.get("/readyz").json() == {"ready": False, "why": ["no worker lives"]}
    studio.worker.claims.live()
    assert studio.client.get("/readyz").status_code == 200
    assert studio.client.get(f"/v1/videos/{film['id']}/content").status_code == 200
    text = studio.client.get("/metrics").text
    assert 'phonofilm_jobs{status="completed"}' in text
    assert 'route="/v1/videos/{video_id}/content"' in text
    assert film["id"] not in text, "no label grows with the jobs"


def test_a_full_disk_refuses_new_jobs_and_finishes_the_old(studio):
    id = studio.client.post("/v1/videos", json=FILM).json()["id"]
    studio.free = -1
    try:
        answer = studio.client.post("/v1/videos", json=FILM)
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full")
        studio.work()
        assert studio.client.get(f"/v1/videos/{id}").json()["status"] == "completed"
    finally:
        studio.free = 10**12


def test_a_server_that_stops_takes_no_jobs(studio):
    studio.parts.service.draining = True
    try:
        answer = studio.client.post("/v1/videos", json=FILM)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    finally:
        studio.parts.service.draining = False


def test_a_full_queue_is_429_with_a_time(tmp_path):
    studio = Studio(tmp_path, queue=1)
    assert studio.client.post("/v1/videos", json=FILM).status_code == 200
    answer = studio.client.post("/v1/videos", json=FILM)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert answer.json()["error"]["code"] == "queue_full"
    assert not (studio.settings.folder / "inputs").exists()


def test_webhooks_are_signed_as_the_official_client_checks_it(studio):
    openai = pytest.importorskip("openai")
    studio.network.addresses["my.hooks.example"] = ["93.184.216.34"]
    url = "https://my.hooks.example/in?x=1"
    answer = studio.client.post("/v1/videos", json=FILM | {"webhook_url": url})
    assert answer.status_code == 200, answer.text
    studio.work()
    secret = b"s" * 32
    messenger = Messenger(Deliveries(studio.parts.database), studio.parts.service.outgoing, secret)
    assert messenger.send_one()
    (call,) = studio.network.calls[-1:]
    assert (call.method, call.host, call.target, call.address) == (
        "POST",
        "my.hooks.example",
        "/in?x=1",
        "93.184.216.34",
    )
    client = openai.OpenAI(api_key="x", webhook_secret=shown(secret))
    client.webhooks.verify_signature(call.body.decode(), dict(call.headers))
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.verify_signature(call.body.decode() + " ", dict(call.headers))
    assert json.loads(call.body)["data"]["id"] == answer.json()["id"]
    assert json.loads(call.body)["type"] == "video.completed"


def test_the_description_documents_every_field(studio):
    found = studio.client.get("/openapi.json").json()
    assert found["paths"]["/v1/videos"]["post"]["requestBody"]["content"].keys() == {
        "application/json",
        "multipart/form-data",
    }
    for name in ("Making", "Retaking", "Film", "Speaking", "Soundtrack", "Films"):
        for field, schema in found["components"]["schemas"][name]["properties"].items():
            assert field == "object" or schema.get("description"), (name, field)
    refs = set(json.dumps(found).split('"#/components/schemas/')[1:])
    assert all(ref.split('"')[0] in found["components"]["schemas"] for ref in refs)
