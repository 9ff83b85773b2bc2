"""Sounds scenes: modal impacts, filtered noise and tones, placed in stereo and in a small room.

All sounds of a scene are computed at once in torch, on CPU or GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from phonofilm.media import resample_audio

HEAD = 0.00026  # s: greatest difference in arrival between the two ears' microphones
CONTROL_RATE = 100  # envelopes of continuous sounds, per second
MODES = 6
TONES = 8  # computed at once: a minute of a hundred would not fit into memory


def control_times(seconds: float) -> np.ndarray:
    """float64 [K]: the times of envelopes and pitches of continuous sounds of a scene of this duration."""
    return np.arange(int(seconds * CONTROL_RATE) + 2) / CONTROL_RATE


@dataclass(frozen=True)
class Hit:
    """A struck body: a sum of decaying modes and a burst of noise.

    Attributes:
        time: onset in s. gain: linear peak level. pan: -1 to 1.
        frequencies: Hz. decays: s to -60 dB. gains: linear, relative to `gain`.
        click: level of the burst relative to `gain`; click_band: its centre in Hz.
        stem: "effects", "music" or "speech".
    """

    time: float
    gain: float
    pan: float
    frequencies: tuple[float, ...]
    decays: tuple[float, ...]
    gains: tuple[float, ...]
    click: float = 0.0
    click_band: float = 2000.0
    stem: str = "effects"


@dataclass(frozen=True, eq=False)
class Bed:
    """A lasting sound: noise in a band under an envelope (rolling, wind, rain, rumble).

    Attributes:
        level: linear, [K] at CONTROL_RATE. pan: -1 to 1, a number or [K].
        low, high: edges of the band in Hz. slope: dB per octave above `low`, for rumbles.
        seed: of the noise. width: 0 one source, 1 decorrelated between the channels.
    """

    level: np.ndarray
    pan: np.ndarray | float
    low: float
    high: float
    seed: int
    slope: float = 0.0
    width: float = 0.0
    stem: str = "effects"


@dataclass(frozen=True, eq=False)
class Tone:
    """A lasting harmonic sound whose pitch moves: an engine, a horn, a bird.

    Attributes:
        frequency: of the fundamental in Hz, as it is heard, [K] at CONTROL_RATE.
        level: linear, [K]. pan: -1 to 1, a number or [K].
        gains: linear, of the first, second, ... harmonic, relative to `level`.
    """

    frequency: np.ndarray
    level: np.ndarray
    pan: np.ndarray | float
    gains: tuple[float, ...] = (1.0,)
    stem: str = "effects"


@dataclass(frozen=True, eq=False)
class Recording:
    """A sound that is there as samples, such as a voice.

    Attributes:
        time: onset in s. sound: float32 [N]. sample_rate: its own. gain: linear. pan: -1 to 1.
    """

    time: float
    sound: np.ndarray
    sample_rate: int
    gain: float
    pan: float
    stem: str = "speech"


@dataclass(frozen=True)
class Room:
    """A small room: time to -60 dB in s, level of the reverberation relative to the source, seed."""

    decay: float = 0.3
    level: float = 0.12
    seed: int = 0


@dataclass(frozen=True)
class Score:
    """All sounds of one scene.

    Attributes:
        levels: of whole stems over time, linear, [K] at CONTROL_RATE.
    """

    hits: tuple[Hit, ...] = ()
    beds: tuple[Bed, ...] = ()
    room: Room = Room()
    tones: tuple[Tone, ...] = ()
    recordings: tuple[Recording, ...] = ()
    levels: Mapping[str, np.ndarray] = field(default_factory=dict)


def stereo_gains(pan: Tensor) -> Tensor:
    """Constant-power gains: pan [...] in [-1, 1] -> [..., 2] (left, right)."""
    angle = (pan.clamp(-1, 1) + 1) * (torch.pi / 4)
    return torch.stack([torch.cos(angle), torch.sin(angle)], -1)


def synthesise(
    scores: Sequence[Score], samples: int, sample_rate: int, device: str | torch.device = "cpu"
) -> dict[str, Tensor]:
    """Sound scenes, each by itself: stems, each float32 [B, 2, samples], that add up to the whole sound."""
    made = [_one(score, samples, sample_rate, torch.device(device)) for score in scores]
    silent = torch.zeros(2, samples, device=device)
    names = sorted({name for stems in made for name in stems})
    return {name: torch.stack([stems.get(name, silent) for stems in made]) for name in names}


def _one(score: Score, samples: int, sample_rate: int, device: torch.device) -> dict[str, Tensor]:
    """Stems [2, samples] of one scene, in its room, none louder than .95 all together."""
    kinds: tuple[Sequence[Hit | Bed | Tone | Recording], ...]
    kinds = score.hits, score.beds, score.tones, score.recordings
    names = {"effects"}.union(sound.stem for kind in kinds for sound in kind)
    room = impulse_responses([score.room], sample_rate, device)
    stems = {}
    for name in sorted(names):
        dry = torch.zeros(1, 2, samples, device=device)
        strike(dry, [[h for h in score.hits if h.stem == name]], sample_rate)
        blow(dry, [[b for b in score.beds if b.stem == name]], sample_rate)
        sing(dry, [[t for t in score.tones if t.stem == name]], sample_rate)
        play(dry, [[r for r in score.recordings if r.stem == name]], sample_rate)
        stems[name] = (dry + convolve(dry, room))[0]
        if name in score.levels:
            control = torch.from_numpy(np.asarray(score.levels[name], np.float32))[None].to(device)
            stems[name] = stems[name] * _stretch(control, samples, sample_rate)
    peak = float(torch.stack(list(stems.values())).sum(0).abs().max())
    return {name: sound / max(peak / 0.95, 1.0) for name, sound in stems.items()}


def strike(out: Tensor, hits: Sequence[Sequence[Hit]], sample_rate: int) -> None:
    """Add modal impacts to out [B, 2, N] in place."""
    flat = [(row, hit) for row, scene in enumerate(hits) for hit in scene if hit.time * sample_rate < out.shape[-1]]
    for ringing in (False, True):  # short and long sounds apart: a thud need not be computed for seconds
        group = [(row, hit) for row, hit in flat if (max(hit.decays) > 0.4) == ringing]
        if group:
            _strike(out, group, sample_rate)


def _strike(out: Tensor, flat: Sequence[tuple[int, Hit]], sample_rate: int) -> None:
    def table(values: Sequence[Sequence[float]], fill: float) -> Tensor:
        padded = [(*row, *([fill] * (MODES - len(row)))) for row in values]
        return torch.tensor(padded, dtype=torch.float32, device=out.device)

    device, length = out.device, out.shape[-1]
    onset = torch.tensor([hit.time for _, hit in flat], dtype=torch.float64, device=device) * sample_rate
    window = min(length, int(max(max(hit.decays) for _, hit in flat) * sample_rate * 0.9) + 64)
    pan = torch.tensor([hit.pan for _, hit in flat], device=device)
    gain = torch.tensor([hit.gain for _, hit in flat], device=device)
    frequency, decay, mode = (
        table([getattr(hit, name) for _, hit in flat], fill)
        for name, fill in (("frequencies", 0.0), ("decays", 1.0), ("gains", 0.0))
    )
    first = onset.ceil()
    lead = (first - onset).float()  # part of a sample between the true onset and the first sample
    t = (torch.arange(window, device=device) + lead[:, None]) / sample_rate
    body = _clicks(flat, t, sample_rate)
    for m in range(MODES):
        mode[:, m] *= frequency[:, m] < sample_rate / 2
        if mode[:, m].abs().max() > 0:
            swing = torch.sin(2 * torch.pi * frequency[:, m, None] * t)
            body += swing.mul_(torch.exp(t * (-6.908 / decay[:, m, None]))).mul_(mode[:, m, None])
    body *= (t * 4000).clamp(max=1) * gain[:, None]
    row = torch.tensor([row for row, _ in flat], device=device)[:, None] * length
    for ear, level in enumerate(stereo_gains(pan).unbind(-1)):
        late = (HEAD / 2 * sample_rate * (1 + (pan if ear == 0 else -pan))).round()
        place = (first + late).long()[:, None] + torch.arange(window, device=device)
        heard = body * (level[:, None] * (place < length))
        lane = torch.zeros(len(out) * length, device=device)
        lane.index_add_(0, (row + place.clamp(max=length - 1)).reshape(-1), heard.reshape(-1))
        out[:, ear] += lane.view(len(out), length)


def _clicks(flat: Sequence[tuple[int, Hit]], t: Tensor, sample_rate: int) -> Tensor:
    """Noise bursts of a few milliseconds around each hit's band: [E, W]."""
    level = torch.tensor([hit.click for _, hit in flat], device=t.device)[:, None]
    band = torch.tensor([hit.click_band for _, hit in flat], device=t.device)[:, None]
    short = min(t.shape[1], int(0.03 * sample_rate))
    noise = torch.stack([_noise((short,), round(hit.time * 1e4) + 7) for _, hit in flat]).to(t.device)
    burst = noise * torch.sin(2 * torch.pi * band * t[:, :short]) * torch.exp(-t[:, :short] / 0.004) * level * 1.6
    return torch.nn.functional.pad(burst, (0, t.shape[1] - short))


