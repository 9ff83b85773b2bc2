"""Decoding in tiles, when memory runs out, and when it is cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import phonofilm
from phonofilm.backends.ltx2 import backend as module
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.memory import decode_peak, smaller
from phonofilm.backends.ltx2.vae.decode import LADDER, Tile, decode_video
from phonofilm.errors import PhonofilmError

SMALL = {"seconds": 0.5, "size": (64, 64), "steps": 2, "seed": 1}


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path / "work"))
    return tmp_path / "work"


@pytest.fixture(scope="module")
def vae(tiny_ltx2):
    from diffusers import AutoencoderKLLTX2Video

    return AutoencoderKLLTX2Video.from_pretrained(tiny_ltx2 / "vae", local_files_only=True).eval()


def smooth(shape: tuple[int, ...]) -> torch.Tensor:
    """Latents that change slowly, as those of films do."""
    coarse = torch.randn(1, 8, 3, 3, 3, generator=torch.Generator().manual_seed(2))
    return torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear", align_corners=True)


class TestTiles:
    def test_one_tile_is_what_diffusers_decodes(self, vae):
        latents = smooth((4, 3, 5))
        with torch.no_grad():
            theirs = vae.decode(latents).sample[0].permute(1, 2, 3, 0)
        theirs = ((theirs + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        assert (decode_video(vae, latents) == theirs).all()

    @pytest.fixture(scope="class")
    def whole(self, vae):
        return decode_video(vae, smooth((7, 4, 5))).astype(float)

    @pytest.mark.parametrize("tile", [Tile(256, 4), Tile(3, 256), Tile(4, 5)])
    def test_tiles_have_the_right_frames_and_no_seams(self, vae, whole, tile):
        """Pieces lie where they belong: what is decoded in tiles is the whole, but for what tiles cannot see."""
        tiled = decode_video(vae, smooth((7, 4, 5)), tile).astype(float)
        assert tiled.shape == whole.shape
        near = np.abs(tiled - whole).mean()
        moved = [np.abs(tiled - np.roll(whole, by, axis)).mean() for axis, by in ((0, 1), (0, -1), (1, 4), (2, 4))]
        assert near < 0.7 * min(moved)
        steps = np.abs(np.diff(tiled, axis=0)).mean(axis=(1, 2, 3))
        assert steps.max() < 1.5 * np.abs(np.diff(whole, axis=0)).mean(axis=(1, 2, 3)).max()

    def test_smaller_tiles_take_less(self, tiny_ltx2):
        folder, shape, device = Folder.open(tiny_ltx2), (16, 32, 40), torch.device("cpu")
        peaks = [decode_peak(folder, shape, tile, device) for tile in (LADDER[0], LADDER[3], LADDER[-1])]
        assert peaks == sorted(peaks, reverse=True)
        assert np.prod(smaller(LADDER[0], shape).within(shape)) <= np.prod(shape) / 2


class TestOutOfMemory:
    def failing(self, monkeypatch, times: int) -> list[Tile]:
        tried: list[Tile] = []

        def decode(vae, latents, tile):
            tried.append(tile)
            if len(tried) <= times:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 7 GB")
            return decode_video(vae, latents, tile)

        monkeypatch.setattr(module, "decode_video", decode)
        return tried

    def test_it_is_tried_once_more_with_smaller_tiles(self, tiny_ltx2, monkeypatch):
        tried = self.failing(monkeypatch, 1)
        clip = phonofilm.load(str(tiny_ltx2), device="cpu").generate("a ball", **SMALL)
        assert len(clip.frames) == 12
        assert np.prod(tried[1].within((3, 2, 2))) < np.prod(tried[0].within((3, 2, 2)))

    def test_then_one_line_says_what_is_kept_and_a_rerun_does_not_sample(self, tiny_ltx2, monkeypatch, work):
        self.failing(monkeypatch, 2)
        model = phonofilm.load(str(tiny_ltx2), device="cpu")
        with pytest.raises(PhonofilmError, match=r"is kept in .*safetensors"):
            model.generate("a ball", **SMALL)
        assert len(list(work.glob("*.safetensors"))) == 1
        monkeypatch.setattr(module.LTX2Backend, "_sample", lambda *arguments: pytest.fail("sampled again"))
        monkeypatch.setattr(module.LTX2Backend, "_tell", lambda *arguments: pytest.fail("read the prompt again"))
        assert len(model.generate("a ball", **SMALL).frames) == 12

    def test_other_errors_are_not_hidden(self, tiny_ltx2, monkeypatch):
        def decode(*arguments):
            raise RuntimeError("shapes do not match")

        monkeypatch.setattr(module, "decode_video", decode)
        with pytest.raises(RuntimeError, match="shapes do not match"):
            phonofilm.load(str(tiny_ltx2), device="cpu").generate("a ball", **SMALL)


class TestGoingOn:
    def test_killed_in_the_second_window_it_goes_on_there(self, tiny_ltx2, monkeypatch):
        from fractions import Fraction

        from phonofilm.backends.ltx2 import fitting

        monkeypatch.setattr(fitting, "MAX_SECONDS", Fraction(1, 2))
        model = phonofilm.load(str(tiny_ltx2), device="cpu")
        long = {**SMALL, "seconds": 1.0}
        calls: list[int] = []
        real = module.decode_video

        def decode(*arguments):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return real(*arguments)

        monkeypatch.setattr(module, "decode_video", decode)
        with pytest.raises(KeyboardInterrupt):
            model.generate("a ball", **long)
        sampled: list[int] = []
        sample = module.LTX2Backend._sample
        monkeypatch.setattr(module.LTX2Backend, "_sample", lambda self, *a: (sampled.append(a[2]), sample(self, *a))[1])
        again = model.generate("a ball", **long)
        assert sampled == [2]
        monkeypatch.setenv("PHONOFILM_WORK", str(Path(__file__).parent / "nowhere"))
        monkeypatch.setattr("phonofilm.backends.published.store.Store.save", lambda *arguments: None)
        fresh = model.generate("a ball", **long)
        assert (again.frames == fresh.frames).all()

    def test_other_jobs_and_other_weights_have_other_latents(self, tiny_ltx2, tiny_ltx2_3, work):
        for folder, seed in ((tiny_ltx2, 1), (tiny_ltx2, 2), (tiny_ltx2_3, 1)):
            phonofilm.load(str(folder), device="cpu").generate("a ball", **{**SMALL, "seed": seed})
        assert len(list(work.glob("*.safetensors"))) == 3

    def test_damaged_latents_are_sampled_again(self, tiny_ltx2, work):
        model = phonofilm.load(str(tiny_ltx2), device="cpu")
        first = model.generate("a ball", **SMALL)
        path = next(work.glob("*.safetensors"))
        path.write_bytes(path.read_bytes()[:100])
        assert (model.generate("a ball", **SMALL).frames == first.frames).all()
