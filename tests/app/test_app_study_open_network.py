"""The study's server as the open network finds it: whatever is sent, a refusal is a 4xx of one sentence."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi", reason="needs the study extra: pip install -e '.[study]'")
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from study_material import study_of

from phonofilm.app.cli.main import main
from phonofilm.app.study.limits import Limits
from phonofilm.app.study.server import create_app
from phonofilm.app.web.buckets import Buckets, Rate, address_key
from phonofilm.evaluation.study.store import Ratings

FREE = Limits(joins=Rate(1e9, 1e9), address=Rate(1e9, 1e9), rater=Rate(1e9, 1e9))
POSTS = ("join", "event", "rate/0", "rate/99", "rate/-1", f"rate/{2**70}", "headphones", "latency", "withdraw", "none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return study_of(tmp_path_factory.mktemp("open"))[0]


@pytest.fixture(scope="module")
def client(folder):
    return TestClient(create_app(folder, limits=FREE), raise_server_exceptions=False)


def refusal(answer) -> str:
    """The sentence of a refusal; fails where it is none."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert answer.headers["x-content-type-options"] == "nosniff"
    said = answer.json()
    assert list(said) == ["error"]
    assert "\n" not in said["error"]
    assert 5 < len(said["error"]) < 200
    return said["error"]


def joined(client, **body) -> dict[str, str]:
    return {"X-Rater": client.post("/api/join", json=body).json()["token"]}


def send(client, path, body: bytes, headers=None):
    headers = {"Content-Type": "application/json", **(headers or {})}
    return client.post(f"/api/{path}", content=body, headers=headers)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b'{"kind": "play", "trial": 123456789012345678901234567890}',
        b'{"kind": "play", "at": NaN}',
        b'{"offset": Infinity}',
        b'{"offset": 1e999, "audio": {"base": -Infinity}}',
        rb'{"outside": "\ud800", "kind": "\udfff", "heard": ["\ud800"], "answers": {"\ud800": 1}}',
        rb'{"kind": "comment", "text": "\ud83d"}',
        b"\xff\xfe\x00",
        b"[" * 20_000,
        b'{"kind": "play", "kind": "play"}',
        b'"secret-of-the-sender"',
        b'{"secret-of-the-sender": "secret-of-the-sender"}',
        b'{"kind": ["secret-of-the-sender"], "outside": 7, "heard": "x", "answers": [], "offset": "1"}',
    ],
)
def test_what_cannot_be_read_is_refused_and_not_repeated(client, path, body):
    answer = send(client, path, body, joined(client))
    if path == "withdraw" and body.startswith((b'"', b'{"secret', b'{"kind": [')):
        return  # takes no body, so a well-formed one is not looked at
    said = refusal(answer)
    assert "secret-of-the-sender" not in said


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("event", {"kind": "play", "trial": -1}),
        ("event", {"kind": "play", "trial": 10_000}),
        ("event", {"kind": "play", "trial": 0, "clip": 5}),
        ("event", {"kind": "play", "trial": 0, "clip": -1}),
        ("event", {"kind": "play", "clip": 0}),
        ("event", {"kind": "ended", "trial": None, "clip": None}),
        ("event", {"kind": "open", "trial": 0}),
        ("event", {"kind": "play", "trial": 0.0}),
        ("event", {"kind": "play", "trial": True}),
        ("event", {"kind": "play", "at": -1}),
        ("event", {"kind": "comment", "text": "x" * 4001}),
        ("event", {"kind": "comment", "more": 1}),
        ("rate/-1", {"answers": {}}),
        ("rate/0", {"answers": {"sync": "3"}}),
        ("rate/0", {"answers": {"sync": True}}),
        ("rate/0", {"answers": {str(i): 1 for i in range(41)}}),
        ("headphones", {"heard": []}),
        ("headphones", {"heard": ["left", "right", "up", "left"]}),
        ("latency", {"offset": 1001}),
        ("latency", {"offset": 0, "audio": {str(i): 0 for i in range(11)}}),
        ("join", {"outside": "x" * 201}),
        ("join", {"outside": "a\x00b"}),
        ("join", {"outside": "name", "key": "ü"}),
        ("join", {"key": "0" * 32}),
    ],
)
def test_values_out_of_their_range_are_refused_and_not_kept(client, folder, path, body):
    headers = joined(client)
    seat = client.get("/api/state", headers=headers) and len(_store(folder).raters()) - 1
    refusal(client.post(f"/api/{path}", json=body, headers=headers))
    assert _store(folder).events(seat) == []


def _store(folder) -> Ratings:
    from phonofilm.evaluation.study.protocol import load_study

    return Ratings(folder, load_study(folder).hash)


