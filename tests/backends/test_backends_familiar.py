"""Whether a prompt is near Foley World: measured on held-out captions and on prompts from the real world."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from phonofilm import world
from phonofilm.backends import native
from phonofilm.backends.familiar import NEAR, PROMPTS, TRAINED_DOMAIN, Familiar
from phonofilm.codecs.text import TextEncoder

PROMPT_SETS = json.loads((Path(__file__).parent / "familiar_prompts.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load()


@pytest.fixture(scope="module")
def familiar() -> Familiar:
    return Familiar.load()


@pytest.fixture(scope="module")
def nano() -> native.NativeBackend:
    return native.NativeBackend.load("nano", "cpu")


def test_the_references_are_the_embeddings_of_their_captions(encoder, familiar):
    assert len(familiar.captions) == len(familiar.embeddings) >= 60
    torch.testing.assert_close(encoder.embed(list(familiar.captions)), familiar.embeddings, atol=1e-3, rtol=0)


def test_near_and_far_are_told_apart(encoder, familiar):
    """50 held-out captions and 10 free phrasings are near, 50 real-world prompts far, all with a margin."""

    def nearness(prompts: list[str]) -> list[float]:
        return [familiar.nearness(encoder.encode([prompt])) for prompt in prompts]

    world, free, real = (nearness(PROMPT_SETS[name]) for name in ("world", "free", "real"))
    assert (len(world), len(real)) == (50, 50)
    assert min(world) > 0.8
    assert min(free) > NEAR + 0.1
    assert max(real) < NEAR - 0.05


def test_the_prompts_that_are_offered_work(encoder, familiar):
    assert all(familiar.nearness(encoder.encode([prompt])) > 0.7 for prompt in PROMPTS)


def test_a_far_prompt_still_runs_with_one_line(tiny_model, monkeypatch):
    monkeypatch.setattr(native, "EMBEDDED", (tiny_model.name,))
    model = native.NativeBackend.load(tiny_model, device="cpu")
    clip = model.generate("An astronaut floats above the Earth.", seconds=0.5)
    (line,) = clip.metadata["notices"].splitlines()
    assert TRAINED_DOMAIN in line
    assert "--model" in line
    assert all(prompt in line for prompt in PROMPTS)
    assert "notices" not in model.generate(PROMPTS[0], seconds=0.5).metadata
    assert "notices" not in model.generate("", task="foley", source=clip).metadata


@pytest.mark.parametrize("family", ["bounce", "strike", "pass", "blast", "rain", "talk"])
@pytest.mark.parametrize("frames", [48, 1])
def test_the_model_that_ships_knows_which_pictures_it_knows(nano, family, frames):
    truth = world.clips([world.sample(family, 60_000_000)])[0]
    if frames == 1:
        made = nano.generate(PROMPTS[0], image=truth.frames[0], steps=1)
    else:
        made = nano.generate("", task="foley", source=truth, steps=1)
    noticed = "this picture is far" in made.metadata.get("notices", "")
    assert noticed is (family not in ("bounce", "strike"))