def _noise(shape: tuple[int, ...], seed: int) -> Tensor:
    # drawn on the CPU, so that a scene sounds the same on every device
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, np.float32))


def blow(out: Tensor, beds: Sequence[Sequence[Bed]], sample_rate: int) -> None:
    """Add lasting noises to out [B, 2, N] in place."""
    length, device = out.shape[-1], out.device
    for row, scene in enumerate(beds):
        for bed in scene:
            if not bed.level.any():
                continue
            shared, apart = _noise((1, length), bed.seed).to(device), _noise((2, length), bed.seed + 1).to(device)
            noise = band_pass(shared * (1 - bed.width) + apart * bed.width, bed, sample_rate)
            pan = torch.as_tensor(np.broadcast_to(np.asarray(bed.pan, np.float32), bed.level.shape).copy())
            gains = stereo_gains(pan).T * torch.from_numpy(np.asarray(bed.level, np.float32))
            out[row] += noise * _stretch(gains.to(device), length, sample_rate)


def sing(out: Tensor, tones: Sequence[Sequence[Tone]], sample_rate: int) -> None:
    """Add lasting tones to out [B, 2, N] in place."""
    flat = [(row, tone) for row, scene in enumerate(tones) for tone in scene if tone.level.any()]
    for first in range(0, len(flat), TONES):
        _sing(out, flat[first : first + TONES], sample_rate)


