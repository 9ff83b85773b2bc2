"""Published files in every layout, LoRA files, and one clear line for files that are wrong, partial or swapped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import phonofilm
from phonofilm.app.cli.main import main
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.network import load_network
from phonofilm.control.lora.merge import Lora, merge
from phonofilm.errors import PhonofilmError
from phonofilm.model.names import PREFIX, published_name
from phonofilm.weights import models_home
from phonofilm.weights.public import write_manifest


@pytest.fixture
def copy(tiny_ltx2, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path / "work"))
    return Path(shutil.copytree(tiny_ltx2, tmp_path / "model"))


def weights(folder: Path, component: str) -> Path:
    return next((folder / component).glob("*.safetensors"))


def originals(folder: Path) -> dict[str, torch.Tensor]:
    """The transformer under Lightricks' names."""
    network = load_network(Folder.open(folder))
    return {PREFIX + published_name(name, "original"): t for name, t in network.state_dict().items()}


class TestLayouts:
    def test_one_file_with_the_components_beside_it(self, copy):
        tensors = originals(copy)
        tensors |= {
            "vae.decoder.conv_in.weight": torch.zeros(1),
            PREFIX + "video_embeddings_connector.x": torch.zeros(1),
        }
        save_file(tensors, copy / "ltx-2-tiny-distilled.safetensors")
        expected = load_network(Folder.open(copy)).state_dict()
        weights(copy, "transformer").unlink()
        folder = Folder.open(copy / "ltx-2-tiny-distilled.safetensors")
        assert folder.distilled
        found = load_network(folder).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())

    def test_a_file_with_8_bit_matrices(self, copy):
        tensors = originals(copy)
        name = next(name for name in tensors if name.endswith("attn1.to_q.weight"))
        scale = tensors[name].abs().max() / 448
        exact = tensors[name]
        tensors[name] = (exact / scale).to(torch.float8_e4m3fn)
        tensors[name.removesuffix("weight") + "weight_scale"] = scale
        tensors[name.removesuffix("weight") + "input_scale"] = torch.ones(())
        save_file(tensors, copy / "fp8.safetensors")
        ours = next(n for n in load_network(Folder.open(copy)).state_dict() if "video.self_attention.to_q.weight" in n)
        found = load_network(Folder.open(copy / "fp8.safetensors")).state_dict()[ours]
        assert float((found - exact).abs().max() / exact.abs().max()) < 0.04

    def test_shards(self, copy):
        path = weights(copy, "transformer")
        tensors, expected = load_file(path), load_network(Folder.open(copy)).state_dict()
        names = sorted(tensors)
        parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
        for name, keys in parts.items():
            save_file({key: tensors[key] for key in keys}, path.parent / name)
        index = {"weight_map": {key: name for name, keys in parts.items() for key in keys}}
        (path.parent / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
        path.unlink()
        found = load_network(Folder.open(copy)).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        (path.parent / "b.safetensors").unlink()
        with pytest.raises(PhonofilmError, match=r"lacks 1 of 2 files of weights, first b\.safetensors"):
            Folder.open(copy)


class TestBadFiles:
    """What a user sees: one line, exit code 1, nothing written."""

    def refused(self, capsys, folder: Path, message: str) -> None:
        words = ["generate", "a ball", "--model", str(folder), "--seconds", "0.5", "--size", "64x64", "--steps", "1"]
        assert main([*words, "--device", "cpu", "-o", str(folder.parent / "out.mp4")]) == 1
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1, lines
        assert message in lines[0]
        assert not (folder.parent / "out.mp4").exists()

    def test_a_component_is_missing(self, copy, capsys):
        shutil.rmtree(copy / "vocoder")
        self.refused(capsys, copy, "lacks the folder vocoder")

    def test_weights_are_missing(self, copy, capsys):
        weights(copy, "vae").unlink()
        self.refused(capsys, copy, "holds no .safetensors weights")

    @pytest.mark.parametrize("component", ["transformer", "text_encoder", "connectors", "vocoder"])
    def test_weights_are_cut_off(self, copy, capsys, component):
        path = weights(copy, component)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        self.refused(capsys, copy, component)

    @pytest.mark.parametrize("component", ["transformer", "text_encoder", "connectors", "audio_vae"])
    def test_a_tensor_is_missing(self, copy, capsys, component):
        path = weights(copy, component)
        tensors = load_file(path)
        tensors.pop(next(name for name in tensors if name.endswith("weight") and "vision" not in name))
        save_file(tensors, path, metadata={"format": "pt"})
        self.refused(capsys, copy, "tensors are missing, first")

    def test_components_are_swapped(self, copy, capsys):
        shutil.rmtree(copy / "vae")
        shutil.copytree(copy / "audio_vae", copy / "vae")
        self.refused(capsys, copy, "is a AutoencoderKLLTX2Audio, where AutoencoderKLLTX2Video is needed")

    def test_weights_of_another_component(self, copy, capsys):
        shutil.copy(weights(copy, "connectors"), weights(copy, "transformer"))
        self.refused(capsys, copy, "not the weights of this network")

    def test_parts_of_another_version(self, copy, capsys, tiny_ltx2_3):
        shutil.rmtree(copy / "transformer")
        shutil.copytree(tiny_ltx2_3 / "transformer", copy / "transformer")
        self.refused(capsys, copy, "do not belong together: projections of the text")

    def test_a_later_network(self, copy, capsys):
        path = copy / "transformer" / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "ff_bias": False}))
        self.refused(capsys, copy, "ff_bias = False, which our network does not know")

    def test_a_folder_of_something_else(self, copy, capsys):
        (copy / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
        self.refused(capsys, copy, "holds a FluxPipeline, which Phonofilm does not run")

    def test_public_options_on_our_own_model(self, capsys, tmp_path):
        words = ["generate", "a ball", "--model", "nano", "--offload", "disk", "-o", str(tmp_path / "a.mp4")]
        assert main(words) == 1
        assert "offload is for LTX-2 and Wan, not for" in capsys.readouterr().err


class TestLora:
    LAYER = "transformer_blocks.1.attn1.to_q"

    def factors(self) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(5)
        return torch.randn(4, 32, generator=generator), torch.randn(32, 4, generator=generator)

    def merged(self, folder: Path, tensors: dict[str, torch.Tensor], strength: float = 1.0) -> torch.Tensor:
        """What merging added to the layer; nothing else may change."""
        path = folder / "lora.safetensors"
        save_file(tensors, path)
        network = load_network(Folder.open(folder))
        before = {name: t.clone() for name, t in network.state_dict().items()}
        assert merge(network, Lora(path, strength)) == 1
        changed = {n: t - before[n] for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
        assert list(changed) == ["blocks.1.video.self_attention.to_q.weight"]
        return next(iter(changed.values()))

    @pytest.mark.parametrize("prefix", ["diffusion_model.", "transformer.", "base_model.model.", ""])
    def test_every_spelling_gives_the_product(self, copy, prefix):
        down, up = self.factors()
        name = prefix + self.LAYER
        added = self.merged(copy, {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, 0.5)
        torch.testing.assert_close(added, 0.5 * up @ down, atol=1e-5, rtol=1e-4)

    def test_flattened_names_with_alpha(self, copy):
        down, up = self.factors()
        name = "lora_unet_" + self.LAYER.replace(".", "_")
        tensors = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(2.0)}
        torch.testing.assert_close(self.merged(copy, tensors), 0.5 * up @ down, atol=1e-5, rtol=1e-4)

    def test_merging_is_what_diffusers_adapter_does(self, copy):
        """A file that diffusers wrote, with its own alpha, in both networks."""
        from diffusers import LTX2VideoTransformer3DModel
        from peft import LoraConfig

        theirs = LTX2VideoTransformer3DModel.from_pretrained(copy / "transformer", local_files_only=True)
        theirs.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "to_out.0"], init_lora_weights=False))
        theirs.save_lora_adapter(copy / "lora", weight_name="style.safetensors")
        theirs.fuse_lora()
        ours = load_network(Folder.open(copy), [Lora(copy / "lora" / "style.safetensors")])
        for name, tensor in ours.state_dict().items():
            if name.endswith(("to_q.weight", "to_out.weight")):
                module = theirs.get_submodule(published_name(name, "diffusers").removesuffix(".weight"))
                torch.testing.assert_close(tensor, module.base_layer.weight.data, atol=1e-5, rtol=1e-4)

    def test_through_the_command_it_changes_film_and_weights_hash(self, copy, capsys):
        down, up = self.factors()
        name = "diffusion_model." + self.LAYER
        save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, copy / "style.safetensors")
        words = ["generate", "x", "--model", str(copy), "--seconds", "0.5", "--size", "64x64", "--steps", "1", "--json"]
        said = []
        for number, lora in enumerate(([], ["--lora", f"{copy / 'style.safetensors'}:0.7"])):
            assert main([*words, "-o", str(copy / f"{number}.mp4"), *lora]) == 0
            said.append(json.loads(capsys.readouterr().out)["outputs"][0]["weights"])
        assert said[0] != said[1]
        assert (copy / "0.mp4").read_bytes() != (copy / "1.mp4").read_bytes()

    def test_bad_files_get_a_line(self, copy):
        down, up = self.factors()
        cases = {
            "for another network": {"unet.x.lora_A.weight": down, "unet.x.lora_B.weight": up},
            "another size": {f"{self.LAYER}.lora_A.weight": down[:, :8], f"{self.LAYER}.lora_B.weight": up},
            "lacks a factor": {f"{self.LAYER}.lora_A.weight": down},
            "is a DoRA": {f"{self.LAYER}.dora_scale": down},
        }
        for message, tensors in cases.items():
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, copy / "bad.safetensors")
            with pytest.raises(PhonofilmError, match=message):
                load_network(Folder.open(copy), [Lora(copy / "bad.safetensors")])
        with pytest.raises(PhonofilmError, match="is missing"):
            phonofilm.load(str(copy), device="cpu", loras=["nowhere.safetensors"])


