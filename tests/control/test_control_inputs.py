"""Modules that attach through zero-initialised inputs: bit-identical attached and detached, in any combination."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_control_lora import GRID, network

from phonofilm.control.hits import Hit, parse_hits, read_midi
from phonofilm.control.inputs.attachment import Attachment
from phonofilm.control.inputs.controlnet import TimeControlNet
from phonofilm.control.inputs.semantic import SemanticAdapter
from phonofilm.control.inputs.sync import SyncModule, at_tokens
from phonofilm.control.timing import hits_signal, loudness_signal, slots_of
from phonofilm.errors import PhonofilmError
from phonofilm.model.config import PRESETS
from phonofilm.model.transformer import AVTransformer
from phonofilm.types import Latents, Text

BOUNDS = GRID.positions().audio
NAMES = ("semantic", "sync", "timing")


def module(name: str, net: AVTransformer, trained: bool = False) -> Attachment:
    torch.manual_seed(7)
    made: Attachment
    match name:
        case "semantic":
            made = SemanticAdapter(net, [0, 1], 6)
        case "sync":
            made = SyncModule(net, 5, hidden=8)
        case _:
            made = TimeControlNet(net, [1], 2 * slots_of(BOUNDS))
    for parameter in made.parameters() if trained else ():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def conditions(*names: str) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    told = {
        "semantic": torch.randn(2, 4, 6, generator=draw),
        "sync": at_tokens(torch.randn(2, 24, 5, generator=draw), 24, BOUNDS),
        "timing": hits_signal([Hit(0.2), Hit(0.6, 0.5)], BOUNDS).expand(2, -1, -1),
    }
    return {name: told[name] for name in names}


def seen(net: AVTransformer, told: dict[str, torch.Tensor], cached: bool = False, video: bool = True) -> Latents:
    draw = torch.Generator().manual_seed(3)
    latents = Latents(
        torch.randn(2, 2, *GRID.video_shape, generator=draw), torch.randn(2, 1, 4, GRID.audio_length, generator=draw)
    )
    text = Text(torch.randn(2, 3, 8, generator=draw), torch.ones(2, 3, dtype=torch.bool))
    level = Latents(torch.full((2, 1, 1, 1, 1), 0.7), torch.full((2, 1, 1, 1), 0.7))
    if not video:
        latents, level = Latents(None, latents.audio), Latents(None, level.audio)
    with torch.inference_mode():
        cache = net.text_cache(text) if cached else None
        return net(latents, level, text, GRID.positions(), conditions=told, cache=cache)


def same(one: Latents, other: Latents) -> bool:
    return all(
        (a is None and b is None) or torch.equal(a, b) for a, b in ((one.video, other.video), (one.audio, other.audio))
    )


@settings(max_examples=12)
@given(st.permutations(NAMES), st.integers(0, 3), st.randoms(use_true_random=False), st.booleans())
def test_any_fresh_modules_change_nothing_attached_or_detached(
    order: list[str], count: int, draw: Any, cached: bool
) -> None:
    net = network()
    before, config, state = seen(net, {}, cached), net.config, set(net.state_dict())
    attached = [module(name, net).attach(net) for name in order[:count]]
    assert same(seen(net, conditions(*order[:count]), cached), before)
    assert same(seen(net, {}, cached), before)
    draw.shuffle(attached)
    told = {one.name for one in attached}
    for one in attached:
        one.detach()
        told.discard(one.name)
        assert same(seen(net, conditions(*told), cached), before)
    assert net.config == config
    assert set(net.state_dict()) == state


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_module_reaches_the_sound_and_is_gone_when_detached(name: str) -> None:
    net = network()
    before = seen(net, {})
    one = module(name, net, trained=True).attach(net)
    after = seen(net, conditions(name))
    assert not torch.equal(after.audio, before.audio)
    assert same(seen(net, {}), before)  # without its condition it does nothing
    whole = seen(net, conditions(name), cached=True)
    torch.testing.assert_close(whole.audio, after.audio, atol=1e-4, rtol=1e-4)
    alone = seen(net, conditions(name), video=False)
    assert alone.video is None
    if name != "sync":
        one.scale = 0.0
        assert same(seen(net, conditions(name)), before)
    with pytest.raises(PhonofilmError, match=f"something called {name} is attached"):
        module(name, net).attach(net)
    one.detach()
    assert same(seen(net, {}), before)
    with pytest.raises(ValueError, match="no input for condition"):
        seen(net, conditions(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_module_learns_though_it_begins_at_zero(name: str) -> None:
    net = network().requires_grad_(False)
    one = module(name, net).attach(net)
    draw = torch.Generator().manual_seed(3)
    latents = Latents(None, torch.randn(2, 1, 4, GRID.audio_length, generator=draw))
    text = Text(torch.randn(2, 3, 8, generator=draw), torch.ones(2, 3, dtype=torch.bool))
    level = Latents(None, torch.full((2, 1, 1, 1), 0.7))
    made = net(latents, level, text, GRID.positions(), conditions=conditions(name))
    assert made.audio is not None
    made.audio.square().mean().backward()
    assert any(p.grad is not None and bool(p.grad.abs().max() > 0) for p in one.parameters())
    assert all(p.grad is None for n, p in net.named_parameters() if "modulation_conditions" not in n)


def test_unknown_sync_features_are_learnt_null_features() -> None:
    net = network()
    module("sync", net, trained=True).attach(net)
    null = seen(net, {"sync": torch.zeros(2, 0, 5)})
    assert not same(null, seen(net, {}))


@pytest.mark.parametrize("preset", ["nano", "ltx2", "ltx2_3"])
def test_modules_attach_to_every_preset(preset: str) -> None:
    with torch.device("meta"):
        net = AVTransformer(PRESETS[preset])
        last = [number for number, block in enumerate(net.blocks) if block.audio is not None][-1]
        parts = [SemanticAdapter(net, [last], 768), SyncModule(net, 768), TimeControlNet(net, [last], 8)]
    for one in parts:
        one.attach(net)
        one.detach()
    with pytest.raises(PhonofilmError, match="block 99 has no sound to attach to"):
        TimeControlNet(net, [99], 8)


def test_hits_lie_where_they_are_asked_for() -> None:
    hits = parse_hits("0.6@0.5, 0.21", 1.0)
    assert hits == (Hit(0.21), Hit(0.6, 0.5))
    slots = slots_of(BOUNDS)
    signal = hits_signal(hits, BOUNDS)[0].unflatten(1, (2, slots))
    assert slots / (BOUNDS[:, 0, 1] - BOUNDS[:, 0, 0]).max() >= 40 - 1e-6
    found = []
    for token, slot in signal[:, 0].nonzero().tolist():
        start, end = BOUNDS[token, 0]
        inside = float(signal[token, 1, slot] / signal[token, 0, slot])
        found.append(Hit(start + (slot + inside) / slots * (end - start), float(signal[token, 0, slot])))
    assert [(round(hit.time, 5), hit.strength) for hit in found] == [(0.21, 1.0), (0.6, 0.5)]


def test_bad_hits_get_a_line() -> None:
    for text, message in (
        ("1.5", "a hit at 1.5 s is outside the clip of 1 s"),
        ("-1", "outside the clip"),
        ("nan", "outside the clip"),
        ("0.5@2", "a hit of strength 2 is not possible"),
        ("0.5@0", "strength 0"),
        ("a", "a hit is SECONDS or SECONDS@STRENGTH"),
        ("", "a hit is SECONDS"),
        ("0.5@", "a hit is SECONDS"),
    ):
        with pytest.raises(PhonofilmError, match=message):
            parse_hits(text, 1.0)


def midi(path: Path, ticks: int = 480) -> Path:
    """A file of two notes: at 0 s, loud, and after one beat of half a second, softer; then one at 2.5 s."""
    events = b"\x00\x90\x3c\x7f" + b"\x83\x60\x90\x3e\x40" + b"\x8f\x00\x90\x40\x20" + b"\x00\xff\x2f\x00"
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, ticks)
    path.write_bytes(head + b"MTrk" + struct.pack(">I", len(events)) + events)
    return path


def test_notes_of_a_midi_file_are_hits(tmp_path: Path) -> None:
    pytest.importorskip("mido")
    path = midi(tmp_path / "a.mid")
    assert read_midi(path, 2.0) == (Hit(0.0), Hit(0.5, 64 / 127))
    (tmp_path / "b.mid").write_bytes(b"RIFF no midi")
    with pytest.raises(PhonofilmError, match="is no MIDI file that can be read"):
        read_midi(tmp_path / "b.mid", 2.0)
    (tmp_path / "c.mid").write_bytes(path.read_bytes()[:30])
    with pytest.raises(PhonofilmError, match="is no MIDI file that can be read"):
        read_midi(tmp_path / "c.mid", 2.0)
    with pytest.raises(PhonofilmError, match="is missing"):
        read_midi(tmp_path / "d.mid", 2.0)


def test_loudness_follows_a_sound() -> None:
    rate = 24_000
    level = np.where(np.arange(rate) < rate // 2, 0.001, 0.5) * np.sqrt(2)
    sound = level * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    signal = loudness_signal(np.stack([sound, sound]), rate, BOUNDS)[0]
    middle = BOUNDS[:, 0].mean(1)
    assert signal[middle < 0.4] == pytest.approx(0.0, abs=0.02)
    assert signal[(middle > 0.6) & (BOUNDS[:, 0, 1] <= 1)] == pytest.approx(1 - 6.02 / 60, abs=0.02)


def test_features_are_drawn_between_pictures() -> None:
    ramp = torch.arange(24.0)[None, :, None] / 24 + 0.5 / 24  # a feature that is the time of its picture's middle
    found = at_tokens(ramp, 24, BOUNDS, stems=2)[0, :, 0]
    expected = torch.from_numpy(BOUNDS[:, 0].mean(1)).float().clamp(0.5 / 24, 23.5 / 24).repeat(2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
