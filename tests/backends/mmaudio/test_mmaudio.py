"""MMAudio: its networks against its own code's outputs, and the backend around them on a model in miniature."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_mmaudio import SYNC, VOCODER, tiny_mmaudio
from torch import Tensor

from phonofilm import Clip, PhonofilmError
from phonofilm.backends.cascade import Cascade
from phonofilm.backends.fake import FakeBackend
from phonofilm.backends.mmaudio.backend import MMAudioBackend
from phonofilm.backends.mmaudio.parts import segments_of
from phonofilm.backends.registry import load
from phonofilm.codecs.mmaudio.bigvgan import BigVGANConfig, folded
from phonofilm.model.mmaudio.network import MMAudio, MMAudioConfig
from phonofilm.parity.fixtures import Fixture, check
from phonofilm.parity.mmaudio import RUNNERS
from phonofilm.types import Request

FIXTURES = Path(__file__).parents[2] / "fixtures" / "networks"
NAMES = ("mmaudio_network", "mmaudio_network_v2", "mmaudio_vae", "mmaudio_vocoder")


@pytest.mark.parametrize("name", NAMES)
def test_our_port_gives_the_outputs_of_the_original(name: str) -> None:
    report = check(FIXTURES / f"{name}.json", RUNNERS)
    assert report["ok"], report
    fixture = Fixture.read(FIXTURES / f"{name}.json")
    for row in report["outputs"]:
        largest = float(np.abs(fixture.outputs[row["name"]]).max())
        assert row["max_abs_diff"] <= 1e-6 * largest
        assert fixture.outputs[row["name"]].dtype == np.float64


@pytest.mark.parametrize("name", NAMES)
def test_an_error_of_one_per_cent_in_one_weight_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Fixture.weights

    def wrong(self: Fixture) -> dict[str, Tensor]:
        found = right(self)
        key = next(name for name in reversed(found) if name.endswith(("weight", "original1")) and found[name].ndim > 1)
        found[key].view(-1)[0] += 0.01 * found[key].abs().max()
        return found

    monkeypatch.setattr(Fixture, "weights", wrong)
    assert not check(FIXTURES / f"{name}.json", RUNNERS)["ok"]


def test_published_sizes() -> None:
    """Parameters of the published networks, laid out without memory: 157 M, 621 M and 1.03 G."""
    sizes = {
        157: MMAudioConfig(20, 448, 7, 4, 8),
        621: MMAudioConfig(40, 896, 14, 4, 8),
        1030: MMAudioConfig(40, 896, 14, 7, 14, second=True),
    }
    for millions, config in sizes.items():
        with torch.device("meta"):
            network = MMAudio(config)
            told = network.tell(torch.empty(1, 64, 1024), torch.empty(1, 192, 768), torch.empty(1, 77, 1024), 345)
            flow = network(torch.empty(1, 345, config.latents), torch.empty(1), told)
        assert flow.shape == (1, 345, config.latents)
        assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)
        assert MMAudioConfig.of(network.state_dict()) == config


def test_both_spellings_of_weight_norm_say_the_same() -> None:
    torch.manual_seed(0)
    direction, length = torch.randn(4, 3, 5), torch.rand(4, 1, 1) + 0.5
    wanted = length * direction / direction.flatten(1).norm(dim=1)[:, None, None]
    old = {"conv_pre.weight_g": length, "conv_pre.weight_v": direction, "conv_pre.bias": torch.ones(4)}
    new = {f"conv_pre.parametrizations.weight.original{n}": part for n, part in enumerate((length, direction))}
    new |= {"conv_pre.bias": torch.ones(4), "activation_post.downsample.lowpass.filter": torch.ones(1)}
    for published in (old, new):
        found = folded(published)
        assert found.keys() == {"conv_pre.weight", "conv_pre.bias"}
        assert torch.allclose(found["conv_pre.weight"], wanted, atol=1e-6)
    with pytest.raises(PhonofilmError, match="built otherwise"):
        BigVGANConfig.of({**VOCODER, "activation": "snake"})


class Moments:
    """In place of Synchformer, which has one size: each segment's mean picture."""

    def vision(self, segments: Tensor) -> Tensor:
        assert segments.shape[2:] == (16, 3, 224, 224)
        return segments.mean((2, 3, 4, 5))[:, :, None, None].expand(-1, -1, 8, SYNC)


@pytest.fixture
def model(tmp_path: Path) -> MMAudioBackend:
    made: Any = load(tiny_mmaudio(tmp_path / "tiny"), device="cpu")
    assert isinstance(made, MMAudioBackend)
    made.parts._loaded["synchformer"] = Moments()
    return made


def film(seconds: float, seed: int = 0) -> Clip:
    frames = np.random.default_rng(seed).integers(0, 255, (round(12 * seconds), 48, 80, 3), dtype=np.uint8)
    return Clip(frames, Fraction(12))


