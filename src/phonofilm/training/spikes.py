"""Steps with a gradient far longer than usual: not taken, and where they come in a row, taken back."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

from phonofilm.errors import PhonofilmError
from phonofilm.training.learner import Progress
from phonofilm.training.optim.optimizers import OptimConfig

WINDOW, FEWEST = 64, 16
"""Of so many gradients the median is taken, and of so many at the least: before, nothing is a spike."""
IN_A_ROW = 4
"""So many spikes in a row, and the run goes back to its checkpoint."""
MOST = 16
"""So many in a row end it."""


class Spikes:
    """Watches the length of each step's gradient.

    What it knows lies in the progress, so that a resumed run is the same.

    Args:
        say: prints a line.
    """

    def __init__(self, config: OptimConfig, progress: Progress, say: Callable[[str], None]) -> None:
        self.factor, self.progress, self.say = config.spike, progress, say

    def limit(self) -> float:
        """The longest gradient of a step that is taken."""
        norms = self.progress.norms
        return self.factor * median(norms) if self.factor and len(norms) >= FEWEST else math.inf

    def step(self, norm: float) -> bool:
        """Take note of a step, before it is counted in `progress`; returns whether to go back to the checkpoint.

        Raises:
            PhonofilmError: too many spikes in a row.
        """
        progress = self.progress
        if not self.factor or not math.isfinite(norm):
            return False
        if norm <= self.limit():
            progress.norms, progress.spikes = (*progress.norms, norm)[-WINDOW:], 0
            return False
        progress.skipped += 1
        progress.spikes += 1
        if progress.spikes == 1:
            self.say(
                f"note: step {progress.step} was skipped: its gradient is {norm:.3g} long, the last ones "
                f"{median(progress.norms):.3g}"
            )
        if progress.spikes >= MOST:
            raise PhonofilmError(
                f"training diverged at step {progress.step}: {MOST} steps in a row had a gradient more than "
                f"{self.factor:g} times as long as usual; lower optim.lr and optim.muon_lr, or raise optim.spike"
            )
        return progress.spikes % IN_A_ROW == 0

    def rewound(self, step: int) -> None:
        """Say that weights are those of an earlier step."""
        self.say(
            f"note: {self.progress.spikes} steps in a row were skipped: weights are those of step {step} again, "
            f"and the run goes on with the batches after step {self.progress.step}"
        )
