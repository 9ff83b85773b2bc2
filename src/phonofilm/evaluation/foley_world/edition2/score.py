"""Scores clips of the second edition of Foley World against what was asked: `score_scene`, and `summarise` for many.

Everything is read from frames and waveforms; of the truth only what its caption says is used (`Asked`). A measure that
does not apply to a scene is not in its scores. Scores lie within 0 ... 1 and more is better, unless `LOWER` or
`UNITS` says otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.foley_world import audio_events
from phonofilm.evaluation.foley_world.audio_events import Onset
from phonofilm.evaluation.foley_world.detect import NOTE_OF, PITCHES
from phonofilm.evaluation.foley_world.edition2 import bodies, families, hearing, mouths, sights, stems, sweep
from phonofilm.evaluation.foley_world.edition2.asked import Asked
from phonofilm.evaluation.foley_world.edition2.intruders import Classifier, intruders
from phonofilm.evaluation.foley_world.metrics import Value, f1_counts, match, pooled
from phonofilm.evaluation.foley_world.visual_events import VisualEvent
from phonofilm.signals.onsets import band_energy
from phonofilm.types import Clip
from phonofilm.world.common.scene import Truth

TOLERANCE = {"bounce": 0.06, "strike": 0.06, "pass": 0.10, "blast": 0.06, "rain": 0.06, "talk": 0.0601}
"""Seconds within which sound and picture agree."""
NEAR = 0.5
"""Difference of pan and place (-1 ... 1) within which a drop is heard where it is seen."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Frames uint8 [T, H, W, 3]; whatever is looked for is looked for once."""

    frames: np.ndarray
    fps: float

    @cached_property
    def tracks(self) -> list[bodies.Track]:
        return bodies.tracks(self.frames)

    @cached_property
    def impacts(self) -> list[VisualEvent]:
        return bodies.impacts(self.tracks, sights.dust(self.frames), self.fps)

    @cached_property
    def bars(self) -> list[str]:
        return [colour for colour, _ in sights.bars(self.frames)]

    @cached_property
    def strikes(self) -> list[VisualEvent]:
        return sights.strikes(self.frames, self.fps)

    @cached_property
    def flashes(self) -> list[VisualEvent]:
        return sights.flashes(self.frames, self.fps)

    @cached_property
    def drops(self) -> list[VisualEvent]:
        return sights.drops(self.frames, self.fps)

    @cached_property
    def moving(self) -> NDArray[np.float64]:
        return sweep.moving(self.frames)

    @cached_property
    def cells(self) -> NDArray[np.float64]:
        return mouths.cells(self.frames, self.fps)

    @cached_property
    def family(self) -> str:
        return families.of_picture(self)


@dataclass(frozen=True, eq=False)
class Heard:
    """Stems float32 [C, N]; a clip without stems is its own effects and its own speech."""

    speech: np.ndarray
    effects: np.ndarray
    music: np.ndarray | None
    mix: np.ndarray
    sample_rate: int

    @staticmethod
    def of(clip: Clip) -> Heard:
        mix, rate = clip.sound
        parts = clip.stems
        return Heard(parts.get("speech", mix), parts.get("effects", mix), parts.get("music"), mix, rate)

    @cached_property
    def onsets(self) -> list[Onset]:
        return audio_events.onsets(self.effects, self.sample_rate)

    @cached_property
    def bangs(self) -> list[hearing.Bang]:
        return hearing.bangs(self.effects, self.sample_rate, self.onsets)

    @cached_property
    def notes(self) -> list[str]:
        return [audio_events.note(self.effects, self.sample_rate, onset.time, PITCHES) for onset in self.onsets]

    @cached_property
    def materials(self) -> list[str]:
        return [hearing.material(self.effects, self.sample_rate, onset.time) for onset in self.onsets]

    @cached_property
    def effects_ears(self) -> NDArray[np.float64]:
        return stems.ears(self.effects, self.sample_rate)

    @cached_property
    def speech_ears(self) -> NDArray[np.float64]:
        return stems.ears(self.speech, self.sample_rate)

    @cached_property
    def voice(self) -> NDArray[np.float64]:
        return mouths.bands(band_energy(self.speech.mean(0, keepdims=True), self.sample_rate))

    @cached_property
    def family(self) -> str:
        return families.of_sound(self.effects, self.speech, self.sample_rate, self.effects_ears, self.onsets)


