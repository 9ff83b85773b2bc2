"""`phonofilm evaluate --preset quick` on 200 four-second clips of 256x256 at 25 fps, from a cold cache.

    python benchmarks/evaluate.py [--clips 200 --distinct 50 --workers 2 --films DIR]

Foley World is drawn once into `--films` (about two seconds of work a clip). Copies differ from their originals by an
empty box at the end of the file, so that the cache, which goes by content, takes none for another. What is timed is
the command as a user types it: start-up, decoding, features, metrics with intervals and controls, JSON and report.
`--parts` instead says where the processor time of one clip goes.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

FAMILIES = ("bounce", "strike", "pass", "blast", "rain")
COMMAND = Path(sys.executable).with_name("phonofilm")


def draw(folder: Path, count: int) -> list[Path]:
    """Films of Foley World, drawn where there are not enough of them."""
    if len(list(folder.glob("*.mp4"))) < count:
        subprocess.run(
            [COMMAND, "world", *FAMILIES, "-n", str(count), "--mp4", "--size", "256", "--fps", "25", "-o", folder],
            check=True,
        )
    return sorted(folder.glob("*.mp4"))[:count]


def copies(films: list[Path], count: int, folder: Path) -> None:
    """`count` files of different bytes: an empty MP4 box with the number of the copy follows each."""
    for index in range(count):
        film = films[index % len(films)]
        box = (12).to_bytes(4, "big") + b"free" + index.to_bytes(4, "big")
        (folder / f"{index:03d}.mp4").write_bytes(film.read_bytes() + box)


def parts(film: Path, rounds: int = 3) -> None:
    """Seconds of processor time that reading a clip and each feature of the preset take."""
    from phonofilm.evaluation.features.decoded_clip import Film
    from phonofilm.evaluation.features.registry import catalogue
    from phonofilm.evaluation.suite.registry import choose
    from phonofilm.workers import limit_threads

    limit_threads(1)  # as a worker has
    spent: Counter[str] = Counter()
    names = dict.fromkeys(name for metric in choose("quick") for name in metric.features)
    takers = {name: catalogue()[name].load(None) for name in ("facts", *names)}
    for turn in range(rounds + 1):
        before = time.process_time()
        clip = Film.read(film)
        times = {"read": time.process_time() - before}
        for name, take in takers.items():
            before = time.process_time()
            take(clip)
            times[name] = time.process_time() - before
        if turn:  # the first loads libraries
            spent.update(times)
    for name, seconds in spent.most_common():
        print(f"{1000 * seconds / rounds:7.0f} ms  {name}")
    print(f"{1000 * spent.total() / rounds:7.0f} ms  in all")


def processor_seconds() -> float:
    """What all processes that ended have used, which another program on the machine lengthens less than the clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--distinct", type=int, default=50, help="films that are drawn; the rest are copies")
    parser.add_argument("--films", type=Path, default=Path("data/benchmark-256"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--parts", action="store_true")
    given = parser.parse_args()
    films = draw(given.films, min(given.distinct, given.clips))
    if given.parts:
        parts(films[0])
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "clips"
        folder.mkdir()
        copies(films, given.clips, folder)
        command = [COMMAND, "evaluate", folder, "--preset", "quick", "--workers", str(given.workers)]
        for name in ("cold", "warm"):
            before, spent = time.monotonic(), processor_seconds()
            subprocess.run([*command, "--cache", Path(scratch) / "cache", "-o", Path(scratch) / "out"],
                           check=True, stdout=subprocess.DEVNULL)  # fmt: skip
            took, spent = time.monotonic() - before, processor_seconds() - spent
            print(
                f"{given.clips} clips, {given.workers} workers, {name} cache: {took:.1f} s, {spent:.1f} s of processor"
            )


if __name__ == "__main__":
    main()