class TestSingleFile:
    """A transformer's file whose other components are elsewhere."""

    @pytest.fixture
    def single(self, tiny_ltx2, tmp_path, monkeypatch) -> Path:
        monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path / "work"))
        monkeypatch.setenv("PHONOFILM_MODELS", str(tmp_path / "models"))
        path = tmp_path / "mine.safetensors"
        save_file(originals(tiny_ltx2), path)
        return path

    def fetched(self, folder: Path, name: str) -> Path:
        """As `weights get` leaves a model."""
        here = Path(shutil.copytree(folder, models_home() / name))
        files = {str(path.relative_to(here)): {"size": path.stat().st_size} for path in here.rglob("*.*")}
        write_manifest(here, {"files": files, "complete": True})
        return here

    def test_components_are_named(self, single, tiny_ltx2, capsys):
        words = ["generate", "x", "--model", str(single), "--seconds", "0.5", "--size", "64x64", "--steps", "1"]
        assert main([*words, "-o", str(single.parent / "a.mp4"), "--components", str(tiny_ltx2), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["outputs"][0]["model"] == "mine"
        expected = load_network(Folder.open(tiny_ltx2)).state_dict()
        found = load_network(Folder.open(single, tiny_ltx2)).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        here = self.fetched(tiny_ltx2, "ltx2")
        assert Folder.open(single, "ltx2").path == here

    def test_components_are_those_of_a_fetched_model_of_the_same_version(self, single, tiny_ltx2, tiny_ltx2_3):
        newer = self.fetched(tiny_ltx2_3, "ltx2.3-distilled")
        with pytest.raises(PhonofilmError, match=r"or fetch them once with: phonofilm weights get ltx2$"):
            Folder.open(single)
        assert Folder.open(single, str(tiny_ltx2)).path == tiny_ltx2
        save_file(originals(tiny_ltx2_3), single)
        assert Folder.open(single).path == newer

    def test_none_anywhere_gets_one_line_that_says_what_to_do(self, single, capsys):
        assert main(["generate", "x", "--model", str(single), "-o", str(single.parent / "a.mp4")]) == 1
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1, lines
        assert "mine.safetensors is a transformer alone: say where its other components are" in lines[0]

    def test_components_of_another_version_or_of_a_folder(self, single, tiny_ltx2, tiny_ltx2_3):
        with pytest.raises(PhonofilmError, match=r"mine\.safetensors"):
            load_network(Folder.open(single, tiny_ltx2_3))
        with pytest.raises(PhonofilmError, match=r"--components goes with a single \.safetensors file"):
            phonofilm.load(str(tiny_ltx2), device="cpu", components=str(tiny_ltx2))
