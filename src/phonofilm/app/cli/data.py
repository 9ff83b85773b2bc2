"""The commands for those who build: data, training, scores. All they need besides the core is an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phonofilm.app.cli.common.command import CommandLine
from phonofilm.app.limits import Limit, check_limits
from phonofilm.app.session import Report, Session
from phonofilm.errors import PhonofilmError
from phonofilm.extras import optional
from phonofilm.files import check_folder


def world(
    ctx: typer.Context,
    families: Annotated[
        list[str], typer.Argument(metavar="FAMILY…", help="bounce, strike, pass, blast, rain, talk; several mix.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write into.")],
    count: Annotated[int, typer.Option("--count", "-n", metavar="COUNT", help="How many clips.")] = 100,
    seconds: Annotated[float, typer.Option(metavar="S", help="How long each clip is.")] = 4.0,
    size: Annotated[str, typer.Option(metavar="N", help="Side of the square picture; with --mp4 WxH too.")] = "64",
    fps: Annotated[int, typer.Option(metavar="RATE", help="Frames a second.")] = 12,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the first clip of each family.")] = 0,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes that draw.")] = 1,
    edition: Annotated[
        int, typer.Option(metavar="N", help="1: flat, one family a clip, as nano learnt; 2: lit, families combine.")
    ] = 1,
    mp4: Annotated[bool, typer.Option("--mp4", help="Write films to look at instead of shards to train on.")] = False,
) -> None:
    """Draw clips of Foley World, with their exact truth: shards and a manifest, resumable.

    [dim]$[/] phonofilm world bounce -n 100 -o data/
    [dim]$[/] phonofilm world bounce strike -n 4000 -o data/raw --workers 4
    [dim]$[/] phonofilm world pass blast rain talk -n 8 --mp4 --size 512x384 --fps 30 -o look/
    [dim]$[/] phonofilm world bounce talk -n 8 --edition 2 --mp4 --size 256 --fps 24 -o look/
    """
    from phonofilm.app.jobs.fields import size as read_size
    from phonofilm.app.jobs.render_world import write_films, write_shards
    from phonofilm.backends.requests import MAX_SECONDS, RATES, SIDES
    from phonofilm.world import EDITIONS, FAMILIES

    with Session.of(ctx).report("world") as report, optional():
        for family in families:
            if family not in FAMILIES:
                raise PhonofilmError(f"there is no scene family {family!r}; choose from {', '.join(FAMILIES)}")
        if edition not in EDITIONS:
            raise PhonofilmError(f"there is no edition {edition} of Foley World; --edition is 1 or 2")
        sides = read_size(size, "size")
        check_limits(
            Limit("-n", count, 1),
            Limit("--workers", workers, 1),
            Limit("--seed", seed, 0),
            Limit("--seconds", seconds, 0.001, MAX_SECONDS),
            *(Limit("--size", side, *SIDES) for side in sides),
            Limit("--fps", fps, *RATES),
        )
        check_folder(output)
        if mp4:
            write_films(Session.of(ctx), report, families, count, output, seconds, sides, fps, seed, edition)
        else:
            write_shards(report, families, count, output, seconds, sides, fps, seed, workers, edition)
        report.set_fields(folder=str(output), count=count, families=list(families))
        report.print_line(str(output))


def train(
    ctx: typer.Context,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="A recipe, see recipes/.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting, as run.steps=100.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the run's folder.")] = False,
) -> None:
    """Train what a recipe says, and print where the weights are; torchrun makes several processes share the work.

    [dim]$[/] phonofilm train recipes/nano.toml
    [dim]$[/] phonofilm train recipes/nano.toml --set run.device=cuda --set run.batch=64
    [dim]$[/] phonofilm train recipes/nano.toml --resume
    [dim]$[/] torchrun --nproc-per-node 8 -m phonofilm train recipes/nano.toml --set run.accumulate=8
    """
    from phonofilm.training import train as run

    with Session.of(ctx).report("train") as report, optional():
        weights = run(recipe, settings or [], resume)
        report.set_fields(weights=str(weights))
        report.print_line(str(weights))


def plan_training(
    ctx: typer.Context,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="A recipe of a generator.")],
    gpus: Annotated[str, typer.Option(metavar="NxNAME", help="On what, as 8xH100 or 2xcpu.")] = "1xH100",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting, as run.placement=shares.")
    ] = None,
    efficiency: Annotated[float, typer.Option(metavar="SHARE", help="Of the peak that is reached.")] = 0.4,
) -> None:
    """Say what training would take, without training: memory by part, and the time of a step.

    [dim]$[/] phonofilm plan-training recipes/nano_128.toml --gpus 8xH100 --set run.accumulate=8
    [dim]$[/] phonofilm plan-training recipes/lora.toml --gpus 4xH200 --set run.placement=shares --set run.accumulate=4
    """
    from phonofilm.training.planning.plan import plan_training as run

    with Session.of(ctx).report("plan-training") as report, optional():
        plan = run(recipe, gpus, settings or [], efficiency)
        report.set_fields(memory=plan.memory, seconds=plan.seconds, total=plan.total, step=plan.step)
        for line in plan.lines():
            report.print_line(line)


def finetune(
    ctx: typer.Context,
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE.toml", help="A recipe of an adapter, as recipes/lora.toml.")
    ],
    data: Annotated[Path, typer.Option(metavar="DIR", help="A store of clips or of latents to learn from.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting, as lora.target=audio.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the run's folder.")] = False,
) -> None:
    """Adapt a model to a style or a sound with a LoRA, and print where its file is.

    [dim]$[/] phonofilm finetune recipes/lora.toml --data data/mine
    [dim]$[/] phonofilm finetune recipes/lora.toml --data data/mine --set lora.target=audio --set base=my-model
    """
    from phonofilm.training.finetune import finetune as run

    with Session.of(ctx).report("finetune") as report, optional():
        weights = run(recipe, data, settings or [], resume)
        report.set_fields(weights=str(weights))
        report.print_line(str(weights))


def score(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of clips, made by anyone.")],
    truth: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder of true clips of the same names.")] = None,
) -> None:
    """Score clips from their files alone: sync, colour, material, pitch, pan, silence, flicker.

    [dim]$[/] phonofilm score clips/
    [dim]$[/] phonofilm score clips/ --truth held-out/ --json
    """
    with Session.of(ctx).report("score") as report, optional():
        if not folder.is_dir():
            problem = "is a file" if folder.exists() else "does not exist"
            raise PhonofilmError(f"folder {folder} {problem}; name a folder of clips")
        from phonofilm.app.reports.score_table import lines
        from phonofilm.evaluation.foley_world.benchmark import score_folder

        scores = score_folder(folder, truth=truth, progress=report.progress)
        report.set_fields(scores=scores)
        for line in lines(scores):
            report.print_line(line)


data = CommandLine(
    name="data",
    help="Make a set for training out of films, and look after it.\n\n"
    "[dim]$[/] phonofilm data curate films/ -o data/\n"
    "[dim]$[/] phonofilm data review data/ --drop KEY\n"
    "[dim]$[/] phonofilm data remove films/a.mp4 -o data/\n\n"
    "What each step measures is in docs/data.md.",
)
Set = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the set.")]


@data.command()
def curate(
    ctx: typer.Context,
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE…", help="Films, and folders of films.")],
    output: Set,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    sample: Annotated[int | None, typer.Option(metavar="N", help="Only so many shots, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Which shots --sample draws.")] = 0,
    rules: Annotated[
        list[str] | None,
        typer.Option("--rule", metavar="REASON=VALUE", help="A threshold (offset=80), or drop, aside or keep."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="STEP", help="A step that is left out, as transcripts: speech.")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Films of a test set: what is in them is thrown out.")
    ] = None,
    captioner: Annotated[
        str, typer.Option(metavar="NAME", help="embedded, hub:MODEL, or an endpoint: https://HOST/v1#MODEL.")
    ] = "embedded",
    longest: Annotated[float, typer.Option(metavar="S", help="Longer shots are split into equal parts.")] = 20.0,
    validation: Annotated[float, typer.Option(metavar="SHARE", help="Share of films for validation.")] = 0.05,
    test: Annotated[float, typer.Option(metavar="SHARE", help="Share of films for tests.")] = 0.05,
    license: Annotated[str, typer.Option(metavar="NAME", help="Licence of films whose rights.toml says none.")] = "",
    origin: Annotated[str, typer.Option(metavar="TEXT", help="Where these films are from.")] = "",
    consent: Annotated[str, typer.Option(metavar="TEXT", help="Whether who is in them agreed.")] = "",
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes; as many as there are cores if not said.")
    ] = None,
) -> None:
    """Cut films into shots, measure them, throw out what has faults, and write shards that train.

    What was measured stays in the folder: run it again, after a stop or with other rules, and only the rest is done.

    [dim]$[/] phonofilm data curate films/ -o data/
    [dim]$[/] phonofilm data curate films/ -o data/ --dry-run
    [dim]$[/] phonofilm data curate films/ -o data/ --sample 100 --rule offset=80 --rule "sync unknown=keep"
    [dim]$[/] phonofilm data curate films/ -o data/ --against benchmark/ --license CC-BY-4.0
    """
    from phonofilm.app.jobs.curation import run
    from phonofilm.data.curate.common.records import Rights
    from phonofilm.data.curate.pipeline import Job
    from phonofilm.data.curate.rules import Rules
    from phonofilm.data.curate.steps.captions import check_captioner
    from phonofilm.workers import cores

    with Session.of(ctx).report("data curate") as report, optional("curating"):
        check_folder(output)
        check_limits(
            Limit("--longest", longest, 1, 600),
            Limit("--validation", validation, 0, 1),
            Limit("--test", test, 0, 1 - validation),
            *([] if sample is None else [Limit("--sample", sample, 1)]),
            *([] if workers is None else [Limit("--workers", workers, 0)]),
        )
        job = Job(
            given=tuple(sources),
            output=output,
            rules=Rules.of(rules or ()),
            rights=Rights(license, origin, consent),
            against=tuple(against or ()),
            sample=sample,
            seed=seed,
            without=tuple(without or ()),
            longest=longest,
            settings={"captioner": check_captioner(captioner)},
            shares={"validation": validation, "test": test},
            workers=cores() if workers is None else workers,
        )
        run(job, report, dry_run)


@data.command()
def remove(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A film, or its name or digest in the index.")],
    output: Set,
    weights: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Weights that are asked whether they had seen it.")
    ] = None,
) -> None:
    """Take a film out of a set for good: out of shards, index, results and report. Says which weights had seen it.

    [dim]$[/] phonofilm data remove films/a.mp4 -o data/
    [dim]$[/] phonofilm data remove 3f2a9c04 -o data/ --weights runs/
    """
    from phonofilm.data.curate.removal import remove_source

    with Session.of(ctx).report("data remove") as report, optional("a set of clips"):
        check_folder(output)
        done = remove_source(output, source, weights or ())
        report.set_fields(**vars(done))
        report.print_line(f"{done.source[:12]} is out of {output}: {done.clips} clips, results of {done.results} shots")
        if done.versions:
            names = " ".join(version[:12] for version in done.versions)
            report.print_line(f"it was in {len(done.versions)} versions of the set: {names}")
        for path in done.weights:
            report.warn(f"{path} was trained on it")
        if weights and not done.weights:
            report.print_line("no weights there say that they had seen it")


@data.command()
def review(
    ctx: typer.Context,
    output: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the set.")],
    keep: Annotated[list[str] | None, typer.Option(metavar="KEY", help="A shot to keep whatever its faults.")] = None,
    drop: Annotated[list[str] | None, typer.Option(metavar="KEY", help="A shot to throw out.")] = None,
    undo: Annotated[list[str] | None, typer.Option(metavar="KEY", help="A shot to leave to the rules again.")] = None,
) -> None:
    """Keep or throw out shots by hand, which later runs of data curate obey; without options, list what was decided.

    Keys of shots are in report.html and in the index.

    [dim]$[/] phonofilm data review data/ --drop 3f2a9c04d1e2-00012000-00015500
    [dim]$[/] phonofilm data review data/
    """
    from phonofilm.app.jobs.curation import check_keys
    from phonofilm.data.curate.review import decide, decisions

    with Session.of(ctx).report("data review") as report:
        check_folder(output)
        made = {**dict.fromkeys(keep or (), "keep"), **dict.fromkeys(drop or (), "drop")}
        made |= dict.fromkeys(undo or (), "undecided")
        check_keys(output, made)
        held = decide(output, made) if made else decisions(output)
        report.set_fields(decisions=held)
        for key, decision in held.items():
            report.print_line(f"{decision}  {key}")
        report.print_line(f"{len(held)} decisions" + ("; run phonofilm data curate again" if made else ""))


Public = Annotated[Path, typer.Argument(metavar="DIR", help="A data set as it is published.")]
LayoutName = Annotated[
    str | None, typer.Option("--layout", metavar="NAME", help="How it is laid out, where its files do not tell.")
]


@data.command()
def info(ctx: typer.Context, folder: Public, layout: LayoutName = None) -> None:
    """Say what a public data set holds: items, splits, classes, texts, events, and what is missing.

    AudioSet, AudioSet-Strong, VGGSound, AVE, MUSIC, FSD50K, Clotho, Greatest Hits, LRS, GRID, WebVid, OpenVid, and
    WebDataset.

    [dim]$[/] phonofilm data info vggsound/
    """
    from phonofilm.data.sets.registry import layout_of, read_items, summarise

    with Session.of(ctx).report("data info") as report:
        kind = layout_of(folder, layout)
        found = summarise(read_items(folder, kind))
        report.set_fields(layout=kind.name, **vars(found))
        report.print_line(f"{kind.holds}: {found.items} items, of which {found.missing} lack their media")
        report.print_line(f"{found.captions} texts, {found.events} events with times")
        report.print_line("splits: " + ", ".join(f"{name or 'none'} {count}" for name, count in found.splits.items()))
        most = list(found.labels.items())[:10]
        if most:
            named = ", ".join(f"{name} {count}" for name, count in most)
            report.print_line(f"{len(found.labels)} classes: {named}{', …' if len(found.labels) > len(most) else ''}")


@data.command()
def check(ctx: typer.Context, folder: Public, layout: LayoutName = None) -> None:
    """Check a public data set: media that is missing or cannot be read, times that cannot be, names twice.

    [dim]$[/] phonofilm data check vggsound/
    """
    from phonofilm.data.sets.registry import faults_of, layout_of, read_items

    with Session.of(ctx).report("data check") as report:
        items = read_items(folder, layout_of(folder, layout))
        faults = faults_of(items, report.progress)
        report.set_fields(items=len(items), faults=faults)
        for name, fault in list(faults.items())[:20]:
            report.print_line(f"{name}: {fault}")
        report.print_line(f"{len(items)} items, {len(faults)} with a fault")


@data.command()
def sample(
    ctx: typer.Context,
    folder: Public,
    count: Annotated[int, typer.Option("--count", "-n", metavar="COUNT", help="How many.")] = 5,
    seed: Annotated[int, typer.Option(metavar="N", help="Which ones are drawn.")] = 0,
    layout: LayoutName = None,
) -> None:
    """Show a random few items of a public data set.

    [dim]$[/] phonofilm data sample clotho/ -n 3
    """
    from dataclasses import asdict

    from phonofilm.data.sets.registry import drawn, layout_of, read_items

    with Session.of(ctx).report("data sample") as report:
        check_limits(Limit("-n", count, 1))
        items = drawn(read_items(folder, layout_of(folder, layout)), count, seed)
        report.set_fields(items=[{**asdict(item), "file": str(item.file)} for item in items])
        for item in items:
            span = f" {item.start:g}–{item.stop:g} s" if item.start is not None else ""
            events = [f"{len(item.events)} events"] if item.events else []
            said = "; ".join([*item.labels, *item.captions[:1], *events])
            report.print_line(f"{item.name}{span}  {said}{'  (no media)' if item.missing else ''}")


@data.command()
def convert(
    ctx: typer.Context,
    folder: Public,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the shards are written.")],
    layout: LayoutName = None,
    split: Annotated[str | None, typer.Option(metavar="NAME", help="Of a set of the hub, which split.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Of a set of the hub, so many rows at most.")] = None,
) -> None:
    """Write a public data set as WebDataset shards, without encoding anything.

    A set of the Hugging Face hub is hf:OWNER/NAME (or hf:OWNER/NAME/SUBSET, or hf:./FOLDER). It is read row by row,
    never downloaded whole, and goes on where it was when it is run again.

    [dim]$[/] phonofilm data convert vggsound/ -o shards/
    [dim]$[/] phonofilm data convert hf:OWNER/NAME --split train --limit 5000 -o shards/
    """
    from phonofilm.data.sets import conversion, hub, registry

    with Session.of(ctx).report("data convert") as report:
        check_folder(output)
        if limit is not None:
            check_limits(Limit("--limit", limit, 1))
        if str(folder).startswith(hub.MARK):
            found = hub.HubSet(str(folder), split)
            written, left_out = conversion.convert_rows(found, output, report.progress, limit)
            _said(report, output, written, left_out)
            return
        if split is not None or limit is not None:
            raise PhonofilmError(
                f"--split and --limit are for sets of the hub, {hub.MARK}OWNER/NAME; {folder} is a folder"
            )
        items = registry.read_items(folder, registry.layout_of(folder, layout))
        written, left_out = conversion.convert(items, output, report.progress)
        _said(report, output, written, left_out)


def _said(report: Report, output: Path, written: int, left_out: dict[str, str]) -> None:
    for name, why in list(left_out.items())[:12]:
        report.warn(f"left out: {name}: {why}")
    report.set_fields(folder=str(output), written=written, left_out=left_out)
    report.print_line(str(output))
    report.print_line(f"{written} samples written, {len(left_out)} left out")
