"""A job in JSON: what goes in comes out, and all that is wrong is said with its place."""

from __future__ import annotations

import json
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from phonofilm import Clip, PhonofilmError, Request
from phonofilm.app.jobs.fields import READERS
from phonofilm.app.jobs.spec import InvalidRequest, RequestSpec
from phonofilm.backends.requests import Fault
from phonofilm.choices import NETWORKS, OFFLOADS, QUANTIZATIONS, SAMPLERS, STEMS
from phonofilm.media import write_clip

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
SCALES = st.none() | st.tuples(st.floats(0, 100), st.floats(0, 100))
SEED = st.integers(0, 2**63 - 1)
REQUESTS = st.builds(
    Request,
    prompt=TEXT,
    seconds=st.none() | st.floats(1e-6, 600),
    size=st.none() | st.tuples(st.integers(16, 4096), st.integers(16, 4096)),
    fps=st.none() | st.sampled_from([Fraction(12), Fraction(24_000, 1001), Fraction(30_000, 1001), Fraction(119, 3)]),
    seed=SEED,
    video_seed=st.none() | SEED,
    audio_seed=st.none() | SEED,
    steps=st.none() | st.integers(1, 1000),
    guidance=SCALES,
    modality_guidance=SCALES,
    stg=SCALES,
    negative=st.just("") | TEXT,
    image=st.none() | arrays.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 4), st.just(3))),
    sampler=st.none() | st.sampled_from(SAMPLERS),
    effects=st.just("") | TEXT,
    gain=st.dictionaries(st.sampled_from(STEMS), st.floats(-96, 24)),
    model=st.sampled_from(["nano", "ltx2", "some/folder"]),
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "device": st.sampled_from(["cpu", "cuda", "auto"]),
        "offload": st.sampled_from(OFFLOADS),
        "network": st.sampled_from(NETWORKS),
        "quantize": st.sampled_from(QUANTIZATIONS),
        "components": TEXT,
        "upsample": st.booleans(),
        "loras": st.lists(TEXT).map(tuple),
    },
)


@given(REQUESTS)
def test_a_request_is_the_same_after_json(request):
    line = json.dumps(RequestSpec.of(request).to_json())
    assert RequestSpec.from_json(json.loads(line)).open().digest == request.digest


@given(REQUESTS, OPTIONS)
def test_a_job_is_the_same_after_json(request, options):
    spec = RequestSpec.from_json(RequestSpec.of(request).to_json() | options)
    again = RequestSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.loading == spec.loading


@given(st.dictionaries(st.sampled_from([*READERS, "chess"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4)
))  # fmt: skip
def test_any_object_is_a_job_or_is_refused_field_by_field(values):
    faults: tuple[Fault, ...] = ()
    try:
        spec = RequestSpec.from_json(values)
    except InvalidRequest as error:
        faults = error.faults
    else:
        assert RequestSpec.from_json(spec.to_json()) == spec
    assert {fault.path.partition("[")[0] for fault in faults} <= {*READERS, "chess"}
    assert not any("\n" in fault.message for fault in faults)


def test_the_fields_are_those_of_a_request_and_the_options_of_loading():
    own = {field.name for field in fields(RequestSpec)}
    assert {field.name for field in fields(Request)} <= own
    assert own == set(READERS)


def test_each_fault_has_its_own_line_and_place():
    with pytest.raises(InvalidRequest) as caught:
        RequestSpec.from_json(
            {"prompt": "", "sampler": "rk9", "span": [0, "x"], "size": [64, 5], "loras": ["a", 3], "promt": "x"}
        )
    assert {fault.path: fault.message.split(";")[0] for fault in caught.value.faults} == {
        "prompt": "the prompt is empty",
        "sampler": "unknown sampler 'rk9'",
        "span[1]": "'x' is not a number",
        "size[1]": "a side of 5 pixels is not possible",
        "loras[1]": "3 is not text",
        "promt": "unknown field 'promt'",
    }
    assert str(caught.value).count("; ") >= 5
    for wrong in (None, 3, [], "x"):
        with pytest.raises(InvalidRequest, match="request: a job is an object"):
            RequestSpec.from_json(wrong)


def test_short_forms_as_people_write_them():
    spec = RequestSpec.from_json({"prompt": "x", "size": "64", "fps": "30000/1001", "guidance": "3,7", "loras": "a:2"})
    assert (spec.size, spec.fps, spec.guidance, spec.loras) == ((64, 64), Fraction(30_000, 1001), (3, 7), ("a:2",))
    assert RequestSpec.from_json({"prompt": None, "seed": 3}, spec).prompt == "x"
    for only in ("video,effects", ["effects", "video"], ["effects, video"]):
        assert RequestSpec.from_json({"prompt": "x", "only": only}).only == ("video", "effects")
    for gain in ({"speech": -3, "music": 2}, "speech=-3,music=2", ["speech=-3", " music = 2 "]):
        assert RequestSpec.from_json({"prompt": "x", "gain": gain}).gain == {"speech": -3.0, "music": 2.0}
    for files in ({"speech": "a,b.wav"}, "speech=a,b.wav", ["speech=a,b.wav"]):
        assert RequestSpec.from_json({"prompt": "x", "given_stems": files}).given_stems == {"speech": "a,b.wav"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gain": "speech"}, "'speech' is not possible; write speech=-3"),
        ({"gain": "speech=loud"}, "gain.speech.: 'loud' is not a level in dB; write speech=-3"),
        ({"gain": "speech=1,speech=2"}, "speech is there twice"),
        ({"gain": {"speech": True}}, "gain.speech.: true is not a number"),
        ({"given_stems": "words.wav"}, "'words.wav' is not possible; write speech=words.wav"),
        ({"given_stems": {"speech": 3}}, "given_stems.speech.: 3 is not text"),
        ({"only": 3}, "only: 3 is not a list of texts"),
        ({"only": "video,chess"}, "only: there is no part 'chess' of a film"),
    ],
)
def test_parts_and_levels_that_are_none(values, message):
    with pytest.raises(InvalidRequest, match=message):
        RequestSpec.from_json({"prompt": "x", **values})


