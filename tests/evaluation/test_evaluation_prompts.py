"""Prompts with categories and targets, VBench's own list, and the suite of prompts that ships as an example."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.features.detectors import SCENES
from phonofilm.evaluation.metrics.objects import COLOURS, relation_share
from phonofilm.evaluation.prompts import TARGETS, Prompt, prompt_of, read_prompt_rows
from phonofilm.evaluation.suite.clip_metrics import colour_seen, object_seen, objects_seen, relation_seen, scene_seen
from phonofilm.evaluation.suite.sample import AbsentError, Sample

SUITE = Path(__file__).parents[2] / "examples" / "prompts.csv"


def test_the_suite_asks_for_what_its_dimensions_score():
    prompts = read_prompt_rows(SUITE)
    with SUITE.open(newline="") as file:
        assert len(prompts) == sum(1 for _ in csv.DictReader(file)) >= 150
    needs = {
        "object class": {"object"}, "multiple objects": {"object", "object_2"}, "color": {"object", "color"},
        "spatial relationship": {"object", "object_2", "relation"}, "human action": {"action"}, "scene": {"scene"},
        "appearance style": {"style"}, "temporal style": {"motion"},
    }  # fmt: skip
    assert {prompt.category for prompt in prompts.values()} == needs.keys()
    for prompt in prompts.values():
        assert prompt.targets.keys() == needs[prompt.category]
        assert prompt.targets.keys() <= set(TARGETS)
        for name in ("object", "object_2", "color", "action"):
            assert prompt.targets.get(name, "") in prompt.text
        assert prompt.targets.get("color", "red") in COLOURS
        assert prompt.targets.get("scene", "alley") in SCENES
        assert relation_share(np.zeros((0, 7)), 1, 0, 1, prompt.targets.get("relation", "left")) == 0


def test_vbenchs_own_list_is_read_as_it_is(tmp_path):
    rows = [
        {"prompt_en": "a person", "dimension": ["object_class"],
         "auxiliary_info": {"object_class": {"object": "person"}}},
        {"prompt_en": "a bird and a cat", "dimension": ["multiple_objects"],
         "auxiliary_info": {"multiple_objects": {"object": "bird and cat"}}},
        {"prompt_en": "a red bicycle", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}},
        {"prompt_en": "a bench on the left of a dog", "dimension": ["spatial_relationship"], "auxiliary_info": {
            "spatial_relationship": {"spatial_relationship": {
                "object_a": "a bench", "object_b": "a dog", "relationship": "on the left of"}}}},
        {"prompt_en": "alley", "dimension": ["scene", "background_consistency"],
         "auxiliary_info": {"scene": {"scene": {"scene": "alley"}}}},
        {"prompt_en": "waves, watercolor", "dimension": ["appearance_style"],
         "auxiliary_info": {"appearance_style": {"appearance_style": "watercolor"}}},
    ]  # fmt: skip
    (tmp_path / "full_info.json").write_text(json.dumps(rows))
    prompts = read_prompt_rows(tmp_path / "full_info.json")
    assert prompts["a person"] == Prompt("a person", "object_class", {"object": "person"})
    assert prompts["a bird and a cat"].targets == {"object": "bird", "object_2": "cat"}
    assert prompts["a bench on the left of a dog"].targets == {
        "object": "bench", "object_2": "dog", "relation": "on the left of",
    }  # fmt: skip
    assert prompts["alley"].category == "scene, background_consistency"
    assert prompts["waves, watercolor"].texts == ("waves, watercolor", "watercolor")
    assert prompt_of(prompts, "out/a person-3") == prompts["a person"]
    assert prompt_of(prompts, "a persona") is None


def sample(**targets):
    """A clip of two pictures in which a red cat is left of a blue dog, in the first only."""
    things = np.array([[0, 1, 0.9, 0.1, 0.4, 0.3, 0.6], [0, 2, 0.9, 0.6, 0.4, 0.9, 0.7]])
    names = np.frombuffer(b"N/A\ncat\ndog", np.uint8)
    kept = {
        "detr": {"things": things, "colours": np.array([0, 4]), "frames": np.array(2), "names": names},
        "clip-scenes": {"cosines": np.eye(len(SCENES))[[0, 11]]},
    }
    return Sample(kept.__getitem__, kept.__getitem__, prompt="a red cat", targets=targets)


def test_scores_of_meaning_follow_the_targets():
    assert object_seen(sample(object="cat")) == 0.5
    assert objects_seen(sample(object="cat", object_2="dog")) == 0.5
    assert colour_seen(sample(color="red")) == 1  # its thing is read from the prompt, as VBench's list wants it
    assert colour_seen(sample(color="red", object="dog")) == 0
    assert relation_seen(sample(object="cat", object_2="dog", relation="on the left of")) == 0.5
    assert scene_seen(sample(scene="beach")) == 0.5
    for score, targets, reason in (
        (object_seen, {}, "names no object"), (object_seen, {"object": "unicorn"}, "knows no"),
        (object_seen, {"object": "cat", "color": "red"}, "more than an object"),
        (colour_seen, {"color": "loud"}, "no colour"), (scene_seen, {"scene": "the moon"}, "none of the scenes"),
        (relation_seen, {"object": "cat", "object_2": "dog", "relation": "inside"}, "no relation"),
    ):  # fmt: skip
        with pytest.raises(AbsentError, match=reason):
            score(sample(**targets))


def test_a_row_without_a_name_is_named(tmp_path):
    (tmp_path / "p.json").write_text('[{"prompt": "x", "dimension": ["scene"]}]')
    with pytest.raises(PhonofilmError, match="row 1"):
        read_prompt_rows(tmp_path / "p.json")


def test_a_line_that_is_no_json_is_named(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"name": "a", "prompt": "x"}\n\n{"name": "b", "prompt":\n')
    with pytest.raises(PhonofilmError, match="line 3 is not JSON"):
        read_prompt_rows(path)
