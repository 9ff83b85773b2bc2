"""What others may do to a film while it is made: change the prompt, pause, go on, stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from fractions import Fraction

from phonofilm.errors import PhonofilmError
from phonofilm.streaming.prompts import Cue, check_prompt, cue_at


class Control:
    """Shared by the thread that makes the film and those who watch it.

    Args:
        prompt: at first. script: cues that change it at their times; between them whoever says another one does.
        tell: told in one line of a prompt that was refused.
    """

    def __init__(
        self, prompt: str, script: Sequence[Cue] = (), tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self._lock = threading.Condition()
        self._prompt, self._script, self._tell = check_prompt(prompt), script, tell
        self._cue: Cue | None = None
        self._good = self._prompt
        self._paused = self._stopped = False

    def say(self, prompt: str) -> str | None:
        """Change the prompt from the next chunk on; returns why not, in one line, where it is not possible."""
        try:
            checked = check_prompt(prompt)
        except PhonofilmError as error:
            line = f"{error}; the film goes on as before"
            self._tell(line)
            return line
        with self._lock:
            self._prompt = checked
        return None

    def at(self, moment: Fraction) -> str:
        """The prompt of a chunk that begins at a moment of the film."""
        with self._lock:
            cue = cue_at(self._script, moment)
            if cue is not None and cue is not self._cue:
                self._cue, self._prompt = cue, cue.prompt
            return self._prompt

    def accept(self, prompt: str) -> None:
        """A chunk was made from this prompt."""
        self._good = prompt

    def refuse(self, prompt: str, why: PhonofilmError) -> None:
        """The model does not take a prompt: the last one that it took holds again.

        Raises:
            PhonofilmError: there is none.
        """
        if prompt == self._good:
            raise why
        with self._lock:
            if self._prompt == prompt:
                self._prompt = self._good
        self._tell(f"{why}; the film goes on as before")

    @property
    def prompt(self) -> str:
        """The one that holds now."""
        with self._lock:
            return self._prompt

    @property
    def paused(self) -> bool:
        with self._lock:
            return self._paused

    @property
    def stopped(self) -> bool:
        with self._lock:
            return self._stopped

    def pause(self, paused: bool = True) -> None:
        """Make nothing more until told otherwise."""
        with self._lock:
            self._paused = paused
            self._lock.notify_all()

    def stop(self) -> None:
        """End the film after the chunk that is being written."""
        with self._lock:
            self._stopped = True
            self._lock.notify_all()

    def wait(self) -> bool:
        """Wait while it is paused; returns whether to go on."""
        with self._lock:
            self._lock.wait_for(lambda: self._stopped or not self._paused)
            return not self._stopped
