"""Control modules in a loaded model: fresh ones change nothing, what they are told arrives, the rest is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phonofilm import Clip, PhonofilmError
from phonofilm.backends.canvas.control import control_from
from phonofilm.backends.native import NativeBackend
from phonofilm.backends.registry import load
from phonofilm.checkpoint import load_module, load_tensors, save_tensors
from phonofilm.control.inputs.files import ControlConfig, build_control, load_control, save_control
from phonofilm.model.transformer import AVTransformer
from phonofilm.types import Request

CONFIGS = {
    "hits": ControlConfig("hits", (0, 1), slots=4),
    "follow": ControlConfig("follow", (1,), slots=4),
    "sync": ControlConfig("sync", hidden=8),
    "semantic": ControlConfig("semantic", (0,)),
}
NOISE = Clip(waveform=np.random.default_rng(0).uniform(-0.5, 0.5, (1, 16_000)).astype(np.float32), sample_rate=16_000)


def saved(model: Path, folder: Path, name: str, trained: bool) -> str:
    """A module of this kind for a model, fresh or with random weights."""
    network = load_module(AVTransformer, model / "transformer.safetensors")
    torch.manual_seed(1)
    module = build_control(CONFIGS[name], network)
    for parameter in module.parameters() if trained else ():
        torch.nn.init.normal_(parameter, std=0.3)
    return str(save_control(folder / f"{name}-{trained}.safetensors", module, CONFIGS[name], network))


def film(seconds: float = 0.5) -> Clip:
    frames = np.random.default_rng(1).integers(0, 255, (round(12 * seconds), 64, 64, 3), dtype=np.uint8)
    return Clip(frames=frames, fps=12)  # type: ignore[arg-type]


ASKED: dict[str, Any] = {"hits": ((0.1, 1.0), (0.3, 0.5)), "follow": NOISE, "sync": True, "seed": 4}


def made(model: NativeBackend, **fields: Any) -> np.ndarray:
    clip = model.generate("a ball", task="foley", source=film(), **fields)
    assert clip.waveform is not None
    return clip.waveform


@pytest.fixture(scope="module")
def plain(tiny_model: Path) -> np.ndarray:
    return made(NativeBackend.load(tiny_model, "cpu"), seed=4)


def test_fresh_modules_change_nothing(tiny_model: Path, tmp_path: Path, plain: np.ndarray) -> None:
    model = NativeBackend.load(tiny_model, "cpu", adapters=[saved(tiny_model, tmp_path, n, False) for n in CONFIGS])
    assert (made(model, **ASKED) == plain).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_trained_module_is_heard_where_it_is_told(
    name: str, tiny_model: Path, tmp_path: Path, plain: np.ndarray
) -> None:
    model = NativeBackend.load(tiny_model, "cpu", adapters=[saved(tiny_model, tmp_path, name, True)])
    asked = {"seed": 4} | ({"sync": True} if name == "sync" else {name: ASKED[name]} if name in ASKED else {})
    told = made(model, **asked)
    assert not (told == plain).all()
    off = {"seed": 4, "sync": False}  # nothing is told at all
    assert (made(model, **off) == plain).all()
    if name != "sync":
        assert (made(model, control_scale=0.0, **asked) == plain).all()
        assert not (made(model, control_scale=2.0, **asked) == told).all()
    fresh = NativeBackend.load(tiny_model, "cpu")
    assert model.fingerprint != fresh.fingerprint


def test_hits_in_generate_reach_picture_and_sound(tiny_model: Path, tmp_path: Path) -> None:
    model = NativeBackend.load(tiny_model, "cpu", adapters=[saved(tiny_model, tmp_path, "hits", True)])
    one, other = (model.generate("a ball", seconds=0.5, seed=1, hits=hits) for hits in (((0.1, 1.0),), ((0.4, 1.0),)))
    assert one.waveform is not None
    assert not (one.waveform == other.waveform).all()
    assert not (one.frames == other.frames).all()  # the streams see each other
    assert one.metadata["request"] != other.metadata["request"]


def test_what_nothing_hears_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    model = NativeBackend.load(tiny_model, "cpu", adapters=[saved(tiny_model, tmp_path, "hits", True)])
    for name in ("follow", "sync"):
        with pytest.raises(PhonofilmError, match=f"hears {name}; load a control module for it with --adapter"):
            made(model, **{name: ASKED[name]})
        with pytest.raises(PhonofilmError, match=f"hears {name}"):
            model.check(Request("a ball", "foley", source=film(), **{name: ASKED[name]}))
    with pytest.raises(PhonofilmError, match="nothing in fake hears hits"):
        load("fake").generate("a ball", hits=ASKED["hits"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"hits": ((0.6, 1.0),)}, r"a hit at 0\.6 s is outside the clip of 0\.5 s"),
        ({"hits": ((-0.1, 1.0),)}, "outside the clip"),
        ({"hits": ((0.1, 0.0),)}, "above 0, at most 1"),
        ({"hits": ((float("nan"), 1.0),)}, "outside the clip"),
        ({"control_scale": 5.0}, "choose 0 to 4"),
        ({"control_scale": float("nan")}, "choose 0 to 4"),
        ({"follow": film()}, "what is followed is a sound"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], said: str, tiny_model: Path) -> None:
    with pytest.raises(PhonofilmError, match=said):
        made(NativeBackend.load(tiny_model, "cpu"), **fields)
    with pytest.raises(PhonofilmError, match="animate takes no hits"):
        NativeBackend.load(tiny_model, "cpu").generate("", task="animate", source=NOISE, hits=((0.1, 1.0),))


def test_a_window_is_told_its_own_part() -> None:
    request = Request("a", hits=((0.5, 1.0), (1.0, 0.5), (2.5, 1.0)), follow=NOISE)
    part = control_from(request, Fraction(1, 2), Fraction(1))
    assert part.hits == ((0.0, 1.0), (0.5, 0.5))
    assert part.follow is not None
    assert np.array_equal(part.follow.waveform, NOISE.waveform[:, 8000:])  # type: ignore[index,arg-type]
    assert control_from(request, Fraction(9), Fraction(1)).follow.waveform.tolist() == [[0.0]]  # type: ignore[union-attr]


def test_files_of_modules(tiny_model: Path, tmp_path: Path) -> None:
    network = load_module(AVTransformer, tiny_model / "transformer.safetensors")
    good = saved(tiny_model, tmp_path, "hits", True)
    module, config = load_control(good, network)
    assert config == CONFIGS["hits"]
    tensors, metadata = load_tensors(good)
    assert all(torch.equal(module.state_dict()[name], tensor) for name, tensor in tensors.items())
    with pytest.raises(PhonofilmError, match="two control modules hear hits"):
        NativeBackend.load(tiny_model, "cpu", adapters=[good, good])
    with pytest.raises(PhonofilmError, match="is no control module"):
        load_control(tiny_model / "transformer.safetensors", network)
    bad = tmp_path / "bad.safetensors"
    save_tensors(bad, tensors, metadata | {"architecture": metadata["architecture"].replace("32", "64")})
    with pytest.raises(PhonofilmError, match=r"is for another network: its .* is 64, this one's 32"):
        load_control(bad, network)
    save_tensors(bad, {name: tensor[:1] for name, tensor in tensors.items()}, metadata)
    with pytest.raises(PhonofilmError, match="is damaged"):
        load_control(bad, network)
    save_tensors(bad, tensors, metadata | {"config": "{"})
    with pytest.raises(PhonofilmError, match="does not say what it is"):
        load_control(bad, network)
    with pytest.raises(PhonofilmError, match="are missing"):
        load_control(tmp_path / "none.safetensors", network)
