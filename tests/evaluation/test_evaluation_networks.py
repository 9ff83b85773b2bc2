"""Metrics of fetched networks, with tiny ones in their places: what is computed, found, refused and said."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from folders import fill, knocks

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.features import ported_networks
from phonofilm.evaluation.features.decoded_clip import Film
from phonofilm.evaluation.features.feature import weights_sha256
from phonofilm.evaluation.features.signal import facts
from phonofilm.evaluation.metrics.distribution.bootstrap_distances import FeatureSet, inception_estimate
from phonofilm.evaluation.metrics.distribution.divergence import inception_score
from phonofilm.evaluation.metrics.vbench import consistency
from phonofilm.evaluation.suite import clip_metrics
from phonofilm.evaluation.suite.registry import PRESETS, UNSUPPORTED_BENCHMARK_METRICS
from phonofilm.evaluation.suite.runner import Settings, evaluate
from phonofilm.evaluation.suite.sample import Sample
from phonofilm.media import resample_audio
from phonofilm.perception.audio.clap import Clap
from phonofilm.perception.vision.clip import HEAD, Clip
from phonofilm.perception.vision.dino import Dino
from phonofilm.weights.public import write_manifest

sys.path.append(str(Path(__file__).parents[1] / "perception"))
from tiny_networks import tiny_clap, tiny_clip, tiny_dino, tiny_videomae

CLIPS = 3
PROMPTS = {"00": "red ball bounces", "01": "dog barks", "02": "red ball bounces on wood dog barks red ball"}
METRICS = (
    "CLIPScore", "overall consistency", "CLAP score", "CLAP audio", "subject consistency", "background consistency",
    "aesthetic quality", "FVD[videomae]",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("judged")
    fill(root / "made", CLIPS, seconds=1)
    fill(root / "real", CLIPS, seconds=1, pan=-0.3)
    makers = {"clip": tiny_clip, "clap": tiny_clap, "dino": tiny_dino, "videomae": tiny_videomae}
    for name, make in makers.items():
        make(root / "nets" / name)
    tiny_clip(root / "nets" / "aesthetic")
    head = {"weight": torch.linspace(-1, 1, 12)[None], "bias": torch.tensor([5.0])}
    torch.save(head, root / "nets" / "aesthetic" / HEAD)
    (root / "prompts.json").write_text(json.dumps(PROMPTS))
    return root


def run(place, *metrics, weights=None, **settings):
    nets = {folder.name: folder for folder in (place / "nets").iterdir()} if weights is None else weights
    given = Settings(metrics=metrics, weights=nets, cache=place / "cache", **settings)
    return evaluate(place / "made", place / "real", place / "prompts.json", given)


@pytest.fixture(scope="module")
def result(place):
    return run(place, *METRICS)


def rows_of(result):
    return {row["name"]: row for row in result["metrics"]}


def test_scores_are_the_cosines_of_what_the_networks_give(place, result):
    films = {name: Film.read(place / "made" / f"{name}.mkv") for name in PROMPTS}
    see, hear, look = (
        kind.load(place / "nets" / name) for kind, name in ((Clip, "clip"), (Clap, "clap"), (Dino, "dino"))
    )
    rate = Clip.load(place / "nets" / "aesthetic")
    for name, film in films.items():
        pictures, prompt = see.pictures(film.frames), see.text(PROMPTS[name])[0]
        found = result["clips"][name]
        assert found["CLIPScore"] == pytest.approx(float((pictures @ prompt).mean()), abs=1e-5)
        middles = pictures[[int((k + 0.5) * len(pictures) / 8) for k in range(8)]].mean(0)
        assert found["overall consistency[clip]"] == pytest.approx(float(middles @ prompt / middles.norm()), abs=1e-5)
        assert found["background consistency"] == pytest.approx(consistency(pictures), abs=1e-5)
        assert found["subject consistency"] == pytest.approx(consistency(look(film.frames)), abs=1e-5)
        rating = rate.pictures(film.frames) @ torch.linspace(-1, 1, 12) + 5
        assert found["aesthetic quality"] == pytest.approx(float(rating.mean()) / 10, abs=1e-5)
        sound = hear.sound(resample_audio(film.sound, film.sample_rate, 48_000).mean(0))
        assert found["CLAP score"] == pytest.approx(float(sound @ hear.text(PROMPTS[name])[0]), abs=1e-4)
        other = Film.read(place / "real" / f"{name}.mkv")
        true = hear.sound(resample_audio(other.sound, other.sample_rate, 48_000).mean(0))
        assert found["CLAP audio"] == pytest.approx(float(sound @ true), abs=1e-4)


def test_each_stands_beside_its_reference_and_its_control(result):
    rows = rows_of(result)
    assert rows["CLIPScore"]["reference"] is not None
    assert rows["CLAP score"]["control"] is not None
    assert rows["CLAP audio"]["control"] is not None
    assert rows["CLIPScore"]["control"] is None
    assert rows["FVD[videomae]"]["status"] == "ok"
    assert rows["FVD[videomae]"]["n"] == CLIPS


def test_what_is_past_the_limit_of_a_prompt_is_said(result):
    rows = rows_of(result)
    assert any("1 prompts are longer than the network reads" in note for note in rows["CLIPScore"]["notes"])
    assert not rows["background consistency"]["notes"]


def test_a_second_run_loads_no_network(place, monkeypatch, result):
    monkeypatch.setattr(
        "phonofilm.evaluation.features.extraction.load_extractor", lambda name, weights: pytest.fail(f"loads {name}")
    )
    monkeypatch.setattr(
        "phonofilm.evaluation.features.prompt_features.load_extractor",
        lambda name, weights: pytest.fail(f"loads {name}"),
    )
    again = run(place, "CLIPScore", "CLAP score", "aesthetic quality")
    assert again["generated"]["from_cache"] == CLIPS
    assert again["clips"]["00"]["CLAP score"] == result["clips"]["00"]["CLAP score"]


def test_fetched_weights_are_found_and_named_and_others_override_them(place, tmp_path, monkeypatch):
    monkeypatch.setenv("PHONOFILM_MODELS", str(tmp_path))
    folder = tiny_clip(tmp_path / "clip")
    sizes = {path.name: {"size": path.stat().st_size, "sha256": None, "blob": None} for path in folder.iterdir()}
    facts = {
        "model": "clip",
        "repository": "openai/clip-vit-base-patch32",
        "commit": "3d74acf9a28c67741b2f4f2ea7635f0a",
    }
    write_manifest(folder, facts | {"files": sizes, "complete": True})
    found = run(place, "CLIPScore", weights={})
    assert found["weights"] == {
        "clip": {"path": str(folder), "checkpoint": "openai/clip-vit-base-patch32@3d74acf9a28c"}
    }
    assert rows_of(found)["CLIPScore"]["depends"][0]["weights"] == weights_sha256(folder)
    other = run(place, "CLIPScore", weights={"clip": place / "nets" / "clip"})
    assert other["weights"] == {"clip": {"path": str(place / "nets" / "clip")}}
    assert run(place, "silence", weights={})["weights"] == {}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_weights_that_do_not_load_end_the_run_in_one_line(place, tmp_path, workers):
    wrong = place / "nets" / "dino"
    given = Settings(metrics=("background consistency",), weights={"clip": wrong}, cache=tmp_path, workers=workers)
    with pytest.raises(PhonofilmError, match="holds a network of type vit, not clip") as caught:
        evaluate(place / "made", settings=given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("clip", "prompts.json", "takes a folder"),
        ("i3d", "nets", "takes a file"),
        ("clip", "none", "no weights of clip"),
    ],
)
def test_weights_of_another_kind_are_refused(place, name, path, message):
    with pytest.raises(PhonofilmError, match=message):
        run(place, "silence", weights={name: place / path})


def test_without_weights_the_line_says_how_to_get_them(place):
    rows = rows_of(run(place, "CLIPScore", "DeSync", weights={}))
    assert rows["CLIPScore"]["reason"] == "phonofilm weights get clip, or --weights clip=DIR"
    assert rows["DeSync"]["reason"] == "phonofilm weights get synchformer, or --weights synchformer=FILE"


def test_presets_name_what_their_benchmarks_have_and_we_lack():
    for preset in ("javis", "avbench", "vbench"):
        assert set(PRESETS[preset]) <= set(PRESETS["full"])
    # of the others' metrics, JavisBench's alone are not all here
    assert set(UNSUPPORTED_BENCHMARK_METRICS) == {"javis"}
    assert {name for name, _ in UNSUPPORTED_BENCHMARK_METRICS["javis"]} >= {"KVD", "CAVP score"}
    for lacking in UNSUPPORTED_BENCHMARK_METRICS.values():
        assert not {name for name, _ in lacking} & set(PRESETS["full"])


class Bound:
    """Stands for ImageBind: a frame's mean colour, a sound's loudest band."""

    def vision(self, frames):
        return torch.cat([frames.mean((2, 3)), frames.amax((2, 3))], 1)

    def audio(self, mel):
        return torch.cat([mel[:, 0, :3].mean(-1), mel[:, 0, -3:].mean(-1)], -1)


def test_javis_score_is_of_the_worst_frames_of_each_window(monkeypatch):
    monkeypatch.setattr("phonofilm.perception.common.ported_checkpoints.load", lambda cls, path: Bound())
    film = Film(knocks(3))
    kept = ported_networks.load_imagebind_frames(Path("weights"))(film)
    assert kept["frames"].shape == (75, 6)
    assert kept["windows"].shape == (3, 6)
    features = {"imagebind-frames": kept, "facts": facts(film)}
    sample = Sample(features.__getitem__, features.__getitem__)

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    starts, worst = (0, 13, 25), []
    for start, sound in zip(starts, kept["windows"], strict=True):
        agreement = sorted(cosine(frame, sound) for frame in kept["frames"][start : start + 50])
        worst.append(np.mean(agreement[:20]))
    assert clip_metrics.javis(sample) == pytest.approx(np.mean(worst), abs=1e-6)
    whole = np.mean([cosine(frame, kept["audio"]) for frame in kept["frames"]])
    assert clip_metrics.audible_frames(sample) == pytest.approx(whole, abs=1e-6)


def test_the_inception_score_of_a_set_has_an_interval():
    rng = np.random.default_rng(0)
    parts = rng.normal(0, 2, (30, 4, 7))
    rows = FeatureSet()
    for index, part in enumerate(parts):
        rows.add(f"{index:064x}", part)
    found = inception_estimate(rows)
    assert found.interval.value == pytest.approx(
        inception_score(parts.reshape(-1, 7), splits=1, seed=None).mean, rel=1e-5
    )
    assert 1 <= found.interval.low < found.interval.value < found.interval.high < 7
    with pytest.raises(ValueError, match="2 clips"):
        inception_estimate(FeatureSet())
