"""All steps, in order."""

from __future__ import annotations

from collections.abc import Collection

from phonofilm.data.curate.common.step import Step, in_order
from phonofilm.data.curate.steps.captions import CAPTION
from phonofilm.data.curate.steps.content import CONTENT, FACES
from phonofilm.data.curate.steps.desync import DESYNC
from phonofilm.data.curate.steps.hashes import HASHES
from phonofilm.data.curate.steps.hearing import EVENTS
from phonofilm.data.curate.steps.judged import AESTHETIC, MARKS, NOT_MEASURED, UNSAFE
from phonofilm.data.curate.steps.likeness import LIKENESS
from phonofilm.data.curate.steps.lips import LIPS
from phonofilm.data.curate.steps.onscreen import ONSCREEN
from phonofilm.data.curate.steps.speakers import SPEAKERS
from phonofilm.data.curate.steps.speech import SPEECH
from phonofilm.data.curate.steps.sync import SYNC
from phonofilm.data.curate.steps.technical import PICTURE, SOUND
from phonofilm.data.curate.steps.text import TEXT
from phonofilm.errors import PhonofilmError

STEPS: tuple[Step, ...] = in_order(
    (
        *(PICTURE, SOUND, HASHES, MARKS, LIKENESS),
        *(SYNC, DESYNC, TEXT, CONTENT, UNSAFE, AESTHETIC, FACES, EVENTS, SPEECH, SPEAKERS, LIPS, ONSCREEN, CAPTION),
    )
)


def chosen_steps(left_out: Collection[str] = ()) -> tuple[tuple[Step, ...], dict[str, str]]:
    """Steps that can run here, and why the others do not.

    Args:
        left_out: names of steps that are not wanted; what needs them is left out too.

    Raises:
        PhonofilmError: a name that no step has.
    """
    names = [step.name for step in STEPS]
    for name in left_out:
        if name not in names:
            raise PhonofilmError(f"there is no step {name!r}; choose from {', '.join(names)}")
    chosen: list[Step] = []
    absent: dict[str, str] = {}
    for step in STEPS:
        missing = step.missing()
        lacking = [name for name in step.needs if name in absent]
        if step.name in left_out:
            absent[step.name] = "left out"
        elif missing:
            absent[step.name] = missing
        elif lacking:
            absent[step.name] = f"needs {', '.join(lacking)}"
        else:
            chosen.append(step)
    return tuple(chosen), {**absent, **{name: f"not measured: {why}" for name, why in NOT_MEASURED.items()}}
