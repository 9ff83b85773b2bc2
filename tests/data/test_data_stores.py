"""Stores: what goes in comes out, whole shards are kept, and nothing is mixed up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from phonofilm.codecs.audio_vae import AudioVAE, AudioVAEConfig
from phonofilm.codecs.common.mel import MelConfig, log_mel
from phonofilm.codecs.video_vae import VideoVAE, VideoVAEConfig
from phonofilm.data import precompute
from phonofilm.data.building import read_facts
from phonofilm.data.clips import ClipBatch, JoinedStores, RawStore, WorldSource, to_model_frames, to_model_samples
from phonofilm.data.encoder import Encoder
from phonofilm.data.latents import LatentStore, write_latents
from phonofilm.data.manifest import ClipRecord, read_manifest, write_manifest
from phonofilm.data.raw import write_raw
from phonofilm.errors import PhonofilmError
from phonofilm.types import Event, Text

EVENT = Event(0.25, "impact", (0.1, 0.2, 0.3, 0.4), pan=-0.5, loudness=-12.5, label="wood")


@dataclass(frozen=True)
class FakeSource:
    """Clips whose every value says which row it is; `reads` counts what was asked for."""

    count: int = 1000
    fps: Fraction = Fraction(12)
    sample_rate: int = 16_000
    reads: list[int] = field(default_factory=list, compare=False)

    def read(self, rows: Sequence[int]) -> ClipBatch:
        self.reads.extend(rows)
        records = tuple(ClipRecord(row, "", 0, "fake", row + 7, f"clip {row}", (EVENT,), {"n": row}) for row in rows)
        return ClipBatch(self.frames(rows), self.waveforms(rows), records)

    def frames(self, rows: Sequence[int]) -> Tensor:
        one = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 32, 32, 3)
        return torch.stack([one + row for row in rows])

    def waveforms(self, rows: Sequence[int]) -> Tensor:
        return torch.stack([torch.full((2, 8000), row / 64) for row in rows])

    def digest(self) -> str:
        return "fake"

    def __len__(self) -> int:
        return self.count


class FakeText:
    """A prompt has as many tokens as letters; each state is the letter's number."""

    def encode(self, prompts: Sequence[str]) -> Text:
        longest = max(2, *(len(p) for p in prompts))
        states, mask = torch.zeros(len(prompts), longest, 4), torch.zeros(len(prompts), longest, dtype=torch.bool)
        for i, prompt in enumerate(prompts):
            for j, letter in enumerate(prompt or "\0\0"):
                states[i, j], mask[i, j] = float(ord(letter)), True
        return Text(states, mask)


def small_encoder() -> Encoder:
    torch.manual_seed(0)
    video = VideoVAE(VideoVAEConfig(channels=4, widths=(8, 8), encoder_depths=(1, 1), decoder_depths=(1, 1)))
    audio = AudioVAE(AudioVAEConfig(mel=MelConfig(bins=16), latents=8, width=16))
    return Encoder(video.eval(), audio.eval(), FakeText(), {"video_vae": "v", "audio_vae": "a", "text": "t"})


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    records = [
        ClipRecord(0, "a", 0, "bounce", 3, 'a ball, "red"', (EVENT, Event(1.0, "strike")), {"pitch": [1, 2]}),
        ClipRecord(1, "a", 1, "strike", 4, "Klöppel"),
    ]
    write_manifest(tmp_path / "m.jsonl", records)
    assert read_manifest(tmp_path / "m.jsonl") == records


@pytest.mark.parametrize("text", ["{", '{"index": 1}', "[]"])
def test_a_broken_manifest_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.jsonl").write_text(text)
    with pytest.raises(PhonofilmError, match="manifest"):
        read_manifest(tmp_path / "m.jsonl")


def test_a_raw_store_gives_back_its_rows(tmp_path: Path) -> None:
    write_raw(FakeSource(), 10, tmp_path, shard=4, batch=3)
    store = RawStore(tmp_path)
    assert len(store) == 10
    assert store.fps == 12
    batch = store.read([9, 0, 4])
    expected = FakeSource().read([9, 0, 4])
    assert torch.equal(batch.frames, expected.frames)
    assert torch.equal(batch.waveform, expected.waveform)
    assert [record.caption for record in batch.records] == ["clip 9", "clip 0", "clip 4"]
    assert [(record.shard, record.row) for record in batch.records] == [
        ("clips-00002.safetensors", 1),
        ("clips-00000.safetensors", 0),
        ("clips-00001.safetensors", 0),
    ]
    assert batch.records[0].events == (EVENT,)
    with pytest.raises(IndexError):
        store.frames([10])


