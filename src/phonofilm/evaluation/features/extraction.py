"""One decode pass over a folder: every feature of a clip is taken while the clip is open, in worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from phonofilm.checkpoint import file_sha256
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.dataset import Entry
from phonofilm.evaluation.features.cache import FeatureCache
from phonofilm.evaluation.features.decoded_clip import Film
from phonofilm.evaluation.features.feature import Extractor
from phonofilm.evaluation.features.registry import catalogue
from phonofilm.types import Progress
from phonofilm.workers import Workers, one_thread


@dataclass(frozen=True)
class Plan:
    """What to take of every clip.

    Attributes:
        features: their names. keys: each one's name in the cache. weights: files of published weights by feature.
        cache: folder of the cache. texts: names of those taken of prompts instead.
        device: where networks with published weights compute.
    """

    features: tuple[str, ...]
    keys: Mapping[str, str]
    weights: Mapping[str, Path]
    cache: Path
    texts: tuple[str, ...] = ()
    device: str = "cpu"

    @staticmethod
    def of(features: Sequence[str], cache: Path, weights: Mapping[str, Path], device: str = "cpu") -> Plan:
        known = catalogue()
        files = {name: path for name in features if (path := weights.get(known[name].weights or "")) is not None}
        keys = {name: known[name].key(files.get(name)) for name in features}
        texts = tuple(name for name in features if known[name].stream == "text")
        return Plan(tuple(name for name in features if name not in texts), keys, files, cache, texts, device)


class NetworkError(PhonofilmError):
    """A network that cannot be loaded, which is no clip's fault and ends the run."""


class CacheError(PhonofilmError):
    """A cache that takes nothing, which is no clip's fault and ends the run."""


@dataclass(frozen=True)
class ExtractedClip:
    """What became of one clip: `digest` names its features in the cache; `problem` says why there are none."""

    name: str
    path: Path
    digest: str | None = None
    problem: str | None = None
    cached: bool = False
    facts: Mapping[str, float] = field(default_factory=dict)


def extract_all(
    entries: Sequence[Entry], plan: Plan, workers: int = 1, progress: Progress | None = None, stage: str = "measuring"
) -> list[ExtractedClip]:
    """Take the plan's features of every clip; the order is that of the entries.

    A file that brings a decoder down ends a worker, not the run: unfinished files are tried again one by one, and
    the file that does it again is listed.
    """
    found: dict[str, ExtractedClip] = {
        e.name: ExtractedClip(e.name, e.path, problem=e.problem) for e in entries if e.problem
    }
    ready = [entry for entry in entries if not entry.problem]
    report = progress or (lambda stage, done, total: None)
    report(stage, len(found), len(entries))
    for taken in _alone(ready, plan) if workers <= 1 or len(ready) < 2 else _spread(ready, plan, workers):
        found[taken.name] = taken
        report(stage, len(found), len(entries))
    return [found[entry.name] for entry in entries]


def _alone(entries: Sequence[Entry], plan: Plan) -> Iterator[ExtractedClip]:
    for entry in entries:
        with one_thread():
            taken = extract(entry, plan)
        yield taken


def _spread(entries: Sequence[Entry], plan: Plan, workers: int) -> Iterator[ExtractedClip]:
    left = {entry.name: entry for entry in entries}
    while left:
        suspects: list[Entry] = []
        for taken in _run(list(left.values()), plan, min(workers, len(left)), suspects):
            del left[taken.name]
            yield taken
        for entry in suspects:  # a worker died with these in hand: one of them killed it
            alone = next(_run([entry], plan, 1, []), None)
            del left[entry.name]
            yield alone or ExtractedClip(entry.name, entry.path, problem="brings the decoder down: it is damaged")


def _run(entries: Sequence[Entry], plan: Plan, workers: int, suspects: list[Entry]) -> Iterator[ExtractedClip]:
    """Results as they come; when a worker dies, unfinished files are put into `suspects` and the rest stays queued."""
    # threads of the parent do not survive a fork; an interrupt ends the pool after the clips in hand, which are kept
    pool = Workers(workers, "spawn")
    waiting = list(reversed(entries))
    running: dict[Future[ExtractedClip], Entry] = {}
    try:
        while waiting or running:
            while waiting and len(running) < 2 * workers:
                entry = waiting.pop()
                running[pool.submit(extract, entry, plan)] = entry
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                taken = future.result()
                del running[future]
                yield taken
    except BrokenProcessPool:
        suspects.extend(running.values())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def extract(entry: Entry, plan: Plan) -> ExtractedClip:
    """Take what the cache does not have yet of one clip."""
    cache = FeatureCache(plan.cache)
    try:
        digest = file_sha256(entry.path)
        absent = [name for name in plan.features if not cache.has(digest, plan.keys[name])]
        if absent:
            film = Film.read(entry.path)
            for name in absent:
                arrays, problem = _one(name, film, plan)
                _keep(cache, digest, plan.keys[name], arrays, problem)
    except (NetworkError, CacheError):
        raise
    except PhonofilmError as error:
        return ExtractedClip(entry.name, entry.path, problem=str(error).replace(str(entry.path), entry.path.name))
    except OSError as error:
        if error.filename is not None and Path(error.filename) != entry.path:
            raise
        return ExtractedClip(entry.name, entry.path, problem=f"cannot be read: {error.strerror or error}")
    except MemoryError:
        return ExtractedClip(entry.name, entry.path, problem="is too large for the memory of this machine")
    kept = cache.get(digest, plan.keys["facts"])
    facts = {} if kept is None else {name: float(value) for name, value in kept[0].items()}
    return ExtractedClip(entry.name, entry.path, digest, None, not absent, facts)


def _keep(cache: FeatureCache, digest: str, key: str, arrays: Mapping[str, np.ndarray], problem: str | None) -> None:
    try:
        cache.put(digest, key, arrays, problem)
    except PhonofilmError as error:
        raise CacheError(f"{error}, or choose another place with --cache") from error


def _one(name: str, film: Film, plan: Plan) -> tuple[Mapping[str, np.ndarray], str | None]:
    try:
        return load_extractor(name, plan.weights.get(name), plan.device)(film), None
    except ValueError as error:  # UnfitError, or a metric's own check of its input
        return {}, str(error)


@cache
def load_extractor(name: str, weights: Path | None, device: str = "cpu") -> Extractor:
    """What takes a feature, loaded once.

    Raises:
        NetworkError: its network cannot be loaded.
    """
    try:
        feature = catalogue()[name]
        return feature.load(weights, device) if feature.weights else feature.load(weights)
    except PhonofilmError as error:
        raise NetworkError(str(error)) from error
