"""What the embedded model knows, and whether a prompt or a picture is anywhere near it.

A prompt is near if its sentence embedding is close to that of one of 64 captions of Foley World, which
were picked as far from each other as possible. Their embeddings lie beside this file.

A picture is near if the model itself, shown it with a little noise, can tell what is noise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from phonofilm.checkpoint import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from phonofilm.sampling import Denoiser, Given
    from phonofilm.types import Positions, Text

TRAINED_DOMAIN = "bouncing balls and boxes, xylophone strikes"
PROMPTS = (
    "A red rubber ball falls and bounces in a small room.",
    "A blue glass box falls to the floor and bounces to the right.",
    "A mallet slowly plays green, red, yellow on a wooden xylophone.",
)
REFERENCES = Path(__file__).with_suffix(".safetensors")

NEAR = 0.5
"""Cosine to the nearest reference. Measured: 50 held-out captions lie at .84 or above, 10 free phrasings of the
same scenes at .62 or above, 50 real-world prompts at .41 or below."""


LEVEL = 0.3
"""Of the noise that a given picture is shown with. Measured on 10 clips a family: of bouncing and striking the error is
.05 at most for a film and .13 for its first frame, of everything else in Foley World .25 and .54 at least."""


@dataclass(frozen=True)
class Familiar:
    """Reference captions and their embeddings, float32 [captions, 384] of unit norm."""

    captions: tuple[str, ...]
    embeddings: Tensor

    @staticmethod
    def load(path: Path = REFERENCES) -> Familiar:
        """Read the references.

        Raises:
            PhonofilmError: the file is missing or corrupt.
        """
        tensors, metadata = load_tensors(path)
        return Familiar(tuple(json.loads(metadata["captions"])), tensors["embeddings"].float())

    @staticmethod
    def write(captions: list[str], embeddings: Tensor, path: Path = REFERENCES) -> None:
        """Store references with their embeddings."""
        save_tensors(path, {"embeddings": embeddings.half()}, {"captions": json.dumps(captions)})

    def nearness(self, text: Text) -> float:
        """Cosine of an encoded prompt (a batch of one) to the nearest reference."""
        import torch

        mean = (text.states * text.mask[..., None]).sum(1)  # its length does not matter to a cosine
        unit = torch.nn.functional.normalize(mean.float(), dim=-1).to(self.embeddings.device)
        return float((self.embeddings @ unit[0]).max())


def reconstruction_error(denoiser: Denoiser, nothing: Text, given: Given, positions: Positions) -> float:
    """How wrong a model is about a given picture under noise: mean squared error of its clean estimate, in latents of
    unit variance.

    Args:
        nothing: the empty prompt. given: what is known of a window, at least one latent of picture.
    """
    import torch

    from phonofilm.sampling import add_noise, draw_noise

    known, mask = given.values, given.mask.video
    assert known.video is not None
    assert mask is not None
    noise = known.map(lambda value: draw_noise(value.shape[1:], [0], "surprise").to(value.device))
    sigma = given.mask.map(lambda some: torch.ones_like(some, dtype=torch.float32))
    sigma = replace(sigma, video=torch.where(mask, LEVEL, 1.0))
    estimate = denoiser(add_noise(known, noise, sigma), sigma, nothing, positions).video
    assert estimate is not None
    errors = (estimate - known.video).square().mean(dim=1, keepdim=True)
    return float(errors[mask.expand_as(errors)].mean())


def out_of_domain_message(model: str) -> str:
    """The one line about a prompt that is far from what a model knows."""
    return f"this prompt is far from what {model} knows ({TRAINED_DOMAIN}); {_advice()}"


def far_picture(model: str) -> str:
    """The one line about a picture that is far from what a model knows."""
    return f"this picture is far from what {model} knows ({TRAINED_DOMAIN}), so expect little; {_advice()}"


def _advice() -> str:
    tried = ", ".join(f'"{prompt}"' for prompt in PROMPTS)
    return f"prompts that work: {tried}; for anything else name a larger model with --model, see phonofilm models"
