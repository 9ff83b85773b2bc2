"""`make fuzz`: damaged files of every target, with progress; ends with an error where there is a finding."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fuzz import media, records
from fuzz.runner import Report, Target, run

TARGETS: dict[str, Callable[[], Target]] = {"media": media.target}
TARGETS |= {name: partial(records.target, name) for name in records.NAMES}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {' '.join(TARGETS)}; default is all")
    parser.add_argument("--count", type=int, default=10_000, help="files of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("out/fuzz"), help="notes to resume from, and findings")
    given = parser.parse_args()
    unknown = set(given.targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown target {', '.join(sorted(unknown))}; choose of {' '.join(TARGETS)}")
    found = 0
    for name in given.targets or TARGETS:
        report = run(TARGETS[name](), given.count, given.seed, given.folder, given.workers, _teller(name))
        for number, outcome, said in sorted(report.findings):
            print(f"{name} case {number}: {outcome}: {said}")
        print(f"{name}: {report}")
        found += len(report.findings)
    return 1 if found else 0


def _teller(name: str) -> Callable[[Report, int], None]:
    started, first = time.monotonic(), [-1]

    def tell(report: Report, count: int) -> None:
        done = sum(report.outcomes.values())
        first[0] = done if first[0] < 0 else first[0]
        rate = (done - first[0]) / max(time.monotonic() - started, 1e-3)
        left = f" · {(count - done) / rate / 60:.0f} min left" if rate > 0 and done < count else ""
        print(f"{name}: {report} of {count}{left}", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(main())
