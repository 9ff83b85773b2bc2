"""Measures sampling settings of a model of ours beside each other, and prints a table.

    python -m phonofilm.app.experiments.sampler_sweep [--samplers euler,multistep] [--steps 12,24] [--guidance 1,1.5] \
        [--modality 1,2]

Every setting makes the same scenes from the same noise. They are apart from those of training and from the
test set of `make results`, so that choosing by this table does not raise the scores there. What a clip scored is
kept as it is made, so a stopped sweep goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from phonofilm.app.experiments.results import FAMILIES
from phonofilm.app.experiments.rows import Row, append_row, read_rows
from phonofilm.app.reports.intervals import interval_text
from phonofilm.choices import SAMPLERS, SamplerName
from phonofilm.errors import PhonofilmError, exit_code
from phonofilm.types import Request

if TYPE_CHECKING:
    from phonofilm.backends.native import NativeBackend

FIRST_SEED = 50_000_000
SHOWN = {"sync_f1_60ms": "sync F1 ±60 ms", "colour": "colour", "pitch": "pitch", "melody": "melody"}


@dataclass(frozen=True)
class Setting:
    """One way to sample; guidance and modality guidance are the same for picture and sound."""

    sampler: SamplerName
    steps: int
    guidance: float
    modality: float

    @property
    def name(self) -> str:
        return f"{self.sampler}-{self.steps}-{self.guidance:g}-{self.modality:g}"

    @property
    def evaluations(self) -> int:
        """Network passes that a clip costs; those of one step run as one batch."""
        from phonofilm.sampling import Guidance, steps_for

        steps = steps_for(self.sampler, self.steps)
        calls = 2 * steps - 1 if self.sampler == "heun" else steps
        return calls * Guidance((self.guidance,) * 2, (self.modality,) * 2).evaluations

    def request(self, number: int, prompt: str) -> Request:
        """Scene `number` has the same noise in every setting."""
        guidance, modality = (self.guidance,) * 2, (self.modality,) * 2
        return Request(
            prompt,
            seed=1000 + number,
            steps=self.steps,
            sampler=self.sampler,
            guidance=guidance,
            modality_guidance=modality,
        )


def measure(backend: NativeBackend, setting: Setting, clips: int, kept: Path) -> list[Row]:
    """One row a clip, appended to the file `kept` as it is made; those that are there are not made again.

    Of each clip its number, its family, the seconds it took, and of each metric (part, whole).
    """
    from phonofilm import world
    from phonofilm.evaluation.foley_world.detect import observe
    from phonofilm.evaluation.foley_world.metrics import METRICS

    rows = read_rows(kept)
    for number in sorted(set(range(clips)) - {row["number"] for row in rows}):
        family = FAMILIES[number % len(FAMILIES)]
        truth = world.clips([world.sample(family, FIRST_SEED + number // len(FAMILIES))])[0]
        started = time.perf_counter()
        made = backend.generate(setting.request(number, truth.prompt or ""))
        seconds = time.perf_counter() - started
        seen = observe(made, str(number))
        counts = {name: METRICS[name](seen) for name in SHOWN}
        rows.append({"number": number, "family": family, "seconds": seconds, "counts": counts})
        append_row(kept, rows[-1])
    return [row for row in rows if row["number"] < clips]


def table(results: Iterable[tuple[Setting, Sequence[Row]]]) -> Iterator[str]:
    """Markdown: a setting a line, each number with its 95 % interval (bootstrap over clips)."""
    from phonofilm.evaluation.foley_world.metrics import pooled

    families = ("all", *FAMILIES)
    titles = [f"{SHOWN['sync_f1_60ms']}, {family}" for family in families]
    titles += [title for name, title in SHOWN.items() if name != "sync_f1_60ms"]
    yield "| sampler | steps | guidance | modality | passes | " + " | ".join(titles) + " | s a clip |"
    yield "|---" * (len(titles) + 6) + "|"
    for setting, rows in results:
        wanted = [("sync_f1_60ms", family) for family in families]
        wanted += [(name, "all") for name in SHOWN if name != "sync_f1_60ms"]
        cells = []
        for metric, family in wanted:
            counts = [tuple(row["counts"][metric]) for row in rows if family in ("all", row["family"])]
            value = pooled([(part, whole) for part, whole in counts if whole > 0])
            cells.append(interval_text(value.as_dict() if value.clips else None, absent="-"))
        said = [setting.sampler, setting.steps, f"{setting.guidance:g}", f"{setting.modality:g}", setting.evaluations]
        seconds = sorted(row["seconds"] for row in rows)[len(rows) // 2]
        yield "| " + " | ".join(map(str, [*said, *cells, f"{seconds:.1f}"])) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m phonofilm.app.experiments.sampler_sweep", description=__doc__.splitlines()[0]
    )  # type: ignore[union-attr]
    parser.add_argument("--model", default="nano", help="a model's name or the folder of its weights")
    parser.add_argument("--clips", type=int, default=40, help="scenes a setting, half of each family")
    parser.add_argument("--samplers", default="euler,heun,multistep")
    parser.add_argument("--steps", default="8,12,16,24", help="network evaluations, each with all its guidance")
    parser.add_argument("--guidance", default="1,1.5,3")
    parser.add_argument("--modality", default="1,1.5,2,3")
    parser.add_argument("--work", type=Path, default=Path("out/sweep"), help="folder of what was scored so far")
    given = parser.parse_args(arguments)
    return exit_code(lambda: sweep(given), lambda: "run the same command again to go on")


def sweep(given: argparse.Namespace) -> None:
    """All that was asked for, and its table on standard output."""
    settings = chosen(given.samplers, given.steps, given.guidance, given.modality)
    if given.clips < 1:
        raise PhonofilmError(f"{given.clips} clips a setting are too few; choose --clips 1 or more")
    for line in run(given.model, settings, given.clips, given.work):
        print(line)


def chosen(samplers: str, steps: str, guidance: str, modality: str) -> list[Setting]:
    """Every combination of what stands between the commas.

    Raises:
        PhonofilmError: a sampler that there is not, or a number that is none.
    """
    names = samplers.split(",")
    known = [name for name in SAMPLERS if name in names]
    if unknown := set(names) - set(known):
        raise PhonofilmError(f"unknown sampler {min(unknown)!r}; choose from {', '.join(SAMPLERS)}")
    try:
        counts = [int(text) for text in steps.split(",")]
        scales = [[float(text) for text in given.split(",")] for given in (guidance, modality)]
    except ValueError as error:
        raise PhonofilmError(f"numbers between commas are wanted, as in --steps 12,24: {error}") from error
    return [Setting(name, count, *pair) for name in known for count in counts for pair in product(*scales)]


def run(model: str, settings: Sequence[Setting], clips: int, work: Path) -> Iterator[str]:
    """The table's lines, once everything is made.

    Raises:
        PhonofilmError: no such model, or a setting that makes no sense.
    """
    from phonofilm.backends.native import NativeBackend
    from phonofilm.backends.requests import check

    for setting in settings:
        check(setting.request(0, "x"))
    backend = NativeBackend.load(model)
    work = work / backend.parts.weights[:12]
    work.mkdir(parents=True, exist_ok=True)
    results = []
    for place, setting in enumerate(settings, start=1):
        print(f"{place} of {len(settings)}: {json.dumps(asdict(setting))}", file=sys.stderr)
        results.append((setting, measure(backend, setting, clips, work / f"{setting.name}.jsonl")))
    yield from table(results)


if __name__ == "__main__":
    sys.exit(main())
