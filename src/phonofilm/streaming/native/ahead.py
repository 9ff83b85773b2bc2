"""One chunk ahead: the next one is made in a second thread while the last one is decoded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Lock

from phonofilm.model.cache import ChunkCache
from phonofilm.streaming.native.state import NativeState
from phonofilm.types import Latents

Make = Callable[[NativeState, str], tuple[NativeState, Latents]]


class Ahead:
    """Guesses that the next chunk goes on from the last one with the same prompt. Only time depends on the guess:
    what was made ahead is taken only where it is what was asked for, as states are values.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "next chunk")
        self._lock = Lock()
        self._guess: tuple[ChunkCache, str, Future[tuple[NativeState, Latents]]] | None = None

    def make(self, make: Make, state: NativeState, prompt: str) -> tuple[NativeState, Latents]:
        """What `make(state, prompt)` gives; and begin with what comes after it."""
        with self._lock:
            guess, self._guess = self._guess, None
        if guess is not None and guess[0] is state.cache and guess[1] == prompt:
            made, latents = guess[2].result()
            made = replace(made, decoder=state.decoder)
        else:
            if guess is not None:
                guess[2].cancel()
            made, latents = make(state, prompt)
        with self._lock:
            self._guess = made.cache, prompt, self._pool.submit(make, made, prompt)
        return made, latents
