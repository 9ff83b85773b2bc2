"""Speech, effects and music from the command line, on the fake backend: what is written, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import av
import numpy as np
import pytest

from phonofilm import Clip
from phonofilm.app.cli.main import main
from phonofilm.choices import STEMS
from phonofilm.media import read_clip, write_clip

MAKING = ["generate", "a red ball", "-o", "out.mp4", "--model", "fake", "--seconds", "1"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def words(folder) -> Path:
    """Half a second of a tone at 48 kHz, one channel."""
    times = np.arange(24_000) / 48_000
    wave = (0.25 * np.sin(2 * np.pi * 300 * times)).astype(np.float32)
    return write_clip(Clip(waveform=wave[None], sample_rate=48_000), folder / "words.wav")


def ran(capsys, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def answer(capsys, *arguments: str) -> dict:
    code, out, err = ran(capsys, *arguments, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["ok"] is True
    return found


def stems_in(files: dict[str, str]) -> dict[str, np.ndarray]:
    return {name: read_clip(file).waveform for name, file in files.items()}


def test_stems_are_written_and_add_up_to_the_mix(capsys, folder):
    (made,) = answer(capsys, *MAKING, "--stems", "parts")["outputs"]
    assert made["stems"] == {name: f"parts/out-{name}.wav" for name in (*STEMS, "mix")}
    heard = stems_in(made["stems"])
    assert np.abs(sum(heard[name] for name in STEMS) - heard["mix"]).max() <= 1e-4
    assert all(sound.shape == (2, 16_000) and sound.any() for sound in heard.values())
    assert sorted(os.listdir(folder)) == ["out.mp4", "parts"]
    assert len(os.listdir("parts")) == 4
    assert read_clip("parts/out-music.wav").prompt == "a red ball"


def test_each_of_several_has_stems_of_its_own(capsys):
    found = answer(capsys, *MAKING, "-n", "2", "--stems", "parts")["outputs"]
    assert [one["stems"]["music"] for one in found] == ["parts/out-1-music.wav", "parts/out-2-music.wav"]
    assert len(os.listdir("parts")) == 8


def test_stems_are_tracks_of_an_mkv(capsys):
    answer(capsys, *MAKING[:3], "out.mkv", *MAKING[4:], "--stem-tracks")
    with av.open("out.mkv") as container:
        titles = [stream.metadata.get("title") for stream in container.streams.audio]
        sounds = []
        for stream in container.streams.audio:
            container.seek(0)
            sounds.append(np.concatenate([frame.to_ndarray() for frame in container.decode(stream)], axis=1))
    assert titles == ["mix", *STEMS]
    assert np.abs(sum(sounds[1:]) - sounds[0]).max() <= 1e-4
    clip = read_clip("out.mkv")
    assert (clip.waveform.T.reshape(1, -1) == sounds[0]).all(), "the mix is what is heard first"
    # a task that works on it finds them again
    making = ["--model", "fake", "--stems", "parts", "--stem-tracks"]
    found = answer(capsys, "extend", "out.mkv", "--seconds", "1", "-o", "longer.mkv", *making)
    assert not [line for line in found["notices"] if "one mix" in line]
    assert set(found["outputs"][0]["stems"]) == {*STEMS, "mix"}
    found = answer(
        capsys, "retake", "longer.mkv", "--from", "0", "--to", "2", "--no", "music", "-o", "again.mkv", *making
    )
    assert not stems_in(found["outputs"][0]["stems"])["music"][:, 200:-200].any()


@pytest.mark.parametrize(
    ("only", "lacks"),
    [
        ("video", "--only video leaves out the sound"),
        ("audio", "--only audio leaves out the picture"),
        ("effects", "--only effects leaves out the picture, speech and music"),
        ("video,effects,music", "--only video,effects,music leaves out speech"),
    ],
)
def test_what_only_leaves_out_is_told(capsys, only, lacks):
    assert lacks in answer(capsys, *MAKING, "--only", only)["notices"]


def test_every_file_that_is_written_is_named(capsys):
    _, out, _ = ran(capsys, *MAKING, "--subtitles", "--stems", "parts")
    names = ["out.mp4", "out.vtt", *(f"parts/out-{name}.wav" for name in (*STEMS, "mix"))]
    assert out.split() == names
    assert all(Path(name).is_file() for name in names)
    Path("jobs.jsonl").write_text('{"prompt": "a red ball", "name": "a", "subtitles": true}')
    assert ran(capsys, "generate", "--prompts", "jobs.jsonl", "-o", "all", *MAKING[4:])[1].split() == [
        "all/a.mp4",
        "all/a.vtt",
    ]


def test_only_and_no_and_gain(capsys):
    def heard(*arguments: str) -> tuple[dict, dict[str, np.ndarray]]:
        (made,) = answer(capsys, *MAKING, "--no-watermark", "--stems", "parts", *arguments)["outputs"]
        return made, stems_in(made.pop("stems"))

    whole, parts = heard()
    made, alone = heard("--only", "effects,music")
    assert set(alone) == {"effects", "music", "mix"}
    assert "frames" not in made
    made, some = heard("--only", "video,effects")
    assert (set(some), made["frames"]) == ({"effects", "mix"}, whole["frames"])
    _, quiet = heard("--no", "music", "--no", "speech")
    assert not quiet["music"].any()
    assert not quiet["speech"].any()
    assert np.abs(quiet["effects"] - quiet["mix"]).max() <= 1e-6
    _, soft = heard("--gain", "effects=-20", "--gain", "music=6")
    assert np.abs(soft["effects"] - 0.1 * parts["effects"]).max() < 1e-5
    assert np.abs(soft["music"] - 10**0.3 * parts["music"]).max() < 1e-5
    assert "samples" not in answer(capsys, *MAKING, "--only", "video")["outputs"][0]
    assert "samples" not in answer(capsys, *MAKING, "--no", "audio")["outputs"][0]


def test_a_stem_from_a_file_comes_back(capsys, words):
    found = answer(capsys, *MAKING, "--speech", "words.wav", "--stems", "parts")
    assert "the given speech is brought from 48000 to 16000 Hz" in found["notices"]
    assert "the given speech lasts 0.5 s, the clip 1 s: silence follows" in found["notices"]
    speech = read_clip("parts/out-speech.wav").waveform
    expected = 0.25 * np.sin(2 * np.pi * 300 * np.arange(8_000) / 16_000)
    assert np.abs(speech[:, 200:7_800] - expected[200:7_800]).max() < 1e-3
    assert not speech[:, 8_000:].any()
    # without --seconds the clip lasts as long as what is given
    again = answer(capsys, *MAKING[:-2], "--given", "music=words.wav")
    assert again["outputs"][0]["frames"] == 6


def test_a_film_of_any_length_gets_stems_too(capsys, words):
    answer(capsys, "generate", "a ball", "-o", "film.mp4", "--model", "fake", "--seconds", "9", "--only", "video")
    found = answer(
        capsys, "foley", "film.mp4", "-o", "heard.mkv", "--model", "fake", "--speech", "words.wav",
        "--no", "music", "--gain", "speech=-6", "--stems", "parts", "--stem-tracks",
    )  # fmt: skip
    (made,) = found["outputs"]
    heard = stems_in(made["stems"])
    assert made["samples"] == 9 * 16_000 == heard["mix"].shape[1]
    assert np.abs(sum(heard[name] for name in STEMS) - heard["mix"]).max() <= 1e-4
    assert not heard["music"].any()
    assert 0.12 < np.abs(heard["speech"]).max() < 0.13
    assert np.abs(heard["speech"][:, 8_100:]).max() < 1e-4
    beeps = np.abs(heard["effects"]).max(0).reshape(9, -1).max(1)
    assert (beeps > 0.1).all(), "each second beeps, over all windows"
    assert sum("the given speech lasts" in line for line in found["notices"]) == 1
    clip = read_clip("heard.mkv")
    assert np.abs(clip.waveform - heard["mix"]).max() <= 1e-4
    assert sorted(os.listdir("parts")) == sorted(f"heard-{name}.wav" for name in heard)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "smell"], "only: there is no part 'smell' of a film; choose from video, audio, speech, effects"),
        (["--only", ","], "only: nothing is left to make"),
        (["--no", "video", "--no", "audio"], "no: nothing is left to make"),
        (["--no", "music", "--only", "music"], "no: music is in only and in no"),
        (["--only", "video", "--music", "a waltz"], "music: there is a prompt for music, which is not made"),
        (["--gain", "speech"], "gain: 'speech' is not possible; write speech=-3"),
        (["--gain", "voice=3"], "gain: there is no stem 'voice'"),
        (["--given", "speech"], "given_stems: 'speech' is not possible; write speech=words.wav"),
        (["--given", "drums=words.wav"], "given_stems: there is no stem 'drums'"),
        (["--speech", "words.wav", "--given", "speech=words.wav"], "speech is given twice"),
        (["--speech", "no.wav"], "no.wav"),
        (["--speech", "text.wav"], "text.wav"),
        (["--speech", "words.wav", "--no", "speech"], "given_stems: speech is given and left out"),
        (["--stem-tracks"], "out.mp4: only .mkv holds stems as tracks; name one, or use --stems DIR"),
        (["--stems", "words.wav"], "words.wav is a file; name a folder"),
        (["--stems", "parts", "--only", "video"], "there are no stems without sound"),
        (["--stems", ".", "--speech", "out-speech.wav"], "out-speech.wav is read and would be replaced"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_writes_nothing(capsys, words, folder, arguments, said):
    (folder / "text.wav").write_text("no sound at all")
    (folder / "out-speech.wav").write_bytes(words.read_bytes())
    before = sorted(os.listdir(folder))
    code, out, err = ran(capsys, *MAKING, *arguments)
    assert (code, out) == (1, "")
    assert said in err.splitlines()[-1]
    assert len([line for line in err.splitlines() if line.startswith("phonofilm:")]) == 1
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--only", "video,effects"],
            "has one mix of sound: only effects needs a model with speech, effects and music",
        ),
        (["--no", "music"], "has one mix of sound: no music needs"),
        (["--effects", "rain"], "has one mix of sound: a prompt for effects needs"),
        (["--speech", "words.wav"], "has one mix of sound: speech that is given needs"),
        (["--stems", "parts"], "has one mix of sound: stems need a model with speech, effects and music apart"),
    ],
)
def test_a_model_of_one_mix_says_so(capsys, words, tiny_model, arguments, said):
    code, _, err = ran(capsys, "generate", "a ball", "-o", "out.mp4", "--model", str(tiny_model), *arguments)
    assert code == 1
    assert said in err.splitlines()[-1]
    assert os.listdir() == ["words.wav"]


def test_a_retake_of_one_part_alone(capsys):
    answer(capsys, *MAKING[:3], "film.mkv", *MAKING[4:])
    film = read_clip("film.mkv")
    code, _, err = ran(
        capsys, "retake", "film.mkv", "--from", "0", "--to", "1", "--audio-only", "--only", "music", "-o", "again.mkv"
    )
    assert (code, "say the same" in err) == (1, True)
    found = answer(
        capsys, "retake", "film.mkv", "--from", "0", "--to", "1", "--only", "music", "-o", "again.mkv",
        "--model", "fake", "--stems", "parts",
    )  # fmt: skip
    assert any("is taken for effects; mix_as (--mix-as)" in line for line in found["notices"])
    again = read_clip("again.mkv")
    assert (again.frames == film.frames).all()
    heard = stems_in(found["outputs"][0]["stems"])
    assert set(heard) == {"effects", "music", "mix"}
    assert np.abs(heard["effects"] - film.waveform).max() < 1e-6
    assert heard["music"].any()


def test_stems_are_given_to_clips_that_are_worked_on(capsys, words):
    """`animate`, `extend` and `retake`, and a line of a batch, in which the same can be said."""
    plain = ["--model", "fake", "--stems", "parts", "--no-watermark"]
    (made,) = answer(
        capsys, "animate", "words.wav", "--mix-as", "speech", "--effects", "rain", "-o", "rain.mkv", *plain
    )["outputs"]
    heard = stems_in(made["stems"])
    assert set(heard) == {"speech", "effects", "mix"}
    assert np.abs(heard["speech"] - read_clip("words.wav").waveform).max() < 1e-6
    assert heard["effects"].any()
    answer(capsys, *MAKING[:3], "film.mkv", *MAKING[4:], "--no-watermark")
    song = np.full((2, 32_000), 0.05, np.float32)
    write_clip(Clip(waveform=song, sample_rate=16_000), "song.wav")
    (longer,) = answer(
        capsys, "extend", "film.mkv", "--seconds", "1", "--given", "music=song.wav", "-o", "longer.mkv", *plain
    )["outputs"]
    heard = stems_in(longer["stems"])
    assert np.abs(heard["music"][:, 16_000:] - song[:, 16_000:]).max() < 1e-6
    assert np.abs(heard["mix"][:, :15_800] - read_clip("film.mkv").waveform[:, :15_800]).max() < 1e-6
    job = {"task": "retake", "source": "film.mkv", "span": [0.25, 0.75], "name": "a", "stems": "parts"}
    job |= {"given_stems": {"speech": "words.wav"}, "watermark": False}
    Path("jobs.jsonl").write_text(json.dumps(job) + "\n")
    code, _, err = ran(capsys, "generate", "--prompts", "jobs.jsonl", "-o", "clips", "--model", "fake")
    assert code == 0, err
    speech = read_clip("parts/a-speech.wav").waveform
    assert not speech[:, 8_200:].any(), "half a second of words are given, on the clip's clock"
    assert np.abs(speech[:, 4_200:7_800]).max() == pytest.approx(0.25, abs=1e-3)
    assert not speech[:, :3_800].any()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["animate", "words.wav", "--only", "effects"], "only: animate makes a picture; add video"),
        (
            ["animate", "words.wav", "--speech", "words.wav", "--mix-as", "speech"],
            "and speech is given; choose another",
        ),
        (["extend", "words.wav", "--seconds", "1", "--given", "music=words.wav"], "none of it is heard there; a stem"),
        (["retake", "words.wav", "--from", "0", "--to", "1", "--speech", "no.wav"], "no.wav"),
        (["retake", "words.wav", "--from", "0", "--to", "1", "--speech", "text.wav"], "text.wav"),
    ],
)
def test_a_stem_that_cannot_be_added_to_a_clip_is_one_line(capsys, words, folder, arguments, said):
    (folder / "text.wav").write_text("no sound at all")
    before = sorted(os.listdir(folder))
    code, out, err = ran(capsys, *arguments, "-o", "out.mkv", "--model", "fake")
    assert (code, out) == (1, "")
    assert said in err.splitlines()[-1]
    assert len([line for line in err.splitlines() if line.startswith("phonofilm:")]) == 1
    assert sorted(os.listdir(folder)) == before


def test_a_batch_has_the_same_fields(capsys, folder, words):
    jobs = [
        {"prompt": "a ball", "name": "a", "only": ["effects", "video"], "effects": "rain", "gain": {"effects": -6}},
        {"prompt": "a ball", "name": "b", "given_stems": {"speech": "words.wav"}, "no": "music", "stems": "parts"},
        {"prompt": "a ball", "name": "c", "only": "smell"},
    ]
    Path("jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    making = ["generate", "--prompts", "jobs.jsonl", "-o", "clips", "--model", "fake", "--seconds", "0.5"]
    code, _, err = ran(capsys, *making)
    assert code == 1
    assert "line 3: only: there is no part 'smell'" in err
    assert sorted(os.listdir("parts")) == sorted(f"b-{name}.wav" for name in (*STEMS, "mix"))
    assert read_clip("clips/a.mp4").metadata["gain"] == '{"effects": -6.0}'
    kept = json.loads(ran(capsys, *making, "--resume", "--json")[1])
    assert kept["kept"] == 2
    write_clip(Clip(waveform=np.full((1, 24_000), 0.1, np.float32), sample_rate=48_000), words)
    changed = json.loads(ran(capsys, *making, "--resume", "--json")[1])
    assert [Path(one["path"]).name for one in changed["outputs"]] == ["b.mp4"], "another stem is another job"


def test_a_disk_that_fills_leaves_no_stems(capsys, folder, monkeypatch):
    import errno

    import phonofilm.media.write as write

    mux, written = write._mux, []

    def full(clip, path, *rest):
        if clip.frames is not None:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        mux(clip, path, *rest)

    monkeypatch.setattr(write, "_mux", full)
    code, _, err = ran(capsys, *MAKING, "--stems", "parts")
    assert code == 1
    assert "the disk is full" in err
    assert len(written) == 4, "the stems were there already"
    assert os.listdir(folder) == []