def test_a_given_stem_is_a_file(tmp_path):
    words = Clip(waveform=np.full((1, 8_000), 0.25, np.float32), sample_rate=16_000)
    request = Request("she speaks", given_stems={"speech": words})
    with pytest.raises(PhonofilmError, match="a given stem has no JSON; save speech and name its file"):
        RequestSpec.of(request)
    path = write_clip(words, tmp_path / "words.wav")
    spec = RequestSpec.from_json(RequestSpec.of(request, given_stems={"speech": str(path)}).to_json())
    assert spec.open().digest == request.digest
    assert spec.outline().given_stems["speech"].waveform.shape == (1, 8_000)
    silent = write_clip(Clip(np.zeros((12, 16, 16, 3), np.uint8), 12), tmp_path / "silent.mkv")
    with pytest.raises(PhonofilmError, match=r"silent\.mkv has no sound, so it cannot be the music"):
        RequestSpec.from_json({"prompt": "x", "given_stems": {"music": str(silent)}}).open()


def test_a_source_is_a_file(tmp_path):
    clip = Clip(np.zeros((12, 16, 16, 3), np.uint8), 12, np.zeros((2, 16_000), np.float32), 16_000, prompt="a ball")
    path = write_clip(clip, tmp_path / "clip.mkv")
    request = Request(task="retake", source=clip, span=(0.0, 0.5), prompt="a ball")
    with pytest.raises(PhonofilmError, match="a source clip has no JSON; save it and name its file"):
        RequestSpec.of(request)
    spec = RequestSpec.from_json(RequestSpec.of(request, path).to_json())
    assert spec.open().digest == request.digest
    unsaid = RequestSpec.from_json({"task": "retake", "source": str(path), "span": [0, 0.5]})
    assert unsaid.open().prompt == "a ball"  # the clip's own
    outline = unsaid.outline()
    assert (outline.source.frames.shape, outline.source.waveform.shape) == (clip.frames.shape, clip.waveform.shape)
    assert outline.source.frames.strides[0] == 0, "a stand-in takes no memory"


def test_a_data_url_that_is_no_picture_is_one_line():
    for url in ("data:image/png;base64,????", "data:image/png,abc", "data:image/png;base64,aGVsbG8="):
        with pytest.raises(PhonofilmError, match="image: the data URL"):
            RequestSpec.from_json({"prompt": "x", "image": url}).open()


def test_hits_are_text_a_list_or_a_midi_file(tmp_path):
    midi = tmp_path / "notes.mid"
    # one track, a tick a millisecond (tempo 1 s, 1000 ticks): a note at .25 s, velocity 127, and one at 1.5 s
    track = b"\x00\xff\x51\x03\x0f\x42\x40" + b"\x81\x7a\x90\x3c\x7f" + b"\x89\x62\x90\x3c\x40" + b"\x00\xff\x2f\x00"
    head = b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x03\xe8"
    midi.write_bytes(head + b"MTrk" + len(track).to_bytes(4, "big") + track)
    for hits, wanted in (
        ("0.5,0.25@0.8", ((0.25, 0.8), (0.5, 1.0))),
        ([0.25, "0.5@0.5"], ((0.25, 1.0), (0.5, 0.5))),
        (str(midi), ((0.25, 1.0),)),
    ):
        spec = RequestSpec.from_json({"prompt": "x", "seconds": 1, "hits": hits})
        assert [*spec.outline().hits] == [pytest.approx(hit) for hit in wanted]
        assert RequestSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
        assert spec.files == ((str(midi),) if hits == str(midi) else ())
    longer = RequestSpec.from_json({"prompt": "x", "seconds": 2, "hits": str(midi)})
    assert len(longer.outline().hits) == 2
    midi.write_bytes(b"no MIDI")
    with pytest.raises(PhonofilmError, match="is no MIDI file that can be read"):
        longer.open()
    again = RequestSpec.of(Request("x", hits=((0.1, 0.3), (2.0, 1.0))))
    assert again.open().hits == ((0.1, 0.3), (2.0, 1.0))


def test_what_is_followed_is_the_sound_of_a_file(tmp_path):
    sound = tmp_path / "sound.wav"
    write_clip(Clip(waveform=np.full((1, 800), 0.5, np.float32), sample_rate=8000), sound)
    spec = RequestSpec.from_json({"prompt": "x", "follow": str(sound), "sync": "off", "control_scale": 2})
    assert spec.open().follow.waveform.shape == (1, 800)
    assert spec.sync is False
    assert spec.control_scale == 2.0
    assert spec.files == (str(sound),)
    silent = tmp_path / "silent.mp4"
    write_clip(Clip(np.zeros((4, 32, 32, 3), np.uint8), Fraction(12)), silent)
    with pytest.raises(PhonofilmError, match="has no sound, so there is nothing to follow"):
        RequestSpec.from_json({"prompt": "x", "follow": str(silent)}).open()
