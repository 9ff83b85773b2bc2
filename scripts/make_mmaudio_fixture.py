"""Make the parity fixtures of MMAudio from its own code, under pseudo-weights, in float64.

    git clone https://github.com/hkchengrex/MMAudio && git -C MMAudio checkout 974010a026c731054592d8f777218bd9d85a6c24
    python scripts/make_mmaudio_fixture.py MMAudio -o tests/fixtures/networks

Needs that checkout and nothing else: what it imports only to load or log is replaced by empty modules. Its casts to
float32 inside are left out, so that what differs from ours is arithmetic and not rounding.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import types
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from torch import nn

from phonofilm.parity.recipe import evaluate, pseudo_weights

COMMIT = "974010a026c731054592d8f777218bd9d85a6c24"
SIZES = {
    "latent_dim": 6,
    "clip_dim": 10,
    "sync_dim": 12,
    "text_dim": 14,
    "hidden_dim": 32,
    "depth": 4,
    "fused_depth": 2,
}
SIZES |= {"num_heads": 2, "latent_seq_len": 15, "clip_seq_len": 4, "sync_seq_len": 16, "text_seq_len": 5}
DRAWS = "rng=numpy.random.Generator(numpy.random.PCG64({seed})); x=rng.standard_normal(({shape}),dtype=numpy.float32)"


class Settings(dict):  # type: ignore[type-arg]
    """Attributes and items alike, as the vocoder wants them."""

    __getattr__ = dict.__getitem__


def in_float64() -> None:
    """Leave the casts to float32 inside the reference out."""
    norm = torch.linalg.vector_norm
    torch.Tensor.float = lambda self: self if self.dtype == torch.float64 else self.to(torch.float32)  # type: ignore
    torch.linalg.vector_norm = lambda x, *a, dtype=None, **k: norm(x, *a, **k)  # type: ignore


def filled(module: nn.Module) -> tuple[nn.Module, list[tuple[str, list[int], str]]]:
    """With pseudo-weights, in float64."""
    keys = [(name, list(tensor.shape), "float32") for name, tensor in module.state_dict().items()]
    state = {name: torch.from_numpy(np.asarray(value)) for name, value in pseudo_weights(keys).items()}
    if "data_std" in state:
        state["data_std"] = 1 + state["data_std"].abs()
    for name in [name for name in state if name.endswith("filter")]:  # computed, not learnt
        state[name] = module.state_dict()[name]
    module.load_state_dict(state)
    return module.double().eval(), keys


def drawn(seed: int, *shape: int) -> tuple[dict[str, str], torch.Tensor]:
    told = DRAWS.format(seed=seed, shape=",".join(map(str, shape)))
    return {"numpy": told}, torch.from_numpy(evaluate(told)[""]).double()


def write(folder: Path, name: str, network: str, config: Any, keys: Any, inputs: Any, outputs: dict[str, Any]) -> None:
    arrays = {key: value.detach().numpy() for key, value in outputs.items()}
    hint = {key: {"atol": 1e-6 * float(np.abs(value).max())} for key, value in arrays.items()}
    said = {
        "name": name,
        "network": network,
        "format_version": 1,
        "source": {"repo": "https://github.com/hkchengrex/MMAudio", "commit": COMMIT, "license": "MIT"},
        "config": config,
        "recipe": {"weight_gain": 1.0},
        "keys": keys,
        "inputs": inputs,
        "outputs": {key: {"shape": list(value.shape)} for key, value in arrays.items()},
        "determinism": {"tolerance_hint": hint},
        "torch_version": torch.__version__,
    }
    (folder / f"{name}.json").write_text(json.dumps(said) + "\n")
    np.savez_compressed(folder / f"{name}.npz", **arrays)
    print(name, {key: f"{np.abs(value).max():.3g}" for key, value in arrays.items()})


def network(folder: Path, name: str, second: bool) -> None:
    from mmaudio.model.networks import MMAudio

    module, keys = filled(MMAudio(**SIZES, v2=second))
    told: dict[str, Any] = {}
    given = {"latents": (2, 15, 6), "clip": (2, 4, 10), "sync": (2, 16, 12), "text": (2, 5, 14)}
    for seed, (what, shape) in enumerate(given.items()):
        told[what], given[what] = drawn(1700 + seed, *shape)  # type: ignore[assignment]
    x, time = given["latents"], torch.tensor([0.3, 0.85], dtype=torch.float64)  # type: ignore[assignment]
    conditions = module.preprocess_conditions(given["clip"], given["sync"], given["text"])  # type: ignore[operator]
    flow = module.predict_flow(x, time, conditions)  # type: ignore[operator]
    empty = module.get_empty_conditions(2)  # type: ignore[operator]
    sampled = x
    steps = torch.linspace(0, 1, 5, dtype=torch.float64)
    for now, after in pairwise(steps):
        sampled = sampled + (after - now) * module.ode_wrapper(now, sampled, conditions, empty, 4.5)  # type: ignore[operator]
    config = {**SIZES, "v2": second}
    write(folder, name, "mmaudio", config, keys, told, {"flow": flow, "sampled": sampled})


def mel_vae(folder: Path) -> None:
    from mmaudio.ext.autoencoder.edm2_utils import MPConv1D, normalize
    from mmaudio.ext.autoencoder.vae import VAE

    module, keys = filled(VAE(data_dim=80, embed_dim=4, hidden_dim=16))
    for part in module.modules():
        if isinstance(part, MPConv1D):  # its own normalisation, without the cast to float32
            part.weight.data = normalize(part.weight.data) / np.sqrt(part.weight[0].numel())
            part.weight_norm_removed = True
    told_mel, mel = drawn(1711, 2, 80, 12)
    told_z, latents = drawn(1712, 2, 4, 6)
    outputs = {"latents": module.encode(mel).mean, "mel": module.decode(latents)}  # type: ignore[operator]
    write(folder, "mmaudio_vae", "mmaudio_vae", {}, keys, {"mel": told_mel, "latents": told_z}, outputs)


def vocoder(folder: Path) -> None:
    from mmaudio.ext.bigvgan.models import BigVGANVocoder

    config = Settings(resblock="1", num_mels=10, upsample_rates=[4, 2], upsample_kernel_sizes=[8, 4])
    config |= {"upsample_initial_channel": 16, "resblock_kernel_sizes": [3, 7], "activation": "snakebeta"}
    config |= {"resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]], "snake_logscale": True}
    module, keys = filled(BigVGANVocoder(Settings(config)))
    told, mel = drawn(1713, 2, 10, 9)
    write(folder, "mmaudio_vocoder", "mmaudio_vocoder", dict(config), keys, {"mel": told}, {"sound": module(mel)})


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    if (given.checkout / ".git").exists():
        found = subprocess.run(["git", "-C", given.checkout, "rev-parse", "HEAD"], capture_output=True, text=True)
        if found.stdout.strip() != COMMIT:
            parser.error(f"the checkout is at {found.stdout.strip()[:12]}; check out {COMMIT}")
    sys.path.insert(0, str(given.checkout))
    for absent in ("omegaconf", "torchdiffeq", "librosa", "librosa.filters", "librosa.util", "huggingface_hub"):
        try:
            __import__(absent)
        except ImportError:
            sys.modules[absent] = MagicMock()
    for package in ("mmaudio.ext.autoencoder", "mmaudio.ext.bigvgan"):  # without what their __init__ loads
        bare = types.ModuleType(package)
        bare.__path__ = [str(given.checkout / package.replace(".", "/"))]
        sys.modules[package] = bare
    in_float64()
    network(given.output, "mmaudio_network", False)
    network(given.output, "mmaudio_network_v2", True)
    mel_vae(given.output)
    vocoder(given.output)


if __name__ == "__main__":
    main()
