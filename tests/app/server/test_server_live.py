"""Live films of the server: made in a process of their own, watched and changed over a WebSocket, and ended with it."""

from __future__ import annotations

import io
import json
import threading
import time

import av
import pytest
import uvicorn
import websocket
from starlette.websockets import WebSocketDisconnect
from studio import Studio

from phonofilm.app.live.piped import against
from phonofilm.app.server.http import live, run

ADDRESS = f"ws://127.0.0.1{live.PATH}"
BEGIN = {"type": "begin", "prompt": "a red ball", "model": "fake"}


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    return Studio(tmp_path_factory.mktemp("studio"))


def heard(socket) -> tuple[list[dict], bytes]:
    """All messages up to the end, and the film."""
    messages, film = [], b""
    while not messages or messages[-1]["type"] != "end":
        message = socket.receive()
        if message.get("bytes") is not None:
            film += message["bytes"]
        elif message.get("text") is not None:
            messages.append(json.loads(message["text"]))
        else:
            break
    return messages, film


def refused(studio: Studio, first: object, **headers: str) -> str:
    with studio.client.websocket_connect(ADDRESS, headers=headers) as socket:
        socket.send_text(first if isinstance(first, str) else json.dumps(first))
        messages, film = heard(socket)
    assert film == b""
    return str(messages[-1]["why"])


def test_a_film_is_watched_changed_and_ended(studio):
    with studio.client.websocket_connect(ADDRESS) as socket:
        socket.send_json(BEGIN | {"size": "48x32", "draft": True})
        assert json.loads(socket.receive()["text"])["type"] == "hello"
        socket.send_json({"type": "prompt", "text": " "})
        socket.send_json({"type": "prompt", "text": "a blue\nbox"})
        film, chunks, notes = b"", [], []
        while not chunks or chunks[-1]["prompt"] == "a red ball":
            message = socket.receive()
            if message.get("bytes") is not None:
                film += message["bytes"]
                continue
            told = json.loads(message["text"])
            chunks += [told] if told["type"] == "chunk" else []
            notes += [told["text"]] if told["type"] == "note" else []
        socket.send_json({"type": "stop"})
        messages, rest = heard(socket)
    assert messages[-1] == {"type": "end", "why": "the film is over"}
    assert notes[0].startswith("the prompt is empty")
    assert chunks[-1]["prompt"] == "a blue\nbox"
    with av.open(io.BytesIO(film + rest)) as opened:
        frames = [frame.to_ndarray(format="rgb24").shape for frame in opened.decode(video=0)]
    assert len(frames) >= 24
    assert set(frames) == {(32, 48, 3)}


def test_one_film_at_a_time_and_a_viewer_who_goes_ends_it(studio, monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(live, "log", lambda said, **_: ended.set() if said == "live film ended" else None)
    with studio.client.websocket_connect(ADDRESS) as socket:
        socket.send_json(BEGIN)
        socket.receive()
        assert refused(studio, BEGIN) == "another live film is being made here; end that one, or try again later"
    assert ended.wait(30)
    with studio.client.websocket_connect(ADDRESS) as socket:
        socket.send_json(BEGIN)
        assert json.loads(socket.receive()["text"])["type"] == "hello"
        socket.send_json({"type": "stop"})
        heard(socket)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("[", "the text is not JSON"),
        ("[]", "valid dictionary"),
        ({"type": "stop"}, "type:"),
        (BEGIN | {"prompt": ""}, "prompt:"),
        (BEGIN | {"prompt": "x" * 2001}, "prompt:"),
        (BEGIN | {"device": "cuda"}, "there is no field 'device' here"),
        (BEGIN | {"model": "nowhere"}, "there is no such model here"),
        (BEGIN | {"size": "10x10"}, "a size of 10x10 is not possible"),
        (BEGIN | {"prompt": "  "}, "the prompt is empty"),
    ],
)
def test_what_cannot_be_is_one_sentence(studio, first, words):
    said = refused(studio, first)
    assert words in said or (first == "[" and "one JSON object" in said)
    assert "\n" not in said


def test_who_may(tmp_path):
    studio = Studio(tmp_path, open_to_all=False)
    for client in (studio.client, studio.called(studio.key("anna", "read"))):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(ADDRESS):
            pass
    with studio.called(studio.key("anna")).websocket_connect(ADDRESS) as socket:
        socket.send_json(BEGIN | {"prompt": " "})
        assert heard(socket)[0][-1]["why"].startswith("the prompt is empty")


def test_a_page_needs_its_token(studio):
    page = studio.called()
    token = page.post("/session", json={"key": None}).json()["token"]
    for more, words in (({}, "this page is out of date"), ({"token": token}, "the prompt is empty")):
        with page.websocket_connect(ADDRESS, headers={"origin": "http://127.0.0.1"}) as socket:
            socket.send_json(BEGIN | {"prompt": " "} | more)
            assert words in heard(socket)[0][-1]["why"]
    with (
        pytest.raises(WebSocketDisconnect),
        page.websocket_connect(ADDRESS, headers={"origin": "http://evil.example"}),
    ):
        pass
    assert studio.client.get(live.PATH).status_code == 426


def test_none_are_made_where_none_shall_be(tmp_path):
    studio = Studio(tmp_path, live=0)
    assert "no live films are made here" in refused(studio, BEGIN)
    assert studio.client.get("/session").json()["live"] is False


def test_policies_see_every_prompt():
    def no_boxes(content) -> str | None:
        assert (content.moment, content.task) == ("before", "stream")
        return "no boxes here" if "box" in content.text else None

    assert against((no_boxes,), "a box") == "no boxes here"
    assert against((no_boxes,), "a ball") is None


def test_a_socket_outlives_the_time_for_a_head(studio, monkeypatch):
    monkeypatch.setattr(run, "HEAD_SECONDS", 0.5)
    config = uvicorn.Config(
        studio.app,
        port=0,
        log_config=None,
        lifespan="off",
        http=run.PatientOnce,
        ws="wsproto",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    socket = websocket.create_connection(f"ws://127.0.0.1:{port}{live.PATH}", timeout=30, suppress_origin=True)
    time.sleep(1)
    socket.send(json.dumps(BEGIN))
    assert json.loads(socket.recv())["type"] == "hello"
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive(), "a live film does not hold the server up"
    socket.close()