def test_export_is_strict_json_even_of_what_an_earlier_version_kept(tmp_path):
    folder, study = study_of(tmp_path)
    store = Ratings(folder, study.hash)
    store.join(0.0, "an old name")
    with store._open() as database:
        details = ['{"at": NaN}', '{"audio": {"base": -Infinity}}', r'{"text": "\ud800"}']
        rows = [(0, -1, "play", detail, 0.0) for detail in details]
        database.executemany("INSERT INTO events (seat, trial, kind, detail, at) VALUES (?, ?, ?, ?, ?)", rows)
    assert main(["study", "export", str(folder), "-o", str(tmp_path / "raw.json")]) == 0

    def refuse(name):
        raise AssertionError(name)

    found = json.loads((tmp_path / "raw.json").read_bytes().decode("utf-8"), parse_constant=refuse)
    assert [e["detail"] for e in found["events"]] == [{"at": None}, {"audio": {"base": None}}, {"text": "\ufffd"}]


# ---------- limits


def test_joins_are_limited_by_address_and_come_back_with_time(folder):
    client = TestClient(create_app(folder))
    before = len(_store(folder).raters())
    codes = [client.post("/api/join", json={}).status_code for _ in range(60)]
    assert codes == [200] * 40 + [429] * 20
    last = client.post("/api/join", json={})
    refusal(last)
    assert 1 <= int(last.headers["retry-after"]) <= 60
    assert len(_store(folder).raters()) == before + 40


def test_calls_and_events_are_limited_by_rater(folder):
    client = TestClient(create_app(folder, limits=Limits(rater=Rate(10, 0.1), events=5)))
    first, second = joined(client), joined(client)
    codes = [client.get("/api/state", headers=first).status_code for _ in range(20)]
    assert codes == [200] * 10 + [429] * 10
    assert client.get("/api/state", headers=second).status_code == 200, "one rater does not stop another"
    play = {"kind": "play", "trial": 0, "clip": 0}
    codes = [client.post("/api/event", json=play, headers=second).status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2
    assert client.get("/").status_code == 200


def test_buckets_fill_again_and_forget_full_ones():
    now = [0.0]
    buckets = Buckets(Rate(2, 0.5), lambda: now[0], most=100)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 2, 2]
    now[0] = 2
    assert [buckets.take("a") for _ in range(2)] == [0, 2]
    for number in range(1000):
        buckets.take(str(number))
    assert len(buckets) <= 101
    now[0] = 100
    assert buckets.take("a") == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2:3::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1", True),
        (None, "", True),
    ],
)
def test_what_counts_as_one_address(one, other, same):
    assert (address_key(one) == address_key(other)) == same


# ---------- over a real connection


@contextmanager
def listening(folder, limits=FREE):
    import uvicorn

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(folder, limits=limits), log_level="critical", http="h11", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join(10)


def talk(address, *parts: bytes, seconds: float = 10) -> bytes:
    """What the server answers, until it closes the connection."""
    found = b""
    with socket.create_connection(address, timeout=seconds) as line:
        try:
            for part in parts:
                # a server that has refused closes the line: what is sent after that would lose its answer
                if select.select([line], [], [], 0.02 if part is not parts[0] else 0)[0]:
                    break
                line.sendall(part)
            while chunk := line.recv(65536):
                found += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    return found


