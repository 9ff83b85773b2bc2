"""What the sound codec and the vocoder keep of held-out sounds: whole mixes, and speech, effects and music apart.

    python benchmarks/audio_codec.py weights --raw data/held

Prints a Markdown table by family: mean absolute error of log mels through the codec, and of those of the decoded sound;
onsets within 20 ms of the true sound's own, as F1; notes of struck bars and materials of impacts, as shares of those
found in the true sound. Then, of stems: the error, and speech quality (DNSMOS) before and after, where it is installed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from phonofilm.checkpoint import load_module
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.common.mel import log_mel
from phonofilm.codecs.vocoder import Vocoder
from phonofilm.data.clips import STEMS, RawStore, to_model_samples
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.foley_world import audio_events
from phonofilm.evaluation.foley_world.detect import PITCHES
from phonofilm.evaluation.foley_world.metrics import f1_counts
from phonofilm.media import resample_audio
from phonofilm.types import causal_length

AUDIBLE = 1e-3


@torch.inference_mode()
def recoded(waveform: Tensor, codec: AudioVAE, vocoder: Vocoder) -> tuple[Tensor, float, float]:
    """A sound [2, N] through both; mean error in dB of its mel after the codec, and after the vocoder."""
    mel, config = codec.config.mel, codec.config
    count = causal_length(-(-waveform.shape[-1] // mel.hop), config.time, config.head) * mel.hop
    truth = log_mel(to_model_samples(waveform[None], count), mel)
    decoded = codec.decode(codec.encode(truth)[0])[0]
    sound = vocoder(decoded)[0]
    errors = [float((x - truth).abs().mean()) * -mel.floor_db / 2 for x in (decoded, log_mel(sound, mel))]
    return sound[0, :, : waveform.shape[-1]].clamp(-1, 1), errors[0], errors[1]


def heard(family: str, sound: np.ndarray, rate: int, times: list[float]) -> list[str]:
    """What each onset sounds like: the note of a struck bar, the material of an impact."""
    if family == "strike":
        return [audio_events.note(sound, rate, time, PITCHES) for time in times]
    return [audio_events.material(sound, rate, time) for time in times] if family == "bounce" else []


def speech_quality(waveform: Tensor, rate: int) -> float:
    """DNSMOS's overall score; NaN where it is not installed."""
    from phonofilm.perception.audio.dnsmos import DNSMOS

    try:
        judge = DNSMOS.load()
    except PhonofilmError:
        return float("nan")
    mono = resample_audio(waveform.mean(0, keepdim=True).numpy(), rate, judge.sample_rate)
    return judge(mono[0]).overall


def mixes(store: RawStore, codec: AudioVAE, vocoder: Vocoder, count: int) -> None:
    found: dict[str, list[tuple[float, ...]]] = {}
    rate = store.sample_rate
    for row in range(count):
        truth = store.waveforms([row])[0]
        sound, of_codec, of_both = recoded(truth, codec, vocoder)
        before = [onset.time for onset in audio_events.onsets(truth.numpy(), rate)]
        after = [onset.time for onset in audio_events.onsets(sound.numpy(), rate)]
        family = store.family(row)
        pairs = zip(heard(family, truth.numpy(), rate, before), heard(family, sound.numpy(), rate, before), strict=True)
        same = [one == other for one, other in pairs]
        rows = found.setdefault(family, [])
        rows.append((of_codec, of_both, *f1_counts(before, after, 0.02), float(sum(same)), float(len(same))))
    print("| family | clips | codec, dB | codec and vocoder, dB | onsets within 20 ms, F1 | notes, materials |")
    print("|---|---|---|---|---|---|")
    for family, values in found.items():
        table = np.array(values)
        totals = table.sum(0)
        onsets, kept = totals[2] / max(totals[3], 1), totals[4] / totals[5] if totals[5] else float("nan")
        errors = f"{table[:, 0].mean():.2f} | {table[:, 1].mean():.2f}"
        print(f"| {family} | {len(table)} | {errors} | {onsets:.3f} | {kept:.3f} |")


def stems(store: RawStore, codec: AudioVAE, vocoder: Vocoder, count: int) -> None:
    print("\n| stem | clips | codec, dB | codec and vocoder, dB | speech quality | truth's |")
    print("|---|---|---|---|---|---|")
    for place, name in enumerate(STEMS):
        errors, quality = [], []
        for row in range(count):
            truth = store.stems([row])[0, place]
            if truth.abs().max() < AUDIBLE:
                continue
            sound, *both = recoded(truth, codec, vocoder)
            errors.append(both)
            if name == "speech":
                quality.append([speech_quality(x, store.sample_rate) for x in (sound, truth)])
        if errors:
            means = np.mean(errors, axis=0)
            judged = "{:.2f} | {:.2f}".format(*np.mean(quality, axis=0)) if quality else "- | -"
            print(f"| {name} | {len(errors)} | {means[0]:.2f} | {means[1]:.2f} | {judged} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="a folder with audio_vae and vocoder")
    parser.add_argument("--raw", type=Path, required=True, help="a raw store, with stems, that they never heard")
    parser.add_argument("--clips", type=int, help="the first so many; all unless given")
    given = parser.parse_args()
    codec = load_module(AudioVAE, given.weights / "audio_vae.safetensors")
    vocoder = load_module(Vocoder, given.weights / "vocoder.safetensors")
    store = RawStore(given.raw)
    count = given.clips or len(store)
    mixes(store, codec, vocoder, count)
    stems(store, codec, vocoder, count)


if __name__ == "__main__":
    main()
