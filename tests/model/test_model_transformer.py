"""Properties of the dual-stream transformer at a small size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from phonofilm.model import PRESETS, AVTransformer, ConditionInput
from phonofilm.types import Latents, Positions, Text


def both(latents: Latents) -> list[torch.Tensor]:
    return [latents.video, latents.audio]


def assert_latents_close(actual: Latents, expected: Latents, **tolerance) -> None:
    for a, b in zip(both(actual), both(expected), strict=True):
        assert_close(a, b, **tolerance)


def test_an_untrained_network_predicts_zero_and_learns(tiny, draw):
    torch.manual_seed(0)
    model, inputs = AVTransformer(tiny), draw()
    target = draw(seed=2).latents
    losses = []
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(30):
        made = model(*inputs)
        loss = sum((a - b).square().mean() for a, b in zip(both(made), both(target), strict=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert abs(losses[0] - sum(t.square().mean().item() for t in both(target))) < 1e-5
    assert losses[-1] < 0.6 * losses[0]


def test_gradient_reaches_every_parameter(tiny, build, draw):
    for config in (tiny, replace(tiny, gated_attention=True, text_modulation=True, shared_timestep=False)):
        config = replace(config, video=replace(config.video), audio=replace(config.audio))
        model = build(config)
        made = model(*draw())
        (made.video.square().sum() + made.audio.square().sum()).backward()
        silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        assert silent == []


def test_samples_of_a_batch_do_not_meet(tiny, build, draw):
    model, inputs = build(tiny), draw(batch=3)
    together = model(*inputs)
    latents, sigma, text, positions = inputs
    for i in range(3):
        alone = model(
            latents.map(lambda t, i=i: t[i : i + 1]),
            sigma.map(lambda t, i=i: t[i : i + 1]),
            Text(text.states[i : i + 1], text.mask[i : i + 1]),
            positions,
        )
        assert_latents_close(alone, together.map(lambda t, i=i: t[i : i + 1]), atol=1e-5, rtol=1e-5)


def test_padding_of_the_text_is_not_read(tiny, build, draw):
    model, inputs = build(tiny), draw()
    states = inputs.text.states.clone()
    states[~inputs.text.mask] = 100.0
    padded = model(inputs.latents, inputs.sigma, Text(states, inputs.text.mask), inputs.positions)
    assert_latents_close(padded, model(*inputs))


def test_noise_levels_spelled_out_change_nothing(tiny, build, draw):
    model, inputs = build(tiny), draw()
    steps = inputs.latents.video.shape[2]
    one = Latents(torch.tensor([0.3, 0.8]).view(2, 1, 1, 1, 1), torch.tensor([0.9, 0.1]).view(2, 1, 1, 1))
    per_step = Latents(one.video.expand(-1, -1, steps, -1, -1), one.audio.expand(-1, -1, -1, 4))
    per_step = Latents(per_step.video, one.audio.expand(-1, -1, -1, inputs.latents.audio.shape[3]))
    full = Latents(one.video.expand(-1, -1, *inputs.latents.video.shape[2:]), per_step.audio)
    expected = model(inputs.latents, one, inputs.text, inputs.positions)
    for sigma in (per_step, full):
        made = model(inputs.latents, sigma, inputs.text, inputs.positions)
        assert_latents_close(made, expected, atol=1e-5, rtol=1e-5)
    step_wise = model(*inputs)
    spelled = Latents(inputs.sigma.video.expand(-1, -1, -1, 8, 8), inputs.sigma.audio)
    made = model(inputs.latents, spelled, inputs.text, inputs.positions)
    assert_latents_close(made, step_wise, atol=1e-5, rtol=1e-5)


def test_each_token_has_its_own_noise_level(tiny, build, draw):
    """With attention silenced, a token's output depends on its own noise level alone."""
    model, inputs = build(tiny), draw()
    with torch.no_grad():
        for module in model.modules():
            if hasattr(module, "to_out"):
                module.to_out.weight.zero_()
    changed = inputs.sigma.video.clone()
    changed[:, :, 3] = 1 - changed[:, :, 3]
    before = model(*inputs).video
    after = model(inputs.latents, Latents(changed, inputs.sigma.audio), inputs.text, inputs.positions).video
    moved = (before - after).abs().amax((0, 1, 3, 4))
    assert moved[3] > 1e-3
    assert moved[torch.arange(len(moved)) != 3].max() == 0


