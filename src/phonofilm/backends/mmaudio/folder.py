"""A published MMAudio on disk, checked to be whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phonofilm.errors import PhonofilmError
from phonofilm.weights import models_home, quick_digest

NAME = "mmaudio"
CLIP = "clip"
"""Folder of the CLIP that it sees and reads with, in transformers' layout (apple/DFN5B-CLIP-ViT-H-14-384)."""
VOCODER = "bigvgan_v2_44khz_128band_512x"
SYNCHFORMER = "synchformer_state_dict.pth"
HOME = "https://github.com/hkchengrex/MMAudio"


@dataclass(frozen=True)
class Rates:
    """What sound the weights make.

    Attributes:
        sample_rate: in Hz. hop: samples to a mel frame, of which two make a latent.
        vae, vocoder: names of the files, or of the vocoder's folder.
    """

    sample_rate: int
    hop: int
    vae: str
    vocoder: str


RATES = {"16k": Rates(16_000, 256, "v1-16.pth", "best_netG.pt"), "44k": Rates(44_100, 512, "v1-44.pth", VOCODER)}
"""By what the name of the network's file says."""


@dataclass(frozen=True)
class MMAudioFolder:
    """One model.

    Attributes:
        network: the file of the network, which decides the rest.
    """

    name: str
    path: Path
    network: Path
    rates: Rates

    @staticmethod
    def open(model: str | Path) -> MMAudioFolder:
        """Find a model by its name, its folder, or the file of one of several networks in a folder.

        Raises:
            PhonofilmError: not here, or not whole.
        """
        path = models_home() / NAME if str(model) == NAME else Path(model)
        folder = path.parent if path.is_file() else path
        if not folder.is_dir():
            raise PhonofilmError(
                f"MMAudio is not here: put its files, which {HOME} names, into {folder}, or name their folder"
            )
        networks = [path] if path.is_file() else sorted(networks_in(folder))
        if not networks:
            raise PhonofilmError(f"{folder} has no mmaudio_….pth; {HOME} says where its weights are")
        if len(networks) > 1:
            raise PhonofilmError(f"{folder} has {len(networks)} networks; name one: --model {networks[-1]}")
        rates = next((found for key, found in RATES.items() if key in networks[0].name), None)
        if rates is None:
            raise PhonofilmError(f"the name of {networks[0]} does not say 16k or 44k; call it as it was published")
        found = MMAudioFolder(NAME if str(model) == NAME else path.name, folder, networks[0], rates)
        if absent := [name for name in found.needed if not (folder / name).exists()]:
            raise PhonofilmError(f"{folder} lacks {', '.join(absent)}; {HOME} says where MMAudio's parts are")
        return found

    @property
    def needed(self) -> tuple[str, ...]:
        vocoder = self.rates.vocoder
        parts = (f"{vocoder}/config.json", f"{vocoder}/bigvgan_generator.pt") if vocoder == VOCODER else (vocoder,)
        return (self.rates.vae, *parts, SYNCHFORMER, f"{CLIP}/config.json", f"{CLIP}/tokenizer.json")

    def fingerprint(self) -> str:
        """Names the weights."""
        files = [self.network, *(self.path / name for name in self.needed)]
        return quick_digest([*files, *sorted((self.path / CLIP).glob("*.safetensors"))])


def networks_in(folder: Path) -> Iterator[Path]:
    """Files of networks, as they were published or as safetensors."""
    return (path for path in folder.glob("mmaudio_*") if path.suffix in (".pth", ".safetensors"))
