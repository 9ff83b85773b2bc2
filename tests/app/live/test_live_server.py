"""A film in the making over HTTP: its endpoint, who may open it, and the page in a real browser."""

from __future__ import annotations

import io
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from fractions import Fraction

import av
import pytest
import websocket

from browser import PICTURES, browser  # noqa: F401 (a fixture)
from phonofilm.app.live import viewers as viewers_module
from phonofilm.app.live.making import Making, StreamSpec
from phonofilm.app.live.server import serving
from phonofilm.provenance.layers import Layers
from phonofilm.streaming.fake import FakeSource

PLAIN = Layers(sign=False, watermark=False, log=False)


@contextmanager
def filming(until=Fraction(4), paced=False, alone=False, source=None):
    """A film that is made in another thread, and where it is served."""
    making = Making(StreamSpec("a red ball", until=until, paced=paced, layers=PLAIN), source or FakeSource(), print)
    facts: dict = {}
    with serving(making, 0, alone) as viewers:
        thread = threading.Thread(target=lambda: facts.update(making.go([viewers], viewers.told)))
        thread.start()
        try:
            yield making, viewers, facts
        finally:
            making.control.stop()
            thread.join(20)


def joined(viewers, **settings) -> websocket.WebSocket:
    return websocket.create_connection(viewers.url.replace("http", "ws") + "v1/live", timeout=20, **settings)


def heard(socket) -> tuple[list[dict], bytes]:
    """All messages up to the end of the film, and the film."""
    messages, film = [], b""
    while not messages or messages[-1]["type"] != "end":
        kind, content = socket.recv_data()
        if kind == websocket.ABNF.OPCODE_BINARY:
            film += content
        elif kind == websocket.ABNF.OPCODE_TEXT:
            messages.append(json.loads(content))
        else:
            break
    return messages, film


def frames_of(content: bytes) -> list[float]:
    with av.open(io.BytesIO(content)) as film:
        return [frame.time for frame in film.decode(video=0)]


def test_a_viewer_gets_the_film_and_changes_it() -> None:
    with filming(source=FakeSource(cost=0.2)) as (_, viewers, facts):
        socket = joined(viewers)
        for message in ({"type": "prompt", "text": "a blue box"}, {"type": "prompt", "text": " "}, {"type": "x"}):
            socket.send(json.dumps(message))
        socket.send("[")
        messages, film = heard(socket)
        socket.close()
    assert messages[0]["type"] == "hello"
    assert messages[0]["mime"].startswith('video/mp4; codecs="avc1.')
    assert (messages[0]["width"], messages[0]["prompt"]) == (64, "a red ball")
    notes = [message["text"] for message in messages if message["type"] == "note"]
    assert notes[0].startswith("the prompt is empty")
    assert notes[1].startswith("unknown message; there are prompt")
    assert notes[2] == "a message is one JSON object"
    assert len(frames_of(film)) == 96
    assert facts["prompts"][-1] == "a blue box"
    assert [m["index"] for m in messages if m["type"] == "chunk"] == list(range(8))


def test_who_comes_later_sees_what_comes_later() -> None:
    with filming(alone=True, paced=True) as (_, viewers, _):
        first = joined(viewers)
        while first.recv_data()[0] != websocket.ABNF.OPCODE_BINARY:
            pass
        second = joined(viewers)
        _, film = heard(second)
        times = frames_of(film)
        assert 0 < times[0] < 4
        assert times[-1] == pytest.approx(95 / 24, abs=1e-3)
        first.close()
        second.close()


def test_nothing_is_made_while_nobody_watches_and_a_slow_viewer_makes_it_wait() -> None:
    with filming(until=None) as (making, viewers, _):
        time.sleep(0.5)
        assert len(making.statistics.costs) <= 1
        socket = joined(viewers)
        socket.send(json.dumps({"type": "took", "count": 0}))
        time.sleep(1.5)
        stands = len(making.statistics.costs)
        assert stands <= viewers_module.AHEAD + 2
        time.sleep(0.3)
        assert len(making.statistics.costs) == stands
        socket.send(json.dumps({"type": "took", "count": stands}))
        end = time.monotonic() + 10
        while len(making.statistics.costs) == stands:
            assert time.monotonic() < end
            time.sleep(0.02)
        socket.send(json.dumps({"type": "stop"}))
        assert heard(socket)[0][-1]["type"] == "end"
        socket.close()


@pytest.mark.parametrize(
    "settings",
    [{"origin": "http://evil.example"}, {"host": "evil.example"}, {"header": {"Sec-Fetch-Site": "cross-site"}}],
)
def test_other_pages_and_names_are_refused(settings) -> None:
    with filming() as (_, viewers, _):
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            joined(viewers, **settings)
        own = joined(viewers, origin=viewers.url.rstrip("/"))
        assert json.loads(own.recv())["type"] == "hello"
        own.close()
        request = urllib.request.Request(viewers.url, headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(request)
        refused.value.close()
        with urllib.request.urlopen(viewers.url) as answer:
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        with pytest.raises(urllib.error.HTTPError, match="404") as missing:
            urllib.request.urlopen(viewers.url + "making.py")
        missing.value.close()


def test_the_page_plays_picture_and_sound(browser) -> None:  # noqa: F811
    """Watch, change the prompt, pause, end; what plays has light and sound, and no error is told."""
    with filming(until=None, paced=True) as (making, viewers, _):
        browser.driver.get(viewers.url)
        browser.find("#begin").click()
        playing = "const v = document.getElementById('film'); return [v.currentTime, v.videoWidth, v.error?.message]"
        browser.until(lambda: browser.driver.execute_script(playing)[0] > 1.5)
        assert browser.driver.execute_script(playing)[1:] == [64, None]
        heard_bytes = browser.driver.execute_script(
            "return document.getElementById('film').webkitAudioDecodedByteCount"
        )
        assert heard_bytes > 0
        start = browser.driver.execute_script("const b = document.getElementById('film').buffered; return b.start(0)")
        assert start < 0.05
        field = browser.find("#prompt")
        assert field.get_attribute("value") == "a red ball"
        field.clear()
        field.send_keys("a blue box")
        browser.find("#say button").click()
        browser.until(lambda: making.control.prompt == "a blue box")
        if PICTURES:
            browser.driver.save_screenshot(f"{PICTURES}/live.png")
        browser.find("#pause").click()
        browser.until(lambda: making.control.paused)
        browser.until(lambda: browser.find("#pause").text == "Go on")
        browser.find("#stop").click()
        browser.until(lambda: browser.find("#note").text == "The film is over.")
        errors = [entry for entry in browser.driver.get_log("browser") if entry["level"] == "SEVERE"]
        assert errors == []