def _sing(out: Tensor, flat: Sequence[tuple[int, Tone]], sample_rate: int) -> None:
    device, length = out.device, out.shape[-1]

    def control(values: Sequence[np.ndarray | float]) -> Tensor:
        points = len(flat[0][1].level)
        table = np.stack([np.broadcast_to(np.asarray(v, np.float32), (points,)) for v in values])
        return torch.from_numpy(table).to(device)

    pitch = _stretch(control([tone.frequency for _, tone in flat]), length, sample_rate)
    # whole turns are dropped in float64: in float32 a phase of thousands of turns would be noise
    phase = (pitch.double().cumsum(-1) / sample_rate).frac_().float() * (2 * torch.pi)
    voice = torch.zeros_like(phase)
    for harmonic in range(1, max(len(tone.gains) for _, tone in flat) + 1):
        strength = [tone.gains[harmonic - 1] if harmonic <= len(tone.gains) else 0.0 for _, tone in flat]
        audible = (pitch * harmonic < sample_rate * 0.48) * torch.tensor(strength, device=device)[:, None]
        voice += torch.sin(phase * harmonic).mul_(audible)
    level = control([tone.level for _, tone in flat])
    gains = stereo_gains(control([tone.pan for _, tone in flat])).unbind(-1)
    row = torch.tensor([row for row, _ in flat], device=device)
    for ear, gain in enumerate(gains):
        out[:, ear].index_add_(0, row, voice * _stretch(gain * level, length, sample_rate))


