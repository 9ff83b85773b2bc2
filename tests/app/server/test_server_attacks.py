"""Attacks, one test each: none gets in, and each is answered in one sentence."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import time
import zlib

import pytest
import uvicorn
from studio import FILM, Studio, png

from phonofilm.app.server.base.settings import Settings
from phonofilm.app.server.http import run
from phonofilm.app.server.http.access import WRONG_KEYS
from phonofilm.app.server.http.guard import Rules
from phonofilm.app.server.http.run import Address, PatientOnce, check_safe
from phonofilm.app.server.store.keys import Keys
from phonofilm.app.server.work.look import look, suffix_of
from phonofilm.app.server.work.outgoing import Outgoing, Reply, is_public
from phonofilm.app.web.buckets import Buckets, Rate
from phonofilm.errors import PhonofilmError

PAGE = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    return Studio(tmp_path_factory.mktemp("studio"), decode_seconds=20)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Studio:
    return Studio(tmp_path_factory.mktemp("guarded"), open_to_all=False)


# --- who may ask ---


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[", "10.0.0.1", "2130706433"]
)
def test_rebinding_a_foreign_name_is_no_name_of_ours(studio, host):
    answer = studio.client.get("/v1/videos", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host")


@pytest.mark.parametrize("host", ["localhost:8720", "127.0.0.1", "[::1]:9"])
def test_this_machine_has_three_names(studio, host):
    assert studio.client.get("/v1/videos", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://[", "file://127.0.0.1"]
)
def test_another_page_may_change_nothing(studio, origin):
    answer = studio.client.post("/v1/videos", json=FILM, headers={"Origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_may_not_even_look(studio, site):
    for path in ("/v1/videos", "/session", "/metrics"):
        assert studio.client.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert studio.client.get("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}).status_code == 200


def test_forged_requests_of_a_browser_need_the_token_of_the_page(studio):
    for cookie in ({}, {"Cookie": "phonofilm_session=x.1.2"}):
        answer = studio.client.post("/v1/videos", json=FILM, headers=PAGE | cookie)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")
    page = studio.called()
    logged = page.post("/session", json={}, headers=PAGE)
    said = logged.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert page.post("/v1/videos", json=FILM, headers=PAGE).status_code == 403, "a cookie alone is not enough"
    wrong = PAGE | {"X-CSRF-Token": "x" * 43}
    assert page.post("/v1/videos", json=FILM, headers=wrong).status_code == 403
    right = PAGE | {"X-CSRF-Token": logged.json()["token"]}
    answer = page.post("/v1/videos", json=FILM, headers=right)
    assert answer.status_code == 200, answer.text
    assert page.delete(f"/v1/videos/{answer.json()['id']}", headers=PAGE).status_code == 403
    assert page.delete(f"/v1/videos/{answer.json()['id']}", headers=right).status_code == 200


def test_without_a_key_nothing_is_open(guarded):
    for method, path in (("GET", "/v1/videos"), ("POST", "/v1/videos"), ("GET", "/v1/models"), ("GET", "/metrics")):
        answer = guarded.client.request(method, path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
    assert guarded.client.post("/session", json={}).status_code == 401
    local = Studio(guarded.settings.folder / "other")  # its cookie is signed by another secret
    cookie = local.client.post("/session", json={}).cookies["phonofilm_session"]
    assert guarded.client.get("/v1/videos", headers={"Cookie": f"phonofilm_session={cookie}"}).status_code == 401


def test_a_cookie_of_this_machine_opens_nothing_once_keys_are_needed(tmp_path):
    cookie = Studio(tmp_path).client.post("/session", json={}).cookies["phonofilm_session"]
    later = Studio(tmp_path, open_to_all=False)
    assert later.client.get("/v1/videos", headers={"Cookie": f"phonofilm_session={cookie}"}).status_code == 401


def test_guessing_keys_is_slow(guarded):
    real = guarded.key()
    guarded.parts.access.wrong = Buckets(WRONG_KEYS, lambda: 0.0)
    answers = [guarded.called(f"pf_{number:012x}_{'a' * 43}").get("/v1/videos") for number in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert guarded.called(real).get("/v1/videos").status_code == 200, "who has a key is not locked out"


def test_another_keys_job_is_not_there(tmp_path):
    studio = Studio(tmp_path, open_to_all=False)
    anna, ben = studio.called(studio.key("anna")), studio.called(studio.key("ben"))
    boss = studio.called(studio.key("boss", "read", "admin"))
    id = anna.post("/v1/videos", json=FILM).json()["id"]
    studio.work()
    for method, path in (
        ("GET", f"/v1/videos/{id}"),
        ("GET", f"/v1/videos/{id}/content"),
        ("GET", f"/v1/videos/{id}/events"),
        ("DELETE", f"/v1/videos/{id}"),
        ("POST", f"/v1/videos/{id}/cancel"),
        ("POST", f"/v1/videos/{id}/remix"),
    ):
        assert ben.request(method, path, json={"prompt": "x"} if method == "POST" else None).status_code == 404, path
    assert ben.post("/v1/videos/foley", json={"video": {"id": id}}).status_code == 404
    assert ben.get("/v1/videos").json()["data"] == []
    assert ben.get("/v1/videos", params={"after": id}).json()["data"] == []
    assert anna.get(f"/v1/videos/{id}").status_code == 200
    assert boss.get(f"/v1/videos/{id}").status_code == 200
    assert boss.post("/v1/videos", json=FILM).json()["error"]["code"] == "scope"
    assert anna.get("/metrics").status_code == 403


def test_a_revoked_key_opens_nothing_and_neither_does_its_cookie(tmp_path):
    studio = Studio(tmp_path, open_to_all=False)
    key = studio.key()
    page = studio.called()
    assert page.post("/session", json={"key": key}).status_code == 200
    assert page.get("/v1/videos").status_code == 200
    Keys(studio.parts.database).revoke(key.split("_")[1])
    assert page.get("/v1/videos").status_code == 401
    assert studio.called(key).get("/v1/videos").status_code == 401


def test_it_is_not_served_to_others_without_keys_and_tls(tmp_path):
    settings = Settings(tmp_path)
    with pytest.raises(PhonofilmError, match="--tls-cert"):
        check_safe(settings, Address("0.0.0.0"))
    with pytest.raises(PhonofilmError, match="keys new"):
        check_safe(settings, Address("192.168.1.5", behind_proxy=True))
    check_safe(settings, Address("127.0.0.1"))
    check_safe(settings, Address("localhost"))
    assert not Address("example.org").local


# --- what is sent ---


def test_ten_gigabytes_are_refused_before_they_are_read(studio):
    headers = {"Content-Length": str(10 * 2**30), "Content-Type": "multipart/form-data; boundary=x"}
    answer = studio.client.post("/v1/videos", content=b"", headers=headers)
    assert answer.status_code == 413


def test_a_body_without_a_length_is_cut_off(tmp_path):
    studio = Studio(tmp_path, rules=Rules(upload=50_000, body=10_000))
    given = 0

    def endless():
        nonlocal given
        while given < 10**8:
            given += 4096
            yield b" " * 4096

    answer = studio.client.post("/v1/videos", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    form = {"input_reference": ("x.png", io.BytesIO(b"x" * 100_000))}
    assert studio.client.post("/v1/videos", data=FILM, files=form).status_code == 413


def png_bomb(side: int) -> bytes:
    """A small file of very many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = zlib.compress(bytes(side // 8 + 1) * 64, 9)
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


PLAYLIST = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile '/etc/passwd'\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
ZIP = b"PK\x03\x04" + bytes(1000)


@pytest.mark.parametrize("content", [PLAYLIST, CONCAT, SVG, ZIP, b"", b"\0" * 5000, b"%PDF-1.4", b"RIFF\0\0\0\0EVIL"])
def test_files_of_another_kind_reach_no_decoder(studio, content):
    for path, name in (("/v1/videos/foley", "video"), ("/v1/videos", "input_reference")):
        answer = studio.client.post(path, data={"prompt": "x"}, files={name: ("film.mp4", content)})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_file"), content[:20]
    assert suffix_of(content[:16]) is None


def test_a_pixel_bomb_is_not_unpacked(tmp_path):
    (tmp_path / "bomb").write_bytes(png_bomb(30_000))
    with pytest.raises(PhonofilmError, match=r"pixels|picture"):
        look(tmp_path / "bomb", "image", 3840 * 2160, 600, 10)


def test_a_decoder_that_runs_forever_is_ended(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(png())
    began = time.monotonic()
    code = "import sys, time\nwhile True: pass"
    (tmp_path / "sleeper.py").write_text(code)
    monkeypatch.setattr("phonofilm.app.server.work.look.__name__", "sleeper")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("phonofilm.app.server.work.look.GRACE", 1.0)
    with pytest.raises(PhonofilmError, match="within the limits"):
        look(tmp_path / "a", "image", 10**6, 600, 0.1)
    assert time.monotonic() - began < 60


def test_a_film_longer_than_it_may_be_is_refused(tmp_path, studio):
    film = studio.made(seconds=1)
    content = studio.client.get(f"/v1/videos/{film['id']}/content").content
    for seconds, pixels in ((0.3, 10**6), (10, 100)):
        (tmp_path / "film").write_bytes(content)
        with pytest.raises(PhonofilmError, match=r"lasts|pixels"):
            look(tmp_path / "film", "film", pixels, seconds, 20)
        for left in tmp_path.iterdir():
            left.unlink()


def test_names_of_files_are_never_used(studio):
    names = [
        "../../../tmp/evil.png",
        "/etc/passwd",
        "a\0b.png",
        "CON",
        "x" * 5000,
        "<script>.png",
        "..",
        "\u202egnp.exe",
    ]
    for name in names:
        answer = studio.client.post("/v1/videos", data=FILM, files={"input_reference": (name, png())})
        assert answer.status_code in (200, 400), name
        if answer.status_code == 200:
            folder = studio.settings.folder / "inputs" / answer.json()["id"]
            assert [path.name for path in folder.iterdir()] == ["image.png"]
    tops = {path.name for path in studio.settings.folder.iterdir()}
    assert tops <= {
        "phonofilm.db", "phonofilm.db-wal", "phonofilm.db-shm", "inputs", "results", "incoming", "scratch",
        "session.secret",
    }  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["/studio/../../base/settings.py", "/studio/..%2f..%2fbase%2fsettings.py", "/studio/%2e%2e/x", "/../../etc/passwd",
     "/v1/videos/..%2f..%2fetc/content", "/v1/videos/video_" + "0" * 31 + "g", "/studio/.%00"],
)  # fmt: skip
def test_paths_lead_nowhere(studio, path):
    answer = studio.client.get(path)
    assert answer.status_code in (400, 404)
    assert "DAY" not in answer.text


def test_no_field_names_a_path_of_the_server(studio):
    for field in ("source", "image", "given_stems", "stems", "loras", "components", "device", "offload", "model_path"):
        assert studio.client.post("/v1/videos", json=FILM | {field: "/etc/passwd"}).status_code == 400, field
    assert studio.client.post("/v1/videos", json=FILM | {"model": "/etc"}).status_code == 404
    assert studio.client.post("/v1/videos", json=FILM | {"voices": ["/etc/x.onnx"], "say": ["a"]}).status_code == 400
    film = studio.made()
    said = studio.client.post("/v1/videos/soundtrack", json={"video": {"id": film["id"]}, "say": ["/etc/passwd.srt"]})
    assert said.status_code == 400


def test_a_prompt_is_never_html(studio):
    prompt = '<script>alert(1)</script><img src=x onerror="alert(2)">'
    film = studio.made(prompt=prompt)
    answer = studio.client.get(f"/v1/videos/{film['id']}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    recipe = studio.client.get(f"/v1/videos/{film['id']}/content?variant=recipe")
    assert recipe.headers["content-type"] == "application/json"
    page = studio.client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in page.text, "no script stands in the page itself"
    for name in ("studio.js", "api.js", "gallery.js", "player.js", "tabs.js", "drop.js"):
        text = studio.client.get(f"/studio/{name}").text
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text
        assert "http" not in text.replace("https://phonofilm", ""), "nothing is fetched from elsewhere"


def test_a_report_runs_no_script_and_no_other_file_is_shown(tmp_path):
    (tmp_path / "report.html").write_text("<title>A</title><script>alert(1)</script>")
    studio = Studio(tmp_path / "data", reports={"A": str(tmp_path / "report.html")})
    shown = studio.client.get("/reports/0")
    assert shown.text.startswith("<title>A")
    policies = shown.headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert policies[0].endswith("sandbox"), "neither scripts nor the cookie of the studio"
    assert shown.headers["x-frame-options"] == "SAMEORIGIN"
    for name in ("1", "-1", "0x0", "..%2f..%2fetc%2fpasswd", "٠", "report.html", "9" * 30):
        assert studio.client.get(f"/reports/{name}").status_code == 404, name
    (tmp_path / "report.html").unlink()
    assert studio.client.get("/reports/0").status_code == 404
    closed = Studio(tmp_path / "closed", open_to_all=False, reports={"A": "/etc/passwd"})
    assert closed.client.get("/reports/0").status_code == 401
    assert closed.client.get("/session").json()["reports"] == []


def test_every_answer_has_the_headers_that_keep_it_safe(studio):
    for path in ("/", "/v1/videos", "/nothing", "/v1/videos/x/content"):
        headers = studio.client.get(path).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
    assert (
        "access-control-allow-origin"
        not in studio.client.options("/v1/videos", headers={"Origin": "https://x.example"}).headers
    )


def test_too_many_requests_are_slowed(tmp_path):
    studio = Studio(tmp_path)
    studio.app.user_middleware[0].kwargs["pace"] = Rate(5, 0.001)
    answers = [studio.client.get("/healthz").status_code for _ in range(7)]
    assert answers == [200] * 5 + [429] * 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt": NaN}',
        b'{"prompt": "\\ud800"}',
        b"[" * 100_000,
        b'{"seed": 1' + b"0" * 10_000 + b"}",
        b'{"a":1,"a":2}',
        b"\xff",
    ],
)
def test_broken_json_is_one_sentence(studio, body):
    answer = studio.client.post("/v1/videos", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert len(answer.json()["error"]["message"]) < 200


MANY = (
    b"".join(b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nv\r\n' % n for n in range(300)) + b"--x--\r\n"
)


@pytest.mark.parametrize(
    "body",
    [b"", b"--x\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--", b"\0" * 100,
     MANY],
)  # fmt: skip
def test_broken_forms_are_one_sentence(studio, body):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = studio.client.post("/v1/videos", content=body, headers=headers)
    assert answer.status_code == 400
    assert (
        studio.client.post("/v1/videos", content=body, headers={"Content-Type": "multipart/form-data"}).status_code
        == 400
    )


# --- what it asks ---

PRIVATE = [
    "127.0.0.1",
    "10.0.0.8",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
]
PRIVATE += [
    "::1",
    "fe80::1",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "240.0.0.1",
]
PRIVATE += ["255.255.255.255", "ff02::1", "not an address", "198.18.0.1", "::"]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_private_network_is_asked_by_whatever_name(studio, address):
    assert not is_public(address)
    network = studio.network
    network.calls.clear()
    network.addresses["pictures.example"] = ["93.184.216.34", address]
    answer = studio.client.post(
        "/v1/videos", json=FILM | {"input_reference": {"image_url": "https://pictures.example/a"}}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "image_url")
    assert network.calls == []


def test_public_addresses_are_asked():
    assert all(map(is_public, ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"]))


def test_a_redirect_is_checked_as_the_first_address_was(studio):
    network = studio.network
    network.addresses |= {"pictures.example": ["93.184.216.34"], "a.hooks.example": ["10.0.0.1"]}
    for target in (
        "https://a.hooks.example/x",
        "https://169.254.169.254/meta",
        "http://pictures.example/x",
        "file:///etc/passwd",
    ):
        network.calls.clear()
        network.answers["pictures.example/go"] = Reply(302, {"location": target}, b"")
        answer = studio.client.post(
            "/v1/videos", json=FILM | {"input_reference": {"image_url": "https://pictures.example/go"}}
        )
        assert answer.status_code == 400, target
        assert len(network.calls) == 1
    network.answers["pictures.example/go"] = Reply(302, {"location": "/go"}, b"")
    answer = studio.client.post(
        "/v1/videos", json=FILM | {"input_reference": {"image_url": "https://pictures.example/go"}}
    )
    assert "on and on" in answer.json()["error"]["message"]


def test_a_name_is_resolved_once_and_that_address_is_asked():
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    calls = []

    def transport(call):
        calls.append(call.address)
        return Reply(200, {}, b"picture")

    outgoing = Outgoing(("pictures.example",), lambda host, port: next(answers), transport)
    assert outgoing.get("https://pictures.example/a", 100) == b"picture"
    assert calls == ["93.184.216.34"]
    with pytest.raises(PhonofilmError, match="public network"):
        outgoing.get("https://pictures.example/a", 100)


@pytest.mark.parametrize(
    "url",
    ["https://other.example/a", "http://pictures.example/a", "https://user:pw@pictures.example/", "https://pictures.example:99999/",
     "https://pictures.example.evil.example/", "ftp://pictures.example/", "https:///a", "https://pictures.example/a b",
     "https://pictures.example/\r\nX: y", "gopher://pictures.example", "https://[::1]/", "https://2130706433/", "//x"],
)  # fmt: skip
def test_only_allowed_names_are_asked(studio, url):
    studio.network.calls.clear()
    for fields in ({"input_reference": {"image_url": url}}, {"webhook_url": url}):
        assert studio.client.post("/v1/videos", json=FILM | fields).status_code == 400
    assert studio.network.calls == []


def test_an_answer_is_read_no_further_than_a_limit(studio):
    network = studio.network
    network.addresses["pictures.example"] = ["93.184.216.34"]
    network.answers["pictures.example/big"] = Reply(200, {}, b"x" * (20 * 2**20 + 1))
    answer = studio.client.post(
        "/v1/videos", json=FILM | {"input_reference": {"image_url": "https://pictures.example/big"}}
    )
    assert "larger" in answer.json()["error"]["message"]
    assert network.calls[-1].most == 20 * 2**20


# --- how it is sent ---


class Served:
    """The application on a real socket, with short deadlines."""

    def __init__(self, app, monkeypatch) -> None:
        monkeypatch.setattr(run, "HEAD_SECONDS", 0.5)
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        config = uvicorn.Config(app, http=PatientOnce, ws="none", lifespan="off", log_config=None, access_log=False)
        self.server = uvicorn.Server(config)
        self.server.capture_signals = _nothing
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        self.listener.close()

    def talk(self, *pieces: bytes, pause: float = 0.0) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause)
                found = b""
                while data := connection.recv(65536):
                    found += data
            except (ConnectionResetError, BrokenPipeError):
                return b""
            return found


def _nothing():
    import contextlib

    return contextlib.nullcontext()


@pytest.fixture
def served(tmp_path, monkeypatch):
    studio = Studio(tmp_path, rules=Rules(seconds=0.5))
    made = Served(studio.app, monkeypatch)
    yield made
    made.stop()


def test_a_head_that_drips_is_cut_off(served):
    began = time.monotonic()
    drips = [b"GET /healthz HTTP/1.1\r\n"] + [b"X-A: b\r\n"] * 40
    assert served.talk(*drips, pause=0.1) == b""
    assert time.monotonic() - began < 30


def test_a_body_that_drips_is_answered_408(served):
    head = (
        b"POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )
    answer = served.talk(head, b"{", b" ", pause=0.1)
    assert b"408" in answer.split(b"\r\n")[0]


def test_a_quick_request_is_answered(served):
    answer = served.talk(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert json.loads(answer.split(b"\r\n\r\n")[1]) == {"ok": True}