def score_scene(clip: Clip, truth: Truth, classifier: Classifier | None = None) -> dict[str, float]:
    """Every measure that applies to a clip that was made from a scene's caption.

    Args:
        clip: frames and waveform, and stems where the system makes them.
        truth: the scene whose caption was given; its own picture and sound are not used.
        classifier: YAMNet, to tell how much speech and music is in the effects too.

    Raises:
        PhonofilmError: the truth is of another edition, or the clip has no picture or no sound.
    """
    if clip.frames is None or clip.waveform is None:
        raise PhonofilmError("a scene is scored by its picture and its sound: this clip lacks one of them")
    heard = Heard.of(clip)
    found = measures(Seen(clip.frames, float(clip.fps or 24)), heard, Asked.of(truth))
    return found | (intruders(heard.effects, heard.sample_rate, classifier) if classifier else {})


def measures(seen: Seen, heard: Heard, asked: Asked, only: Sequence[str] | None = None) -> dict[str, float]:
    """`score_scene` of what was looked at and listened to before, so that sounds can be exchanged cheaply.

    Args:
        only: names of measures; None takes all.
    """
    found = {name: measure(seen, heard, asked) for name, measure in MEASURES.items() if only is None or name in only}
    return {name: float(value) for name, value in found.items() if value is not None}


def summarise(scores: Sequence[Mapping[str, float]], seed: int = 0) -> dict[str, Value]:
    """The mean of each measure over the clips that it applies to, with a 95 % bootstrap interval."""
    names = sorted({name for clip in scores for name in clip})
    table = {name: [(clip[name], 1.0) for clip in scores if name in clip] for name in names}
    return {name: pooled(rows, seed, share=name not in UNITS) for name, rows in table.items()}


