"""From the world, or from raw clips, to shards that training reads. Resumable: whole shards are kept.

python -m phonofilm.data.precompute raw --families bounce,strike -n 4000 -o data/raw
python -m phonofilm.data.precompute film FILM.mp4 --seconds 6 --fps 25 --start 0 --stop 480 -o data/film
python -m phonofilm.data.precompute set data/ --size 128 --seconds 2,4 --fps 24 --sample-rate 24000 -o data/raw
python -m phonofilm.data.precompute latents --raw data/raw -o data/latents
python -m phonofilm.data.precompute latents --raw data/raw --mirror --without strike --skip 48 -o data/mirrored
python -m phonofilm.data.precompute latents --world bounce,strike -n 40000 --codecs weights/ -o data/latents
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from phonofilm.data.clips import ClipSource, RawStore, WorldSource
from phonofilm.data.films import FilmSource
from phonofilm.data.mirror import Mirrored
from phonofilm.data.raw import write_raw
from phonofilm.errors import PhonofilmError, exit_code
from phonofilm.files import check_folder


def main(arguments: list[str] | None = None) -> int:
    """Run a precomputation; returns the exit code."""
    given = _parser().parse_args(arguments)
    return exit_code(lambda: _run(given), lambda: _kept(given.output))


def _run(given: argparse.Namespace) -> None:
    """What was asked for, and the folder that now holds it on standard output."""
    check_folder(given.output)
    given.run(given)
    print(given.output)


def _kept(folder: Path) -> str:
    """What an interrupted store holds: clips are written a whole file at a time."""
    files = len(list(folder.glob("*-[0-9]*.safetensors")))
    if not files:
        return "no file of clips was complete yet, so the same command begins again"
    return f"{files} complete file{'s' if files > 1 else ''} of clips kept, run the same command again to go on"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m phonofilm.data.precompute", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    raw = commands.add_parser("raw", help="draw clips of the world and keep them as they are")
    raw.add_argument("--families", default="bounce,strike")
    raw.add_argument("--workers", type=int, default=1)
    raw.add_argument("--sample-rate", type=int, default=16_000, help="of the sound, in Hz")
    raw.add_argument("--stems", action="store_true", help="keep speech, effects and music apart too")
    raw.add_argument("--shard", type=int, default=250, help="clips to a file")
    raw.set_defaults(run=_raw)
    film = commands.add_parser("film", help="cut a real film into clips and keep them as they are")
    film.add_argument("file", type=Path)
    film.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="where the first clip begins")
    film.add_argument("--stop", type=float, metavar="SECONDS", help="where the last one ends at the latest")
    film.add_argument("--step", type=float, metavar="SECONDS", help="from one beginning to the next; default a clip")
    film.set_defaults(run=_film)
    curated = commands.add_parser("set", help="a curated set as clips of equal shape, a store for each shape")
    curated.add_argument("folder", type=Path, help="what phonofilm data curate wrote")
    curated.add_argument("--seconds", default="4", metavar="S,S", help="lengths; the longest that fits is taken")
    curated.add_argument("--size", type=int, default=128, help="side of a square of about as many pixels")
    curated.add_argument("--fps", type=int, default=24, help="frames a second")
    curated.add_argument("--sample-rate", type=int, default=24_000, help="of the sound, in Hz")
    curated.add_argument("--split", default="train")
    curated.add_argument("--shard", type=int, default=50, help="clips to a file")
    curated.add_argument("--batch", type=int, default=8)
    curated.add_argument("-o", "--output", type=Path, required=True)
    curated.set_defaults(run=_set)
    latents = commands.add_parser("latents", help="encode clips with the codecs and the text encoder")
    source = latents.add_mutually_exclusive_group(required=True)
    source.add_argument("--raw", type=Path, help="a raw store")
    source.add_argument("--world", metavar="FAMILIES", help="draw clips of these families on the fly")
    latents.add_argument("--codecs", default="nano", help="those that ship, by name, or a folder of your own")
    latents.add_argument("--stems", action="store_true", help="encode speech, effects and music apart")
    latents.add_argument(
        "--mirror", action="store_true", help="encode the raw clips seen in a mirror, with left and right exchanged"
    )
    latents.add_argument(
        "--without",
        default="",
        metavar="FAMILIES",
        help="with --mirror: not these families (strike: bars lie in order)",
    )
    latents.add_argument(
        "--skip", type=int, default=0, metavar="N", help="with --mirror: not the first N clips, which are held out"
    )
    latents.add_argument("--shard", type=int, default=1000, help="clips to a file")
    latents.add_argument("--device", default="cpu")
    latents.set_defaults(run=_latents)
    for command in (raw, film):
        command.add_argument("--seconds", type=float, default=4.0, help="how long each clip is")
        command.add_argument("--size", type=int, default=64, help="side of the square picture in pixels")
        command.add_argument("--fps", type=int, default=12, help="frames a second")
    for command in (raw, latents):
        command.add_argument("--edition", type=int, default=1, help="of Foley World: 1 is flat, 2 lit and combined")
    for command in (raw, film, latents):
        command.add_argument("-n", type=int, help="number of clips; all that there are unless given")
        command.add_argument("-o", "--output", type=Path, required=True)
        command.add_argument("--first-seed", type=int, default=0, help="seed of the first clip of each family")
        command.add_argument("--batch", type=int, default=16)
    return parser


def _raw(given: argparse.Namespace) -> None:
    count = _count(given.n, None)
    source = WorldSource(
        tuple(given.families.split(",")),
        first_seed=given.first_seed,
        seconds=given.seconds,
        size=given.size,
        fps=given.fps,
        sample_rate=given.sample_rate,
        edition=given.edition,
    )
    write_raw(
        source, count, given.output,
        shard=given.shard, batch=given.batch, workers=given.workers, stems=given.stems,
    )  # fmt: skip


def _film(given: argparse.Namespace) -> None:
    source = FilmSource.of(given.file, given.seconds, given.size, given.fps, given.start, given.stop, given.step)
    write_raw(source, _count(given.n, len(source)), given.output, batch=given.batch)


def _set(given: argparse.Namespace) -> None:
    from phonofilm.data.curated import curated_sources

    try:
        lengths = [float(length) for length in given.seconds.split(",")]
    except ValueError as error:
        raise PhonofilmError(f"--seconds {given.seconds}: write numbers, as 2,4") from error
    if not all(0.1 <= length <= 600 for length in lengths) or not 32 <= given.size <= 4096 or given.fps < 1:
        raise PhonofilmError("--seconds are from 0.1 to 600, --size from 32 to 4096, --fps from 1")
    for source in curated_sources(given.folder, given.size, lengths, given.fps, given.sample_rate, given.split):
        write_raw(source, len(source), given.output / source.bucket.name, shard=given.shard, batch=given.batch)


def _latents(given: argparse.Namespace) -> None:
    from phonofilm.data.encoder import Encoder
    from phonofilm.data.latents import write_latents

    if given.mirror and given.raw is None:
        raise PhonofilmError("--mirror needs --raw: clips that are drawn on the fly can be drawn anew")
    if (given.without or given.skip) and not given.mirror:
        raise PhonofilmError("--without and --skip go with --mirror")
    if given.skip < 0:
        raise PhonofilmError(f"--skip {given.skip}: it starts at 0")
    if given.raw is not None:
        store = RawStore(given.raw)
        source: ClipSource = store
        if given.mirror:
            source = Mirrored.of(store, tuple(name for name in given.without.split(",") if name), given.skip)
        count = _count(given.n, len(source))
    else:
        source = WorldSource(tuple(given.world.split(",")), first_seed=given.first_seed, edition=given.edition)
        count = _count(given.n, None)
    encoder = Encoder.load(given.codecs, given.device)
    write_latents(source, count, encoder, given.output, shard=given.shard, batch=given.batch, stems=given.stems)


def _count(wanted: int | None, available: int | None) -> int:
    count = available if wanted is None else wanted
    if count is None or count < 1 or (available is not None and count > available):
        raise PhonofilmError(f"-n {wanted}: say how many clips, from 1 to {available or 'as many as you like'}")
    return count


if __name__ == "__main__":
    sys.exit(main())
