"""What steps make of pictures and sounds whose content is known; networks are stood in for where only times matter."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from curate_films import film, scene
from phonofilm import PhonofilmError
from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.records import Shot
from phonofilm.data.curate.steps import captions, content, hearing, speech
from phonofilm.signals.onsets import onset_strength

RATE = hearing.RATE


def struck(*times: float, seconds: float = 4.0) -> np.ndarray:
    clock = np.arange(round(seconds * RATE)) / RATE
    rings = [np.where(clock >= at, np.sin(2 * np.pi * 900 * clock) * np.exp(-25 * (clock - at)), 0) for at in times]
    return (0.5 * np.sum(rings, axis=0) + 1e-4 * np.random.default_rng(1).normal(size=len(clock))).astype(np.float32)


def events(name: str, mono: np.ndarray, heard: list[int]) -> list[hearing.Sounded]:
    """Events of a sound in whose patches of these numbers a class is heard."""
    times = np.arange(8) * 0.48
    scores = {name: np.isin(np.arange(8), heard) * 0.9}
    return hearing.sounded(scores, times, onset_strength(mono, RATE), hearing.level_of(mono), len(mono) / RATE)


def test_what_is_struck_gives_an_event_for_each_onset():
    found = events("knock", struck(1.1, 1.6, 2.4), [1, 2, 3, 4])
    assert [event.start for event in found] == pytest.approx([1.1, 1.6, 2.4], abs=0.02)
    assert all(0.03 < event.end - event.start < 0.5 for event in found)


def test_what_lasts_begins_at_its_onset_and_ends_where_it_has_died_away():
    clock = np.arange(4 * RATE) / RATE
    mono = (
        np.random.default_rng(2).normal(size=len(clock)) * np.where((clock > 1.2) & (clock < 2.7), 0.2, 1e-4)
    ).astype("f4")
    (event,) = events("rain", mono, [1, 2, 3, 4, 5])
    assert event.start == pytest.approx(1.2, abs=0.05)
    assert event.end == pytest.approx(2.7, abs=0.05)
    assert event.score == pytest.approx(0.9)


def test_what_sets_in_and_has_no_class_is_unnamed_but_not_where_somebody_speaks():
    mono = struck(0.3, 1.1, 2.4)
    strength = onset_strength(mono, RATE)
    nothing = {"knock": np.zeros(8), "speech": np.zeros(8)}
    found = hearing.sounded(nothing, np.arange(8) * 0.48, strength, hearing.level_of(mono), 4.0)
    assert [event.name for event in found] == ["unnamed"] * 3
    assert [event.start for event in found] == pytest.approx([0.3, 1.1, 2.4], abs=0.02)
    spoken = {**nothing, "speech": np.isin(np.arange(8), [4, 5, 6]) * 0.9}
    found = hearing.sounded(spoken, np.arange(8) * 0.48, strength, hearing.level_of(mono), 4.0)
    assert [event.name for event in found] == ["unnamed", "unnamed", "speech"]
    assert {event.name for event in events("knock", mono, [0, 1, 2, 3, 4, 5])} == {"knock"}
    assert captions.heard({"events": [vars(event) for event in found[:2]]}) == ""


def test_what_rings_once_is_no_music():
    assert {event.name for event in events("music", struck(1.1), [2])} == {"unnamed"}
    assert {event.name for event in events("music", struck(1.1), [2, 3])} == {"music"}


def test_two_stretches_are_two_events_and_what_is_unsure_is_none():
    assert sum(event.name == "rain" for event in events("rain", struck(0.2, 3.0), [0, 5, 6])) == 2
    assert events("rain", 0 * struck(0.2), []) == []


def test_a_class_has_the_best_score_of_those_that_it_gathers():
    found = hearing.class_scores(("Dog", "Bark", "Music"), np.array([[0.2, 0.7, 0.1], [0.5, 0.1, 0.9]]))
    assert found["dog"] == pytest.approx([0.7, 0.5])
    assert set(found) == {"dog", "music"}


def test_every_class_can_be_named_in_a_caption():
    assert set(captions.NAMES) == set(hearing.CLASSES)


def test_words_become_lines_at_pauses_sentences_and_full_lines():
    words = [
        {"start": 0.0, "end": 0.3, "text": "Come"}, {"start": 0.3, "end": 0.6, "text": "here."},
        {"start": 0.7, "end": 0.9, "text": "Now"}, {"start": 2.0, "end": 2.3, "text": "please"},
    ]  # fmt: skip
    lines = speech.lines_of(words)
    assert [(line.start, line.end, line.text) for line in lines] == [
        (0.0, 0.6, "Come here."), (0.7, 0.9, "Now"), (2.0, 2.3, "please"),
    ]  # fmt: skip
    many = [{"start": 0.1 * place, "end": 0.1 * place + 0.1, "text": "word"} for place in range(30)]
    assert max(len(line.text) for line in speech.lines_of(many)) <= speech.WIDE


@pytest.mark.parametrize(("rgb", "name"), [((220, 30, 30), "red"), ((40, 60, 220), "blue"), ((40, 180, 60), "green")])
def test_colours_that_cover_much_are_named(rgb, name):
    frames = np.full((2, 40, 60, 3), 128, np.uint8)
    assert content.colours_of(frames) == []
    frames[:, :20] = rgb
    assert content.colours_of(frames) == [name]


def material_of(frames: np.ndarray, fps: float = 12.0) -> SimpleNamespace:
    return SimpleNamespace(frames=frames, fps=fps, settings={})


def test_the_camera_is_told_by_what_the_whole_picture_does():
    wide = np.concatenate([scene(1, 0.1)[:1], scene(2, 0.1)[:1]], axis=2)[0]
    right = np.stack([wide[:, 2 * step : 2 * step + 96] for step in range(24)])
    assert captions.camera_of(content.CONTENT.run(material_of(right), {})) == "the camera moves to the right"
    assert captions.camera_of(content.CONTENT.run(material_of(right[::-1]), {})) == "the camera moves to the left"
    still = content.CONTENT.run(material_of(np.repeat(wide[None, :, :96], 24, axis=0)), {})
    assert captions.camera_of(still) == ""
    assert "nothing moves" in captions.seen(still, {})


CALM = {"light": 0.4, "colours": ["green", "blue"], "moves": 0.01, "pan": 0.0, "tilt": 0.0}


def test_the_built_in_captioner_says_what_was_measured_and_nothing_else():
    assert captions.seen(CALM, {}) == "A shot with much green and blue."
    face = {"share": 0.9, "height": 0.5, "mouth": 0.1}
    assert captions.seen({**CALM, "light": 0.1, "moves": 0.05}, face) == (
        "A dark close-up of a face with much green and blue; much moves."
    )
    heard = {"events": [
        {"name": "dog", "score": 0.9, "start": 0, "end": 1}, {"name": "rain", "score": 0.4, "start": 0, "end": 1},
        {"name": "dog", "score": 0.8, "start": 2, "end": 3}, {"name": "speech", "score": 0.9, "start": 0, "end": 4},
    ]}  # fmt: skip
    assert captions.heard(heard) == "The sound of a dog."
    assert captions.heard({"events": []}) == captions.heard({}) == captions.seen({}, {}) == ""


def test_captions_are_merged_into_a_prompt_that_quotes_what_is_said():
    merged = captions.merged("A bright shot.", "The sound of rain.", "Come here.")
    assert merged["prompt"] == 'A bright shot. The sound of rain. A voice says, "Come here."'
    assert merged["ovi"] == "A bright shot. <S>Come here.<E> Audio: The sound of rain."
    assert captions.merged("A shot.", "", "")["prompt"] == captions.merged("A shot.", "", "")["ovi"] == "A shot."


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """An OpenAI-compatible endpoint that notes what it is asked."""
    asked: list[dict[str, object]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
            answer = {"choices": [{"message": {"content": "A texture\nglides."}}]}
            sent = json.dumps(answer if body["model"] == "good" else {"oops": 1}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *given: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint_is_shown_pictures_and_its_words_become_the_caption(endpoint, monkeypatch):
    url, asked = endpoint
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    described = captions.EndpointCaptioner(f"{url}#good")(material_of(scene(1)), {})
    assert described.picture == "A texture glides."
    assert asked[0]["path"] == "/v1/chat/completions"
    assert asked[0]["key"] == "Bearer secret"
    parts = asked[0]["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", *["image_url"] * captions.LOOKS]
    assert parts[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    with pytest.raises(PhonofilmError, match="gave no caption"):
        captions.EndpointCaptioner(f"{url}#bad")(material_of(scene(1)), {})


def test_a_captioner_is_chosen_by_name():
    assert isinstance(captions.captioner_of("embedded"), captions.EmbeddedCaptioner)
    with pytest.raises(PhonofilmError, match="no captioner 'else'; use embedded"):
        captions.check_captioner("else")


def test_material_is_read_once_and_resampled(tmp_path):
    path = film(tmp_path / "a.mp4", 1)
    material = Material(path, Shot("a" * 64, 0, Fraction(0), Fraction(1)))
    assert material.window is material.window
    assert material.frames.shape == (12, 64, 96, 3)
    assert len(material.mono(8000)) == 8000
    assert material.heard
    silent = Material(film(tmp_path / "b.mp4", 1, silent=True), Shot("b" * 64, 0, Fraction(0), Fraction(1)))
    assert not silent.heard
    assert not silent.mono(8000).any()