def test_a_large_body_is_refused_before_it_is_read(folder):
    head = b"POST /api/join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with listening(folder) as address:
        # nothing of the 80 MB is sent: the answer comes all the same
        declared = talk(address, head + b"Content-Length: 83886080\r\n\r\n")
        absurd = talk(address, head + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n")
        chunk = b"1000\r\n" + b"[" * 4096 + b"\r\n"
        chunked = talk(address, head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 40)
    for answer in (declared, absurd, chunked):
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'{"error": "the request is too large"}' in answer
        assert len(answer) < 2000


def test_a_body_that_never_ends_is_given_up(folder):
    head = b"POST /api/join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with listening(folder, Limits(seconds=0.3)) as address:
        assert talk(address, head).startswith(b"HTTP/1.1 408 ")


def test_no_header_tells_what_runs_the_server(folder):
    with listening(folder) as address:
        answer = talk(address, b"GET /api/state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")


# ---------- any request at all

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8)
    | st.sampled_from(["left", "right", "play", "ended", "comment", "A", "sync", "overall"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "outside",
                    "key",
                    "kind",
                    "trial",
                    "clip",
                    "at",
                    "text",
                    "answers",
                    "heard",
                    "attempt",
                    "offset",
                    "audio",
                ]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
PATHS = st.sampled_from(
    [
        "/",
        "/api/study",
        "/api/state",
        "/assets/study.js",
        "/probe/0.mp4",
        "/sound/0.wav",
        "/media/x",
        "/api",
        "//",
        "/%00",
    ]
    + [f"/api/{path}" for path in POSTS]
)


@st.composite
def requests(draw):
    headers = draw(
        st.dictionaries(
            st.sampled_from(
                ["Content-Type", "Range", "If-Range", "User-Agent", "X-Rater", "Accept", "X-Forwarded-For"]
            ),
            st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
            | st.sampled_from(["application/json", "text/plain", "bytes=0-1", "bytes=-5", "127.0.0.1, evil"]),
            max_size=3,
        )
    )
    body = draw(st.binary(max_size=50) | st.builds(lambda value: json.dumps(value).encode(), JSON))
    method = draw(st.sampled_from([*["POST"] * 6, *["GET"] * 3, "HEAD", "PUT", "OPTIONS"]))
    query = draw(st.dictionaries(st.sampled_from(["rater", "id", "key", "try", "x"]), st.text(max_size=8), max_size=2))
    return {
        "method": method,
        "url": draw(PATHS),
        "params": query,
        "content": None if method in ("GET", "HEAD") else body,
        "headers": {name: value.encode("latin-1") for name, value in headers.items()},
        "as_rater": draw(st.booleans()),
    }


def check_any_request(client, headers, request) -> int:
    """Send a request, and look at its answer; returns the status."""
    request = dict(request)
    if request.pop("as_rater") and "withdraw" not in request["url"]:  # who has withdrawn gets no further
        request["headers"] = {"Content-Type": "application/json", **headers, **request["headers"]}
    answer = client.request(**request)
    assert answer.status_code < 500, (request, answer.status_code)
    if answer.status_code >= 400 and request["method"] != "HEAD":
        refusal(answer)
    if answer.headers.get("content-type", "").startswith("application/json") and answer.content:
        json.loads(answer.content.decode("utf-8"), parse_constant=lambda name: pytest.fail(name))
    return answer.status_code


FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def rater(client):
    """Somebody who sees the first trial."""
    headers = joined(client)
    for _ in range(3):
        client.post("/api/headphones", json={"heard": ["left"] * 4}, headers=headers)
    client.post("/api/latency", json={"offset": None}, headers=headers)
    assert client.get("/api/state", headers=headers).json()["stage"] == "trial"
    return headers


@given(sent=requests())
@settings(FUZZ, max_examples=200)
def test_no_request_is_answered_with_a_fault(client, rater, sent):
    check_any_request(client, rater, sent)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(sent=requests())
@settings(FUZZ, max_examples=5000)
def test_none_of_5000_requests_is_answered_with_a_fault(client, rater, sent):
    check_any_request(client, rater, sent)


# ---------- what the schema of the routes suggests, right and wrong


@pytest.fixture(scope="module")
def cases(client):
    """A strategy of requests to every route, by its schema and against it."""
    schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis: pip install -e '.[dev]'")
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    schema = schemathesis.openapi.from_dict(client.app.openapi())
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {operation.path for operation in operations} >= {f"/api/{name}" for name in ("join", "event", "latency")}
    return st.one_of([operation.as_strategy(generation_mode=mode) for operation in operations for mode in modes])


def check_cases(client, rater, cases, count: int) -> Counter[int]:
    """Send that many requests; returns how often each status was the answer."""
    answers: Counter[int] = Counter()

    @given(case=cases, as_rater=st.booleans())
    @settings(FUZZ, max_examples=count)
    def check(case, as_rater):
        told = case.as_transport_kwargs(base_url="http://testserver")
        body = told.get("data")
        sent = {
            "method": told["method"],
            "url": told["url"],
            "params": told.get("params") or {},
            "headers": {k: v for k, v in (told.get("headers") or {}).items() if isinstance(v, str | bytes)},
            "content": json.dumps(told["json"]).encode() if "json" in told else body,
            "as_rater": as_rater,
        }
        if isinstance(sent["content"], str | bytes | None) and sent["method"].isascii():
            answers[check_any_request(client, rater, sent)] += 1

    check()
    return answers


def test_schemathesis_finds_no_fault_on_any_route(client, rater, cases):
    assert check_cases(client, rater, cases, 100).total() > 80


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_schemathesis_finds_no_fault_in_10000_requests(client, rater, cases):
    """`-s` shows how often each status was the answer."""
    answers = check_cases(client, rater, cases, 10_500)  # a few cannot be sent
    print("\n" + ", ".join(f"{status}: {count}" for status, count in sorted(answers.items())))
    assert answers.total() >= 10_000
    assert max(answers) < 500
