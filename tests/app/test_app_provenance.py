"""All that generates marks what it made by default, each layer has a switch, and `verify` says what is there."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonofilm import PhonofilmError, extras
from phonofilm.app.cli.main import main
from phonofilm.app.jobs import runner
from phonofilm.app.jobs.runner import run
from phonofilm.app.jobs.soundtrack import SoundtrackSpec, make_soundtrack
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.backends.base import JobContext
from phonofilm.media import probe, read_clip
from phonofilm.media.metadata import COMPOSITE, TRAINED_ALGORITHMIC_MEDIA
from phonofilm.provenance.kept.log import remember
from phonofilm.provenance.verify import manifest, verify
from phonofilm.types import Clip


@pytest.fixture(autouse=True)
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for each test."""
    monkeypatch.setenv("PHONOFILM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def job(**fields: object) -> RequestSpec:
    return RequestSpec.from_json({"model": "fake", "prompt": "a secret ball", "size": 64, "fps": 24, **fields})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A lossless film that was filmed, not made: its pixels come back as they are."""
    random = np.random.default_rng(0)
    frames = random.integers(0, 255, (24, 64, 64, 3), dtype=np.uint8)
    path = tmp_path / "source.mkv"
    Clip(frames, Fraction(24), random.normal(0, 0.05, (2, 24_000)).astype(np.float32), 24_000).save(path)
    return path


def test_a_film_that_is_made_says_so_in_every_layer(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    run(job(seconds=4), path)
    layers = {layer.name: layer for layer in verify(path)}
    assert {name: layer.verdict for name, layer in layers.items()} == {
        "manifest": "trusted", "metadata": "said", "watermark": "found", "log": "exact"
    }  # fmt: skip
    facts = layers["manifest"].facts
    assert facts["actions"][0] == "c2pa.created"
    assert facts["recipe"]["model"] == "fake"
    assert "secret" not in json.dumps(facts)
    assert probe(path).metadata["digital_source_type"] == TRAINED_ALGORITHMIC_MEDIA


@pytest.mark.parametrize("layer", ["sign", "watermark", "log"])
def test_each_layer_can_be_switched_off(tmp_path: Path, installation: Path, layer: str) -> None:
    path = tmp_path / "film.mkv"
    run(job(seconds=2, **{layer: False}), path)
    found = {one.name: one.verdict for one in verify(path)}
    off = {"sign": "manifest"}.get(layer, layer)
    assert found[off] == "none"
    assert (layer == "sign") != (path.parent / "film.mkv.c2pa").exists()


def test_the_prompt_is_published_only_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "film.wav"
    run(job(seconds=1, publish_prompt=True), path)
    assert manifest(path).facts["recipe"]["prompt"] == "a secret ball"


@pytest.mark.parametrize(
    ("task", "fields"),
    [("foley", {}), ("extend", {"seconds": 1}), ("retake", {"span": [0.25, 0.75]}), ("animate", {})],
)
def test_what_is_given_keeps_every_bit(tmp_path: Path, source: Path, task: str, fields: dict[str, object]) -> None:
    path, plain = tmp_path / "new.mkv", tmp_path / "plain.mkv"
    spec = job(task=task, source=str(source), **fields)
    run(spec, path)
    run(RequestSpec.from_json({**spec.to_json(), "watermark": False, "sign": False, "log": False}), plain)
    given, new, bare = read_clip(source), read_clip(path), read_clip(plain)
    if task in ("foley", "retake", "extend"):
        kept = {"foley": slice(0, 24), "retake": slice(0, 6), "extend": slice(0, 24)}[task]
        assert np.array_equal(new.frames[kept], given.frames[kept])
    if task in ("animate", "retake", "extend"):
        heard = {"animate": 24_000, "retake": 5_000, "extend": 23_000}[task]
        assert np.array_equal(new.waveform[:, :heard], given.waveform[:, :heard])
    if task in ("retake", "extend", "animate"):
        assert not np.array_equal(new.frames, bare.frames)
    if task in ("foley", "retake", "extend"):
        assert not np.array_equal(new.waveform, bare.waveform)
    found = manifest(path)
    assert found.verdict == "trusted"
    assert found.facts["actions"][0] == "c2pa.opened"
    assert "part of it was made by a model" in found.lines
    assert probe(path).metadata["digital_source_type"] == COMPOSITE


def test_words_put_into_a_film_are_marked(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "told.mp4"
    make_soundtrack(SoundtrackSpec(job(task="foley", source=str(source), prompt="")), path)
    found = manifest(path)
    assert found.verdict == "trusted"
    assert "part of it was made by a model" in found.lines


def test_stems_beside_a_film_are_signed_too(tmp_path: Path) -> None:
    run(job(seconds=1, stems=str(tmp_path / "stems")), tmp_path / "film.mp4")
    stems = sorted((tmp_path / "stems").glob("*.wav"))
    assert len(stems) == 4
    assert {manifest(stem).verdict for stem in stems} == {"trusted"}


def test_without_the_extra_one_note_is_given_and_the_film_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(extras.EXTRAS, "provenance", ("c2pa_that_is_not_there",))
    told: list[str] = []
    path = tmp_path / "film.mp4"
    run(job(seconds=1), path, JobContext(tell=told.append))
    notes = [line for line in told if "manifest" in line]
    assert len(notes) == 1
    assert "pip install" in notes[0]
    assert probe(path).metadata["ai_generated"] == "true"
    assert manifest(path).verdict == "unread"


def test_a_film_that_cannot_be_signed_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise PhonofilmError("no ink")

    monkeypatch.setattr("phonofilm.provenance.layers.sign", broken)
    with pytest.raises(PhonofilmError, match="no ink"):
        run(job(seconds=1), tmp_path / "film.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {"home"}


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(PhonofilmError, match="needs its key"):
        job(c2pa_cert="mine.pem")


def test_a_copy_is_known_by_its_looks_when_all_else_was_stripped(tmp_path: Path) -> None:
    made, copy, other = tmp_path / "made.mp4", tmp_path / "copy.webm", tmp_path / "other.mp4"
    picture = np.random.default_rng(3).integers(0, 255, (48, 8, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    Clip(picture, Fraction(12)).save(made)
    remember(made, {"prompt": "a secret ball"}, ("picture",))
    read_clip(made).with_(metadata={}, prompt=None, events=()).save(copy)
    Clip(picture[::-1, :, ::-1], Fraction(12)).save(other)
    found = {layer.name: layer for layer in verify(copy)}
    assert found["manifest"].verdict == found["metadata"].verdict == "none"
    assert found["log"].verdict == "alike"
    assert found["log"].facts["recipe"]["prompt"] == "a secret ball"
    assert {layer.name: layer for layer in verify(other)}["log"].verdict == "none"


def test_a_picture_that_was_given_is_not_looked_for_as_one_that_was_made(tmp_path: Path) -> None:
    picture = np.random.default_rng(3).integers(0, 255, (48, 8, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    given, made = tmp_path / "given.mkv", tmp_path / "made.mkv"
    Clip(picture, Fraction(12)).save(given)
    run(job(task="foley", source=str(given)), made)
    assert {layer.name: layer for layer in verify(made)}["log"].verdict == "exact"
    assert {layer.name: layer for layer in verify(given)}["log"].verdict == "none"


def test_of_a_film_that_was_made_in_part_the_log_knows_that_part(tmp_path: Path) -> None:
    picture = np.random.default_rng(3).integers(0, 255, (96, 8, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    given, made, part = tmp_path / "given.mkv", tmp_path / "made.mkv", tmp_path / "part.mkv"
    Clip(picture, Fraction(12)).save(given)
    verdict = lambda path: {layer.name: layer for layer in verify(path)}["log"].verdict  # noqa: E731
    run(job(task="extend", source=str(given), seconds=4, fps=12), made)
    assert verdict(given) == "none", "what was given was not made here"
    clip = read_clip(made)
    clip.with_(frames=clip.frames[96:], waveform=None, metadata={}, prompt=None, events=()).save(part, mark=False)
    assert verdict(part) == "alike"


def test_labels_for_people_are_seen_and_heard(tmp_path: Path) -> None:
    plain, told = tmp_path / "plain.mkv", tmp_path / "told.mkv"
    run(job(seconds=2, watermark=False), plain)
    run(job(seconds=2, watermark=False, label=True, notice=True), told)
    one, two = read_clip(plain), read_clip(told)
    differ = (one.frames != two.frames).any((0, 3))
    assert differ[-12:, :20].any()
    assert not differ[:32].any()
    heard = np.abs(two.waveform - one.waveform).max(0)
    assert heard[: len(heard) // 2].max() > 0.1
    assert heard[-1000:].max() < 1e-4


def test_the_command_line_says_it_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "film.wav"
    run(job(seconds=4), path)
    assert main(["verify", str(path)]) == 0
    words = capsys.readouterr().out
    assert "Trusted: signed by Phonofilm installation" in words
    assert "a mark was found in the sound, by the public and the private key" in words
    assert "a mark cannot be looked for in the picture: there is no picture" in words
    content = bytearray(path.read_bytes())
    content[content.index(b"data") + 5000] ^= 1
    path.write_bytes(content)
    assert main(["verify", str(path), "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert layers[0]["verdict"] == "invalid"
    assert "changed after it was signed" in layers[0]["lines"][0]


def test_a_retaken_part_of_a_small_film_is_said_to_be_no_place_to_look(tmp_path: Path) -> None:
    source, path = tmp_path / "source.mkv", tmp_path / "film.mkv"
    slope = np.broadcast_to(np.linspace(60, 180, 64, dtype=np.uint8)[None, None, :, None], (96, 64, 64, 3))
    Clip(slope.copy(), Fraction(24)).save(source)
    run(job(task="retake", source=str(source), span=[0, 1], seconds=None, only=["video"]), path)
    layer = {layer.name: layer for layer in verify(path)}["watermark"]
    assert "a mark cannot be looked for in the picture: at 64x64 pixels" in layer.lines[1]
    assert not layer.facts["picture"]["public"]["found"]
    assert "64x64" in layer.facts["picture"]["public"]["reason"]


def test_a_certificate_that_is_missing_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.BackendPool, "use", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(PhonofilmError, match=r"no\.pem cannot be read"):
        run(job(c2pa_cert=str(tmp_path / "no.pem"), c2pa_key=str(tmp_path / "no.key")), tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()