def test_streams_without_exchange_are_independent(tiny, build, draw):
    model, inputs, other = build(tiny), draw(), draw(seed=7)
    off = torch.tensor([True, False])
    mixed = Latents(inputs.latents.video, other.latents.audio)
    before = model(*inputs, exchange=off).video
    after = model(mixed, inputs.sigma, inputs.text, inputs.positions, exchange=off).video
    assert_close(before[1], after[1], rtol=0, atol=0)
    assert (before[0] - after[0]).abs().max() > 1e-4
    alone = model(Latents(video=inputs.latents.video), inputs.sigma, inputs.text, inputs.positions)
    assert alone.audio is None
    assert_close(alone.video[1], before[1], atol=1e-6, rtol=1e-6)
    sound = model(Latents(audio=inputs.latents.audio), inputs.sigma, inputs.text, inputs.positions)
    assert_close(sound.audio[1], model(*inputs, exchange=off).audio[1], atol=1e-6, rtol=1e-6)


def test_the_exchange_listens_to_the_noise_level_of_the_other_stream(tiny, build, draw):
    """Within the exchange, the other stream's noise level moves the gate: also where it would not move its tokens."""
    model, inputs = build(tiny), draw()
    louder = Latents(inputs.sigma.video, torch.ones_like(inputs.sigma.audio))
    off = torch.zeros(2, dtype=torch.bool)
    changed = model(inputs.latents, louder, inputs.text, inputs.positions)
    assert (changed.video - model(*inputs).video).abs().max() > 1e-4
    isolated = model(inputs.latents, louder, inputs.text, inputs.positions, exchange=off)
    assert_close(isolated.video, model(*inputs, exchange=off).video, rtol=0, atol=0)


class TestUnmixed:
    """Spatio-temporal guidance: one block's self-attention passes values on as they are, for some samples."""

    BLOCK = 2

    def test_is_a_self_attention_whose_tokens_look_at_themselves_alone(self, tiny, build, draw):
        """Against another computation of it: attention with all but the diagonal of the scores closed."""
        model, inputs = build(replace(tiny, gated_attention=True)), draw()
        both = Latents(torch.tensor([True, True]), torch.tensor([True, True]))
        found = model(*inputs, unmixed={self.BLOCK: both})
        for stream in (model.blocks[self.BLOCK].video, model.blocks[self.BLOCK].audio):
            if stream is not None:
                answer = stream.self_attention.attend

                def closed(asked, held, answer=answer, **options):
                    count = held.keys.shape[1]
                    return answer(asked, held, torch.full((count, count), -1e9).fill_diagonal_(0))

                stream.self_attention.attend = closed
        expected = model(*inputs)
        assert_close(found.video, expected.video, atol=1e-5, rtol=1e-5)
        assert_close(found.audio, expected.audio, atol=1e-5, rtol=1e-5)

    def test_is_switched_per_sample_and_stream(self, tiny, build, draw):
        model, inputs = build(tiny), draw()
        off = torch.zeros(2, dtype=torch.bool)
        plain = model(*inputs)
        none = model(*inputs, unmixed={self.BLOCK: Latents(off, off)})
        assert torch.equal(none.video, plain.video)
        assert torch.equal(none.audio, plain.audio)
        second = model(*inputs, unmixed={self.BLOCK: Latents(torch.tensor([False, True]), None)})
        assert torch.equal(second.video[0], plain.video[0])
        assert (second.video[1] - plain.video[1]).abs().max() > 1e-4

    def test_a_block_there_is_not(self, tiny, build, draw):
        model, inputs = build(tiny), draw()
        with pytest.raises(ValueError, match="no block 9: there are 4"):
            model(*inputs, unmixed={9: Latents()})


def test_tokens_in_another_order_give_the_same_in_that_order(tiny, build, draw):
    """Nothing but its position tells a token where it is; sound has one token a latent, so it can be shuffled."""
    model, inputs = build(tiny), draw()
    order = torch.randperm(inputs.latents.audio.shape[3], generator=torch.Generator().manual_seed(3))
    shuffled = model(
        Latents(inputs.latents.video, inputs.latents.audio[..., order]),
        Latents(inputs.sigma.video, inputs.sigma.audio[..., order]),
        inputs.text,
        Positions(inputs.positions.video, inputs.positions.audio[order.numpy()]),
    )
    straight = model(*inputs)
    assert_close(shuffled.audio, straight.audio[..., order], atol=1e-5, rtol=1e-5)
    assert_close(shuffled.video, straight.video, atol=1e-5, rtol=1e-5)