def test_sound_for_a_film(model: MMAudioBackend) -> None:
    source = film(1.5)
    clip = model.generate("a dog barks", task="foley", source=source, seed=2, steps=3)
    assert clip.sample_rate == 44_100
    assert clip.waveform.shape == (2, 66_150)
    assert np.isfinite(clip.waveform).all()
    assert clip.waveform.std() > 0
    assert (clip.frames == source.frames).all()
    assert clip.metadata["model"] == "tiny"
    again = model.generate("a dog barks", task="foley", source=source, seed=2, steps=3)
    assert (again.waveform == clip.waveform).all()
    for other in ({"seed": 3}, {"prompt": "a ball bounces"}, {"source": film(1.5, 1)}, {"negative": "wood"}):
        fields = {"prompt": "a dog barks", "source": source, "seed": 2, **other}
        made = model.generate(fields.pop("prompt"), task="foley", steps=3, **fields)
        assert not (made.waveform == clip.waveform).all(), other


def test_sound_from_text_alone(model: MMAudioBackend) -> None:
    clip = model.generate("a dog barks", only=("audio",), seconds=0.7, steps=2)
    assert clip.frames is None
    assert clip.waveform.shape == (2, round(0.7 * 44_100))


def test_a_later_window_goes_on_from_what_is_there(model: MMAudioBackend) -> None:
    known = np.full((2, 44_100), 0.25, np.float32)
    source = film(1.0).with_(waveform=known, sample_rate=44_100)
    made = model.generate("a dog", task="retake", only=("audio",), source=source, span=(0.5, 1.0), steps=2)
    assert (made.waveform[:, :20_000] == 0.25).all()
    assert not (made.waveform[:, 24_000:] == 0.25).any()


def test_a_cascade_with_silent_film(model: MMAudioBackend) -> None:
    cascade = Cascade("wan2.2+mmaudio", FakeBackend(), model)
    clip = cascade.generate("a dog barks", seconds=1.0, size=(64, 64))
    assert clip.frames is not None
    assert clip.sample_rate == 44_100
    assert clip.seconds == pytest.approx(1.0)
    assert clip.metadata["model"] == "wan2.2+mmaudio"


def test_segments_are_those_of_synchformer() -> None:
    assert segments_of(Fraction(8)) == 24
    assert segments_of(Fraction(1, 10)) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, r"makes sound for films: phonofilm foley FILM .* --only audio for sound from text alone"),
        ({"only": ("audio",), "seconds": 40.0}, "makes up to 12 s from text alone"),
        ({"task": "foley", "sampler": "heun"}, "omit --sampler"),
        ({"task": "foley", "draft": True}, "fewer --steps"),
        ({"task": "foley", "only": ("effects",)}, "only effects"),
        ({"task": "extend", "seconds": 1.0}, "cannot extend"),
        ({"task": "foley", "hits": ((0.1, 1.0),)}, "hears hits"),
    ],
)
def test_what_it_cannot_do_is_refused(model: MMAudioBackend, fields: dict[str, Any], said: str) -> None:
    source = {} if fields.get("task") is None else {"source": film(1.0)}
    with pytest.raises(PhonofilmError, match=said):
        model.check(Request("a dog", **fields, **source))
    with pytest.raises(PhonofilmError, match=said):
        model.generate("a dog", **fields, **source)


def test_weights_that_are_missing_or_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONOFILM_MODELS", str(tmp_path / "none"))
    with pytest.raises(PhonofilmError, match="MMAudio is not here: put its files"):
        load("mmaudio")
    with pytest.raises(PhonofilmError, match="MMAudio is not here"):
        Cascade("x", FakeBackend(), load("mmaudio"))
    folder = tiny_mmaudio(tmp_path / "tiny")
    (folder / "v1-44.pth").rename(folder / "kept")
    with pytest.raises(PhonofilmError, match=r"lacks v1-44\.pth"):
        load(folder)
    (folder / "kept").rename(folder / "v1-44.pth")
    (folder / "mmaudio_other_16k.pth").write_bytes(b"")
    with pytest.raises(PhonofilmError, match="has 2 networks; name one"):
        load(folder)
    assert load(folder / "mmaudio_tiny_44k_v2.pth", device="cpu")
    (folder / "mmaudio_other_16k.pth").unlink()
    torch.save({"a": torch.ones(2)}, folder / "mmaudio_tiny_44k_v2.pth")
    with pytest.raises(PhonofilmError, match="does not fit: these are not the weights of MMAudio's network"):
        load(folder, device="cpu").generate("a dog", task="foley", source=film(1.0))
    (folder / "bigvgan_v2_44khz_128band_512x" / "config.json").write_text(json.dumps({"resblock": "1"}))
    with pytest.raises(PhonofilmError, match="lacks"):
        BigVGANConfig.of({"resblock": "1"})
