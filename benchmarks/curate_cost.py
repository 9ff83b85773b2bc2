"""What each step of `phonofilm data curate` costs, as times real time of one core.

    python benchmarks/curate_cost.py FILM [--first 0 --seconds 20]

A stretch of a film is cut into shots and every step that can run here is run over each, whatever it finds. Seconds are
those of the processor, so that a core that is shared with other work gives the same table. Models are loaded before, in
a pass over one shot that is not counted. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.records import Shot
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.data.curate.registry import chosen_steps
from phonofilm.data.curate.shots import find_shots, made_by
from phonofilm.media.shots.cutting import copy_part
from phonofilm.media.shots.scan import outline
from phonofilm.workers import limit_threads

CHEAP = ("picture", "sound", "hashes", "sync")
"""Steps that together with shots and decoding have a floor of their own."""


def spent_on(path: Path, shot: Shot, steps: tuple[Step, ...]) -> Counter[str]:
    """Seconds of the processor by step, of one shot."""
    spent: Counter[str] = Counter()
    known: dict[str, Value] = {}
    material = Material(path, shot)
    began = time.process_time()
    material.window  # noqa: B018
    spent["decode"] = time.process_time() - began
    for step in steps:
        began = time.process_time()
        known[step.name] = step.run(material, known)
        spent[step.name] = time.process_time() - began
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--first", type=float, default=0.0, help="seconds at which the stretch begins")
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds that it lasts")
    given = parser.parse_args()
    limit_threads(1)
    steps, absent = chosen_steps()
    with tempfile.TemporaryDirectory() as folder:
        first = outline(given.film).start + Fraction(given.first)
        part = copy_part(given.film, first, first + Fraction(given.seconds))
        path = Path(folder) / f"part{part.suffix}"
        path.write_bytes(part.content)
        found = outline(path)
        warm = Shot("0" * 64, 0, found.start, found.start + 1)
        spent_on(path, warm, steps)
        find_shots(path, "0" * 64)
        began = time.process_time()
        shots = find_shots(path, "0" * 64)
        total = Counter({"shots": time.process_time() - began})
        for shot in shots:
            total += spent_on(path, shot, steps)
    seconds = sum(shot.seconds for shot in shots)
    print(f"{seconds:.1f} s, {found.size[0]}x{found.size[1]}, {len(shots)} shots by {made_by()}, one thread\n")
    print("| step | seconds | × real time |\n|---|---|---|")
    for name, spent in total.items():
        print(f"| {name} | {spent:.2f} | {seconds / max(spent, 1e-9):.1f} |")
    some = sum(total[name] for name in ("shots", "decode", *CHEAP))
    print(f"| shots, decoding, {', '.join(CHEAP)} | {some:.2f} | {seconds / some:.1f} |")
    print(f"| all | {total.total():.2f} | {seconds / total.total():.1f} |")
    for name, why in absent.items():
        print(f"<!-- {name}: {why} -->")


if __name__ == "__main__":
    main()