def test_a_later_clip_is_the_same_clip(tiny, build, draw):
    """Only differences of time count, so that a window of a longer film is denoised like a film of its own."""
    model, inputs = build(tiny), draw()
    video, audio = inputs.positions.video.copy(), inputs.positions.audio + 3.0
    video[:, 0] += 3.0
    later = model(inputs.latents, inputs.sigma, inputs.text, Positions(video, audio))
    assert_latents_close(later, model(*inputs), atol=1e-4, rtol=1e-4)
    apart = model(inputs.latents, inputs.sigma, inputs.text, Positions(video, inputs.positions.audio))
    assert (apart.video - later.video).abs().max() > 1e-3


def test_places_computed_once_serve_every_call(tiny, build, draw):
    model, inputs = build(tiny), draw()
    places = model.places(inputs.positions)
    made = model(inputs.latents, inputs.sigma, inputs.text, places)
    assert_latents_close(made, model(*inputs), rtol=0, atol=0)


@pytest.mark.parametrize("shared", [True, False], ids=["one text", "a text for the sound"])
def test_keys_of_the_text_computed_once_serve_every_call(tiny, build, draw, shared):
    model, inputs = build(tiny), draw()
    heard = None if shared else Text(inputs.text.states.flip(1) * 2, inputs.text.mask)
    cache = model.text_cache(inputs.text, heard)
    held = [kv for stream in cache for kv in stream.projected if kv is not None]
    assert model.text_cache_bytes(inputs.text, heard) == sum(t.nbytes for kv in held for t in kv)
    blank = Text(torch.zeros_like(inputs.text.states), inputs.text.mask)  # what is cached is not looked at
    expected = model(*inputs, audio_text=heard)
    made = model(inputs.latents, inputs.sigma, blank, inputs.positions, cache=cache)
    assert_latents_close(made, expected, rtol=0, atol=0)
    later = model(inputs.latents, inputs.sigma.map(lambda level: level / 2), blank, inputs.positions, cache=cache)
    halved = model(
        inputs.latents, inputs.sigma.map(lambda level: level / 2), inputs.text, inputs.positions, audio_text=heard
    )
    assert_latents_close(later, halved, rtol=0, atol=0)


def test_a_cache_of_text_that_does_not_fit(tiny, build, draw):
    model, inputs = build(tiny), draw()
    cache = model.text_cache(Text(inputs.text.states.repeat(3, 1, 1), inputs.text.mask.repeat(3, 1)))
    with pytest.raises(ValueError, match="a cache of 6 texts does not fit 2 clips"):
        model(*inputs, cache=cache)
    with pytest.raises(ValueError, match="depend on the noise level"):
        build(replace(tiny, text_modulation=True)).text_cache(inputs.text)


def test_condition_inputs_add_nothing_at_first_and_learn(tiny, draw):
    condition_inputs = (ConditionInput("onsets", "audio", 3), ConditionInput("sync", "video", 5, at="modulation"))
    plain = AVTransformer(tiny)
    with_inputs = AVTransformer(replace(tiny, condition_inputs=condition_inputs))
    missing = with_inputs.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert sorted(missing) == sorted(
        f"{d}.{k}"
        for d in ("audio.token_conditions.onsets", "video.modulation_conditions.sync")
        for k in ("weight", "bias")
    )
    with torch.no_grad():
        for a, b in zip(
            plain.parameters(), [p for n, p in with_inputs.named_parameters() if n not in missing], strict=True
        ):
            a += 0.05 * torch.randn(a.shape, generator=torch.Generator().manual_seed(a.numel()))
            b.copy_(a)
    inputs = draw()
    video_tokens, audio_tokens = len(inputs.positions.video), len(inputs.positions.audio)
    conditions = {"onsets": torch.randn(2, audio_tokens, 3), "sync": torch.randn(2, video_tokens, 5)}
    assert_latents_close(with_inputs(*inputs), plain(*inputs), rtol=0, atol=0)
    assert_latents_close(with_inputs(*inputs, conditions=conditions), plain(*inputs), atol=1e-5, rtol=1e-5)
    made = with_inputs(*inputs, conditions=conditions)
    (made.video.sum() + made.audio.sum()).backward()
    for layer in (with_inputs.audio.token_conditions["onsets"], with_inputs.video.modulation_conditions["sync"]):
        assert layer.weight.grad.any()
        torch.nn.init.ones_(layer.weight)
    opened = with_inputs(*inputs, conditions=conditions)
    assert (opened.video - made.video).abs().max() > 1e-3
    assert (opened.audio - made.audio).abs().max() > 1e-3