def play(out: Tensor, recordings: Sequence[Sequence[Recording]], sample_rate: int) -> None:
    """Add recordings to out [B, 2, N] in place; an ear that is turned away hears them a little later."""
    for row, scene in enumerate(recordings):
        for recording in scene:
            sound = resample_audio(recording.sound[None], recording.sample_rate, sample_rate)[0]
            heard = torch.from_numpy(sound).to(out.device) * recording.gain
            gains = stereo_gains(torch.tensor(recording.pan)).tolist()
            for ear, side in enumerate((1, -1)):
                late = recording.time + HEAD / 2 * (1 + side * recording.pan)
                first = round(late * sample_rate)
                room = min(len(heard), max(out.shape[-1] - first, 0))
                out[row, ear, first : first + room] += heard[:room] * gains[ear]


def _stretch(control: Tensor, samples: int, sample_rate: int) -> Tensor:
    """Control points [C, K] at CONTROL_RATE, linearly interpolated to [C, samples]."""
    place = torch.arange(samples, device=control.device) * (CONTROL_RATE / sample_rate)
    low = place.long().clamp(max=control.shape[1] - 2)
    return torch.lerp(control[:, low], control[:, low + 1], (place - low).clamp(0, 1))


def band_pass(noise: Tensor, bed: Bed, sample_rate: int) -> Tensor:
    """Shape white noise [C, N] to a bed's band, at unit level."""
    spectrum = torch.fft.rfft(noise)
    frequency = torch.linspace(0, sample_rate / 2, spectrum.shape[-1], device=noise.device).clamp(min=1)
    shape = 1 / (1 + (bed.low / frequency) ** 4) / (1 + (frequency / bed.high) ** 4)
    shape = shape * (frequency / bed.low).clamp(min=1) ** (bed.slope / 6.02)
    shaped = torch.fft.irfft(spectrum * shape, noise.shape[-1])
    return shaped / shaped.square().mean().sqrt().clamp(min=1e-6)


def impulse_responses(rooms: Sequence[Room], sample_rate: int, device: torch.device) -> Tensor:
    """Decaying stereo noise after a first reflection: [B, 2, R]. A room sounds the same beside any others."""
    longest = int(max(room.decay for room in rooms) * sample_rate)
    tails = []
    for room in rooms:
        t = torch.arange(int(room.decay * sample_rate)) / sample_rate
        fading = (t > 0.007).float() * torch.exp(-6.908 * t / room.decay) * room.level / (sample_rate**0.5 / 8)
        tail = _noise((2, len(t)), room.seed) * fading
        tails.append(torch.nn.functional.pad(tail, (0, longest - len(t))))
    return torch.stack(tails).to(device)


def convolve(sound: Tensor, response: Tensor) -> Tensor:
    """Convolve sound [B, 2, N] with response [B, 2, R], cut to N samples."""
    size = next_fast_len(sound.shape[-1] + response.shape[-1], real=True)
    return torch.fft.irfft(torch.fft.rfft(sound, size) * torch.fft.rfft(response, size), size)[..., : sound.shape[-1]]


def mix(stems: Mapping[str, Tensor]) -> Tensor:
    """The whole sound [B, 2, N] of its stems."""
    return torch.stack(list(stems.values())).sum(0)
