"""What the API's own description suggests, right and wrong: no answer is a fault, and each is as it is described."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from studio import Studio

from phonofilm.app.server.base.files import RESULTS
from phonofilm.app.server.store.claims import Claims
from phonofilm.app.web.buckets import Rate

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis: pip install -e '.[dev]'")
FUZZ = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
WORKS = ("/edits", "/retake", "/extensions", "/foley", "/animate", "/soundtrack")
"""Ends of the paths of what works on a film."""
RIGHT = {
    "voice": "fake",
    "speed": 1,
    "instructions": None,
    "model": "fake",
    "webhook_url": None,
    "loras": [],
    "adapters": [],
}
"""What no schema can say: names of this server."""
FROM_ELSEWHERE = ("input_reference", "input_reference[image_url]", "input_reference[file_id]", "webhook_url")
FROM_ELSEWHERE += ("hits_file", "follow", "follow[id]", "speech_file", "effects_file", "music_file")
"""Files, which are no media, and addresses, which are not there."""


class Quick:
    """A worker that ends every job at once with the files of a film that was made before."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.ended = studio, threading.Event()
        first = studio.made(seconds=0.5)
        self.result = studio.parts.queue.get(first["id"]).result
        made = studio.settings.folder / RESULTS / first["id"] / "1"
        self.kept = {path.name: path.read_bytes() for path in made.iterdir()}  # that film may be erased
        self.claims = Claims(studio.parts.database, "quick")
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self.ended.wait(0.01):
            if (job := self.claims.claim()) is None:
                continue
            entries = dict(self.result["files"])
            if job.kind == "speech":
                entries = {"audio": entries["audio"]}
            place = self.studio.settings.folder / RESULTS / job.id / str(job.attempt)
            place.mkdir(parents=True)
            for entry in entries.values():
                (place / entry["name"]).write_bytes(self.kept[entry["name"]])
            self.claims.complete(job, {**self.result, "attempt": job.attempt, "files": entries}, 0.5)

    def __enter__(self) -> Quick:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()


@dataclass
class Caller:
    """Sends cases, and counts what is answered to each operation."""

    studio: Studio
    answers: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def __post_init__(self) -> None:
        self.client = self.studio.called(self.studio.key("anna", "read", "write", "admin"))
        self.moments = random.Random(0)

    def ready(self) -> str:
        """A film that is there now, made by this key or by somebody else."""
        found = self.client.get("/v1/videos", params={"limit": 10, "order": "asc"}).json()["data"]
        return str(self.moments.choice(found)["id"])

    def mend(self, case: Any) -> None:
        """Put in names that only this server knows."""
        if "video_id" in (case.path_parameters or {}):
            case.path_parameters["video_id"] = self.ready()
        if "model" in (case.path_parameters or {}):
            case.path_parameters["model"] = "fake"
        if "after" in (case.query or {}):
            case.query["after"] = self.ready()
        body = case.body if isinstance(case.body, dict) else {}
        for name, value in RIGHT.items():
            if name in body:
                body[name] = value
        for name in FROM_ELSEWHERE:
            body.pop(name, None)
        if case.path.endswith(("/retake", "/edits")):
            body |= {"start": 0.1, "end": 0.4}  # within the film
        if case.path.endswith("/story"):
            self.mend_story(body, "form" in str(case.media_type))
        if case.path.endswith(WORKS):
            for name in ("audio", "video", "video[id]"):
                body.pop(name, None)
            body |= {"video[id]": self.ready()} if "form" in str(case.media_type) else {"video": {"id": self.ready()}}

    def mend_story(self, body: dict[str, Any], form: bool) -> None:
        """Who is in a shot must be among the cast, and its dissolves must fit in: no schema says so."""
        for name in ("music", "music[prompt]", "music[gain]"):
            body.pop(name, None)
        fits = {"cast": [], "place": None, "join": "cut", "seconds": 1, "say": [], "voices": []}
        shots = [{"prompt": "a ball"}] if form or not body.get("shots") else body["shots"]
        shots = [shot | fits for shot in shots]
        body["shots"] = json.dumps(shots) if form else shots

    def send(self, case: Any) -> None:
        told = case.as_transport_kwargs(base_url="http://127.0.0.1")
        if not told["method"].isascii() or told["method"] == "TRACE":
            return
        said = {k: v for k, v in (told.get("headers") or {}).items() if isinstance(v, str | bytes)}
        headers = {k: v for k, v in said.items() if k.lower() not in ("authorization", "host")}  # the key is right
        sent = {key: told[key] for key in ("params", "files", "json", "data") if told.get(key) is not None}
        if isinstance(sent.get("data"), str | bytes):
            sent["content"] = sent.pop("data")
        if "files" in sent:
            sent["files"] = [(name, _part(part)) for name, part in sent["files"]]
        request = self.client.build_request(told["method"], told["url"], headers=headers, **sent)
        request.read()  # what was sent is looked at again
        answer = self.client.send(request)
        self.answers[case.operation.label][answer.status_code] += 1
        assert answer.status_code < 500, (told, answer.text)
        if told["method"] == case.operation.method.upper():
            case.validate_response(answer, checks=[getattr(schemathesis.checks, name) for name in CHECKS])


def _part(part: Any) -> Any:
    """A field of a form, whose value is text or bytes, or (name of a file, value, kind)."""
    name, value, *kind = part if isinstance(part, tuple) else (None, part)
    return (name, value if isinstance(value, str | bytes) else json.dumps(value), *kind)


def fuzz(folder, count: int) -> dict[str, Counter[int]]:
    """Send so many requests to every operation, a third of them against the schema; returns what was answered."""
    studio = Studio(folder, open_to_all=False, queue=10**6, per_key=10**6)
    studio.app.user_middleware[0].kwargs["pace"] = Rate(10**6, 10**6)
    caller = Caller(studio)
    studio.client = caller.client
    schema = schemathesis.openapi.from_dict(studio.app.openapi())
    modes = schemathesis.GenerationMode
    with Quick(studio):
        for operation in [found.ok() for found in schema.get_all_operations()]:
            right = operation.as_strategy(generation_mode=modes.POSITIVE)
            wrong = operation.as_strategy(generation_mode=modes.NEGATIVE)

            @given(case=right, mended=st.sampled_from([True, True, False]))
            @settings(FUZZ, max_examples=count - count // 3)
            def as_described(case, mended):
                if mended:
                    caller.mend(case)
                caller.send(case)

            @given(case=wrong)
            @settings(FUZZ, max_examples=count // 3)
            def against(case):
                caller.send(case)

            as_described()
            against()
    return caller.answers


def check(answers: dict[str, Counter[int]], least: int, share: float = 0.2) -> None:
    print("\n" + "\n".join(f"{label}: {dict(sorted(found.items()))}" for label, found in answers.items()))
    assert len(answers) == 19
    assert sum(found.total() for found in answers.values()) >= least
    for label, found in answers.items():
        assert not [status for status in found if status >= 500], label
        taken = sum(count for status, count in found.items() if status < 300)
        assert taken >= share * found.total(), (label, found)


def test_what_the_schema_suggests_is_no_fault(tmp_path):
    check(fuzz(tmp_path, 9), 120, share=0.1)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ten_thousand_requests_of_the_schema_are_no_fault(tmp_path):
    check(fuzz(tmp_path, 600), 10_000)
