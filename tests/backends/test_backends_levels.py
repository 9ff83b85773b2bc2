"""Two experts by noise level: whose turn it is, what each is told, and that one of them is in memory."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from phonofilm import PhonofilmError
from phonofilm.backends import levels
from phonofilm.backends.levels import HIGH, LOW, level_of_ratio
from phonofilm.backends.native import NativeBackend
from phonofilm.checkpoint import load_module, load_tensors, refill, save_tensors
from phonofilm.model.transformer import AVTransformer
from phonofilm.weights import digest

BOUNDARY = 0.875


def saved(folder: Path, name: str, source: Path, factor: float, **trained: Any) -> None:
    """The transformer of a model with its matrices scaled, and more said of its training."""
    tensors, metadata = load_tensors(source)
    said = json.loads(metadata["trained"]) | trained
    scaled = {key: tensor * factor for key, tensor in tensors.items()}
    save_tensors(folder / name, scaled, metadata | {"trained": json.dumps(said)})


@pytest.fixture
def two(tiny_model: Path, tmp_path: Path) -> Path:
    """A folder with two experts of one network; low has other weights and guidance."""
    folder = tmp_path / "two"
    shutil.copytree(tiny_model, folder)
    source = tiny_model / HIGH
    saved(folder, HIGH, source, 1.0, levels=[BOUNDARY, 1.0], steps=6)
    saved(folder, LOW, source, 0.5, levels=[0.0, BOUNDARY], guidance=[3.0, 2.0], steps=6)
    return folder


def test_two_experts_alike_are_one_network(tiny_model: Path, two: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    shutil.copytree(tiny_model, one)
    saved(one, HIGH, tiny_model / HIGH, 1.0, steps=6)
    saved(two, LOW, tiny_model / HIGH, 1.0, levels=[0.0, BOUNDARY], steps=6)
    clips = [NativeBackend.load(folder, "cpu").generate("a ball", seed=3, seconds=0.5) for folder in (one, two)]
    assert (clips[0].frames == clips[1].frames).all()
    assert (clips[0].waveform == clips[1].waveform).all()


def test_the_noise_level_says_whose_turn_it_is(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every evaluation runs with the weights and the guidance of the expert for its noise level."""
    model = NativeBackend.load(two, "cpu")
    weights = {name: load_tensors(two / name)[0]["video.patchify.weight"] for name in (HIGH, LOW)}
    seen: list[tuple[float, str, int]] = []
    forward = AVTransformer.forward

    def watched(self: AVTransformer, latents: Any, sigma: Any, text: Any, *rest: Any, **more: Any) -> Any:
        matches = [name for name, weight in weights.items() if torch.equal(self.video.patchify.weight, weight)]
        seen.append((float(sigma.video.amax()), matches[0], len(latents.video)))
        return forward(self, latents, sigma, text, *rest, **more)

    monkeypatch.setattr(AVTransformer, "forward", watched)
    for _ in range(2):  # the second clip begins with the other expert's weights in memory
        seen.clear()
        model.generate("a ball", seed=3, seconds=0.5)
        assert {name for _, name, _ in seen} == {HIGH, LOW}
        assert all((name == HIGH) == (sigma >= BOUNDARY) for sigma, name, _ in seen)
        assert all(passes == (1 if name == HIGH else 2) for _, name, passes in seen)  # the low one alone is guided
    assert len(seen) == 6  # as many evaluations as of one network


def test_one_expert_is_in_memory(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = NativeBackend.load(two, "cpu")
    size = sum(parameter.numel() for parameter in model.parts.transformer.parameters())
    resident: list[int] = []

    def alive() -> list[AVTransformer]:
        return [thing for thing in gc.get_objects() if type(thing) is AVTransformer]

    def counted(network: AVTransformer, path: Path) -> None:
        refill(network, path)
        resident.append(sum(p.numel() for one in alive() for p in one.parameters()))

    monkeypatch.setattr(levels, "refill", counted)
    gc.collect()
    before = sum(p.numel() for one in alive() for p in one.parameters())
    model.generate("a ball", seed=3, seconds=0.5)
    assert len(resident) == 1  # one exchange a clip
    assert resident[0] == before  # beside networks of other tests, if any, nothing but the one that there was
    assert before >= size


def test_the_noisiest_stream_decides() -> None:
    experts = levels.LevelExperts(None, Path(), {}, 0.8)  # type: ignore[arg-type]

    def level(video: float | None, audio: float | None) -> Any:
        return levels.Latents(*(None if one is None else torch.tensor([0.0, one]) for one in (video, audio)))

    assert experts.whose(level(0.9, 0.0)) == HIGH
    assert experts.whose(level(0.0, 0.8)) == HIGH
    assert experts.whose(level(0.79, None)) == LOW
    assert experts.whose(level(None, 0.1)) == LOW


def test_another_boundary_has_another_name(tiny_model: Path, two: Path) -> None:
    for name, span in ((HIGH, [0.75, 1.0]), (LOW, [0.0, 0.95])):
        saved(two, name, tiny_model / HIGH, 1.0, levels=span)
    plain, moved = (NativeBackend.load(two, "cpu", boundary=at) for at in (None, 0.9))
    assert plain.parts.levels is not None
    assert moved.parts.levels is not None
    assert (plain.parts.levels.boundary, moved.parts.levels.boundary) == (0.75, 0.9)
    assert plain.fingerprint != moved.fingerprint
    assert digest(two) == plain.fingerprint
    for at in (0.7, 0.96):
        with pytest.raises(PhonofilmError, match=r"nothing in .* was trained on"):
            NativeBackend.load(two, "cpu", boundary=at)


def test_the_digest_names_both(two: Path) -> None:
    before = digest(two)
    (two / LOW).write_bytes((two / LOW).read_bytes() + b" ")
    assert digest(two) != before


def test_what_does_not_belong_together_is_refused(tiny_model: Path, two: Path, tmp_path: Path) -> None:
    (tmp_path / "some.safetensors").write_bytes((two / LOW).read_bytes())
    with pytest.raises(PhonofilmError, match="which take no LoRA"):
        NativeBackend.load(two, "cpu", loras=[str(tmp_path / "some.safetensors")])
    with pytest.raises(PhonofilmError, match="one network for all noise levels"):
        NativeBackend.load(tiny_model, "cpu", boundary=0.9)
    saved(two, LOW, tiny_model / HIGH, 1.0, levels=[0.0, 0.5])
    with pytest.raises(PhonofilmError, match="leaves noise levels that nothing"):
        NativeBackend.load(two, "cpu")
    saved(two, LOW, tiny_model / HIGH, 1.0, levels=[0.0, BOUNDARY], prediction="velocity")
    with pytest.raises(PhonofilmError, match="are not of one network"):
        NativeBackend.load(two, "cpu")
    (two / LOW).unlink()
    with pytest.raises(PhonofilmError, match=f"put {LOW} for the others beside it"):
        NativeBackend.load(two, "cpu")


def test_weights_of_another_shape_leave_a_network_as_it_was(two: Path, tmp_path: Path) -> None:
    network = load_module(AVTransformer, two / HIGH)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tensors, metadata = load_tensors(two / LOW)
    tensors["video.out.weight"] = tensors["video.out.weight"][:-1]
    save_tensors(tmp_path / "other.safetensors", tensors, metadata)
    with pytest.raises(PhonofilmError, match=r"first video\.out\.weight"):
        refill(network, tmp_path / "other.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_ratio_of_signal_to_noise_is_a_level() -> None:
    assert level_of_ratio(1.0) == 0.5
    assert level_of_ratio((0.125 / 0.875) ** 2) == pytest.approx(0.875)
