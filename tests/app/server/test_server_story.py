"""A film of several shots over HTTP: as the command makes it, with what is wrong said before anything is made."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from studio import Studio

from phonofilm.app.server.work.making import shot_by_shot
from phonofilm.app.server.work.policy import Content
from phonofilm.backends.base import JobContext
from phonofilm.backends.fake import FakeBackend
from phonofilm.errors import PhonofilmError
from phonofilm.media import read_clip
from phonofilm.types import Clip

SHOTS: list[dict[str, Any]] = [
    {"prompt": "she looks up", "seconds": 1, "cast": ["anna"], "place": "kitchen", "effects": "a clock"},
    {"prompt": "rain", "seconds": 1, "place": "kitchen", "join": "dissolve", "overlap": 0.25},
]
STORY: dict[str, Any] = {
    "shots": SHOTS,
    "cast": {"anna": "a woman with red hair"},
    "places": {"kitchen": "a yellow kitchen"},
    "size": "64x64",
    "fps": 24,
    "seed": 7,
}


@pytest.fixture
def studio(tmp_path) -> Studio:
    return Studio(tmp_path / "data")


def done(studio: Studio, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    studio.work()
    film: dict[str, Any] = studio.client.get(f"/v1/videos/{answer.json()['id']}").json()
    assert film["status"] == "completed", film["error"]
    return film


def saved(studio: Studio, film: dict[str, Any], tmp_path) -> Clip:
    path = tmp_path / "film.mp4"
    path.write_bytes(studio.client.get(f"/v1/videos/{film['id']}/content").content)
    return read_clip(path)


def test_a_story_is_one_film_of_its_shots(studio, tmp_path):
    accepted = studio.client.post("/v1/videos/story", json=STORY | {"music": {"prompt": "slow piano", "gain": -6}})
    assert accepted.json()["task"] == "story"
    assert (accepted.json()["seconds"], accepted.json()["size"]) == ("1.75", "64x64")
    film = done(studio, accepted)
    assert film["prompt"] == "she looks up / rain"
    assert film["facts"]["starts"] == [0, 0.75]
    assert film["facts"]["seeds"] == [7, 8]
    assert not {"shots", "path"} & set(film["facts"]), "no path of this machine"
    assert {"video", "audio", "thumbnail", "recipe"} <= set(film["variants"])
    assert any("no memory of kitchen" in line for line in film["notices"])
    clip = saved(studio, film, tmp_path)
    assert (clip.frames.shape, clip.fps) == ((42, 64, 64, 3), Fraction(24))
    assert clip.sound.waveform.shape[1] == round(1.75 * clip.sound.sample_rate)
    assert clip.metadata["task"] == "story"
    recipe = studio.client.get(f"/v1/videos/{film['id']}/content?variant=recipe").json()
    assert [shot["prompt"] for shot in recipe["story"]["shot"]] == ["she looks up", "rain"]


def test_a_form_gives_shots_as_text_and_music_as_a_file(studio, tmp_path):
    beep = np.sin(np.arange(48_000) * 0.3).astype(np.float32)[None] * 0.3
    Clip(waveform=beep, sample_rate=24_000).save(tmp_path / "song.wav")
    values = {"shots": json.dumps([SHOTS[1] | {"join": "cut"}]), "places[kitchen]": "a yellow kitchen", "size": "64x64"}
    files = {"music_file": ("song.wav", (tmp_path / "song.wav").read_bytes(), "audio/wav")}
    film = done(studio, studio.client.post("/v1/videos/story", data=values | {"music[gain]": "-3"}, files=files))
    heard = saved(studio, film, tmp_path).sound
    spectrum = np.abs(np.fft.rfft(heard.waveform[0]))
    expected = 0.3 * 24_000 / (2 * np.pi)
    assert abs(np.argmax(spectrum) * heard.sample_rate / heard.waveform.shape[1] - expected) < 20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shots": []}, "shots"),
        ({"shots": None}, "shots"),
        ({"shots": [SHOTS[1]]}, "shot 1 begins the film"),
        ({"shots": [SHOTS[0] | {"cast": ["bob"]}]}, "nobody in [cast] is called 'bob'"),
        ({"shots": [SHOTS[0] | {"seconds": 0}]}, "shots.0.seconds"),
        ({"shots": [SHOTS[0] | {"file": "/etc/passwd"}]}, "there is no field 'shots.0.file'"),
        ({"shots": [SHOTS[0] | {"say": ["words.vtt"]}]}, "the name of a file"),
        ({"shots": [{"prompt": "a", "seconds": 600}] * 2}, "a story may last 600 s here; this one has 1200"),
        ({"music": {}}, "[music] has either prompt"),
        ({"music": {"prompt": "a song", "file": "/etc/passwd"}}, "there is no field 'music.file'"),
        ({"cast": {"anna": " "}}, "cast"),
        ({"sampler": "magic"}, "sampler"),
        ({"shots": [SHOTS[0], SHOTS[1] | {"voices": ["nobody"]}]}, "shot 2: "),
        ({"size": "32x9000"}, "a side of 9000 pixels"),
    ],
)
def test_what_is_wrong_with_a_story_is_said_at_once(studio, change, said):
    answer = studio.client.post("/v1/videos/story", json=STORY | change)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert studio.client.get("/v1/videos").json()["data"] == []


def test_a_form_whose_shots_are_no_json_is_told_so(studio):
    answer = studio.client.post("/v1/videos/story", data={"shots": "a ball"})
    assert answer.status_code == 400
    assert "in a form this is JSON text" in answer.json()["error"]["message"]


def test_a_shot_that_is_not_possible_ends_the_job_with_its_number(studio, monkeypatch):
    generate = FakeBackend.generate

    def fails(self, request, *rest, **more):
        if "rain" in request.prompt:
            raise PhonofilmError(f"it rains too hard in {studio.settings.scratch}/x")
        return generate(self, request, *rest, **more)

    monkeypatch.setattr(FakeBackend, "generate", fails)
    answer = studio.client.post("/v1/videos/story", json=STORY)
    studio.work()
    film = studio.client.get(f"/v1/videos/{answer.json()['id']}").json()
    assert film["status"] == "failed"
    assert film["error"]["message"].startswith("shot 2: it rains too hard")
    assert str(studio.settings.folder) not in film["error"]["message"]
    assert not list(studio.settings.scratch.rglob("*.mkv"))


def test_a_story_is_cancelled_within_a_step_and_leaves_nothing(studio, monkeypatch):
    answer = studio.client.post("/v1/videos/story", json=STORY)
    id, steps = answer.json()["id"], []

    def cancelled_in_the_second_shot(stage: str, done: int, total: int) -> None:
        steps.append(done / total)
        if stage == "sampling" and len(steps) > 3 and done / total > 0.5:
            studio.client.post(f"/v1/videos/{id}/cancel")

    from phonofilm.app.server.work.watch import Watch

    monkeypatch.setattr(Watch, "progress", lambda self, *told: cancelled_in_the_second_shot(*told))
    monkeypatch.setattr("phonofilm.app.server.work.watch.FRESH", 0.0)
    studio.work()
    film = studio.client.get(f"/v1/videos/{id}").json()
    assert (film["status"], film["error"]["code"]) == ("failed", "cancelled")
    assert steps == sorted(steps)
    assert not list(studio.settings.scratch.rglob("*.mkv"))


def test_progress_of_shots_is_progress_of_the_whole():
    told: list[tuple[str, int, int]] = []
    context = shot_by_shot(JobContext(lambda *step: told.append(step)))
    for shot in range(4):
        context("shot", shot, 4)
        for stage, done, total in (("loading", 0, 1), ("sampling", 1, 2), ("sampling", 2, 2), ("writing", 0, 1)):
            context(stage, done, total)
    assert {stage for stage, _, _ in told} == {"sampling"}
    shares = [done / total for _, done, total in told]
    assert shares == sorted(shares)
    assert shares[5] == 0.25, "the second of four begins"
    assert 0.9 < shares[-1] < 1


def test_a_policy_sees_all_words_of_a_story(studio):
    seen: list[Content] = []
    worker = studio.worker
    object.__setattr__(worker.maker, "policies", (lambda content: seen.append(content),))
    done(studio, studio.client.post("/v1/videos/story", json=STORY | {"music": {"prompt": "slow piano"}}))
    assert [(content.moment, content.task) for content in seen] == [("before", "story"), ("after", "story")]
    for words in ("she looks up", "rain", "a woman with red hair", "a yellow kitchen", "a clock", "slow piano"):
        assert words in seen[0].text


def test_a_story_is_not_remixed(studio):
    film = done(studio, studio.client.post("/v1/videos/story", json=STORY))
    answer = studio.client.post(f"/v1/videos/{film['id']}/remix", json={"prompt": "snow"})
    assert answer.status_code == 400
    assert "send it again" in answer.json()["error"]["message"]


def test_a_refusing_policy_stops_a_story(studio):
    object.__setattr__(studio.worker.maker, "policies", (lambda content: "no" if "rain" in content.text else None,))
    answer = studio.client.post("/v1/videos/story", json=STORY)
    studio.work()
    found = studio.client.get(f"/v1/videos/{answer.json()['id']}").json()
    assert found["error"]["code"] == "content_policy_violation"


def test_the_description_names_every_field_of_a_story(studio):
    described = studio.app.openapi()
    content = described["paths"]["/v1/videos/story"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    form = content["multipart/form-data"]["schema"]["properties"]
    assert form["shots"]["contentMediaType"] == "application/json"
    assert {"music[prompt]", "music[gain]", "music_file", "seed", "loras"} <= set(form)
    for name in ("Telling", "Shot", "Bed"):
        fields = described["components"]["schemas"][name]["properties"]
        assert all("description" in field for field in fields.values()), name
