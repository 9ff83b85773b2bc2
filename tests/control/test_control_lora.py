"""Adapters: trained through peft on one stream or all, written and read in every layout, merged and taken out again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from phonofilm.app.cli.main import main
from phonofilm.checkpoint import save_module
from phonofilm.config import from_dict, merged, to_dict
from phonofilm.control.lora.attach import LoraSettings, attach, save_adapter, target_layers
from phonofilm.control.lora.files import Lora, LoraFile
from phonofilm.control.lora.merge import Merged, additions
from phonofilm.errors import PhonofilmError
from phonofilm.model.names import published_name
from phonofilm.model.transformer import PRESETS, AVTransformer, TransformerConfig
from phonofilm.training.finetune import finetune
from phonofilm.types import Geometry, Grid, Latents, Text
from tiny_latents import save_tiny_latents

RECIPE = Path(__file__).parents[2] / "recipes" / "lora.toml"
SIZES: dict[str, Any] = {
    "video": {"channels": 2, "width": 32, "heads": 1, "text_heads": 1, "layers": 2, "text_width": 8},
    "audio": {"channels": 4, "width": 32, "heads": 1, "text_heads": 1, "layers": 2, "text_width": 8},
    "exchange_heads": 1,
    "exchange_head_width": 32,
}
STEMS = {"video": {"patch": [2, 4, 4]}, "audio": {"stems": 3}}
GRID = Grid.of(1, 32, 24, Geometry(2, 8, (1, 1, 1), 24_000, 250, 8, 4))


@pytest.fixture
def latents(tmp_path: Path) -> Path:
    return save_tiny_latents(tmp_path / "latents")


def config(preset: str = "ltx2", **changes: Any) -> TransformerConfig:
    return from_dict(TransformerConfig, merged(to_dict(PRESETS[preset]), merged(SIZES, changes)))


def network(preset: str = "ltx2", seed: int = 0, **changes: Any) -> AVTransformer:
    torch.manual_seed(seed)
    made = AVTransformer(config(preset, **changes))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made.eval()


def trained(net: torch.nn.Module) -> torch.nn.Module:
    """An adapter as if it had learnt something."""
    for name, parameter in net.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return net.eval()


@torch.no_grad()
def seen(net: Any, exchange: bool = True) -> Latents:
    draw = torch.Generator().manual_seed(3)
    shapes = (1, 2, *GRID.video_shape), (1, 1, 4, GRID.audio_length)
    latents = Latents(*(torch.randn(shape, generator=draw) for shape in shapes))
    text = Text(torch.randn(1, 3, 8, generator=draw), torch.ones(1, 3, dtype=torch.bool))
    level = Latents(torch.full((1, 1, 1, 1, 1), 0.7), torch.full((1, 1, 1, 1), 0.7))
    found: Latents = net(latents, level, text, GRID.positions(), exchange=torch.tensor([exchange]))
    return found


def written(path: Path, **settings: Any) -> Path:
    net = trained(attach(network(), LoraSettings(**settings)))
    return save_adapter(path, net, torch.float32, {})


@pytest.mark.parametrize("target", ["video", "audio", "bridge", "all"])
def test_a_fresh_adapter_changes_nothing_and_a_trained_one_its_stream_alone(target: Any) -> None:
    net, before = network(), seen(network())
    stored = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    attach(net, LoraSettings(target, rank=4))
    fresh = seen(net)
    assert torch.equal(fresh.video, before.video)
    assert torch.equal(fresh.audio, before.audio)
    apart = seen(trained(net), exchange=False)
    base = seen(network(), exchange=False)
    assert torch.equal(apart.video, base.video) == (target in ("audio", "bridge"))
    assert torch.equal(apart.audio, base.audio) == (target in ("video", "bridge"))
    assert not torch.equal(seen(net).audio, before.audio)  # through the exchange at least
    held = {name.replace(".base_layer", ""): tensor for name, tensor in net.state_dict().items() if "lora_" not in name}
    assert held.keys() == stored.keys()
    assert all(torch.equal(held[name], tensor) for name, tensor in stored.items())
    assert {name for name, p in net.named_parameters() if p.requires_grad} == {
        n for n in net.state_dict() if "lora_" in n
    }


def test_targets_are_all_layers_of_the_blocks() -> None:
    net = network("ltx2_3", video={"text_width": 32}, audio={"text_width": 32})
    parts = {target: set(target_layers(net, target)) for target in ("video", "audio", "bridge", "all")}  # type: ignore[arg-type]
    assert len(parts["video"]) == len(parts["audio"]) == 2 * 10
    assert len(parts["bridge"]) == 2 * 2 * 4
    assert parts["all"] == parts["video"] | parts["audio"] | parts["bridge"]
    assert not parts["video"] & parts["audio"]


def test_merged_is_what_peft_computes_and_comes_out_to_the_bit(tmp_path: Path) -> None:
    settings = {"rank": 4, "alpha": 6.0, "ranks": {"feed_forward.up": 2}}
    path = written(tmp_path / "a.safetensors", **settings)
    other = written(tmp_path / "b.safetensors", target="audio", rank=3)
    expected = seen(trained_like(path, **settings))
    net, before = network(), network().state_dict()
    slot = Merged(net, "base")
    slot.swap([Lora(path)])
    assert slot.digest != "base"
    torch.testing.assert_close(seen(net).video, expected.video, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(seen(net).audio, expected.audio, atol=1e-4, rtol=1e-4)
    slot.swap([Lora(path, 0.5), Lora(other, -2.0)])
    both = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    slot.swap([])
    assert slot.digest == "base"
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    for number, name in enumerate(("blocks.1.audio.self_attention.to_q", "blocks.0.video.feed_forward.up")):
        layer = published_name(f"{name}.weight", "diffusers").removesuffix(".weight")
        added = 0.5 * LoraFile.read(path).layers[layer].product()
        added = added - 2 * LoraFile.read(other).layers[layer].product() if number == 0 else added
        torch.testing.assert_close(both[f"{name}.weight"] - before[f"{name}.weight"], added, atol=1e-5, rtol=1e-4)


def trained_like(path: Path, **settings: Any) -> torch.nn.Module:
    """The network with the adapter of a file beside its weights, as peft runs it."""
    net, stored = attach(network(), LoraSettings(**settings)), load_file(path)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "lora_" in name:
                layer, _, rest = name.partition(".lora_")
                layer = published_name(f"{layer}.weight", "diffusers").removesuffix(".weight")
                parameter.copy_(stored[f"transformer.{layer}.lora_{rest.replace('default.', '')}"])
    return net.eval()


def test_a_file_that_does_not_fit_leaves_the_weights_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "a.safetensors", rank=2)
    net = network(video={"width": 64, "heads": 2})
    slot = Merged(net, "base")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(PhonofilmError, match=r"is for another network: its video\.heads is 1, this one's 2"):
        slot.swap([Lora(path)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("layout", ["diffusers", "peft", "comfy", "kohya"])
def test_every_layout_says_the_same(tmp_path: Path, layout: str) -> None:
    """The same factors, with an alpha of 8 for a rank of 4 and of 1 for a rank of 2, in four spellings."""
    draw = torch.Generator().manual_seed(0)
    layers = {"transformer_blocks.0.attn1.to_q": (4, 8.0), "transformer_blocks.1.audio_attn1.to_v": (2, 1.0)}
    tensors: dict[str, torch.Tensor] = {}
    expected = {}
    for name, (rank, alpha) in layers.items():
        down, up = torch.randn(rank, 32, generator=draw), torch.randn(32, rank, generator=draw)
        expected[name] = alpha / rank * up @ down
        begin = {"diffusers": "transformer.", "peft": "base_model.model.", "comfy": "diffusion_model.", "kohya": ""}
        spelled = "lora_unet_" + name.replace(".", "_") if layout == "kohya" else begin[layout] + name
        pair = ("lora_down", "lora_up") if layout == "kohya" else ("lora_A", "lora_B")
        tensors |= {f"{spelled}.{pair[0]}.weight": down, f"{spelled}.{pair[1]}.weight": up}
        if layout in ("kohya", "comfy"):
            tensors[f"{spelled}.alpha"] = torch.tensor(alpha)
    noted = {"r": 4, "lora_alpha": 8, "rank_pattern": {"audio_attn1.to_v": 2}, "alpha_pattern": {"audio_attn1.to_v": 1}}
    path = tmp_path / "adapter_model.safetensors"
    said = {f"transformer.{key}": value for key, value in noted.items()}
    save_file(tensors, path, {"lora_adapter_metadata": json.dumps(said)} if layout == "diffusers" else {})
    if layout == "peft":
        (tmp_path / "adapter_config.json").write_text(json.dumps(noted))
    found = additions(network(), Lora(path))
    assert set(found) == {"blocks.0.video.self_attention.to_q.weight", "blocks.1.audio.self_attention.to_v.weight"}
    for name, product in zip(layers, found.values(), strict=True):
        torch.testing.assert_close(product(), expected[name])


def test_what_we_write_diffusers_reads(tmp_path: Path) -> None:
    from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
    from safetensors import safe_open

    path = written(tmp_path / "a.safetensors", rank=4, alpha=2.0)
    with safe_open(path, framework="pt") as opened:
        said = json.loads(opened.metadata()[LORA_ADAPTER_METADATA_KEY])
        names = list(opened.keys())
    assert said["transformer.r"] == 4
    assert said["transformer.lora_alpha"] == 2.0
    assert all(name.startswith("transformer.transformer_blocks.") for name in names)
    assert all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in names)


def test_bad_adapters_get_a_line(tmp_path: Path) -> None:
    layer = "transformer.transformer_blocks.0.attn1.to_q"
    down, up = torch.randn(4, 32), torch.randn(32, 4)
    good = {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
    said = {"lora_adapter_metadata": json.dumps({"r": 8})}
    dora = {"lora_adapter_metadata": json.dumps({"transformer.use_dora": True})}
    cases: dict[str, tuple[dict[str, torch.Tensor], dict[str, str]]] = {
        "is a DoRA": (good, dora),
        "a DoRA, which": ({**good, f"{layer}.lora_magnitude_vector": up[:, 0].contiguous()}, {}),
        "has rank 4, and its configuration says 8": (good, said),
        "do not fit each other": ({**good, f"{layer}.lora_B.weight": torch.randn(32, 3)}, {}),
        "is damaged: its architecture is no JSON": (good, {"architecture": "{"}),
    }
    for message, (tensors, metadata) in cases.items():
        save_file(tensors, tmp_path / "bad.safetensors", metadata)
        with pytest.raises(PhonofilmError, match=message):
            additions(network(), Lora(tmp_path / "bad.safetensors"))
    for settings, message in (
        ({"rank": 33}, "rank 33 does not fit blocks"),
        ({"rank": 0}, "rank 0 does not fit"),
        ({"target": "audio", "ranks": {"exchange.to_q": 2}}, "no layer of audio ends like that"),
    ):
        with pytest.raises(PhonofilmError, match=message):
            attach(network(), LoraSettings(**settings))
    (tmp_path / "x").touch()
    with pytest.raises(PhonofilmError, match="cannot be nan strong"):
        Lora.parse(f"{tmp_path / 'x'}:nan")


def settings(output: Path, base: Path, *more: str) -> list[str]:
    given = {"run.output": output, "base": base, "run.steps": 4, "run.batch": 2, "run.validate_every": 4}
    fixed = ["run.precision=fp32", "run.save_every=2", "lora.rank=4", "chunks.share=0"]
    return [*(f"{key}={value}" for key, value in given.items()), *fixed, *more]


def test_an_adapter_is_trained_on_a_model_of_ours(latents: Path, tmp_path: Path) -> None:
    base = tmp_path / "transformer.safetensors"
    save_module(base, network("nano", **STEMS), metadata={"trained": json.dumps({"prediction": "sample"})})
    path = finetune(RECIPE, latents, settings(tmp_path / "run", base, "lora.target=audio"))
    checkpoint = load_file(tmp_path / "run" / "checkpoint.safetensors")
    assert not any(".base_layer" in name for name in checkpoint)  # the base's weights are not written again
    net = network("nano", **STEMS)
    found = additions(net, Lora(path))
    assert len(found) == 2 * 10
    assert all(".audio." in name and ".exchange." not in name for name in found)
    assert all(product().abs().max() > 0 for product in found.values())
    again = finetune(RECIPE, latents, settings(tmp_path / "run", base, "lora.target=audio", "run.steps=6"), resume=True)
    assert again == path


def test_the_same_command_adapts_weights_in_the_published_layout(
    latents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiny `ltx2` in Lightricks' names, with latents of one mix of sound."""
    net = network("ltx2")
    names = {f"model.diffusion_model.{published_name(name, 'original')}": t for name, t in net.state_dict().items()}
    base = tmp_path / "ltx-2.safetensors"
    save_file(names, base)
    facts = json.loads((latents / "store.json").read_text())
    del facts["stems"]
    (latents / "store.json").write_text(json.dumps(facts | {"format": 1}))
    shards = load_file(latents / "latents-00000.safetensors")
    kept = {name: tensor for name, tensor in shards.items() if not name.startswith("stem_")}
    save_file(kept | {"audio": kept["audio"][:, 0].contiguous()}, latents / "latents-00000.safetensors")
    sizes = [f"model.{stream}.{key}={value}" for stream in ("video", "audio") for key, value in SIZES[stream].items()]
    sizes += ["model.exchange_heads=1", "model.exchange_head_width=32", "preset=ltx2", "prediction=velocity"]
    words = [word for one in settings(tmp_path / "run", base, *sizes) for word in ("--set", one)]
    assert main(["finetune", str(RECIPE), "--data", str(latents), *words]) == 0
    path = Path(capsys.readouterr().out.strip().splitlines()[-1])
    assert len(additions(net, Lora(path))) == 2 * (2 * 10 + 2 * 4)
    words = [word for one in settings(tmp_path / "other", base, *sizes[1:]) for word in ("--set", one)]
    assert main(["finetune", str(RECIPE), "--data", str(latents), *words]) == 1
    assert "is not of the size that preset and model say" in capsys.readouterr().err


def test_bad_data_gets_a_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").touch()
    for name, message in (
        ("nowhere", "does not exist"),
        ("empty", "is empty"),
        ("other", "is no store of clips"),
    ):
        with pytest.raises(PhonofilmError, match=message):
            finetune(RECIPE, tmp_path / name)
    with pytest.raises(PhonofilmError, match="is no recipe of an adapter"):
        finetune(RECIPE.with_name("nano.toml"), tmp_path / "empty")
