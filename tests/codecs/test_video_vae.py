"""The video codec: causality, chunks, tiles, calibration, and that it learns."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phonofilm.checkpoint import load_module, save_module
from phonofilm.codecs.common.causal import CausalConv1d, CausalConv3d
from phonofilm.codecs.tiling import decode_tiled, fades, places
from phonofilm.codecs.video_vae import VideoVAE, VideoVAEConfig
from phonofilm.types import Geometry, Grid

SMALL = VideoVAEConfig(channels=4, widths=(8, 16), encoder_depths=(1, 1), decoder_depths=(1, 1))


def shaken(config: VideoVAEConfig = SMALL, seed: int = 0) -> VideoVAE:
    """A codec whose every layer acts: the zero-initialised ends of its blocks are made random too."""
    torch.manual_seed(seed)
    model = VideoVAE(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.latent_mean.normal_()
    model.latent_std.uniform_(0.5, 2)
    return model


@pytest.fixture(scope="module")
def model() -> VideoVAE:
    return shaken()


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    return torch.rand(2, 3, 17, 16, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1


def compositions(total: int) -> st.SearchStrategy[list[int]]:
    """Ways to cut `total` into parts, in order."""
    cuts = st.sets(st.integers(1, total - 1)).map(lambda inner: [0, *sorted(inner), total])
    return cuts.map(lambda edges: [b - a for a, b in itertools.pairwise(edges)])


def test_shapes_are_the_grids() -> None:
    model = VideoVAE()
    grid = Grid.of(seconds=4, size=64, fps=12)
    assert (model.config.time, model.config.space) == (Geometry().video_time, Geometry().video_space)
    with torch.no_grad():
        latents, _ = model.encode(torch.zeros(1, 3, grid.model_frames, 64, 64))
        frames, _ = model.decode(latents)
    assert latents.shape == (1, 8, *grid.video_shape)
    assert frames.shape == (1, 3, grid.model_frames, 64, 64)


@torch.no_grad()
@settings(max_examples=25, deadline=None)
@given(parts=compositions(8), alone=st.booleans())
def test_chunked_encoding_equals_whole(parts: list[int], alone: bool) -> None:
    model, frames = shaken(), torch.rand(1, 3, 17, 8, 16) * 2 - 1
    whole, _ = model.encode(frames)
    sizes = [2 * p for p in parts]
    sizes = [1, *sizes] if alone else [sizes[0] + 1, *sizes[1:]]
    state, pieces = None, []
    for chunk in frames.split(sizes, dim=2):
        piece, state = model.encode(chunk, state)
        pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, 2), whole, atol=1e-5, rtol=0)


@torch.no_grad()
@settings(max_examples=25, deadline=None)
@given(parts=compositions(9))
def test_chunked_decoding_equals_whole(parts: list[int]) -> None:
    model, latents = shaken(), torch.randn(1, 4, 9, 1, 2)
    whole, _ = model.decode(latents)
    state, pieces = None, []
    for chunk in latents.split(parts, dim=2):
        piece, state = model.decode(chunk, state)
        pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, 2), whole, atol=1e-5, rtol=0)


@torch.no_grad()
def test_neither_direction_looks_ahead(model: VideoVAE, clip: torch.Tensor) -> None:
    """Frames 2i - 1 and 2i decide latent i and later ones; latent i decides frame 2i - 1 and later ones."""
    latents, _ = model.encode(clip)
    frames, _ = model.decode_raw(latents)
    for cut in (1, 4, 7):
        changed = clip.clone()
        changed[:, :, 2 * cut - 1 :] = -changed[:, :, 2 * cut - 1 :]
        other, _ = model.encode(changed)
        assert torch.equal(other[:, :, :cut], latents[:, :, :cut])
        assert not torch.isclose(other[:, :, cut], latents[:, :, cut]).all()
        redrawn, _ = model.decode_raw(torch.cat([latents[:, :, :cut], -latents[:, :, cut:]], 2))
        assert torch.equal(redrawn[:, :, : 2 * cut - 1], frames[:, :, : 2 * cut - 1])
        assert not torch.isclose(redrawn[:, :, 2 * cut - 1], frames[:, :, 2 * cut - 1]).all()


@torch.no_grad()
def test_a_clip_does_not_depend_on_its_batch(model: VideoVAE, clip: torch.Tensor) -> None:
    together, _ = model.encode(clip)
    torch.testing.assert_close(model.encode(clip[1:])[0], together[1:], atol=1e-5, rtol=0)


@torch.no_grad()
def test_state_is_bounded_however_long_the_clip(model: VideoVAE) -> None:
    def held(frames: int) -> int:
        _, state = model.encode(torch.zeros(1, 3, frames, 16, 16))
        return sum(t.numel() for t in state)

    assert held(5) == held(33)


@torch.no_grad()
def test_state_does_not_keep_the_chunk_alive(model: VideoVAE) -> None:
    """A stream that lasts for hours must not hold the memory of the chunks it has been through."""
    _, state = model.decode(torch.zeros(1, 4, 32, 2, 2))
    assert sum(t.untyped_storage().nbytes() for t in state) == sum(t.nbytes for t in state)


@torch.no_grad()
def test_calibration_gives_unit_variance_and_leaves_frames_alone(clip: torch.Tensor) -> None:
    model = shaken(seed=3)
    before, _ = model.decode(model.encode(clip)[0])
    model.calibrate([clip[:1], clip[1:]])
    latents, _ = model.encode(clip)
    torch.testing.assert_close(latents.mean(dim=(0, 2, 3, 4)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.var(dim=(0, 2, 3, 4), correction=0), torch.ones(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(model.decode(latents)[0], before, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="at least one batch"):
        model.calibrate([])


def test_saved_and_loaded_is_the_same_codec(model: VideoVAE, clip: torch.Tensor, tmp_path) -> None:
    save_module(tmp_path / "video_vae.safetensors", model)
    again = load_module(VideoVAE, tmp_path / "video_vae.safetensors")
    with torch.no_grad():
        assert torch.equal(again.encode(clip)[0], model.encode(clip)[0])


@pytest.mark.parametrize(
    "frames", [(1, 3, 4, 16, 16), (1, 3, 0, 16, 16), (1, 3, 5, 16, 20), (1, 1, 5, 16, 16), (3, 5, 16, 16)]
)
def test_frames_that_no_latents_stand_for_are_refused(model: VideoVAE, frames: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="frames"):
        model.encode(torch.zeros(frames))


def test_an_odd_continuation_is_refused(model: VideoVAE) -> None:
    _, state = model.encode(torch.zeros(1, 3, 1, 16, 16))
    with pytest.raises(ValueError, match="2·n after the start"):
        model.encode(torch.zeros(1, 3, 3, 16, 16), state)


def test_latents_of_another_codec_are_refused(model: VideoVAE) -> None:
    with pytest.raises(ValueError, match="4 channels"):
        model.decode(torch.zeros(1, 8, 2, 2, 2))


@torch.no_grad()
def test_one_tile_is_plain_decoding(model: VideoVAE) -> None:
    latents = torch.randn(2, 4, 5, 3, 6)
    torch.testing.assert_close(decode_tiled(model, latents, tile=6, overlap=2, chunk=2), model.decode(latents)[0])


@torch.no_grad()
def test_tiles_leave_no_seam(model: VideoVAE) -> None:
    """With shared latents as wide as the decoder's reach twice over, the tiles' own edges weigh nothing much."""
    latents = torch.randn(1, 4, 3, 21, 30)
    whole, _ = model.decode(latents)
    tiled = decode_tiled(model, latents, tile=16, overlap=12, chunk=2)
    hard = decode_tiled(model, latents, tile=16, overlap=1, chunk=2)
    assert tiled.shape == whole.shape
    assert (tiled - whole).square().mean() < 0.1 * (hard - whole).square().mean()
    assert (tiled - whole).abs().mean() < 0.01 * whole.std()


@given(size=st.integers(1, 60), tile=st.integers(2, 20), shared=st.integers(1, 19))
def test_fades_sum_to_one_and_tiles_fit(size: int, tile: int, shared: int) -> None:
    shared = min(shared, tile - 1)
    total = torch.zeros(size * 8)
    spans = places(size, tile, shared)
    for (start, end), fade in zip(spans, fades(size, tile, shared, 8), strict=True):
        assert 0 <= start < end <= size
        assert end - start == min(tile, size)
        total[start * 8 : end * 8] += fade
    torch.testing.assert_close(total, torch.ones(size * 8))


@pytest.mark.parametrize("sizes", [{"tile": 4, "overlap": 4}, {"tile": 4, "overlap": 0}, {"chunk": 0}])
def test_tiles_that_do_not_fit_are_refused(model: VideoVAE, sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="tiles of"):
        decode_tiled(model, torch.zeros(1, 4, 1, 2, 2), **sizes)


@torch.no_grad()
@settings(max_examples=30, deadline=None)
@given(
    parts=compositions(6),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    start=st.sampled_from(["repeat", "zeros"]),
)
def test_causal_layers_in_chunks_equal_whole(parts: list[int], kernel: int, stride: int, start) -> None:
    stride = min(stride, kernel)
    for layer, x in (
        (CausalConv1d(2, 3, kernel, stride=stride, start=start), torch.randn(1, 2, 1 + 6 * stride)),
        (CausalConv3d(2, 3, (kernel, 3, 1), stride=stride, start=start), torch.randn(1, 2, 1 + 6 * stride, 4, 4)),
    ):
        whole, _ = layer(x)
        past, pieces = None, []
        for chunk in x.split([1, *(stride * p for p in parts)], dim=2):
            piece, past = layer(chunk, past)
            pieces.append(piece)
        assert whole.shape[2] == 7
        torch.testing.assert_close(torch.cat(pieces, 2), whole, atol=1e-5, rtol=0)


def test_causal_layers_refuse_what_they_cannot_stride() -> None:
    with pytest.raises(ValueError, match=r"1 \+ 2·n"):
        CausalConv1d(1, 1, 3, stride=2)(torch.zeros(1, 1, 4))
    with pytest.raises(ValueError, match="would skip"):
        CausalConv3d(1, 1, (1, 3, 3), stride=2)
