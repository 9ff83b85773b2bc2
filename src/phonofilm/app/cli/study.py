"""The commands of a human study: damage a clip on purpose, build a study, run it, report on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonofilm.app.cli.common.command import CommandLine
from phonofilm.app.limits import Limit, check_limits
from phonofilm.app.session import Session
from phonofilm.errors import PhonofilmError
from phonofilm.extras import optional
from phonofilm.files import check_file, check_folder, check_not_read

if TYPE_CHECKING:
    from phonofilm.evaluation.study.protocol import Rules

study = CommandLine(
    name="study",
    help="Ask people: blinded ratings of video with sound, and what they say in numbers.\n\n"
    "[dim]$[/] phonofilm study new ours/ theirs/ --reference real/ -o study/\n"
    "[dim]$[/] phonofilm study serve study/\n"
    "[dim]$[/] phonofilm study report study/ -o report.html\n\n"
    "How to plan and run one is in docs/study.md.",
)
Folder = Annotated[Path, typer.Argument(metavar="STUDY", help="The folder that study new made.")]


@study.command()
def new(
    ctx: typer.Context,
    systems: Annotated[
        list[str],
        typer.Argument(metavar="DIR…", help="A folder of clips for each system; NAME=DIR gives it another name."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="STUDY", help="The folder to make.")],
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="True clips of the same names: the hidden reference, and what anchors are made of."
        ),
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="What raters see at the top; name no system.")] = (
        "Picture and sound"
    ),
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='Texts shown with clips: {"name": "text"} or lines "name<TAB>text".'),
    ] = None,
    likert: Annotated[
        int | None,
        typer.Option(metavar="N", help="Clips each rater rates, controls not counted; up to 24 if not said."),
    ] = None,
    pairs: Annotated[int, typer.Option(metavar="N", help="Choices between two clips each rater makes.")] = 0,
    anchors: Annotated[
        int | None, typer.Option(metavar="N", help="Damaged clips each rater rates; one of each kind if not said.")
    ] = None,
    catches: Annotated[
        int, typer.Option(metavar="N", help="Clips with sound a second off, to catch who looks away.")
    ] = 2,
    mushra: Annotated[
        int,
        typer.Option(metavar="N", help="Scenes each rater judges with all versions side by side; needs --reference."),
    ] = 0,
    mushra_scale: Annotated[
        str, typer.Option(metavar="NAME", help="What MUSHRA judges: audio (the sound itself) or sync.")
    ] = "audio",
    duplicates: Annotated[int, typer.Option(metavar="N", help="Clips each rater unknowingly rates twice.")] = 2,
    raters: Annotated[int, typer.Option(metavar="N", help="How many are planned; any number may come.")] = 20,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", metavar="NAME=VALUE", help="A rule of exclusion, fixed from now on; see docs/study.md."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides blinded names, orders and control trials.")] = 0,
) -> None:
    """Build a blinded study from folders of clips that share their names.

    [dim]$[/] phonofilm study new ours/ theirs/ --reference real/ -o study/
    [dim]$[/] phonofilm study new A=runs/a B=runs/b --pairs 20 --likert 0 -o study/
    [dim]$[/] phonofilm study new ours/ theirs/ --reference real/ --mushra 8 -o study/
    """
    from phonofilm.app.study.build import Plan, build, read_prompts

    with Session.of(ctx).report("study new") as report:
        check_folder(output)
        counts = {"likert": likert, "pairs": pairs, "anchors": anchors, "catches": catches, "mushra": mushra}
        counts["duplicates"] = duplicates
        check_limits(*(Limit(f"--{name}", count, 0) for name, count in counts.items()), Limit("--raters", raters, 1))
        plan = Plan(
            title=title,
            seed=seed,
            likert=likert,
            pairs=pairs,
            anchors=anchors,
            catches=catches,
            duplicates=duplicates,
            mushra=mushra,
            mushra_scale=mushra_scale,
            raters=raters,
            rules=_rules(rule or []),
        )
        texts = read_prompts(prompts) if prompts else {}
        made = build(_named(systems), reference, output, plan, texts, report.progress)
        for line in made.left_out:
            report.warn(f"left out: {line}")
        report.set_fields(folder=str(output), hash=made.hash, systems=list(made.systems), scenes=len(made.items))
        report.set_fields(trials=len(made.trials(0)), left_out=list(made.left_out))
        report.print_line(str(output))
        report.print_line(f"{len(made.systems)} systems, {len(made.items)} scenes, {len(made.stimuli)} blinded clips")
        report.print_line(
            f"{len(made.trials(0))} trials a rater, about {made.minutes:.0f} minutes; hash {made.hash[:12]}"
        )
        report.print_line(f"every clip is judged equally often after each {made.balanced_raters} raters")
        report.print_line(f"next: phonofilm study serve {output}")


@study.command()
def serve(
    ctx: typer.Context,
    folder: Folder,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="0 takes any free one.")] = 8719,
    invited: Annotated[
        bool, typer.Option("--invited", help="Let in only raters with a link made by phonofilm study links.")
    ] = False,
    joins: Annotated[
        int, typer.Option(metavar="N", help="New raters from one address at once; then one a minute.")
    ] = 40,
    proxy: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A proxy on another machine that sends X-Forwarded-For."),
    ] = None,
) -> None:
    """Run a study: send raters the address it prints. Stop and start it as you like; no answer is lost.

    A recruiting service can add ?id=NAME to the address. The page then shows each rater a signed link that leads back
    to the same place; the name alone does not.

    [dim]$[/] phonofilm study serve study/
    [dim]$[/] phonofilm study serve study/ --host 0.0.0.0 --port 80
    """
    with Session.of(ctx).report("study serve") as report, optional():
        from phonofilm.app.study.limits import DEFAULT_LIMITS
        from phonofilm.app.study.server import serve as run
        from phonofilm.app.web.buckets import Rate

        def started(host: str, port: int) -> None:
            shown = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host
            print(f"http://{shown}:{port}/", flush=True)

        if joins < 1:
            raise PhonofilmError("--joins must be 1 or more")
        limits = replace(DEFAULT_LIMITS, joins=Rate(joins, DEFAULT_LIMITS.joins.per_second))
        run(folder, host, port, started, limits, invited, proxy)
        report.set_fields(folder=str(folder))


@study.command()
def links(
    ctx: typer.Context,
    folder: Folder,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", help="Names of raters; @FILE reads one name from each line.")
    ],
    address: Annotated[
        str, typer.Option("--address", "-a", metavar="URL", help="Where the study is served.")
    ] = "http://localhost:8719/",
) -> None:
    """Make a signed link for each rater: the only way to a seat under --invited, and the way back to one's place.

    [dim]$[/] phonofilm study links study/ anna ben --address https://study.example.org/
    [dim]$[/] phonofilm study links study/ @names.txt -a https://study.example.org/
    """
    from phonofilm.app.study.report import signed_links

    with Session.of(ctx).report("study links") as report:
        made = signed_links(folder, names, address)
        report.set_fields(links=made)
        for name, link in made.items():
            report.print_line(f"{name}\t{link}")


@study.command("report")
def report_command(
    ctx: typer.Context,
    folder: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="HTML", help="The page to write.")],
    metrics: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Metrics to hold against people: columns system, clip, and one for each metric."
        ),
    ] = None,
) -> None:
    """Say what raters said: mean opinions, differences, preferences, agreement, who was left out and why.

    [dim]$[/] phonofilm study report study/ -o report.html
    [dim]$[/] phonofilm study report study/ -o report.html --metrics scores.csv --json
    """
    from phonofilm.app.reports.intervals import interval_text
    from phonofilm.app.study.report import report as write

    with Session.of(ctx).report("study report") as report:
        check_not_read(check_file(output), [metrics, *_files_of(folder)])
        report.progress("analysing", 0, 1)
        found = write(folder, output, metrics)
        report.set_fields(path=str(output), results=found)
        report.print_line(str(output))
        report.print_line(
            f"{found['counted']} of {len(found['raters'])} raters count, {found['ratings']} trials answered"
        )
        for system, row in found["opinions"].get("overall", {}).items():
            report.print_line(f"{system:<24} overall {interval_text(row)}")
        for system, row in (found["mushra"] or {}).get("versions", {}).items():
            report.print_line(f"{system:<24} MUSHRA {interval_text(row, '{:.1f}')}")


@study.command()
def export(
    ctx: typer.Context,
    folder: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="JSON", help="The file to write.")],
) -> None:
    """Write everything raw: study, seed, hash, every rating and every event with its time.

    [dim]$[/] phonofilm study export study/ -o raw.json
    """
    from phonofilm.app.study.report import export as write

    with Session.of(ctx).report("study export") as report:
        check_not_read(check_file(output), _files_of(folder))
        counts = write(folder, output)
        report.set_fields(path=str(output), **counts)
        report.print_line(
            f"{output}: {counts['raters']} raters, {counts['ratings']} ratings, {counts['events']} events"
        )


@study.command()
def power(
    ctx: typer.Context,
    effect: Annotated[
        float, typer.Option(metavar="POINTS", help="The difference of mean opinions worth finding.")
    ] = 0.3,
    scenes: Annotated[int, typer.Option(metavar="N", help="How many scenes the study has.")] = 24,
    ratings: Annotated[float, typer.Option(metavar="N", help="Ratings of each system by each rater.")] = 8,
    systems: Annotated[int, typer.Option(metavar="N", help="Systems, each compared with each other.")] = 2,
    rater_sd: Annotated[float, typer.Option(metavar="SD", help="How differently raters see a difference.")] = 0.3,
    scene_sd: Annotated[float, typer.Option(metavar="SD", help="How differently scenes show it.")] = 0.3,
    noise_sd: Annotated[float, typer.Option(metavar="SD", help="Spread of a single rating.")] = 0.8,
) -> None:
    """Say how many raters a study needs before you run it.

    [dim]$[/] phonofilm study power --effect 0.4 --scenes 20 --systems 3
    """
    from phonofilm.evaluation.study.mean_opinion import Spread, raters_needed
    from phonofilm.evaluation.study.mean_opinion import power as found

    with Session.of(ctx).report("study power") as report:
        check_limits(
            Limit("--effect", effect),
            Limit("--scenes", scenes, 2),
            Limit("--ratings", ratings),
            Limit("--systems", systems, 2),
            Limit("--rater-sd", rater_sd, 0),
            Limit("--scene-sd", scene_sd, 0),
            Limit("--noise-sd", noise_sd, 0),
        )
        spread, tests = Spread(rater_sd, scene_sd, noise_sd), systems * (systems - 1) // 2
        try:
            rows = [found(effect, n, scenes, ratings, spread, tests=tests) for n in (5, 10, 15, 20, 30, 50, 100)]
            needed = raters_needed(effect, scenes, ratings, spread=spread, tests=tests)
        except ValueError as error:
            raise PhonofilmError(str(error)) from error
        report.print_line(
            f"chance to find a difference of {effect:g} points, {tests} comparison{'s' if tests > 1 else ''}"
        )
        report.print_line(f"{'raters':>8}  {'power':>6}  {'found at 80 %':>13}")
        for row in rows:
            report.print_line(f"{row.raters:>8}  {100 * row.power:>4.0f} %  {row.least:>13.2f}")
        report.print_line(f"80 % needs {needed} raters" if needed else "no number of raters is enough: add scenes")
        report.set_fields(needed=needed, power={row.raters: round(row.power, 4) for row in rows})


@study.command()
def distort(
    ctx: typer.Context,
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="A film or sound file, of any common format.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="What to write.")],
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="audio-shift, audio-speed-up, video-speed-up, audio-slow-down, video-slow-down, muting, video-gaps, "
            "flicker, fragment-shuffle (PEAVS' nine); low-pass, noise, quantise, blur, stereo-width.",
        ),
    ],
    level: Annotated[
        float, typer.Option(metavar="X", help="How much: seconds, times the speed, hertz, dB, bits, pixels.")
    ],
    seed: Annotated[int, typer.Option(metavar="N", help="Decides where gaps and pieces fall.")] = 0,
) -> None:
    """Damage a clip in one known way, by one of PEAVS' nine distortions or five more.

    [dim]$[/] phonofilm study distort ball.mp4 --kind audio-shift --level 0.125 -o early.mp4
    [dim]$[/] phonofilm study distort ball.mp4 --kind video-gaps --level 0.3 -o gaps.mp4
    """
    from phonofilm.evaluation.distortions import distort as damage
    from phonofilm.media import check_output, read_clip, write_clip

    with Session.of(ctx).report("study distort") as report:
        check_not_read(check_output(output), [clip])
        report.progress("reading", 0, 1)
        source = read_clip(clip)
        report.progress("distorting", 0, 1)
        changed = damage(source, kind, level, seed)
        report.progress("writing", 0, 1)
        write_clip(changed, output)
        report.set_fields(path=str(output), kind=kind, level=level, seed=seed)
        report.print_line(str(output))


def _files_of(study: Path) -> list[Path]:
    """The files that a study is made of; reports may lie beside them."""
    from phonofilm.app.study.build import CLIPS, PROBE
    from phonofilm.evaluation.study.protocol import STUDY_FILE
    from phonofilm.evaluation.study.store import RATINGS_FILE

    media = [path for folder in (CLIPS, PROBE) for path in (study / folder).glob("*")]
    return [study / STUDY_FILE, study / RATINGS_FILE, *media]


def _named(systems: list[str]) -> dict[str, Path]:
    """{name: folder} from DIR or NAME=DIR."""
    found: dict[str, Path] = {}
    for text in systems:
        name, equals, folder = text.partition("=")
        path = Path(folder if equals else text)
        name = name if equals else path.resolve().name
        if name in found or name == "reference" or not name:
            raise PhonofilmError(f"two systems would be called {name!r}; give one another name: NAME={path}")
        found[name] = path
    return found


def _rules(settings: list[str]) -> Rules:
    from phonofilm.config import from_dict
    from phonofilm.evaluation.study.protocol import Rules

    values: dict[str, object] = {}
    for text in settings:
        name, _, value = text.partition("=")
        try:
            values[name.strip()] = int(value) if value.strip().lstrip("-").isdigit() else float(value)
        except ValueError as error:
            raise PhonofilmError(f"rule {text!r} must read NAME=NUMBER, as catches_missed=1") from error
    return from_dict(Rules, values, "rule ")
