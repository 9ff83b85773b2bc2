"""What a live film costs: chunks, their spread, whether late ones cost more, and memory.

    python benchmarks/live.py MODEL [--chunks 200 --steps 4 --guided --overlap --threads 1]

MODEL is a folder of weights trained on chunks of time. The film of a chunk late in it and that of the tenth one are
made in turns from their states, so that what else the machine does falls on both. Times of the processor are those of
all threads of this process; wall times hold on a quiet machine alone. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from phonofilm.streaming.native import NativeSource

PROMPT, TURNS = "Rain falls on a green glass jar.", 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--chunks", type=int, default=200)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--guided", action="store_true", help="with the model's own guidance, else without")
    parser.add_argument("--overlap", action="store_true", help="make the next chunk while one is decoded")
    parser.add_argument("--threads", type=int, default=1, help="of each torch operation")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    start = time.perf_counter()
    source = NativeSource.load(given.model, device="cpu", overlap=given.overlap)
    rows = [("load, imports apart", f"{time.perf_counter() - start:.2f} s")]
    options = {"steps": given.steps, **({} if given.guided else {"guidance": [1, 1], "modality_guidance": [1, 1]})}
    state, frames, samples = source.begin(PROMPT, 1, options), 0, 0
    walls, processors, resident, kept = [], [], [], []
    for number in range(given.chunks):
        began = time.perf_counter(), time.process_time()
        state, chunk = source.next(state, PROMPT)
        walls.append(time.perf_counter() - began[0])
        processors.append(time.process_time() - began[1])
        frames, samples = frames + len(chunk.frames), samples + chunk.stems[source.format.stems[0]].shape[1]
        resident.append(_resident())
        if number == 9:
            kept.append(state)
    kept.append(state)
    rows += _film(source, walls, processors, frames, samples)
    tenth, last = _in_turns(source, kept)
    rows.append((f"chunk {given.chunks} over chunk 10, median of {TURNS} turns", f"{last / tenth:.3f}"))
    arrays = [source.state_tensors(one)[0].values() for one in kept]
    rows.append(
        ("state after chunk 10, last", ", ".join(f"{sum(a.nbytes for a in one) / 1e6:.2f} MB" for one in arrays))
    )
    rows.append(("memory after chunk 10, last", f"{resident[9]:.1f} MiB, {resident[-1]:.1f} MiB"))
    said = f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {given.threads} thread(s)"
    print(f"{Path(given.model).name}, {given.steps} steps, guided {given.guided}, overlap {given.overlap}; {said}\n")
    print("|what|measured|\n|---|---|")
    for what, measured in rows:
        print(f"|{what}|{measured}|")


def _film(
    source: NativeSource, walls: list[float], processors: list[float], frames: int, samples: int
) -> list[tuple[str, str]]:
    lasts = float(source.format.chunk_seconds)
    spread = np.percentile(walls[1:], [50, 90, 99, 99.9])
    return [
        ("first chunk after load", f"{walls[0]:.2f} s"),
        ("wall time of a chunk at 50, 90, 99, 99.9 %", ", ".join(f"{1000 * value:.0f}" for value in spread) + " ms"),
        ("times faster than it plays, by wall time", f"{lasts * len(walls[1:]) / sum(walls[1:]):.2f}"),
        ("chunks made in less than they last", f"{100 * np.mean(np.array(walls[1:]) < lasts):.1f} %"),
        ("processor time of a chunk, median", f"{1000 * statistics.median(processors[1:]):.0f} ms"),
        ("samples that sound is off the picture's end", f"{samples - source.format.samples_at(frames)}"),
    ]


def _in_turns(source: NativeSource, states: list) -> list[float]:  # type: ignore[type-arg]
    """Median processor time of this thread of the chunk after each state, without what is made ahead."""
    times: list[list[float]] = [[] for _ in states]
    for _ in range(TURNS):
        for found, state in zip(times, states, strict=True):
            began = time.thread_time()
            source.show(*source.make(state, PROMPT))
            found.append(time.thread_time() - began)
    return [statistics.median(found) for found in times]


def _resident() -> float:
    """MiB that this process holds; where that is not told, the most it ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    main()