def test_bfloat16_converted_or_by_autocast_is_close_to_float32(tiny, build, draw):
    model, inputs = build(tiny), draw()
    exact = model(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        cast = model(*inputs)
    half = model.bfloat16()(*inputs)
    for made in (cast, half):
        assert made.video.dtype == torch.float32
        for a, b in zip(both(made), both(exact), strict=True):
            assert (a - b).abs().max() < 0.05 * b.abs().max()


def test_what_does_not_fit_is_refused(tiny, build, draw):
    model, inputs = build(tiny), draw()
    latents, sigma, text, positions = inputs
    short = Positions(positions.video[:-4], positions.audio)
    for arguments, message in (
        ((Latents(), sigma, text, positions), "both streams are absent"),
        ((latents, Latents(video=sigma.video), text, positions), "need a noise level"),
        ((latents, Latents(sigma.video[:, :, :2], sigma.audio), text, positions), "do not broadcast"),
        ((latents, sigma, text, short), "make 28 tokens, not 24"),
        ((Latents(latents.video[..., :6], latents.audio), sigma, text, positions), "do not divide into patches"),
    ):
        with pytest.raises(ValueError, match=message):
            model(*arguments)
    with pytest.raises(ValueError, match="no input for condition"):
        model(*inputs, conditions={"onsets": torch.zeros(1)})


def test_each_stream_has_its_own_depth(tiny):
    model = AVTransformer(tiny)
    present = [(block.video is not None, block.audio is not None) for block in model.blocks]
    assert present == [(True, False), (True, True), (True, False), (True, True)]
    deeper = replace(tiny, video=replace(tiny.video, layers=1), audio=replace(tiny.audio, layers=3))
    assert [block.video is not None for block in AVTransformer(deeper).blocks] == [False, False, True]


def count(model: torch.nn.Module, part: str = "") -> int:
    return sum(p.numel() for name, p in model.named_parameters() if part in name)


def test_nano_fits_its_budget():
    assert 9.0e6 < count(AVTransformer(PRESETS["nano"])) < 10.5e6


PUBLISHED = {"ltx2": (14_370_726_016, 4_505_448_576), "ltx2_3": (14_459_814_528, 4_529_023_616)}


@pytest.mark.parametrize("preset", sorted(PUBLISHED))
def test_ltx2_has_the_published_parameter_count(preset):
    """14B for picture and 5B for sound."""
    with torch.device("meta"):
        model = AVTransformer(PRESETS[preset])
    assert (count(model, "video."), count(model, "audio.")) == PUBLISHED[preset]


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted(PUBLISHED))
def test_the_published_parameter_count_is_that_of_diffusers(preset):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    options = {"gated_attn": True, "cross_attn_mod": True, "audio_gated_attn": True, "audio_cross_attn_mod": True}
    options = options | {"use_prompt_embeddings": False} if preset == "ltx2_3" else {}
    with torch.device("meta"):
        reference = diffusers.LTX2VideoTransformer3DModel(rope_type="split", **options)
    assert count(reference) == sum(PUBLISHED[preset])


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_runs_on_the_meta_device(preset):
    """Shapes fit throughout, at full width."""
    config = PRESETS[preset]
    config = replace(config, video=replace(config.video, layers=2), audio=replace(config.audio, layers=1))
    with torch.device("meta"):
        model = AVTransformer(config).bfloat16()
        latents = Latents(torch.zeros(1, config.video.channels, 2, 8, 8), torch.zeros(1, 1, config.audio.channels, 6))
        sigma = Latents(torch.zeros(1, 1, 2, 1, 1), torch.zeros(1, 1, 1, 6))
        mask = torch.ones(1, 7, dtype=torch.bool)
        text, sound = (Text(torch.zeros(1, 7, s.text_width), mask) for s in (config.video, config.audio))
        tokens = 2 * 64 // (config.video.patch[1] * config.video.patch[2])
        positions = Positions(np.zeros((tokens, 3, 2)), np.zeros((6, 1, 2)))
        made = model(latents, sigma, text, positions, audio_text=sound)
    assert made.video.shape == latents.video.shape
    assert made.audio.shape == latents.audio.shape
