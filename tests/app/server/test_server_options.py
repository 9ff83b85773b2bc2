"""What can be said of a film is the same at the command line, in a batch and over HTTP, but for what is named here."""

from __future__ import annotations

import io
import json
import re
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import mido
import numpy as np
import pytest
from studio import FILM, Studio, png

from phonofilm import Clip, PhonofilmError
from phonofilm.app.cli.main import main
from phonofilm.app.jobs.fields import READERS
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.app.server.base.settings import Settings

ALL = {field.name for field in fields(RequestSpec)}
NOT_OVER_HTTP = {
    "device": "the server's own",
    "offload": "the server's own",
    "network": "the server's own",
    "quantize": "the server's own",
    "components": "the server's own",
    "sign": "what leaves a server is marked",
    "watermark": "what leaves a server is marked",
    "log": "what leaves a server is marked",
    "c2pa_cert": "the server's own",
    "c2pa_key": "the server's own",
    "stems": "always there, as variants of the content",
    "stem_tracks": "stems are variants of the content",
}
"""Fields of a job that clients of a server cannot say, and why; docs/serving.md names them too."""


class Recorded(PhonofilmError):
    """Enough was seen."""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of all fields that a `RequestSpec` is read from, of which none is made."""
    found: set[str] = set()

    def record(values: dict, base: RequestSpec | None = None) -> RequestSpec:
        found.update(values)
        raise Recorded("recorded")

    monkeypatch.setattr(RequestSpec, "from_json", staticmethod(record))
    return found


def wav(seconds: float = 1) -> bytes:
    sound = np.random.default_rng(0).normal(0, 0.1, (1, round(24_000 * seconds))).astype(np.float32)
    return _written(Clip(waveform=sound, sample_rate=24_000), "wav")


def film(seconds: int = 1) -> bytes:
    frames = np.full((24 * seconds, 32, 32, 3), 90, np.uint8)
    return _written(Clip(frames, Fraction(24)), "mp4")


def heard(seconds: int = 1) -> bytes:
    """A film with sound."""
    frames = np.full((24 * seconds, 32, 32, 3), 90, np.uint8)
    sound = np.random.default_rng(1).normal(0, 0.05, (2, 24_000 * seconds)).astype(np.float32)
    return _written(Clip(frames, Fraction(24), sound, 24_000), "mp4")


def _written(clip: Clip, suffix: str) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return clip.save(Path(folder) / f"clip.{suffix}").read_bytes()


def midi(*times: float) -> bytes:
    track = mido.MidiTrack()
    before = 0.0
    for time in times:
        ticks = round(mido.second2tick(time - before, 480, 500_000))
        track += [mido.Message("note_on", note=60, velocity=127, time=ticks), mido.Message("note_off", note=60)]
        before = time
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(track)
    content = io.BytesIO()
    file.save(file=content)
    return content.getvalue()


def test_a_line_of_a_batch_takes_every_field():
    assert set(READERS) == ALL


def test_the_command_line_takes_every_field(said, tmp_path):
    clip = str(tmp_path / "clip.mp4")
    Path(clip).write_bytes(film())
    out = str(tmp_path / "new.mp4")
    for command in (
        ["generate", "a ball", "-o", out],
        ["foley", clip, "-o", out],
        ["animate", clip, "-o", out],
        ["extend", clip, "--seconds", "1", "-o", out],
        ["retake", clip, "--from", "0", "--to", "1", "-o", out],
    ):
        assert main(command) != 0
    assert said == ALL


def test_the_server_takes_every_field_but_those_that_are_named(said, tmp_path):
    studio = Studio(tmp_path)
    files = {"video": film(), "follow": wav(), "input_reference": png()}
    files |= {f"{stem}_file": wav() for stem in ("speech", "effects", "music")}
    right = {
        "/v1/videos": (
            {"prompt": "a ball"},
            ("follow", "input_reference", "speech_file", "effects_file", "music_file"),
        ),
        "/v1/videos/foley": ({}, ("video", "follow", "speech_file", "effects_file", "music_file")),
        "/v1/videos/animate": ({}, ("video", "input_reference")),
        "/v1/videos/extensions": ({"seconds": 1}, ("video",)),
        "/v1/videos/retake": ({"start": 0, "end": 1}, ("video", "follow")),
        "/v1/videos/edits": ({"prompt": "a box"}, ("video", "follow")),
    }
    for path, (values, names) in right.items():
        sent = {name: (name, files[name]) for name in names}
        assert studio.client.post(path, data=values, files=sent).status_code == 500, "it came to the record"
    assert said | {"model"} == ALL - set(NOT_OVER_HTTP)
    text = (Path(__file__).parents[3] / "docs" / "serving.md").read_text(encoding="utf-8")
    missing = [name for name in NOT_OVER_HTTP if f"`{name}`" not in text]
    assert not missing, "the page names what cannot be said over HTTP"


VALUES = {
    "video_seed": (3, 3),
    "audio_seed": (4, 4),
    "guidance_scale": ([3, 7], (3.0, 7.0)),
    "modality_guidance_scale": (2, (2.0, 2.0)),
    "stg_scale": ("1,0", (1.0, 0.0)),
    "upsample": (True, True),
    "gain": ({"speech": -3, "music": 2}, {"speech": -3.0, "music": 2.0}),
    "sync": (False, False),
    "control_scale": (0.5, 0.5),
    "label": (True, True),
    "notice": (True, True),
    "publish_prompt": (True, True),
    "hits": ("0.1,0.25@0.8", "0.1,0.25@0.8"),
}
NAMES = {"guidance_scale": "guidance", "modality_guidance_scale": "modality_guidance", "stg_scale": "stg"}


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    folder = tmp_path_factory.mktemp("studio")
    loras, adapters = ({name: str(folder / f"{name}.safetensors")} for name in ("night", "hits"))
    return Studio(folder / "data", loras=loras, adapters=adapters)


def spec_of(studio: Studio, answer) -> RequestSpec:
    """What the worker makes of an accepted job."""
    assert answer.status_code == 200, answer.text
    job = studio.parts.queue.get(answer.json()["id"])
    files = {role: studio.settings.folder / "inputs" / job.id / name for role, name in job.spec["inputs"].items()}
    assert all(file.is_file() for file in files.values()), files
    return studio.worker.maker.spec(job, files)


@pytest.mark.parametrize("name", VALUES)
def test_an_option_reaches_the_job(studio, name):
    value, expected = VALUES[name]
    spec = spec_of(studio, studio.client.post("/v1/videos", json=FILM | {name: value}))
    assert getattr(spec, NAMES.get(name, name)) == expected
    form = {name: json.dumps(value).strip('"')}
    if name == "gain":
        form = {f"gain[{stem}]": str(level) for stem, level in value.items()}
    if isinstance(value, list):
        form = {name: [str(item) for item in value]}
    again = spec_of(studio, studio.client.post("/v1/videos", data=FILM | form))
    assert getattr(again, NAMES.get(name, name)) == expected


def test_loras_and_adapters_are_names_of_this_server(studio):
    asked = FILM | {"loras": ["night:0.5", "night"], "adapters": "hits"}
    spec = spec_of(studio, studio.client.post("/v1/videos", json=asked))
    night, hits = studio.settings.loras["night"], studio.settings.adapters["hits"]
    assert (spec.loras, spec.adapters) == ((f"{night}:0.5", night), (hits,))
    known = studio.client.get("/v1/models").json()["data"][0]
    assert (known["loras"], known["adapters"]) == (["night"], ["hits"])
    for values, words in (
        ({"loras": ["day"]}, "there is no 'day' here; there is night"),
        ({"loras": [night]}, "there is no"),
        ({"adapters": ["/etc/passwd"]}, "there is no"),
        ({"loras": ["night:much"]}, "write NAME, or NAME:STRENGTH"),
        ({"adapters": ["hits:2"]}, "there is no"),
    ):
        answer = studio.client.post("/v1/videos", json=FILM | values)
        assert answer.status_code == 400, answer.text
        assert words in answer.json()["error"]["message"]
    assert Settings.from_json(studio.settings.to_json()) == studio.settings


def test_a_lora_that_is_gone_is_one_sentence(studio):
    accepted = studio.client.post("/v1/videos", json=FILM | {"loras": ["night"]}).json()
    job = studio.parts.queue.get(accepted["id"])
    with pytest.raises(PhonofilmError, match="night is not here any more"):
        replace(studio.worker.maker, loras={}).spec(job, {})


def test_stems_and_a_sound_to_follow_are_given_as_files(studio):
    files = {"speech_file": ("<words>.wav", wav()), "follow": ("a.wav", wav())}
    answer = studio.client.post("/v1/videos", data=FILM, files=files)
    spec = spec_of(studio, answer)
    assert set(spec.given_stems) == {"speech"}
    assert spec.given_stems["speech"].endswith("given-speech.wav")
    assert spec.follow.endswith("follow.wav")
    assert spec.open().follow.sample_rate == 24_000
    again = studio.client.post(f"/v1/videos/{answer.json()['id']}/remix", json={"prompt": "a box"})
    assert set(spec_of(studio, again).given_stems) == {"speech"}, "a remix is given the same"
    silent = studio.client.post("/v1/videos", data=FILM, files={"follow": ("a.mp4", film())})
    assert (silent.status_code, silent.json()["error"]["message"]) == (400, "this file has no sound")


def test_a_film_that_was_made_here_is_followed_by_its_id(studio):
    made = studio.made()
    spec = spec_of(studio, studio.client.post("/v1/videos", json=FILM | {"follow": {"id": made["id"]}}))
    assert spec.open().follow.waveform.shape[1] > 0
    unknown = studio.client.post("/v1/videos", json=FILM | {"follow": {"id": "video_" + "0" * 32}})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "follow")


def test_given_stems_reach_the_film(studio):
    answer = studio.client.post("/v1/videos", data=FILM, files={"speech_file": ("words.wav", wav(0.5))})
    studio.work()
    done = studio.client.get(f"/v1/videos/{answer.json()['id']}").json()
    assert done["status"] == "completed", done["error"]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("animate", {"only": ["video", "effects"], "effects": "rain"}),
        ("extensions", {"seconds": "1"}),
        ("retake", {"start": "0", "end": "0.5"}),
        ("edits", {"prompt": "a box"}),
    ],
)
def test_stems_are_given_to_films_that_are_worked_on(studio, path, values):
    sent = {"video": ("film.wav" if path == "animate" else "film.mp4", wav() if path == "animate" else heard())}
    if path == "animate":
        sent = {"audio": sent["video"]}
    sent |= {"music_file": ("song.wav", wav(2))}
    answer = studio.client.post(f"/v1/videos/{path}", data=values, files=sent)
    spec = spec_of(studio, answer)
    assert set(spec.given_stems) == {"music"}
    assert spec.open().given_stems["music"].sound_seconds == 2
    studio.work()
    done = studio.client.get(f"/v1/videos/{answer.json()['id']}").json()
    assert done["status"] == "completed", done["error"]
    assert "stem-music" in done["variants"] or "music" in done["variants"]


def test_midi_is_read_within_the_clip(studio):
    asked = FILM | {"seconds": "1"}
    spec = spec_of(studio, studio.client.post("/v1/videos", data=asked, files={"hits_file": midi(0.25, 0.5, 3)}))
    assert re.fullmatch(r"0\.25\d*@1,0\.5\d*@1", spec.hits), spec.hits
    source = {"video": ("film.mp4", film()), "hits_file": ("hits.mid", midi(0.25, 3))}
    assert spec_of(studio, studio.client.post("/v1/videos/foley", files=source)).hits == "0.25@1"
    for data, files, words in (
        ({"prompt": "a ball"}, {"hits_file": midi(0.5)}, "say seconds"),
        (asked | {"hits": "0.5"}, {"hits_file": midi(0.5)}, "not both"),
        (asked, {"hits_file": b"MThd" + b"\xff" * 40}, "is no MIDI file"),
        (asked, {"hits_file": b"RIFF" + b"\xff" * 40}, "this is no midi"),
        (asked, {"hits_file": midi(2)}, "has no note within"),
        (asked, {"hits_file": midi(*(n / 1000 for n in range(600)))}, "600 notes"),
    ):
        answer = studio.client.post("/v1/videos", data=data, files=files)
        assert answer.status_code == 400, answer.text
        assert words in answer.json()["error"]["message"]
        assert str(studio.settings.folder) not in answer.text


@pytest.mark.parametrize(
    ("path", "values", "param", "words"),
    [
        ("", {"hits": "/etc/hits.mid"}, "hits", "seconds, perhaps with a strength"),
        ("", {"hits": "0.9"}, "hits", "outside the clip"),
        ("", {"control_scale": 5}, "control_scale", "less than or equal to 4"),
        ("", {"gain": {"speech": 50}}, "gain.speech", "less than or equal to 24"),
        ("", {"gain": {"drums": 1}}, "gain.drums", "no field"),
        ("", {"guidance_scale": [1, 2, 3]}, "guidance_scale", "write one number"),
        ("", {"guidance_scale": 101}, "guidance_scale[0]", "choose 0 to 100"),
        ("", {"stg_scale": "much"}, "stg_scale", "write one number"),
        ("", {"mix_as": "music"}, "mix_as", "no field"),
        ("", {"sign": False}, "sign", "no field"),
        ("", {"device": "cuda"}, "device", "no field"),
        ("/extensions", {"seconds": 1, "hits": "0.5"}, "hits", "no field"),
        ("/animate", {"hits": "0.5"}, "hits", "no field"),
        ("/soundtrack", {"gain": {"speech": 1}}, "gain", "no field"),
    ],
)
def test_what_cannot_be_is_one_sentence(studio, path, values, param, words):
    answer = studio.client.post(f"/v1/videos{path}", json=(FILM if not path else {}) | values)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert words in error["message"]
    assert "\n" not in error["message"]


def test_the_description_has_every_option(studio):
    described = studio.client.get("/openapi.json").json()
    fields_of = described["components"]["schemas"]["Making"]["properties"]
    assert set(VALUES) | {"follow", "loras", "adapters"} <= set(fields_of)
    assert all(field.get("description") for field in fields_of.values())
    form = described["paths"]["/v1/videos"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"hits_file", "follow", "follow[id]", "speech_file", "gain[speech]"} <= set(form["properties"])


def test_names_of_files_are_checked_at_start(tmp_path, capsys):
    for option, words in (
        ("--lora", "night"),
        ("--adapter", "a b=file"),
        ("--lora", f"night={tmp_path / 'no.safetensors'}"),
    ):
        assert main(["serve", "--data", str(tmp_path / "data"), option, words]) != 0
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "data").exists()
