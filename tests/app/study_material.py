"""What the tests of the human study share: little films, a study of them, and raters that answer by themselves."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from phonofilm.app.study.build import Plan, build, flash_and_beep
from phonofilm.evaluation.study.latin_square import williams
from phonofilm.evaluation.study.protocol import Study
from phonofilm.media import write_clip

SECONDS = 0.6
ITEMS = ("door", "drum", "rain")


def films(folder: Path, late: float = 0.0, items: tuple[str, ...] = ITEMS, seconds: float = SECONDS) -> Path:
    """A folder of flashes and beeps, one for each scene."""
    folder.mkdir(parents=True)
    for item in items:
        write_clip(flash_and_beep(late, seconds=seconds, rate=16_000), folder / f"{item}.mp4")
    return folder


def study_of(root: Path, **plan: Any) -> tuple[Path, Study]:
    """A study of two systems and a reference: "late" is 0.2 s late, "good" is not. Made once for each plan."""
    made, study = _made(tuple(sorted(plan.items())))
    shutil.copytree(made, root / "study")
    return root / "study", study


@cache
def _made(plan: tuple[tuple[str, Any], ...]) -> tuple[Path, Study]:
    kept = tempfile.TemporaryDirectory(prefix="phonofilm-study-")
    atexit.register(kept.cleanup)
    return build_study(Path(kept.name), **dict(plan))


def build_study(root: Path, **plan: Any) -> tuple[Path, Study]:
    systems = {"good": films(root / "good"), "late": films(root / "late", 0.2)}
    chosen = Plan(**{"likert": 4, "pairs": 2, "anchors": 2, "catches": 1, "duplicates": 1, "anchor_scenes": 2} | plan)
    folder = root / "study"
    made = build(systems, films(root / "real"), folder, chosen, {"door": "A door slams."}, lambda *_: None)
    return folder, made


class Caller:
    """A rater who talks to the server through `send(method, path, token, body) -> (status, answer)`."""

    def __init__(
        self, send: Callable[..., tuple[int, Any]], outside: str | None = None, key: str | None = None
    ) -> None:
        self._send = send
        self.token: str | None = None
        joined = self.post("api/join", {"outside": outside, "key": key})
        self.token, self.key = joined["token"], joined["key"]

    def raw(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self._send(method, f"/{path}", self.token, body)

    def post(self, path: str, body: Any) -> Any:
        status, answer = self.raw("POST", path, body)
        assert status == 200, (path, status, answer)
        return answer

    def state(self) -> Any:
        status, answer = self.raw("GET", "api/state")
        assert status == 200, answer
        return answer

    def prepare(self, sides: list[str]) -> Any:
        """Pass the left-or-right check and set the latency probe to its middle."""
        assert self.post("api/headphones", {"heard": sides})["passed"]
        return self.post("api/latency", {"offset": 0.0, "audio": {"base": 0.01}})

    def play(self, trial: Any, pass_time: Callable[[float], None]) -> None:
        """Play every clip of a trial to its end."""
        for number, clip in enumerate(trial["clips"]):
            self.post("api/event", {"kind": "play", "trial": trial["index"], "clip": number})
            pass_time(clip["seconds"])
            self.post("api/event", {"kind": "ended", "trial": trial["index"], "clip": number})


def answers_to(trial: Any, seat: int) -> dict[str, int]:
    """Answers that differ from rater to rater and from trial to trial, so that none can be taken for another."""
    if trial["kind"] == "pair":
        return {scale["name"]: (seat + trial["index"]) % 3 - 1 for scale in trial["scales"]}
    order = williams(5)
    return {s["name"]: 1 + order[(seat + trial["index"] + i) % 5] for i, s in enumerate(trial["scales"])}