def _sync(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """Events seen and heard at one time: F1; for what passes and for mouths 1 where the offset is within tolerance."""
    if "effects" in asked.silent and asked.family != "talk":
        return None
    within = TOLERANCE[asked.family]
    if asked.family == "pass":
        if asked.crossing != 1:
            return None
        return float(abs(sweep.offset(seen.moving, heard.effects_ears.sum(1), seen.fps)) <= within)
    if asked.family == "talk":
        if "speech" in asked.silent:
            return None
        return float(abs(mouths.offset(seen.cells, heard.voice, seen.fps)) <= within)
    pairs, events = PAIRS[asked.family](seen, heard, within)
    return pairs / events if events else 0.0


def _struck(seen: Seen, heard: Heard, within: float) -> tuple[float, float]:
    return f1_counts([s.time for s in seen.strikes], [o.time for o in heard.onsets], within)


def _fallen(seen: Seen, heard: Heard, within: float) -> tuple[float, float]:
    return f1_counts([s.time for s in seen.impacts], [o.time for o in heard.onsets], within)


def _exploded(seen: Seen, heard: Heard, within: float) -> tuple[float, float]:
    return f1_counts([s.time for s in seen.flashes], sorted(b.time - b.delay for b in heard.bangs), within)


def _dripped(seen: Seen, heard: Heard, within: float) -> tuple[float, float]:
    """Drops also sound where they land."""
    there = [
        (drop, onset)
        for drop, onset in _pairs(seen.drops, heard.onsets, within)
        if abs(2 * drop.x - 1 - onset.pan) < NEAR
    ]
    return 2.0 * len(there), float(len(seen.drops) + len(heard.onsets))


PAIRS: dict[str, Callable[[Seen, Heard, float], tuple[float, float]]] = {
    "bounce": _fallen,
    "strike": _struck,
    "blast": _exploded,
    "rain": _dripped,
}


def _pairs(sights_: Sequence[VisualEvent], onsets: Sequence[Onset], within: float) -> list[tuple[VisualEvent, Onset]]:
    found = match([s.time for s in sights_], [o.time for o in onsets], within)
    return [(sights_[i], onsets[j]) for i, j in found]


def _share(right: Sequence[bool]) -> float:
    return float(np.mean(right)) if right else 0.0


def _colour(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """Bodies, struck bars, or the one thing that passes, have the colours that were asked for."""
    if asked.family == "bounce":
        return float({track.colour for track in seen.tracks} == set(asked.colours))
    if asked.family == "strike":
        return _share([sight.colour in asked.melody for sight in seen.strikes])
    if asked.family == "pass" and asked.colours and asked.colours[0] in sights.NAMES:
        return float(sights.moving_colour(seen.frames) == asked.colours[0])
    return None


def _material(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    if asked.family != "bounce" or "effects" in asked.silent:
        return None
    return _share([material in asked.materials for material in heard.materials])


def _pitch(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """Bars sound the note of their colour."""
    if asked.family != "strike" or "effects" in asked.silent:
        return None
    pairs = match([s.time for s in seen.strikes], [o.time for o in heard.onsets], 0.12)
    return _share([NOTE_OF[seen.strikes[i].colour or "red"] == heard.notes[j] for i, j in pairs])


def _pan(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """What is seen clearly to one side is heard there."""
    events = {"bounce": "impacts", "strike": "strikes", "rain": "drops"}.get(asked.family)
    if events is None or "effects" in asked.silent:
        return None
    pairs = [(s.x - 0.5, o.pan) for s, o in _pairs(getattr(seen, events), heard.onsets, 0.1) if abs(s.x - 0.5) > 0.1]
    return _share([x * pan > 0 for x, pan in pairs]) if pairs else None


def _family_seen(seen: Seen, heard: Heard, asked: Asked) -> float:
    return float(seen.family in asked.holds)


def _family_heard(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    if asked.silent >= {"speech", "effects"}:
        return None
    return float(heard.family in asked.holds)


def _count(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    return float(len(seen.tracks) == asked.count) if asked.count else None


def _two_colours(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """Two bodies, each with its colour."""
    if asked.count != 2:
        return None
    return float(Counter(track.colour for track in seen.tracks) == Counter(asked.colours))


def _order(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """The whole sequence of bars, as far as it is listed, is seen to be struck."""
    if not asked.melody:
        return None
    return float([sight.colour for sight in seen.strikes][: len(asked.melody)] == list(asked.melody))


def _order_heard(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    if not asked.melody or "effects" in asked.silent:
        return None
    return float(heard.notes[: len(asked.melody)] == [NOTE_OF[colour] for colour in asked.melody])


def _side(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """The one body or blast that a side is said of is seen there; the one speaker is heard there."""
    if not asked.side:
        return None
    place: float | None = None
    if asked.family == "bounce":
        place = min((track.start for track in seen.tracks), key=lambda at: at[1], default=(0.5, 0.0))[0]
    elif asked.family == "blast":
        place = seen.flashes[0].x if seen.flashes else 0.5
    elif asked.family == "talk" and "speech" not in asked.silent:
        place = (1 + stems.balance(heard.speech)) / 2
    return None if place is None else float((place < 0.5) == (asked.side == "left") and place != 0.5)


def _way(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    return float(sweep.direction(seen.moving) * asked.way > 0.1) if asked.way else None


def _turns(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """Two speak in turn: the mouth moves on the side from which the voice comes."""
    return float(mouths.in_turn(seen.cells, heard.speech_ears, seen.fps) > 0) if asked.taking_turns else None


def _negated(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """Whether any of what the caption says is not there, is there: less is better."""
    if not asked.negated:
        return None
    there = {track.colour for track in seen.tracks} if asked.family == "bounce" else set()
    there |= set(heard.materials) if asked.family == "bounce" else set()
    there |= {stem for stem in ("speech", "effects", "music") if stems.audible(getattr(heard, stem), heard.mix)}
    return float(bool(there & asked.negated))


def _silent(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """Share of the stems asked to be silent that have at most -30 dB of the energy of the mix."""
    if heard.music is None or not asked.silent or len(asked.silent) == 3:
        return None
    return _share([not stems.audible(getattr(heard, stem), heard.mix) for stem in asked.silent])


def _ducking(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """How many dB music is lower under words."""
    if heard.music is None or asked.silent & {"speech", "music"}:
        return None
    return stems.ducking(heard.speech, heard.music, heard.sample_rate)


def _accents(seen: Seen, heard: Heard, asked: Asked) -> float | None:
    """How many dB more music sets in on what happens than at other times."""
    marked = asked.family in ("bounce", "strike", "blast")
    if heard.music is None or not marked or asked.silent & {"effects", "music"}:
        return None
    return stems.accents([onset.time for onset in heard.onsets], heard.music, heard.sample_rate)


MEASURES: dict[str, Callable[[Seen, Heard, Asked], float | None]] = {
    "sync": _sync,
    "colour": _colour,
    "material": _material,
    "pitch": _pitch,
    "pan_sign": _pan,
    "family_seen": _family_seen,
    "family_heard": _family_heard,
    "count": _count,
    "two_colours": _two_colours,
    "order": _order,
    "order_heard": _order_heard,
    "side": _side,
    "way": _way,
    "turns": _turns,
    "negated_present": _negated,
    "stem_silent": _silent,
    "ducking": _ducking,
    "accents": _accents,
}
LOWER = frozenset({"negated_present", "speech_in_effects", "music_in_effects"})
UNITS = {"ducking": "dB", "accents": "dB"}
"""Measures that are no shares."""