def test_how_far_a_store_is_can_be_told_every_few_clips(tmp_path, capsys):
    told: list[tuple[str, int, int]] = []
    write_raw(FakeSource(), 10, tmp_path / "told", shard=6, batch=3, progress=lambda *where: told.append(where))
    assert told == [("clips", done, 10) for done in (3, 6, 9, 10)]
    assert capsys.readouterr().err == ""
    write_raw(FakeSource(), 10, tmp_path / "said", shard=6, batch=3)
    assert capsys.readouterr().err.splitlines()[-1].startswith("10/10 clips")


def test_an_interrupted_store_goes_on_where_it_was(tmp_path: Path) -> None:
    write_raw(FakeSource(), 10, tmp_path / "whole", shard=4)
    write_raw(FakeSource(), 10, tmp_path / "cut", shard=4)
    (tmp_path / "cut" / "clips-00001.safetensors").unlink()
    (tmp_path / "cut" / "manifest.jsonl").unlink()
    with pytest.raises(PhonofilmError, match="manifest"):
        RawStore(tmp_path / "cut")
    source = FakeSource()
    write_raw(source, 10, tmp_path / "cut", shard=4)
    assert source.reads == [4, 5, 6, 7]
    assert RawStore(tmp_path / "cut").digest() == RawStore(tmp_path / "whole").digest()


def test_a_store_can_grow(tmp_path: Path) -> None:
    write_raw(FakeSource(), 6, tmp_path, shard=4)
    source = FakeSource()
    write_raw(source, 9, tmp_path, shard=4)
    assert source.reads == [4, 5, 6, 7, 8]
    assert [record.index for record in RawStore(tmp_path).records] == list(range(9))


def test_two_sources_are_not_mixed_in_one_folder(tmp_path: Path) -> None:
    write_raw(FakeSource(), 4, tmp_path)
    with pytest.raises(PhonofilmError, match="something else"):
        write_raw(FakeSource(sample_rate=48_000), 4, tmp_path)


def test_a_broken_shard_is_one_clear_line(tmp_path: Path) -> None:
    write_raw(FakeSource(), 4, tmp_path)
    (tmp_path / "clips-00000.safetensors").write_bytes(b"not a shard")
    with pytest.raises(PhonofilmError, match="corrupt"):
        RawStore(tmp_path)


def test_latents_are_what_the_codecs_say_of_each_clip(tmp_path: Path) -> None:
    encoder, source = small_encoder(), FakeSource()
    store = write_latents(source, 5, encoder, tmp_path, shard=3, batch=2)
    grid = store.grid((1, 4, 4))
    assert (grid.frames, grid.width, grid.fps, grid.sample_rate) == (6, 32, 12, 16_000)
    video = store.latents("video", [4, 1])
    assert video.shape == (2, 4, *grid.video_shape)
    assert store.latents("audio", [0]).shape == (1, 1, 8, grid.audio_length)
    frames = to_model_frames(source.frames([4, 1]), grid.model_frames)
    with torch.no_grad():
        expected, _ = encoder.video.encode(frames)
        samples = to_model_samples(source.waveforms([4, 1]), grid.mel_frames * 400)
        sound, _ = encoder.audio.encode(log_mel(samples, encoder.audio.config.mel))
    torch.testing.assert_close(video.float(), expected, atol=0.05, rtol=0.05)  # bfloat16 inside, float16 outside
    torch.testing.assert_close(store.latents("audio", [4, 1])[:, 0].float(), sound, atol=0.01, rtol=0.01)


def test_prompts_come_back_with_their_length_and_the_empty_one_beside_them(tmp_path: Path) -> None:
    store = write_latents(FakeSource(), 12, small_encoder(), tmp_path, shard=6)
    text = store.text([11, None, 3])
    assert text.mask.sum(1).tolist() == [len("clip 11"), 2, len("clip 3")]
    assert "".join(chr(int(code)) for code in text.states[0, :, 0]) == "clip 11"
    assert (text.states[~text.mask] == 0).all()
    assert store.captions([11]) == ["clip 11"]


def test_latents_of_other_codecs_are_not_mixed_in(tmp_path: Path) -> None:
    encoder = small_encoder()
    write_latents(FakeSource(), 2, encoder, tmp_path)
    encoder.hashes["video_vae"] = "retrained"
    with pytest.raises(PhonofilmError, match="something else"):
        write_latents(FakeSource(), 2, encoder, tmp_path)


