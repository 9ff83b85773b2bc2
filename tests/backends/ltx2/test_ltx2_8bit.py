"""LTX-2's files in 8 bits, as they are repacked: each way of storing a scale, whole and quantised anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_ltx2_files import originals
from test_ltx2_quantize import widened as codes_widened

from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.network import load_network
from phonofilm.backends.ltx2.quantize import load_quantized
from phonofilm.errors import PhonofilmError
from phonofilm.model.names import PREFIX, published_name


def blocks(weight: torch.Tensor, largest: float) -> tuple[torch.Tensor, torch.Tensor]:
    height, width = (side // 2 for side in weight.shape)
    scale = weight.unflatten(1, (2, width)).unflatten(0, (2, height)).abs().amax((1, 3)) / largest
    return scale.repeat_interleave(height, 0).repeat_interleave(width, 1), scale


def rows(weight: torch.Tensor, largest: float) -> tuple[torch.Tensor, torch.Tensor]:
    scale = weight.abs().amax(1, keepdim=True) / largest
    return scale, scale


WAYS = {
    "[out,1]": rows,
    "[out]": lambda w, most: (rows(w, most)[0], rows(w, most)[1].flatten()),
    "scalar": lambda w, most: (w.abs().amax() / most, w.abs().amax() / most),
    "[1]": lambda w, most: (w.abs().amax() / most, (w.abs().amax() / most).reshape(1)),
    "blocks": blocks,
}


def repacked(tiny: Path, path: Path, dtype: torch.dtype, way: str, ending: str) -> dict[str, torch.Tensor]:
    """Write the transformer with its attention in 8 bits; returns what each matrix was."""
    tensors, exact = originals(tiny), {}
    for name in [n for n in tensors if ".attn1.to_" in n and n.endswith("weight") and tensors[n].shape[0] % 2 == 0]:
        exact[name] = tensors[name] * torch.logspace(-1, 1, len(tensors[name]))[:, None]
        full, scale = WAYS[way](exact[name], 127 if dtype == torch.int8 else 448)
        codes = exact[name] / full
        tensors[name] = (codes.round() if dtype == torch.int8 else codes).to(dtype)
        tensors[name.removesuffix("weight") + ending] = scale
        tensors[name.removesuffix("weight") + "input_scale"] = torch.ones(())
    save_file(tensors, path)
    return exact


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8], ids=["fp8", "int8"])
@pytest.mark.parametrize("way", WAYS)
def test_every_scale_gives_the_matrix_back(tiny_ltx2, tmp_path, dtype, way):
    exact = repacked(tiny_ltx2, tmp_path / "tiny.safetensors", dtype, way, "weight_scale")
    folder = Folder.open(tmp_path / "tiny.safetensors", tiny_ltx2)
    for kind in (None, "fp8", "int8"):
        found = load_network(folder).state_dict() if kind is None else codes_widened(load_quantized(folder, kind))
        ours = {PREFIX + published_name(name, "original"): name for name in found}
        for name, weight in exact.items():
            error = (found[ours[name]].float() - weight).norm() / weight.norm()
            # one scale for rows of a hundredfold range leaves the small ones coarse, yet the sum is right
            assert error < 0.06, (kind, name, float(error))


def test_codes_that_fit_are_kept_as_they_are(tiny_ltx2, tmp_path):
    for way, kept in {"[out]": True, "[out,1]": True, "scalar": True, "blocks": False}.items():
        repacked(tiny_ltx2, tmp_path / "tiny.safetensors", torch.float8_e4m3fn, way, "scale_weight")
        network = load_quantized(Folder.open(tmp_path / "tiny.safetensors", tiny_ltx2), "fp8")
        stored = load_file(tmp_path / "tiny.safetensors")
        name = next(n for n in stored if n.endswith(".attn1.to_q.weight"))
        layer = "blocks.0.video.self_attention.to_q"
        assert published_name(f"{layer}.weight", "original") == name.removeprefix(PREFIX)
        codes = network.get_submodule(layer).codes
        assert torch.equal(codes.view(torch.uint8), stored[name].view(torch.uint8)) == kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_scale": torch.ones(3)}, r"has the shape \[3\], which does not fit a tensor of"),
        ({"weight_scale": torch.full((), torch.nan)}, "scale .* is not finite"),
        ({"weight_scale": torch.ones((), dtype=torch.int32)}, "is stored in I(nt)?32, which is not supported|int32"),
        ({"weight_scale": None}, "is stored in int8 without a scale beside it"),
        ({"weight": torch.ones(32, 32, dtype=torch.int16)}, "is stored in I16, which is not supported"),
        ({"weight": torch.ones(32, 32, dtype=torch.uint8)}, "is stored in U8, which is not supported"),
        ({"weight_zero_point": torch.ones(32)}, "tensors are unknown, first .*weight_zero_point"),
        ({"SCB": torch.ones(32)}, "tensors are unknown, first .*SCB"),
    ],
    ids=["shape", "nan", "integer", "none", "int16", "uint8", "zero-point", "bitsandbytes"],
)
def test_what_is_not_known_is_one_line(tiny_ltx2, tmp_path, change, message):
    path = tmp_path / "tiny.safetensors"
    repacked(tiny_ltx2, path, torch.int8, "[out]", "weight_scale")
    tensors = load_file(path)
    stem = next(name for name in tensors if name.endswith(".attn1.to_q.weight")).removesuffix("weight")
    for ending, value in change.items():
        tensors.pop(stem + ending, None)
        if value is not None:
            tensors[stem + ending] = value
    save_file(tensors, path)
    folder = Folder.open(path, tiny_ltx2)
    for load in (load_network, lambda folder: load_quantized(folder, "int8")):
        with pytest.raises(PhonofilmError, match=message) as caught:
            load(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("component", ["vae", "connectors", "text_encoder"])
def test_other_components_in_8_bits_with_scales_are_refused(tiny_ltx2, tmp_path, component):
    import shutil

    from phonofilm.backends.ltx2.parts import Parts

    folder = Path(shutil.copytree(tiny_ltx2, tmp_path / "model"))
    path = next((folder / component).glob("*.safetensors"))
    tensors = load_file(path)
    name = next(n for n, t in tensors.items() if n.endswith(".weight") and t.ndim > 1)
    tensors[name] = tensors[name].to(torch.float8_e4m3fn)
    tensors[name.removesuffix("weight") + "weight_scale"] = torch.ones(())
    save_file(tensors, path, metadata={"format": "pt"})
    parts = Parts(Folder.open(folder), torch.device("cpu"))
    with pytest.raises(PhonofilmError, match="8-bit weights with scales, which only the transformer may be"):
        parts._load(component)


def test_a_variant_beside_the_weights_changes_nothing(tiny_ltx2, tmp_path):
    import shutil

    folder = Path(shutil.copytree(tiny_ltx2, tmp_path / "model"))
    plain = Folder.open(folder)
    for component in ("transformer", "vae", "text_encoder"):
        path = next((folder / component).glob("*.safetensors"))
        half = {name: tensor.half() for name, tensor in load_file(path).items()}
        save_file(half, path.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
    opened = Folder.open(folder)
    assert opened.files == plain.files
    assert opened.bytes("transformer") == plain.bytes("transformer")
    assert next(load_network(opened).parameters()).dtype == torch.float32


def test_a_folder_of_variants_alone_loads(tiny_ltx2, tmp_path):
    import shutil

    from phonofilm.backends.ltx2.parts import Parts

    folder = Path(shutil.copytree(tiny_ltx2, tmp_path / "model"))
    for component in ("transformer", "vae", "text_encoder"):
        path = next((folder / component).glob("*.safetensors"))
        half = {name: tensor.half() for name, tensor in load_file(path).items()}
        save_file(half, path.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
        path.unlink()
    parts = Parts(Folder.open(folder), torch.device("cpu"))
    for component in ("transformer", "vae", "text_encoder"):
        assert {p.dtype for p in parts._load(component).parameters()} == {torch.float16}
