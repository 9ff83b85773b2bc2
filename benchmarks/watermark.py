"""How often the marks in sound and picture are found after attacks, what they cost, and how often they are found where
there are none.

    python benchmarks/watermark.py --raw FOLDER [FOLDER …] [--film FILE …] [--clips 24] [--pairs 100000] [--only sound]

Clips come from raw stores (`phonofilm.data`), 128 x 128 pixels, 24 frames a second, 4 s, 24 kHz; films are any files
with picture, sound or both, of which the first eight seconds are used.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import scipy.fft
import scipy.signal
from PIL import Image, ImageEnhance, ImageFilter

from phonofilm.data.clips import RawStore
from phonofilm.media import read_clip
from phonofilm.media.resample import resample_audio
from phonofilm.provenance.watermark import picture, sound
from phonofilm.provenance.watermark.signs import FALSE_POSITIVES, PUBLIC, Found, best_sum, threshold
from phonofilm.types import Clip

PRIVATE = b"the private key of an installation, for measuring"
KEYS = (PUBLIC, PRIVATE)

Sound = Callable[[np.ndarray, int], np.ndarray]
Picture = Callable[[np.ndarray, Fraction], tuple[np.ndarray, Fraction]]


def coded_sound(codec: str, rate: int, bits: int, format: str = "fltp") -> Sound:
    """Through a codec of FFmpeg, at a rate that it has, and back."""

    def attack(samples: np.ndarray, own: int) -> np.ndarray:
        samples = resample_audio(samples, own, rate)
        samples = np.ascontiguousarray(np.clip(np.broadcast_to(samples, (2, samples.shape[1])), -1, 1))
        buffer, found = io.BytesIO(), []
        with av.open(buffer, "w", format="matroska") as output:
            stream = output.add_stream(codec, rate=rate, layout="stereo")
            stream.bit_rate = bits
            for start in range(0, samples.shape[1], 960):
                piece = samples[:, start : start + 960]
                piece = piece if format == "fltp" else piece.T.reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format=format, layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        buffer.seek(0)
        with av.open(buffer) as source:
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
            for frame in source.decode(audio=0):
                found += [one.to_ndarray() for one in resampler.resample(frame)]
        return resample_audio(np.concatenate(found, axis=1).astype(np.float32), rate, own)

    return attack


def faster(samples: np.ndarray, factor: float) -> np.ndarray:
    """Played faster, and so higher."""
    times = np.arange(int(samples.shape[1] / factor)) * factor
    return np.stack([np.interp(times, np.arange(samples.shape[1]), one) for one in samples]).astype(np.float32)


def noisy(samples: np.ndarray, decibels: float) -> np.ndarray:
    level = np.sqrt((samples**2).mean()) * 10 ** (-decibels / 20)
    return (samples + np.random.default_rng(0).normal(0, level, samples.shape)).astype(np.float32)


def filtered(samples: np.ndarray, rate: int, low: float, high: float) -> np.ndarray:
    bands = scipy.signal.butter(4, [low, min(high, 0.49 * rate)], "bandpass", fs=rate, output="sos")
    return scipy.signal.sosfilt(bands, samples, axis=1).astype(np.float32)


def echoed(samples: np.ndarray, rate: int) -> np.ndarray:
    found = samples.copy()
    for delay, gain in ((0.031, 0.35), (0.067, 0.2), (0.113, 0.1)):
        found[:, int(delay * rate) :] += gain * samples[:, : -int(delay * rate)]
    return found


SOUND_ATTACKS: dict[str, Sound] = {
    "none": lambda x, rate: x,
    "AAC 96 kbit/s": coded_sound("aac", 24_000, 96_000),
    "AAC 32 kbit/s": coded_sound("aac", 24_000, 32_000),
    "MP3 64 kbit/s": coded_sound("libmp3lame", 24_000, 64_000),
    "Opus 48 kbit/s": coded_sound("libopus", 48_000, 48_000, "flt"),
    "crop of 10 % (time)": lambda x, rate: x[:, round(0.06 * x.shape[1]) : round(0.96 * x.shape[1])],
    "resampling to 16 kHz": lambda x, rate: resample_audio(resample_audio(x, rate, 16_000), 16_000, rate),
    "1 % faster": lambda x, rate: faster(x, 1.01),
    "2 % slower": lambda x, rate: faster(x, 0.98),
    "12 dB softer": lambda x, rate: 0.25 * x,
    "noise, 30 dB": lambda x, rate: noisy(x, 30),
    "300 to 4000 Hz": lambda x, rate: filtered(x, rate, 300, 4000),
    "echoes": echoed,
    "soft clipping": lambda x, rate: np.tanh(3 * x / max(1e-6, float(np.abs(x).max()))).astype(np.float32),
    "one channel": lambda x, rate: x.mean(0, keepdims=True),
    "8 bits": lambda x, rate: (np.rint(x * 127) / 127).astype(np.float32),
}


def coded_picture(codec: str, options: dict[str, str]) -> Picture:
    def attack(frames: np.ndarray, fps: Fraction) -> tuple[np.ndarray, Fraction]:
        frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="matroska") as output:
            stream = output.add_stream(codec, rate=fps, options=options)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            for pixels in frames:
                output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
            output.mux(stream.encode(None))
        buffer.seek(0)
        with av.open(buffer) as source:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]), fps

    return attack


def each(change: Callable[[Image.Image], Image.Image]) -> Picture:
    def attack(frames: np.ndarray, fps: Fraction) -> tuple[np.ndarray, Fraction]:
        return np.stack([np.asarray(change(Image.fromarray(frame)).convert("RGB")) for frame in frames]), fps

    return attack


def scaled(factor: float) -> Picture:
    return each(
        lambda one: one.resize((round(factor * one.width), round(factor * one.height)), Image.Resampling.BICUBIC)
    )


def cropped(frames: np.ndarray, fps: Fraction) -> tuple[np.ndarray, Fraction]:
    """A tenth of width and of height goes, more of it above and to the left."""
    _, height, width, _ = frames.shape
    top, left = round(0.06 * height), round(0.07 * width)
    return frames[:, top : top + round(0.9 * height), left : left + round(0.9 * width)], fps


def cropped_and_stretched(frames: np.ndarray, fps: Fraction) -> tuple[np.ndarray, Fraction]:
    size = frames.shape[2], frames.shape[1]
    return each(lambda one: one.resize(size, Image.Resampling.BICUBIC))(*cropped(frames, fps))


def jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=50)
    return Image.open(buffer)


def resampled(frames: np.ndarray, fps: Fraction) -> tuple[np.ndarray, Fraction]:
    """To 30 frames a second."""
    times = np.arange(int(len(frames) / fps * 30)) / 30
    return frames[np.minimum((times * float(fps)).astype(int), len(frames) - 1)], Fraction(30)


def grained(frames: np.ndarray, fps: Fraction) -> tuple[np.ndarray, Fraction]:
    noise = np.random.default_rng(0).normal(0, 5, frames.shape)
    return np.clip(np.rint(frames + noise), 0, 255).astype(np.uint8), fps


CRF28 = coded_picture("libx264", {"crf": "28", "preset": "medium"})
PICTURE_ATTACKS: dict[str, Picture] = {
    "none": lambda frames, fps: (frames, fps),
    "H.264 CRF 28": CRF28,
    "H.264 CRF 32": coded_picture("libx264", {"crf": "32", "preset": "medium"}),
    "VP9 CRF 35": coded_picture("libvpx-vp9", {"crf": "35", "b": "0", "cpu-used": "6", "deadline": "good"}),
    "crop of 10 %": cropped,
    "crop of 10 %, stretched": cropped_and_stretched,
    "crop, stretched, CRF 28": lambda frames, fps: CRF28(*cropped_and_stretched(frames, fps)),
    "resampling to 3/4": scaled(0.75),
    "resampling to 3/2": scaled(1.5),
    "1 % faster": lambda frames, fps: (frames, fps * Fraction(101, 100)),
    "24 to 30 frames/s": resampled,
    "crop of 10 % (time)": lambda frames, fps: (frames[round(0.06 * len(frames)) : round(0.96 * len(frames))], fps),
    "brighter by a fifth": each(lambda one: ImageEnhance.Brightness(one).enhance(1.2)),
    "contrast less a third": each(lambda one: ImageEnhance.Contrast(one).enhance(0.67)),
    "blur, radius 1": each(lambda one: one.filter(ImageFilter.GaussianBlur(1))),
    "noise, 5 levels": grained,
    "JPEG quality 50": each(jpeg),
    "64 colours": each(lambda one: one.quantize(64, dither=Image.Dither.FLOYDSTEINBERG)),
    "grey": each(lambda one: one.convert("L")),
    "mirrored": lambda frames, fps: (frames[:, :, ::-1], fps),
}


def clips_of(folders: list[Path], films: list[Path], count: int) -> list[tuple[str, Clip]]:
    found: list[tuple[str, Clip]] = []
    for folder in folders:
        store = RawStore(folder)
        for row in np.linspace(0, len(store) - 1, max(1, count // len(folders))).astype(int).tolist():
            frames, wave = store.frames([row])[0].numpy(), store.waveforms([row])[0].float().numpy()
            clip = Clip(frames, Fraction(store.fps), np.ascontiguousarray(wave), store.sample_rate)
            found.append((f"{folder.name} {row} {store.family(row)}", clip))
    for film in films:
        clip = read_clip(film)
        frames = None if clip.frames is None else clip.frames[: round(8 * float(clip.fps or 0))]
        wave = None if clip.waveform is None else clip.waveform[:, : 8 * (clip.sample_rate or 0)]
        found.append((film.name, clip.with_(frames=frames, waveform=wave, stems={})))
    return found


def measure(clips: list[tuple[str, Clip]], json_file: Path | None) -> dict[str, dict[str, list[Found]]]:
    found: dict[str, dict[str, list[Found]]] = {"sound": {}, "picture": {}}
    costs: dict[str, list[float]] = {"sound": [], "picture": [], "psnr": [], "snr": []}
    for name, clip in clips:
        if clip.waveform is not None and clip.sample_rate and clip.waveform.any():
            began = time.process_time()
            added = sound.mark_sound(clip.waveform, clip.sample_rate, KEYS)
            costs["sound"].append(time.process_time() - began)
            costs["snr"].append(10 * np.log10((clip.waveform**2).sum() / (added**2).sum()))
            for attack, change in SOUND_ATTACKS.items():
                changed = change(clip.waveform + added, clip.sample_rate)
                looked = sound.find_in_sound(changed, clip.sample_rate, PUBLIC)
                found["sound"].setdefault(attack, []).append(looked)
        if clip.frames is not None and clip.fps is not None:
            began = time.process_time()
            marked = picture.mark_frames(clip.frames, clip.fps, KEYS)
            costs["picture"].append(time.process_time() - began)
            costs["psnr"].append(10 * np.log10(255**2 / ((marked.astype(np.float32) - clip.frames) ** 2).mean()))
            for attack, change in PICTURE_ATTACKS.items():
                looked = picture.find_in_picture(*change(marked, clip.fps), PUBLIC)
                found["picture"].setdefault(attack, []).append(looked)
        print(name, "sound", _least(found["sound"]), "picture", _least(found["picture"]), flush=True)
        if json_file is not None:  # so that a run that is stopped leaves what it knows
            json_file.write_text(
                json.dumps({"scores": _scores(found), "costs": {n: list(map(float, v)) for n, v in costs.items()}})
            )
    for name, values in costs.items():
        unit = "dB" if name in ("psnr", "snr") else "s of one core to mark"
        if values:
            print(f"{name}: median {np.median(values):.3f}, least {min(values):.3f}, most {max(values):.3f} {unit}")
    return found


def _scores(found: dict[str, dict[str, list[Found]]]) -> dict[str, dict[str, list[list[float]]]]:
    """Score and threshold of each clip after each attack."""
    return {
        stream: {attack: [[float(one.score), one.threshold] for one in looked] for attack, looked in attacks.items()}
        for stream, attacks in found.items()
    }


def _least(found: dict[str, list[Found]]) -> str:
    last = {attack: values[-1].score for attack, values in found.items() if values}
    attack = min(last, key=lambda one: last[one]) if last else ""
    return f"{last[attack]:.1f} ({attack})" if last else "none"


def false_sounds(clips: list[tuple[str, Clip]], pairs: int) -> tuple[int, int, float]:
    """Pairs of an unmarked sound and a random key, how many of them exceed the threshold, and the largest score."""
    generator, above, most, done = np.random.default_rng(1), 0, 0.0, 0
    heard = [clip for _, clip in clips if clip.waveform is not None and clip.waveform.any()]
    for clip in heard:
        assert clip.waveform is not None
        stretches = sound.alignments(clip.waveform, clip.sample_rate or 1)
        features = np.concatenate(stretches)
        lengths = np.sqrt((features**2).sum((1, 2)))
        features = features[lengths > 0] / lengths[lengths > 0, None, None]
        limit = threshold(len(features) * sound.SLOTS)
        spectra = np.moveaxis(scipy.fft.rfft(features, axis=1), 1, 0)
        for _ in range(0, pairs // len(heard), 500):
            keys = generator.integers(0, 2, (500, sound.SLOTS, sound.BANDS)).astype(np.float32) * 2 - 1
            others = np.moveaxis(scipy.fft.rfft(keys, axis=1).conj(), 1, 2).transpose(2, 1, 0)
            scores = scipy.fft.irfft(np.moveaxis(spectra @ others, 0, -1), n=sound.SLOTS, axis=-1).max((0, 2))
            above, most, done = above + int((scores > limit).sum()), max(most, float(scores.max())), done + 500
    return done, above, most


def false_pictures(clips: list[tuple[str, Clip]], pairs: int) -> tuple[int, int, float]:
    """The same of pictures, for the number of cells that their size has."""
    above, most, done = 0, 0.0, 0
    seen = [clip for _, clip in clips if clip.frames is not None]
    for clip in seen:
        assert clip.frames is not None
        assert clip.fps is not None
        luma, cells = clip.frames @ picture.LUMA, picture.cells_of((clip.frames.shape[2], clip.frames.shape[1]))
        parts = [
            picture._differences(luma, clip.fps, phase / picture.TIME_PHASES) for phase in range(picture.TIME_PHASES)
        ]
        features = np.concatenate([picture.aligned(part, cells) for part in parts])
        limit = threshold(len(features) * picture.SLOTS * cells * cells)
        for number in range(max(1, pairs // len(seen))):
            score = best_sum(features, picture.table(b"random %d" % (done + number), cells), (0, 1, 2))
            above, most = above + (score > limit), max(most, score)
        done += max(1, pairs // len(seen))
    return done, above, most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, nargs="*", default=[])
    parser.add_argument("--film", type=Path, nargs="*", default=[])
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--pairs", type=int, default=100_000, help="of unmarked sound and random key")
    parser.add_argument("--picture-pairs", type=int, default=200)
    parser.add_argument("--only", choices=("sound", "picture"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    clips = clips_of(options.raw, options.film, options.clips)
    if options.only == "sound":
        clips = [(name, clip.with_(frames=None, fps=None)) for name, clip in clips]
    elif options.only == "picture":
        clips = [(name, clip.with_(waveform=None, sample_rate=None)) for name, clip in clips]
    found = measure(clips, options.json)
    for stream, attacks in found.items():
        print(f"\n| {stream}, after | found | median score | least |\n|---|---|---|---|")
        for attack, looked in attacks.items():
            share, scores = np.mean([one.present for one in looked]), [one.score for one in looked]
            print(f"| {attack} | {100 * share:.0f} % of {len(looked)} | {np.median(scores):.1f} | {min(scores):.1f} |")
    for stream, count, count_false in (
        ("sound", options.pairs, false_sounds), ("picture", options.picture_pairs, false_pictures)
    ):  # fmt: skip
        if options.only not in (None, stream):
            continue
        done, above, most = count_false(clips, count)
        print(f"{stream}: {above} of {done} pairs of an unmarked clip and a random key are above the threshold", end="")
        print(f" for {FALSE_POSITIVES:g}; the largest score is {most:.2f}")


if __name__ == "__main__":
    main()
