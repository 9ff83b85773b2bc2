"""Sampling with the prompt's keys and values computed once a clip, against computing them at every step.

    python benchmarks/text_cache.py [--preset nano --steps 8 --prompt 64 --rounds 20 --device cpu --dtype float32]

Both ways run in one process, turn about and with the same noise, and must give the same latents to the bit. Prints the
time of each (of the process on a CPU, of the clock elsewhere), the median over rounds of the share that the cache saves
with a bootstrapped 95 % interval, and the bytes that the cache takes.
"""

from __future__ import annotations

import argparse
import time
from fractions import Fraction

import numpy as np
import torch
from scipy.stats import bootstrap

from phonofilm.model import PRESETS, AVTransformer
from phonofilm.sampling import Denoiser, Guidance, Guided, euler, flow_sigmas, texts_of
from phonofilm.types import Grid, Latents, Text

FRAMES, SIZE, FPS = 48, 64, Fraction(12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=64, help="tokens of the prompt")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    settings = parser.parse_args()
    times, size = measure(settings)
    saved = 1 - times[:, 1] / times[:, 0]
    low, high = bootstrap((saved,), np.median, rng=0).confidence_interval
    each, once = np.median(times, axis=0)
    print(f"{settings.preset}, {settings.steps} steps, prompt of {settings.prompt} tokens, {settings.device}")
    print(f"at every step {each:.3f} s, once {once:.3f} s; saves {np.median(saved):.1%} [{low:.1%}, {high:.1%}]")
    print(f"cache of {size / 2**20:.1f} MiB; {settings.rounds} pairs, latents equal to the bit")


@torch.inference_mode()
def measure(settings: argparse.Namespace) -> tuple[np.ndarray, int]:
    """Seconds [rounds, 2] of sampling without and with the cache, and the cache's bytes."""
    torch.manual_seed(0)
    device, dtype = torch.device(settings.device), getattr(torch, settings.dtype)
    network = AVTransformer(PRESETS[settings.preset]).to(device, dtype).eval()
    config, grid = network.config, Grid(FRAMES, SIZE, SIZE, FPS)
    noise = Latents(
        torch.randn(1, config.video.channels, *grid.video_shape, device=device),
        torch.randn(1, 1, config.audio.channels, grid.audio_length, device=device),
    )
    text, negative = (
        Text(
            torch.randn(1, settings.prompt, config.video.text_width, device=device, dtype=dtype),
            torch.ones(1, settings.prompt, dtype=torch.bool, device=device),
        )
        for _ in range(2)
    )
    guidance = Guidance(text=(settings.guidance, settings.guidance))
    positions = network.places(grid.positions(), device)
    sigmas = flow_sigmas(settings.steps, 3.0)

    def sample(cached: bool) -> tuple[float, Latents]:
        start = clock(device)
        cache = network.text_cache(*texts_of(guidance, text, negative)) if cached else None
        denoise = Guided(Denoiser(network), text, negative, positions, guidance, cache=cache)  # type: ignore[arg-type]
        made = euler(denoise, noise, sigmas)
        return clock(device) - start, made

    sample(False)
    rounds = []
    for number in range(settings.rounds):
        order = (False, True) if number % 2 else (True, False)
        found = {cached: sample(cached) for cached in order}
        found[False][1].map(check_equal, found[True][1])
        rounds.append((found[False][0], found[True][0]))
    return np.array(rounds), network.text_cache_bytes(*texts_of(guidance, text, negative))


def check_equal(each: torch.Tensor, once: torch.Tensor) -> torch.Tensor:
    if not torch.equal(each, once):
        raise SystemExit("the two ways differ")
    return each


def clock(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


if __name__ == "__main__":
    main()
