"""Which tokens make a chunk, which earlier chunks it sees, and where those seem to lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from phonofilm.types import Geometry, Grid


@dataclass(frozen=True)
class ChunkLayout:
    """Chunks of the same seconds of picture and of every stem, and what each sees: itself, a window, and sinks.

    The first chunk is longer by what the first latents stand for alone (a frame; of sound its head). Sinks are the
    first chunks of a film, which stay visible when the window has moved on (Xiao et al., 2309.17453). They then seem
    to lie directly before the window, so that positions never grow: a chunk late in a film has the positions of the
    last of `slots` + 1 chunks, however many came before.

    Attributes:
        size: (width, height) in pixels.
        fps: frames a second.
        geometry: how the codecs and patches compress.
        seconds: length of a chunk.
        sinks: how many of the first chunks stay visible.
        window: how many chunks are visible beside them, the one at work included.
        stems: numbers of the stems that the sound has.

    Raises:
        ValueError: a chunk that is no whole number of tokens in both streams, or no window.
    """

    size: tuple[int, int]
    fps: Fraction
    geometry: Geometry
    seconds: Fraction = Fraction(1, 2)
    sinks: int = 1
    window: int = 7
    stems: tuple[int, ...] = (0,)
    frames: int = field(init=False)
    rows: int = field(init=False)
    audio_steps: int = field(init=False)

    def __post_init__(self) -> None:
        geometry = self.geometry
        frames = self.seconds * self.fps
        rows = frames / (geometry.video_time * geometry.patch[0])
        sounds = self.seconds * geometry.sample_rate / (geometry.mel_hop * geometry.audio_time)
        if rows < 1 or sounds < 1 or rows.denominator > 1 or sounds.denominator > 1:
            raise ValueError(
                f"a chunk of {float(self.seconds):g} s is {float(rows):g} rows of video tokens and {float(sounds):g} "
                f"audio tokens: both must be whole numbers"
            )
        if self.window < 1 or self.sinks < 0:
            raise ValueError(f"{self.sinks} sinks and a window of {self.window}: sinks from 0, a window from 1 up")
        for name, value in (("frames", frames), ("rows", rows), ("audio_steps", sounds)):
            object.__setattr__(self, name, int(value))

    @property
    def slots(self) -> int:
        """The most earlier chunks that one sees."""
        return self.sinks + self.window - 1

    @property
    def video_steps(self) -> int:
        """Video latents of a chunk along time; the first has one more."""
        return self.rows * self.geometry.patch[0]

    @property
    def samples(self) -> int:
        """Samples of sound of a chunk, rounded up."""
        return -(-self.seconds.numerator * self.geometry.sample_rate // self.seconds.denominator)

    def visible(self, number: int) -> tuple[int, ...]:
        """Numbers of the earlier chunks that chunk `number` sees, in the order in which they seem to lie."""
        start = max(min(self.sinks, number), number - self.window + 1)
        return (*range(min(self.sinks, number)), *range(start, number))

    def step(self, number: int) -> int:
        """Which of the distinct situations a chunk is in.

        0 to `slots`: as many earlier chunks are seen, the first of them that of the film. `slots` + 1: as many as can
        be, without the first of the film, as happens where there are no sinks.
        """
        if number <= self.slots:
            return number
        return self.slots if self.sinks else self.slots + 1

    def grid(self) -> Grid:
        """The grid of a film that all situations are cut from; it holds `slots` + 1 chunks at least."""
        width, height = self.size
        return Grid(1 + self.frames * (self.slots + 1), height, width, self.fps, self.geometry)

    def shapes(self, number: int) -> tuple[tuple[int, int, int], tuple[int, int]]:
        """(T, H, W) of a chunk's video latents and (S, T) of its audio latents."""
        width, height = self.size
        space, first = self.geometry.video_space, number == 0
        picture = (self.video_steps + first, height // space, width // space)
        return picture, (len(self.stems), self.audio_steps + first)
