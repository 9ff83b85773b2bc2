"""Sound for a long film: time against the film's own length, where it goes, and memory.

    python benchmarks/foley_film.py [--minutes 1,4 --size 1280x720 --fps 25 --model nano --keep FOLDER]

Draws films of several lengths (H.264, with grain and motion), gives each to `phonofilm foley` in a process of its own,
and prints a Markdown table: wall and processor seconds, both as a share of the film's length (processor seconds of two
cores that do nothing else are at best half as many seconds by the clock), and the most memory that was in use. The last
line says how much memory a minute more of film takes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

GRAIN = 8


LOOP = 15.0
"""Seconds that are drawn; longer films show them again, their packets copied."""


def draw_film(path: Path, seconds: float, size: tuple[int, int], fps: Fraction) -> Path:
    """A film as long as asked for, or up to `LOOP` longer: `draw_loop`, again and again."""
    if seconds <= LOOP:
        return draw_loop(path, seconds, size, fps)
    with tempfile.TemporaryDirectory() as temporary:
        loop = draw_loop(Path(temporary) / "loop.mp4", LOOP, size, fps)
        with av.open(path, "w") as output:
            stream = None
            for turn in range(math.ceil(seconds / LOOP)):
                with av.open(loop) as source:
                    stream = stream or output.add_stream_from_template(source.streams.video[0])
                    for packet in source.demux(video=0):
                        if packet.dts is None:
                            continue
                        later = round(turn * LOOP / packet.time_base)
                        packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, stream
                        output.mux(packet)
    return path


def draw_loop(path: Path, seconds: float, size: tuple[int, int], fps: Fraction) -> Path:
    """A box that bounces over a drifting slope of colours, with grain as cameras have it."""
    width, height = size
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    slope = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=-1).astype(np.int16)
    grain = generator.integers(-GRAIN, GRAIN + 1, (16, height, width, 1), dtype=np.int16)
    with av.open(path, "w") as output:
        stream = output.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(round(seconds * fps)):
            pixels = np.roll(slope, 2 * index, axis=1) + grain[index % len(grain)]
            top = round((height - 200) * abs(np.sin(2.2 * index / float(fps))))
            left = (7 * index) % (width - 160)
            pixels[top : top + 160, left : left + 160] = (230, 60, 40)
            frame = av.VideoFrame.from_ndarray(pixels.clip(0, 255).astype(np.uint8), format="rgb24")
            output.mux(stream.encode(frame.reformat(format="yuv420p")))
        output.mux(stream.encode(None))
    return path


def measured(film: Path, seconds: float, model: str, output: Path) -> dict[str, float]:
    """Wall and processor seconds and the most memory, in MiB, of one run."""
    command = [sys.executable, "-m", "phonofilm.app.cli.main", "foley", str(film), "-o", str(output), "--model", model]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate()
        wall = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(said or f"foley ended with {process.returncode}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    stages = json.loads(said)["stages"]
    return {
        "wall": wall, "processor": processor, "wall_share": wall / seconds, "processor_share": processor / seconds,
        "mib": used.ru_maxrss / 1024, **{f"stage {name}": value for name, value in stages.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", default="1,4", help="lengths, ascending, with commas between")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--fps", default="25")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--keep", type=Path, help="where the films are kept, and taken from if they are there")
    given = parser.parse_args()
    width, height = (int(side) for side in given.size.split("x"))
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, model {given.model}, {given.size} at {given.fps} fps"
    )
    print(
        "| film, min | wall, s | of the film | processor, s | of the film | memory, MiB | stages |\n" + "|---" * 7 + "|"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        lengths, most = [float(text) for text in given.minutes.split(",")], []
        for minutes in lengths:
            film = folder / f"film-{minutes:g}-{given.size}-{Fraction(given.fps).numerator}.mp4"
            if not film.exists():
                draw_film(film, 60 * minutes, (width, height), Fraction(given.fps))
            found = measured(film, 60 * minutes, given.model, Path(temporary) / "made.mp4")
            stages = ", ".join(f"{name[6:]} {value:.1f}" for name, value in found.items() if name.startswith("stage "))
            print(
                f"| {minutes:g} | {found['wall']:.1f} | {found['wall_share']:.2f} | {found['processor']:.1f} "
                f"| {found['processor_share']:.2f} | {found['mib']:.0f} | {stages} |",
                flush=True,
            )
            most.append(found["mib"])
        if len(lengths) > 1:
            grown = (most[-1] - most[0]) / (lengths[-1] - lengths[0])
            print(f"\nmemory for a minute more: {grown:.1f} MiB")


if __name__ == "__main__":
    main()