def test_unfinished_latents_are_refused(tmp_path: Path) -> None:
    write_latents(FakeSource(), 2, small_encoder(), tmp_path)
    facts = json.loads((tmp_path / "store.json").read_text())
    facts.pop("count")
    (tmp_path / "store.json").write_text(json.dumps(facts))
    with pytest.raises(PhonofilmError, match="not finished"):
        LatentStore(tmp_path)


def test_frames_and_samples_are_continued_or_cut_to_the_grid() -> None:
    frames = torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1, 1).expand(1, 2, 8, 8, 3)
    assert to_model_frames(frames, 4)[0, 0, :, 0, 0].tolist() == [-1, 1, 1, 1]
    assert to_model_frames(frames, 1).shape == (1, 3, 1, 8, 8)
    assert to_model_samples(torch.ones(1, 2, 3), 5)[0, 0].tolist() == [1, 1, 1, 0, 0]
    assert to_model_samples(torch.ones(1, 2, 3), 2).shape == (1, 2, 2)


def test_the_world_is_drawn_by_row(tmp_path: Path) -> None:
    pytest.importorskip("pymunk", reason="Foley World needs pymunk")
    source = WorldSource(("bounce", "strike"), first_seed=50, seconds=1.0)
    batch = source.read([3, 0])
    assert [(record.family, record.seed) for record in batch.records] == [("strike", 51), ("bounce", 50)]
    assert batch.frames.shape == (2, 12, 64, 64, 3)
    assert batch.waveform.shape == (2, 2, 16_000)
    assert torch.equal(source.frames([0]), batch.frames[1:])
    write_raw(source, 2, tmp_path)
    store = RawStore(tmp_path)
    assert store.records[0].events == batch.records[1].events
    torch.testing.assert_close(store.waveforms([0]), batch.waveform[1:], atol=1e-3, rtol=1e-2)


