"""How our transformer, at the size of a fixture, computes the outputs of LTX-2's.

It lives here because `perception` may not know `model`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch

from phonofilm.errors import PhonofilmError
from phonofilm.model import PRESETS, AVTransformer, TransformerConfig
from phonofilm.model.names import from_published
from phonofilm.parity.fixtures import Fixture, NotOurs, Outputs, Runner
from phonofilm.parity.recipe import evaluate
from phonofilm.types import Geometry, Grid, Latents, Positions, Text

TOKENS = (3, 4, 5)
"""Frames, rows and columns of the fixtures' video tokens."""

GEOMETRY = Geometry(video_time=8, video_space=32, patch=(1, 1, 1), sample_rate=16_000, mel_hop=160, audio_time=4)
"""LTX-2's compression."""

OTHERS = NotOurs("another convention of diffusers; ours is that of the original code")


def small_config(preset: str, theirs: Mapping[str, Any]) -> TransformerConfig:
    """The preset at the size of a fixture, whose config is diffusers'."""
    full, text = PRESETS[preset], theirs["caption_channels"]
    heads, audio_heads = theirs["num_attention_heads"], theirs["audio_num_attention_heads"]
    width, audio_width = heads * theirs["attention_head_dim"], audio_heads * theirs["audio_attention_head_dim"]
    widths = (text, text) if theirs["use_prompt_embeddings"] else (width, audio_width)
    layers = theirs["num_layers"]
    video = {"channels": theirs["in_channels"], "width": width, "heads": heads, "text_heads": heads}
    audio = {"channels": theirs["audio_in_channels"], "width": audio_width, "heads": audio_heads}
    return replace(
        full,
        video=replace(full.video, **video, text_width=widths[0], layers=layers),
        audio=replace(full.audio, **audio, text_heads=audio_heads, text_width=widths[1], layers=layers),
        exchange_heads=audio_heads,
        exchange_head_width=theirs["audio_attention_head_dim"],
    )


def drawn_inputs(fixture: Fixture) -> tuple[Latents, Text, Text]:
    """Latents of both streams and the text of each, drawn in the order that the fixture states."""
    told = fixture.description["inputs"]["draws"]["numpy"]
    generator = re.search(r"numpy\.random\.Generator\(numpy\.random\.PCG64\(\d+\)\)", told)
    shapes = re.findall(r"(\w+) \((\d+(?:,\d+)*)\)", told)
    if generator is None or len(shapes) != 4:
        raise PhonofilmError(f"{fixture.name} does not say how its four inputs are drawn")
    rng = evaluate(f"rng={generator.group()}")["rng"]
    drawn = {
        name: torch.from_numpy(rng.standard_normal([int(n) for n in shape.split(",")], dtype="float32"))
        for name, shape in shapes
    }
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, :4] = False
    latents = Latents(drawn["hidden_states"].mT.unflatten(2, TOKENS), drawn["audio_hidden_states"].mT[:, None])
    return latents, Text(drawn["encoder_hidden_states"], mask), Text(drawn["audio_encoder_hidden_states"], mask)


def noise(case: str) -> Latents:
    """Noise levels of a case: one per clip, or per token, with the first frame of the second clip clean."""
    video, audio = torch.tensor([0.7, 0.25]), torch.tensor([0.7, 0.25])
    if case != "per_token":
        return Latents(video.view(2, 1, 1, 1, 1), audio.view(2, 1, 1, 1))
    steps = video.view(2, 1, 1, 1, 1).repeat(1, 1, TOKENS[0], 1, 1)
    steps[1, 0, 0] = 0
    return Latents(steps, torch.tensor([0.55, 0.9]).view(2, 1, 1, 1))


def positions() -> Positions:
    """Where our grid puts the fixtures' tokens: 17 frames of 160x128 at 24 a second, and 13 audio tokens."""
    whole = Grid(frames=17, height=128, width=160, fps=Fraction(24), geometry=GEOMETRY).positions()
    return Positions(whole.video, whole.audio[:13])


def transformer(preset: str) -> Runner:
    """The runner of one preset's fixture."""

    def run(fixture: Fixture, device: torch.device) -> Outputs:
        network = AVTransformer(small_config(preset, fixture.config))
        network.load_state_dict(from_published(fixture.weights(), network.state_dict()), strict=True)
        network.eval().to(device)
        latents, text, audio_text = (_on(device, part) for part in drawn_inputs(fixture))
        bounds = [fixture.outputs[f"{stream}_coords"].transpose(1, 0, 2) for stream in ("video", "audio")]
        theirs = Positions(bounds[0], bounds[1])
        made: dict[str, Any] = {}
        for case in ("uniform", "isolated", "per_token"):
            exchange = torch.zeros(2, dtype=torch.bool, device=device) if case == "isolated" else None
            sigma = _on(device, noise(case))
            found = network(latents, sigma, text, theirs, exchange=exchange, audio_text=audio_text)
            suffix = "" if case == "uniform" else f"_{case}"
            made |= {f"{stream}{suffix}": tokens.mT for stream, tokens in _flat(found).items()}
        ours = positions()
        made |= {"video_coords": ours.video.transpose(1, 0, 2), "audio_coords": ours.audio.transpose(1, 0, 2)}
        return made | {
            f"{stream}_per_token_{kind}": OTHERS for stream in ("video", "audio") for kind in ("own", "cross")
        }

    return run


def _flat(latents: Latents) -> dict[str, Any]:
    """Channels by tokens [B, C, N] of each stream."""
    assert latents.video is not None
    assert latents.audio is not None
    return {"video": latents.video.flatten(2), "audio": latents.audio[:, 0]}


def _on(device: torch.device, part: Any) -> Any:
    if isinstance(part, Latents):
        return part.map(lambda x: x.to(device))
    return Text(part.states.to(device), part.mask.to(device))


RUNNERS: Mapping[str, Runner] = {"ltx2_transformer": transformer("ltx2"), "ltx2_3_transformer": transformer("ltx2_3")}
