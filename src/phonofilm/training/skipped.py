"""Steps that are skipped because their gradient is not finite: counted, and told with the clips that are the cause."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from phonofilm.errors import PhonofilmError
from phonofilm.training.learner import Progress
from phonofilm.training.tasks.base import Task

IN_A_ROW = 8
"""So many skipped steps, one after the other, end a run."""
SHOWN = 4
"""So many clips are named in one line."""


class Skipped:
    """Watches the norm of each step's gradient.

    Args:
        say: prints a line.
    """

    def __init__(self, task: Task, progress: Progress, say: Callable[[str], None]) -> None:
        self.task, self.progress, self.say = task, progress, say
        self.in_a_row = 0
        self._known: set[str] = set()
        self._unexplained = False

    def step(self, norm: float, loss: Tensor) -> None:
        """Take note of a step, before it is counted in `progress`.

        Raises:
            PhonofilmError: too many in a row.
        """
        if math.isfinite(norm):
            self.in_a_row = 0
            return
        self.in_a_row += 1
        self.progress.skipped += 1
        count = self.task.recipe.run.accumulate
        batches = range(self.progress.step * count, (self.progress.step + 1) * count)
        faulty = list(dict.fromkeys(name for batch in batches for name in self.task.faulty(batch)))
        if self.in_a_row == IN_A_ROW:
            raise PhonofilmError(self._verdict(faulty))
        what = "loss" if not loss.isfinite() else "gradient"
        if faulty and not self._known.issuperset(faulty):
            self._known.update(faulty)
            self.say(f"note: step {self.progress.step} was skipped: values are not finite in {named(faulty)}")
        elif not faulty and not self._unexplained:
            self._unexplained = True
            self.say(f"note: step {self.progress.step} was skipped: its {what} is not finite, though the data is")

    def finish(self) -> None:
        """Say how many there were."""
        if self.progress.skipped:
            because = f", with values that are not finite in {named(sorted(self._known))}" if self._known else ""
            self.say(f"note: {self.progress.skipped} of {self.progress.step} steps were skipped{because}")

    def _verdict(self, faulty: list[str]) -> str:
        step = self.progress.step
        if faulty:
            return (
                f"{IN_A_ROW} steps in a row were skipped, up to step {step}: values are not finite in "
                f"{named(faulty)}; mend these clips or leave them out of the data, and start again"
            )
        if self.progress.skipped > step:
            return (
                "no step could be taken: the loss or its gradient is not finite from the first step on, though the "
                "data is finite; check run.init and the settings of the model and of the loss"
            )
        return (
            f"training diverged at step {step}: {IN_A_ROW} steps in a row had a loss or gradient that is not finite, "
            f"though the data is; lower optim.lr and optim.muon_lr, and start again"
        )


def named(clips: list[str]) -> str:
    more = f" and {len(clips) - SHOWN} more" if len(clips) > SHOWN else ""
    return ", ".join(clips[:SHOWN]) + more