def test_a_finished_store_is_named_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pymunk", reason="Foley World needs pymunk")
    sizes = ["--seconds", "0.5", "--size", "32", "--fps", "8"]
    assert precompute.main(["raw", "--families", "strike", "-n", "1", *sizes, "-o", str(tmp_path / "raw")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'raw'}\n"
    assert len(RawStore(tmp_path / "raw")) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["raw", "--families", "nonsense", "-n", "1"],
        ["raw"],
        ["raw", "-n", "-3"],
        ["latents", "--raw", "nowhere", "--codecs", "nowhere"],
        ["latents", "--world", "bounce", "-n", "1", "--codecs", "nowhere"],
    ],
)
def test_bad_commands_are_one_clear_line(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert precompute.main([*arguments, "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("phonofilm: ")
    assert "\n" not in said


@dataclass(frozen=True)
class StemSource(FakeSource):
    """The same with parts of the sound."""

    def read(self, rows: Sequence[int]) -> ClipBatch:
        clips = super().read(rows)
        return ClipBatch(
            clips.frames, clips.waveform, clips.records, clips.waveform[:, None] * torch.eye(3)[0, :, None, None]
        )


def test_stems_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    write_raw(StemSource(), 3, tmp_path / "with", stems=True)
    store = RawStore(tmp_path / "with")
    stems = store.stems([2, 1])
    assert stems.shape == (2, 3, 2, 8000)
    torch.testing.assert_close(stems.sum(1), store.waveforms([2, 1]))
    write_raw(StemSource(), 3, tmp_path / "without")
    with pytest.raises(PhonofilmError, match="no stems"):
        RawStore(tmp_path / "without").stems([0])
    with pytest.raises(PhonofilmError, match="no stems to keep"):
        write_raw(FakeSource(), 3, tmp_path / "none", stems=True)


def test_joined_stores_are_read_as_one(tmp_path: Path) -> None:
    write_raw(StemSource(), 3, tmp_path / "a", stems=True, shard=2)
    write_raw(StemSource(), 5, tmp_path / "b", stems=True)
    joined = JoinedStores([RawStore(tmp_path / "a"), RawStore(tmp_path / "b")])
    assert len(joined) == 8
    assert joined.frames([2, 3, 7])[:, 0, 0, 0, 0].tolist() == [2, 0, 4]
    assert torch.equal(joined.window(4, 2, 5), joined.frames([4])[0, 2:5])
    assert torch.equal(joined.stem_window(7, 5, 90), RawStore(tmp_path / "b").stems([4])[0, ..., 5:90])
    assert [record.caption for record in joined.read([1, 5]).records] == ["clip 1", "clip 2"]
    write_raw(FakeSource(sample_rate=48_000), 4, tmp_path / "c")
    with pytest.raises(PhonofilmError, match="different rates"):
        JoinedStores([RawStore(tmp_path / "a"), RawStore(tmp_path / "c")])


def test_latents_of_another_format_are_refused(tmp_path: Path) -> None:
    write_latents(FakeSource(), 3, small_encoder(), tmp_path)
    facts = json.loads((tmp_path / "store.json").read_text())
    assert facts["format"] == 1
    (tmp_path / "store.json").write_text(json.dumps({**facts, "format": 9}))
    with pytest.raises(PhonofilmError, match="format 9"):
        LatentStore(tmp_path)


def test_an_interrupted_store_says_what_it_kept(tmp_path, monkeypatch, capsys):
    def interrupted(given):
        raise KeyboardInterrupt

    monkeypatch.setattr(precompute, "_raw", interrupted)
    command = ["raw", "-n", "2", "-o", str(tmp_path)]
    assert precompute.main(command) == 130
    assert capsys.readouterr().err == (
        "phonofilm: stopped; no file of clips was complete yet, so the same command begins again\n"
    )
    (tmp_path / "clips-00000.safetensors").touch()
    assert precompute.main(command) == 130
    assert "1 complete file of clips kept" in capsys.readouterr().err


def test_a_store_that_is_not_there_is_said_with_a_command_that_writes_it(tmp_path):
    with pytest.raises(PhonofilmError, match=r"none is not there; .*precompute latents --world .* -o .*none"):
        read_facts(tmp_path / "none")


def test_latents_of_stems_keep_each_sound_and_its_prompt_apart(tmp_path: Path) -> None:
    source = WorldSource(("bounce", "talk"), size=32, seconds=1.0, edition=2)
    store = write_latents(source, 4, small_encoder(), tmp_path, batch=3, stems=True)
    clips, said = source.read(range(4)), [record.params["said"] for record in source.read(range(4)).records]
    audio = store.latents("audio", range(4))
    assert store.stems == ("speech", "effects", "music")
    assert audio.shape[:2] == (4, 3)
    assert clips.stems is not None
    silent = clips.stems.abs().amax(dim=(2, 3)) == 0
    assert 0 < int(silent.sum()) < 12
    assert torch.equal((audio == store.silence).all(-1).all(-1), silent)
    own = torch.tensor([[1, 1, 1], [0, -1, 1], [1, 0, 0], [0, 0, 0]])
    text = store.stem_text(range(4), own)
    captions = store.captions(range(4))
    lengths = {1: lambda row, stem: len(said[row][stem]), 0: lambda row, _: len(captions[row]), -1: lambda *_: 2}
    for row, choices in enumerate(own.tolist()):
        wanted = [lengths[choice](row, stem) for stem, choice in zip(store.stems, choices, strict=True)]
        assert text.mask[row].sum(-1).tolist() == wanted


def test_stems_are_missed_in_a_source_without_any(tmp_path: Path) -> None:
    with pytest.raises(PhonofilmError, match="no stems"):
        write_latents(FakeSource(), 3, small_encoder(), tmp_path, stems=True)


def test_latents_of_more_folders_follow(tmp_path: Path) -> None:
    encoder = small_encoder()
    write_latents(FakeSource(3), 3, encoder, tmp_path / "a", shard=2, batch=2)
    write_latents(FakeSource(2), 2, encoder, tmp_path / "b", shard=2, batch=2)
    one, both = LatentStore(tmp_path / "a"), LatentStore(tmp_path / "a", [tmp_path / "b"])
    assert len(both) == 5
    assert both.captions([2, 3, 4]) == ["clip 2", "clip 0", "clip 1"]
    assert torch.equal(both.latents("video", [3, 2]), one.latents("video", [0, 2]))
    assert torch.equal(both.text([4]).states, one.text([1]).states)
    assert both.digest() != one.digest()


def test_latents_of_other_codecs_do_not_follow(tmp_path: Path) -> None:
    encoder = small_encoder()
    write_latents(FakeSource(2), 2, encoder, tmp_path / "a", shard=2, batch=2)
    other = replace(encoder, hashes={**encoder.hashes, "video_vae": "w"})
    write_latents(FakeSource(2), 2, other, tmp_path / "b", shard=2, batch=2)
    with pytest.raises(PhonofilmError, match="b have another video_vae than those in"):
        LatentStore(tmp_path / "a", [tmp_path / "b"])
