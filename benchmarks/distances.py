"""Our Fréchet and kernel distances beside the algorithms that the field runs, on the same embeddings.

    python benchmarks/distances.py [-n 2000 -d 512 --kernel-samples 2000 6000 --threads 1 2 --rounds 3 --busy 1]

Fréchet: the matrix square root of Σ₁Σ₂ (scipy.linalg.sqrtm), as pytorch-fid and most who copied it compute it. KAD: the
algorithm of kadtk 1.1.0, written down again here and not imported: whole float32 matrices in torch, the bandwidth from
all pairwise distances at once, of the real set. For each number of threads both sides take turns in one process, so
that a busy machine disturbs both alike, and the best round of each counts; by the clock, and by the processor, which
counts threads that wait for each other too. Memory is the highest resident size that one call adds, in its own process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from phonofilm.evaluation.metrics.distribution.frechet import frechet_distance, moments
from phonofilm.evaluation.metrics.distribution.kernel import kernel_audio_distance

Distance = Callable[[np.ndarray, np.ndarray], float]


def embeddings(count: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian sets, float32, a little apart, one of them correlated."""
    rng = np.random.default_rng(seed)
    blend = (np.eye(width) + 0.3 * rng.normal(size=(width, width)) / np.sqrt(width)).astype(np.float32)
    first, second = (rng.normal(size=(count, width)).astype(np.float32) for _ in range(2))
    return first @ blend + 0.1, second


def frechet_by_root(generated: np.ndarray, real: np.ndarray) -> float:
    """|μ₁ − μ₂|² + Tr(Σ₁ + Σ₂ − 2·sqrtm(Σ₁Σ₂))."""
    import scipy.linalg

    first, second = (np.cov(x.astype(np.float64), rowvar=False) for x in (generated, real))
    root = scipy.linalg.sqrtm(first @ second).real
    shift = generated.mean(0, dtype=np.float64) - real.mean(0, dtype=np.float64)
    return float(shift @ shift + np.trace(first) + np.trace(second) - 2 * np.trace(root))


def kernel_whole(generated: np.ndarray, real: np.ndarray) -> float:
    """KAD with every matrix held whole."""
    x, y = torch.from_numpy(generated), torch.from_numpy(real)
    gamma = 1 / (2 * torch.pdist(y).median() ** 2 + 1e-8)

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
        return torch.exp(-gamma * squares)

    m, n = len(x), len(y)
    within_x, within_y, across = kernel(x, x), kernel(y, y), kernel(x, y)
    mine = (within_x.sum() - within_x.trace()) / (m * (m - 1))
    theirs = (within_y.sum() - within_y.trace()) / (n * (n - 1))
    return float(100 * (mine + theirs - 2 * across.mean()))


def covariances(generated: np.ndarray, real: np.ndarray) -> float:
    """What any way to the Fréchet distance begins with."""
    return float(sum(moments(part).scatter[0, 0] for part in (generated, real)))


FRECHET: dict[str, Distance] = {"ours": frechet_distance, "theirs": frechet_by_root}
KERNEL: dict[str, Distance] = {"ours": kernel_audio_distance, "theirs": kernel_whole}


@dataclass
class Timed:
    """A value, and the best seconds by the clock and by the processor."""

    value: float = float("nan")
    clock: float = float("inf")
    processor: float = float("inf")


def take_turns(calls: dict[str, Distance], sets: tuple[np.ndarray, np.ndarray], rounds: int) -> dict[str, Timed]:
    found = {name: Timed() for name in calls}
    small = embeddings(300, 8)
    for call in calls.values():  # libraries are loaded and threads made
        call(*small)
    for _ in range(rounds):
        for name, call in calls.items():
            clock, processor = time.perf_counter(), time.process_time()
            value = call(*sets)
            processor, clock = time.process_time() - processor, time.perf_counter() - clock
            best = found[name]
            found[name] = Timed(value, min(best.clock, clock), min(best.processor, processor))
    return found


def added_megabytes(call: Distance, sets: tuple[np.ndarray, np.ndarray]) -> float:
    """Highest resident size over the call, sampled every 2 ms, less that before it."""
    call(*embeddings(300, 8))
    before, peak, done = resident(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    call(*sets)
    done.set()
    watcher.join()
    return peak - before


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def itself(threads: int, *arguments: str) -> str:
    """What this program prints when it is run with so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout.strip()


def said(ours: Timed, theirs: Timed) -> str:
    """Both sides in one line."""
    return (
        f"ours {ours.clock:.3f} s ({ours.processor:.3f} of the processor), theirs {theirs.clock:.3f} s "
        f"({theirs.processor:.3f}): {theirs.clock / ours.clock:.1f} times as fast by the clock, "
        f"{theirs.processor / ours.processor:.1f} by the processor; values {ours.value:.6g} and {theirs.value:.6g}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=2000, help="samples of each set for Fréchet")
    parser.add_argument("-d", type=int, default=512, help="features")
    parser.add_argument("--kernel-samples", type=int, nargs="*", default=[2000, 6000])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, default=0, help="processes that occupy a core each")
    parser.add_argument("--alone", choices=["frechet", "kernel", "ours", "theirs"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    size = ["-d", str(given.d), "--rounds", str(given.rounds)]
    if given.alone in ("ours", "theirs"):
        print(json.dumps(added_megabytes(KERNEL[given.alone], embeddings(given.n, given.d))))
    elif given.alone:
        found = take_turns(FRECHET if given.alone == "frechet" else KERNEL, embeddings(given.n, given.d), given.rounds)
        print(said(**found))
        if given.alone == "frechet":
            both = take_turns({"covariances": covariances}, embeddings(given.n, given.d), given.rounds)
            print(f"of it the two covariances: {both['covariances'].clock:.3f} s")
    else:
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(given.busy)]
        try:
            compare(given, size)
        finally:
            for other in others:
                other.kill()


def compare(given: argparse.Namespace, size: list[str]) -> None:
    """Print every line, each measured in a process of its own."""
    for threads in given.threads:
        line = itself(threads, "--alone", "frechet", "-n", str(given.n), *size)
        print(f"Fréchet, N {given.n}, D {given.d}, {threads} threads: {line}", flush=True)
        for count in map(str, given.kernel_samples):
            line = itself(threads, "--alone", "kernel", "-n", count, *size)
            print(f"KAD, N {count}, D {given.d}, {threads} threads: {line}", flush=True)
    for count in map(str, given.kernel_samples):
        used = {name: float(itself(1, "--alone", name, "-n", count, *size)) for name in KERNEL}
        print(f"KAD, N {count}, D {given.d}: ours adds {used['ours']:.0f} MB, theirs {used['theirs']:.0f} MB")


if __name__ == "__main__":
    main()
