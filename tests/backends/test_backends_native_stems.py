"""A model of speech, effects and music: what is made, given, silent and absent, on a tiny untrained one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from phonofilm import Clip, PhonofilmError
from phonofilm.backends.canvas.canvas import KEEP
from phonofilm.backends.canvas.given import noise_of
from phonofilm.backends.canvas.layout import lay_out, work_out
from phonofilm.backends.canvas.loop import Part
from phonofilm.backends.native import NativeBackend
from phonofilm.choices import STEMS
from phonofilm.codecs.common.mel import log_mel
from phonofilm.types import Request


@pytest.fixture(scope="module")
def model(tiny_stems_model: Path) -> NativeBackend:
    return NativeBackend.load(tiny_stems_model, device="cpu")


@pytest.fixture(scope="module")
def clip(model: NativeBackend) -> Clip:
    return model.generate("a red ball", seed=1)


def tone(pitch: float, seconds: float = 1.0, rate: int = 24_000, level: float = 0.3) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    return np.stack([level * np.sin(2 * np.pi * pitch * times)] * 2).astype(np.float32)


def sums(clip: Clip) -> bool:
    """Whether the mix is the sum of its stems, and nothing clips."""
    total = np.sum([*clip.stems.values()], axis=0)
    loudest = max(np.abs(part).max() for part in (total, *clip.stems.values()))
    return bool(np.abs(total - clip.waveform).max() <= 1e-4 and loudest <= 1)


def part_of(model: NativeBackend, request: Request) -> Part:
    """The first window of a request, as the model is given it."""
    trained = model.parts.trained
    canvas = lay_out(work_out(request, trained), trained)
    return Part(0, 1, range(24), trained.grid(24), canvas)


def test_a_second_is_24_frames_and_three_stems_of_24000_samples(clip):
    assert clip.frames.shape == (24, 128, 128, 3)
    assert clip.waveform.shape == (2, 24_000)
    assert tuple(clip.stems) == STEMS
    assert {stem.shape for stem in clip.stems.values()} == {(2, 24_000)}
    assert len({stem.tobytes() for stem in clip.stems.values()}) == 3
    assert sums(clip)


def test_the_seed_decides_and_each_stem_has_noise_of_its_own(model, clip):
    again = model.generate("a red ball", seed=1)
    assert (again.frames == clip.frames).all()
    assert all((again.stems[name] == clip.stems[name]).all() for name in STEMS)
    requests = [Request("x", seed=1), Request("x", seed=1, only="video,music"), Request("x", seed=1, audio_seed=2)]
    parts = [part_of(model, request) for request in requests]
    whole, some, other = (
        noise_of(model._given(part), request, 0, model.device, stems=part.canvas.stems)
        for part, request in zip(parts, requests, strict=True)
    )
    assert whole.audio.shape[1] == 3
    assert torch.equal(whole.audio[:, 2], some.audio[:, 0]), "a stem's noise does not depend on the others"
    assert not torch.equal(whole.audio[:, 0], whole.audio[:, 1])
    assert torch.equal(whole.video, other.video)
    assert not torch.equal(whole.audio, other.audio)


def test_what_is_absent_has_no_tokens_and_what_is_silent_is_given_as_silence(model):
    absent = part_of(model, Request("x", only="video,effects"))
    assert (absent.canvas.stems, absent.canvas.waveform.shape) == ((1,), (1, 2, 24_000))
    assert model._given(absent).values.audio.shape[1] == 1
    silent = part_of(model, Request("x", no=("music",)))
    given = model._given(silent)
    assert silent.canvas.stems == (0, 1, 2)
    assert given.mask.audio.flatten().tolist() == [False, False, True]
    nothing = torch.zeros(1, 2, silent.grid.mel_frames * silent.grid.geometry.mel_hop)
    codec = model.parts.audio_vae
    with torch.inference_mode():
        expected = codec.encode(log_mel(nothing, codec.config.mel))[0]
    torch.testing.assert_close(given.values.audio[:, 2], expected)
    assert not given.values.audio[:, :2].any()


def test_only_and_no_of_what_is_delivered(model, clip):
    effects = model.generate("a red ball", seed=1, only="effects,music")
    assert effects.frames is None
    assert tuple(effects.stems) == ("effects", "music")
    assert effects.waveform.shape == (2, 24_000)
    assert sums(effects)
    quiet = model.generate("a red ball", seed=1, no=("music",))
    assert not quiet.stems["music"].any()
    assert quiet.stems["effects"].any()
    assert sums(quiet)
    assert (quiet.frames != clip.frames).any(), "silence is told to the picture"
    picture = model.generate("a red ball", seed=1, only="video")
    assert (picture.waveform, picture.stems) == (None, {})
    assert picture.frames.shape == clip.frames.shape


def test_a_prompt_of_a_stem_reaches_that_stem(model, clip):
    other = model.generate("a red ball", seed=1, music="a slow waltz", steps=1)
    plain = model.generate("a red ball", seed=1, steps=1)
    same = model.generate("a red ball", seed=1, music="a red ball", steps=1)
    assert (same.stems["music"] == plain.stems["music"]).all()
    assert (other.stems["music"] != plain.stems["music"]).any()
    guided = model.generate("a red ball", seed=1, effects="rain", negative="wind", guidance=3.0, steps=1)
    assert sums(guided)
    with pytest.raises(PhonofilmError, match="has 402 tokens"):
        model.check(Request("x", music="waltz " * 400))


def test_a_stem_that_is_given_comes_back_and_is_heard(model):
    words = Clip(waveform=tone(200, 1.0, 48_000)[:1], sample_rate=48_000)
    alone = model.generate("she speaks", seed=1, given_stems={"speech": words}, only="video")
    assert (alone.sample_rate, tuple(alone.stems)) == (24_000, ("speech",))
    middle = slice(500, 23_500)
    assert np.abs(alone.stems["speech"] - tone(200))[:, middle].max() < 1e-3, "as it was, at the clip's rate"
    made = model.generate("she speaks", seed=1, given_stems={"speech": words})
    level = made.stems["speech"].std() / alone.stems["speech"].std()  # below 1 where all together would clip
    assert np.allclose(made.stems["speech"], alone.stems["speech"] * level, atol=1e-6)
    assert "the given speech is brought from 48000 to 24000 Hz" in made.metadata["notices"]
    other = Clip(waveform=tone(400, 1.0, 48_000)[:1], sample_rate=48_000)
    assert (model.generate("she speaks", seed=1, given_stems={"speech": other}).frames != made.frames).any()
    assert sums(made)


def test_a_clip_lasts_as_long_as_what_is_given_or_says_so(model):
    words = Clip(waveform=tone(200, 0.5), sample_rate=24_000)
    short = model.generate("x", given_stems={"speech": words})
    assert (len(short.frames), short.waveform.shape) == (12, (2, 12_000))
    assert "lasts" not in short.metadata.get("notices", "")
    longer = model.generate("x", given_stems={"speech": words}, seconds=1)
    assert "the given speech lasts 0.5 s, the clip 1 s: silence follows" in longer.metadata["notices"]
    assert not longer.stems["speech"][:, 12_000:].any()
    cut = model.generate("x", given_stems={"speech": words}, seconds=0.25)
    assert "the given speech lasts 0.5 s, the clip 0.25 s: the rest is cut" in cut.metadata["notices"]
    assert cut.waveform.shape == (2, 6_000)


def test_gains_are_in_decibels_and_nothing_clips(model, clip):
    softer = model.generate("a red ball", seed=1, gain={"music": -20.0})
    level = softer.stems["effects"].std() / clip.stems["effects"].std()  # 1 but for what keeps each from clipping
    assert np.allclose(softer.stems["effects"], clip.stems["effects"] * level, atol=1e-6)
    assert np.allclose(softer.stems["music"], clip.stems["music"] * 0.1 * level, atol=1e-6)
    assert sums(softer)
    loud = Clip(waveform=tone(200, level=0.9), sample_rate=24_000)
    both = model.generate("x", given_stems={"speech": loud, "music": loud}, only="video")
    assert sums(both)
    assert np.abs(both.waveform).max() == pytest.approx(1, abs=1e-3)
    assert "all of what is made is 5.1 dB softer" in both.metadata["notices"]
    assert np.allclose(both.stems["speech"], both.stems["music"])


def test_stems_of_a_source_are_used_and_come_back(model, clip):
    animated = model.generate("x", task="animate", source=clip.with_(frames=None, fps=None), seed=2)
    assert (animated.waveform == clip.waveform).all()
    assert all((animated.stems[name] == clip.stems[name]).all() for name in STEMS)
    longer = model.generate("x", task="extend", source=clip, seconds=0.5, seed=2)
    assert longer.waveform.shape == (2, 36_000)
    for name in STEMS:
        assert (longer.stems[name][:, :23_500] == clip.stems[name][:, :23_500]).all()
        assert longer.stems[name][:, 24_000:].any()
    assert sums(longer)
    again = model.generate("x", task="retake", source=clip, span=(0.25, 0.75), only="effects", seed=3)
    assert (again.frames == clip.frames).all()
    outside = np.r_[:5_500, 18_500:24_000]
    assert (again.stems["speech"][:, outside] == clip.stems["speech"][:, outside]).all()
    inside = slice(6_300, 17_700)  # the words are the same, softer where all would clip
    level = again.stems["speech"][:, inside].std() / clip.stems["speech"][:, inside].std()
    assert np.allclose(again.stems["speech"][:, inside], clip.stems["speech"][:, inside] * level, atol=1e-5)
    changed = np.flatnonzero((again.stems["effects"] != clip.stems["effects"]).any(0))
    assert 5_500 <= changed[0] < changed[-1] <= 18_500
    assert sums(again)
    quiet = model.generate("x", task="retake", source=clip, span=(0.25, 0.75), no=("music",), seed=3)
    assert not quiet.stems["music"][:, 6_300:17_700].any()
    assert (quiet.stems["music"][:, :5_500] == clip.stems["music"][:, :5_500]).all()


def test_one_mix_is_taken_for_one_stem_and_that_is_said(model, clip):
    mix = clip.with_(stems={})
    animated = model.generate("x", task="animate", source=mix.with_(frames=None, fps=None), seed=2)
    assert (animated.waveform == clip.waveform).all()
    assert tuple(animated.stems) == ("effects",)  # no voice is heard in it
    assert (
        "the clip's sound is one mix, and is taken for effects; mix_as (--mix-as) says" in animated.metadata["notices"]
    )
    said = model.generate("x", task="animate", source=mix.with_(frames=None, fps=None), seed=2, mix_as="speech")
    assert tuple(said.stems) == ("speech",)
    assert "notices" not in said.metadata
    assert (said.frames != animated.frames).any()
    added = model.generate("x", task="retake", source=mix, span=(0.0, 1.0), only="music", seed=2)
    assert tuple(added.stems) == ("effects", "music")
    assert (added.stems["effects"] == clip.waveform).all() or "softer" in added.metadata["notices"]
    assert sums(added)


def test_a_voice_is_taken_for_speech(monkeypatch):
    from phonofilm.backends.canvas import tracks
    from phonofilm.backends.canvas.tracks import has_voice, source_stems
    from phonofilm.media import read_clip

    folder = Path(__file__).parents[2] / "src/phonofilm/assets/speech"
    assert has_voice(read_clip(folder / "the-sound-is-in-the-picture.opus"))
    assert has_voice(Clip(waveform=tone(440), sample_rate=24_000)) is False

    def missing() -> None:
        raise PhonofilmError("silero-vad is not installed")

    monkeypatch.setattr(tracks.VoiceActivity, "load", missing)
    sound = Clip(waveform=tone(440), sample_rate=24_000)
    assert has_voice(sound) is None
    assert list(source_stems(sound, None, prompt='A woman says "hello".')) == ["speech"]
    assert list(source_stems(sound, None, prompt="A wood box bounces.")) == ["effects"]
    assert list(source_stems(sound, "music", prompt="He speaks.")) == ["music"]


def test_a_long_clip_goes_on_stem_by_stem(model):
    long = model.generate("x", seconds=1.5, no=("speech",))
    assert long.waveform.shape == (2, 36_000)
    assert not long.stems["speech"].any()
    assert all(long.stems[name][:, 24_000:].any() for name in ("effects", "music"))
    assert sums(long)
    request = Request("x", seconds=1.5)
    job = work_out(request, model.parts.trained)
    canvas = lay_out(job, model.parts.trained)
    canvas.write(range(24), np.zeros((24, 128, 128, 3), np.uint8), np.ones((3, 2, 24_000), np.float32))
    given = model._given(Part(1, 2, range(12, 36), model.parts.trained.grid(24), canvas))
    assert (canvas.sample_states[:, :24_000] == KEEP).all()
    assert given.mask.audio.shape == (1, 3, 1, given.values.audio.shape[-1])
    assert given.mask.audio[0, 0, 0].tolist() == [True] * 6 + [False] * (given.values.audio.shape[-1] - 6)


def test_a_draft_is_smaller_and_takes_fewer_evaluations(model):
    slow = replace(model.parts.trained, steps=15, guidance=(2.0, 2.0), modality_guidance=(2.0, 2.0))
    backend = replace(model, parts=replace(model.parts, trained=slow))
    steps: list[int] = []

    def progress(stage: str, done: int, total: int) -> None:
        steps.extend([total] if stage == "sampling" else [])

    draft = backend.generate("x", seconds=0.25, draft=True, progress=progress)
    assert set(steps) == {5}
    assert draft.frames.shape[1:] == (64, 64, 3)
    assert draft.metadata["draft"] == "yes"
    assert sums(draft)
    steps.clear()
    own = backend.generate("x", seconds=0.25, draft=True, size=(96, 96), steps=2, progress=progress)
    assert (own.frames.shape[1:], set(steps)) == ((96, 96, 3), {2})
    assert (slow.asked(Request("x")), model.parts.trained.asked(Request("x", draft=True)).steps) == (slow, 3)


def test_a_film_of_two_windows_has_one_sound(tiny_stems_model, tmp_path):
    """Each window but the first stands on the stems of the one before."""
    from phonofilm.app.jobs.runner import run
    from phonofilm.app.jobs.spec import RequestSpec
    from phonofilm.media import read_clip, write_clip

    frames = np.random.default_rng(0).integers(0, 256, (36, 32, 32, 3), np.uint8)
    film = write_clip(Clip(frames, 24), tmp_path / "film.mkv")
    words = write_clip(Clip(waveform=tone(300, 1.5, level=0.05), sample_rate=24_000), tmp_path / "words.wav")
    job = {"task": "foley", "source": str(film), "model": str(tiny_stems_model), "device": "cpu", "no": "music"}
    job |= {"given_stems": {"speech": str(words)}, "stems": str(tmp_path / "parts"), "effects": "rain"}
    facts = run(RequestSpec.from_json(job), tmp_path / "heard.mkv")
    heard = {name: read_clip(file).waveform for name, file in facts["stems"].items()}
    assert {sound.shape for sound in heard.values()} == {(2, 36_000)}
    assert np.abs(sum(heard[name] for name in STEMS) - heard["mix"]).max() <= 1e-4
    assert not heard["music"].any()
    assert heard["effects"][:, 26_000:].std() > 0
    windows = (heard["speech"][:, :20_000], heard["speech"][:, 26_000:])
    levels = [part.std() / (0.05 / np.sqrt(2)) for part in windows]
    shapes = [part / part.std() for part in windows]
    expected = [tone(300, 1.5)[:, :20_000], tone(300, 1.5)[:, 26_000:]]
    assert all(np.abs(got - want / want.std()).max() < 0.02 for got, want in zip(shapes, expected, strict=True))
    assert all(0 < level <= 1.001 for level in levels)


def test_smaller_sizes_and_rates_are_resized_down(model):
    small = model.generate("x", size=(64, 48), fps=12)
    assert small.frames.shape == (12, 48, 64, 3)
    assert small.waveform.shape == (2, 24_000)
    assert sums(small)


def test_weights_with_stems_that_have_no_names_are_refused(tiny_stems_model, tmp_path):
    from phonofilm.checkpoint import save_module
    from phonofilm.model.transformer import AVTransformer

    folder = Path(shutil.copytree(tiny_stems_model, tmp_path / "model"))
    config = NativeBackend.load(tiny_stems_model, "cpu").parts.transformer.config
    two = replace(config, audio=replace(config.audio, stems=2))
    save_module(folder / "transformer.safetensors", AVTransformer(two))
    with pytest.raises(PhonofilmError, match=r"have 2 stems; 1 \(a mix\) or 3 are known"):
        NativeBackend.load(folder, "cpu")


def test_the_clock_of_a_clip_without_picture_is_the_models(model):
    heard = model.generate("x", only="audio", seconds=0.6)
    assert heard.waveform.shape[1] == round(Fraction(14, 24) * 24_000)
