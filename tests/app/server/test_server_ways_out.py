"""Every way in which what a model made leaves Phonofilm, and the layers of provenance that it then has."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from studio import Studio

import phonofilm
from phonofilm.app.cli.main import main
from phonofilm.app.jobs.runner import run
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.media import probe, read_clip
from phonofilm.media.metadata import COMPOSITE, TRAINED_ALGORITHMIC_MEDIA
from phonofilm.provenance.verify import verify
from phonofilm.provenance.watermark.picture import find_in_picture
from phonofilm.provenance.watermark.signs import PUBLIC
from phonofilm.types import Clip, Made

FACTS = {"ai_generated", "digital_source_type", "task", "prompt", "seed", "model", "weights", "request", "generator"}
"""What the metadata of every file say."""
SIGNED = FACTS & {"task", "model", "weights", "seed", "request", "generator"}
"""What its manifest says."""
BOTH, SOUND, PICTURE = {"sound", "picture"}, {"sound"}, {"picture"}


@dataclass(frozen=True)
class Way:
    """One way out.

    Attributes:
        made: the file.
        marks: where marks are found; not in a retaken picture, which has too little of it at this size (that it is
            marked is tested by its pixels, in test_app_provenance), nor where a fake model makes a beep now and then,
            nor in a single stem.
        composite: parts of it were given.
        frames: those that were made, where that is a part: the given ones, which have no mark, hide it in the whole.
        logged: it has a line of its own in the log; what is only drawn from a film that has one does not.
    """

    made: Path
    marks: set[str]
    composite: bool = False
    logged: bool = True
    frames: tuple[int, int] | None = None


@pytest.fixture(autouse=True, scope="module")
def place(tmp_path_factory):
    """A folder with an installation of its own, and films to work on."""
    folder = tmp_path_factory.mktemp("ways")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHONOFILM_HOME", str(folder / "home"))
        random = np.random.default_rng(0)
        slope = np.linspace(60, 180, 64, dtype=np.uint8)
        frames = np.broadcast_to(slope[None, None, :, None], (96, 64, 64, 3)).copy()
        sound = random.normal(0, 0.05, (2, 96_000)).astype(np.float32)
        Clip(frames, Fraction(24), sound, 24_000).save(folder / "source.mkv")
        Clip(waveform=sound, sample_rate=24_000).save(folder / "words.wav")
        shot = '[[shot]]\nprompt = "a ball"\nseconds = 2\n'
        (folder / "film.toml").write_text(f"size = 64\nfps = 24\n{shot}{shot}")
        yield folder


@pytest.fixture(scope="module")
def studio(place) -> Studio:
    return Studio(place / "data")


def command(place: Path, *words: str, suffix: str = ".mp4") -> Path:
    path = place / f"{'-'.join(words)[:24].replace(os.sep, '_')}{suffix}"
    told = [str(place / word) if (place / word).is_file() else word for word in words]
    assert main([*told, "--model", "fake", "-o", str(path)]) == 0
    return path


def generate(place, studio) -> Way:
    return Way(command(place, "generate", "a ball", "--seconds", "4", "--size", "64", "--fps", "24"), BOTH)


def batch(place, studio) -> Way:
    (place / "jobs.jsonl").write_text(json.dumps({"prompt": "a ball", "seconds": 4, "size": 64, "fps": 24}))
    assert (
        main(["generate", "--prompts", str(place / "jobs.jsonl"), "--model", "fake", "-o", str(place / "clips")]) == 0
    )
    return Way(place / "clips" / "0000.mp4", BOTH)


def foley(place, studio) -> Way:
    return Way(command(place, "foley", "source.mkv"), SOUND, composite=True)


def animate(place, studio) -> Way:
    words = ("animate", "words.wav", "-p", "a face", "--size", "64", "--fps", "24")
    return Way(command(place, *words), PICTURE, composite=True)


def extend(place, studio) -> Way:
    words = ("extend", "source.mkv", "--seconds", "4", "-p", "it goes on")
    return Way(command(place, *words, suffix=".mkv"), BOTH, composite=True, frames=(96, 192))


def retake(place, studio) -> Way:
    words = ("retake", "source.mkv", "--from", "0", "--to", "3.5", "-p", "again")
    return Way(command(place, *words, suffix=".webm"), SOUND, composite=True)


def soundtrack(place, studio) -> Way:
    return Way(command(place, "soundtrack", "source.mkv", "--effects", "a ball"), SOUND, composite=True)


def words_alone(place, studio) -> Way:
    words = ("soundtrack", "source.mkv", "--keep", "--say", "hello there@0.2", "--voice", "fake")
    return Way(command(place, *words), set(), composite=True)


def story(place, studio) -> Way:
    return Way(command(place, "story", "film.toml"), BOTH)


def stream(place, studio) -> Way:
    return Way(command(place, "stream", "a ball", "--until", "4"), BOTH)


def live_foley(place, studio) -> Way:
    return Way(command(place, "foley", "source.mkv", "--live"), set(), composite=True)


def python_run(place, studio) -> Way:
    spec = RequestSpec.from_json({"prompt": "a ball", "model": "fake", "seconds": 4, "size": 64, "fps": 24})
    run(spec, place / "run.mp4")
    return Way(place / "run.mp4", BOTH)


def python_save(place, studio) -> Way:
    clip = phonofilm.load("fake").generate("a ball", seconds=4, size=64, fps=24)
    return Way(clip.save(place / "save.mp4"), BOTH)


def server_film(place, studio) -> Way:
    return Way(content(place, made(studio), "video"), BOTH)


def server_story(place, studio) -> Way:
    shots = [{"prompt": "a ball", "seconds": 2}] * 2
    answer = studio.client.post("/v1/videos/story", json={"shots": shots, "size": "64x64", "fps": 24})
    studio.work()
    return Way(content(place, answer.json()["id"], "video"), BOTH)


def server_sound(place, studio) -> Way:
    return Way(content(place, made(studio), "audio"), SOUND, composite=False, logged=False)


def server_stem(place, studio) -> Way:
    return Way(content(place, made(studio), "effects"), set(), logged=False)


def server_speech(place, studio) -> Way:
    with studio.working():
        answer = studio.client.post(
            "/v1/audio/speech",
            json={"input": "one two three four five six seven eight", "model": "tts", "voice": "fake"},
        )
    assert answer.status_code == 200, answer.text
    (place / "speech.wav").write_bytes(answer.content)
    return Way(place / "speech.wav", set())


FILMS: dict[int, str] = {}


def made(studio: Studio) -> str:
    """The id of one film, made once."""
    if id(studio) not in FILMS:
        FILMS[id(studio)] = studio.made(seconds=4, size="64x64", fps=24)["id"]
    return FILMS[id(studio)]


def content(place: Path, film: str, variant: str) -> Path:
    client = FILM_CLIENTS[str(place)]
    path = place / f"{variant}.{'mp4' if variant == 'video' else 'wav'}"
    path.write_bytes(client.get(f"/v1/videos/{film}/content?variant={variant}").content)
    return path


FILM_CLIENTS: dict[str, object] = {}
WAYS = (
    generate, batch, foley, animate, extend, retake, soundtrack, words_alone, story, stream, live_foley, python_run,
    python_save, server_film, server_story, server_sound, server_stem, server_speech,
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_layer_is_there(place, studio, way):
    FILM_CLIENTS[str(place)] = studio.client
    out = way(place, studio)
    layers = {layer.name: layer for layer in verify(out.made)}
    assert layers["manifest"].verdict == "trusted", layers["manifest"].lines
    assert layers["metadata"].verdict == "said"
    assert layers["log"].verdict == "exact" or not out.logged
    marks = layers["watermark"].facts
    found = {name for name, keys in marks.items() if keys["public"]["found"] and keys["private"]["found"]}
    if "picture" not in found:  # at this size nothing follows from that
        assert "a mark cannot be looked for in the picture" in " ".join(layers["watermark"].lines)
    if out.frames is not None:
        clip, (start, end) = read_clip(out.made), out.frames
        assert find_in_picture(clip.frames[start:end], clip.fps, PUBLIC).present
        found.add("picture")
    assert found >= out.marks, layers["watermark"].lines
    if out.marks:
        assert found == out.marks, "what was given has none"
    said = probe(out.made).metadata
    assert set(said) >= FACTS, FACTS - set(said)
    assert said["digital_source_type"] == (COMPOSITE if out.composite else TRAINED_ALGORITHMIC_MEDIA)
    recipe = layers["manifest"].facts["recipe"]
    assert set(recipe) >= SIGNED, SIGNED - set(recipe)
    assert {name: recipe[name] for name in SIGNED} == {name: said[name] for name in SIGNED}
    assert len(said["request"]) == 64


def test_python_saves_without_marks_if_told_to(place):
    clip = phonofilm.load("fake").generate("a ball", seconds=1, size=64, fps=24)
    layers = {layer.name: layer.verdict for layer in verify(clip.save(place / "plain.mkv", mark=False))}
    assert (layers["manifest"], layers["metadata"], layers["log"]) == ("none", "said", "none")
    saved = read_clip(place / "plain.mkv")
    assert np.array_equal(saved.frames, clip.frames)
    assert saved.made is None, "what was read is nobody's own work"
    again = {layer.name: layer.verdict for layer in verify(saved.save(place / "again.mkv"))}
    assert again["manifest"] == "none"


def test_python_marks_what_was_made_alone(place):
    words = Clip(waveform=np.random.default_rng(1).normal(0, 0.1, (2, 24_000)).astype(np.float32), sample_rate=24_000)
    backend = phonofilm.load("fake")
    clip = backend.generate("a ball", seconds=1, size=64, fps=24, given_stems={"speech": words})
    assert clip.made is not None
    assert set(clip.made.stems) == {"effects", "music"}
    film = read_clip(place / "source.mkv")
    longer = backend.generate("on", task="extend", source=film, seconds=1)
    assert longer.made == Made((96, 120), longer.made.samples, longer.made.stems, part=True)
    saved = read_clip(longer.save(place / "longer.mkv"))
    start = longer.made.samples[0]
    assert start > 0
    assert np.array_equal(saved.frames[:96], film.frames)
    assert not np.array_equal(saved.frames[96:], longer.frames[96:])
    assert np.array_equal(saved.waveform[:, :start], longer.waveform[:, :start])
    assert not np.array_equal(saved.waveform[:, start:], longer.waveform[:, start:])


def test_given_stems_keep_every_bit_and_their_files_say_nothing(place):
    out = {"seconds": 4, "size": 64, "fps": 24, "model": "fake", "prompt": "a ball", "stem_tracks": True}
    given = {"speech": str(place / "words.wav")}
    spec = RequestSpec.from_json(out | {"given_stems": given, "stems": str(place / "parts")})
    run(spec, place / "marked.mkv")
    run(RequestSpec.from_json(spec.to_json() | {"watermark": False, "stems": str(place / "bare")}), place / "bare.mkv")
    stems = {name: [read_clip(place / folder / f"{film}-{name}.wav").waveform for folder, film in
                    (("parts", "marked"), ("bare", "bare"))] for name in ("speech", "effects")}  # fmt: skip
    assert np.array_equal(*stems["speech"])
    assert not np.array_equal(*stems["effects"])
    verdicts = {name: [layer.verdict for layer in verify(place / "parts" / f"marked-{name}.wav")][:2]
                for name in ("speech", "effects", "mix")}  # fmt: skip
    assert verdicts == {"speech": ["none", "none"], "effects": ["trusted", "said"], "mix": ["trusted", "said"]}


def test_an_edited_clip_is_marked_where_nobody_knows_what_is_left():
    clip = Clip(np.zeros((10, 32, 32, 3), np.uint8), Fraction(10), made=Made((4, 10), part=True))
    assert clip.with_(prompt="a ball").made == Made((4, 10), part=True)
    assert clip.with_(frames=clip.frames[3:]).made == Made((0, 7), part=True)
    assert clip.with_(frames=None, fps=None).made.frames == (0, 0)
    given = Clip(np.zeros((10, 32, 32, 3), np.uint8), Fraction(10), made=Made(samples=(0, 5)))
    assert given.with_(frames=clip.frames[3:]).made.frames == (0, 0)


def test_without_the_extra_python_is_warned(tmp_path, monkeypatch):
    monkeypatch.setitem(phonofilm.extras.EXTRAS, "provenance", ("c2pa_that_is_not_there",))
    clip = phonofilm.load("fake").generate("a ball", seconds=0.5, size=64)
    with pytest.warns(UserWarning, match="no signed manifest"):
        clip.save(tmp_path / "film.mp4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "<video" in clip._repr_html_()
