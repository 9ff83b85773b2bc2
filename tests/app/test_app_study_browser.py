"""The page in a real browser: two people rate a whole study, by mouse and by keys, through reloads and a crash."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from study_material import study_of

from browser import Page
from phonofilm.evaluation.study.store import Ratings

pytestmark = pytest.mark.slow


class Server:
    """`phonofilm study serve` in a process of its own, to be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "phonofilm.app.cli.main",
            "study",
            "serve",
            str(self.folder),
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(300):
            try:
                urllib.request.urlopen(self.url, timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        self.kill()
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def served(tmp_path):
    folder, study = study_of(tmp_path)
    server = Server(folder)
    try:
        yield server, study
    finally:
        server.kill()


def sides_of(server: Server, study, seat: int) -> list[str]:
    from phonofilm.app.study.flow import Flow

    flow = Flow.of(server.folder)
    return flow.sides(flow.ratings.raters()[seat])


def begin(page: Page, server: Server, study, seat: int) -> None:
    """Welcome, left or right, flash and beep."""
    page.driver.get(server.url)
    page.find("#agree")
    page.picture("1-welcome")
    assert not page.find("#start").is_enabled()
    page.click("#agree")
    page.click("#start")
    page.find(".listen")
    for number, side in enumerate(sides_of(server, study, seat)):
        row = page.all(".sounds li")[number]
        row.find_element("css selector", ".listen").click()
        button = row.find_element("css selector", f".side.{side}")
        page.until(button.is_enabled)
        button.click()
    page.picture("2-headphones")
    page.click("#go")
    page.find("#offset")
    page.find("video")
    page.click(".screen button")
    time.sleep(0.5)
    page.picture("3-latency")
    page.click("#together")
    page.find("#lock")


def play_all(page: Page) -> None:
    for number in range(len(page.all("video"))):
        page.all(".screen button")[number].click()
        page.until(lambda n=number: page.all("figcaption span")[n].text == "played")


def test_a_whole_study_by_mouse_through_reload_and_crash(browser, served):
    server, study = served
    begin(browser, server, study, 0)
    trials = study.trials(0)
    assert all(not radio.is_enabled() for radio in browser.all("input[type=radio]")), "locked until played"
    browser.picture("4-locked")
    play_all(browser)
    browser.find("fieldset.now")
    browser.picture("5-open")
    for trial in trials:
        browser.until(lambda t=trial: browser.count() == f"{t.index} of {len(trials)}")
        if trial.role == "pair" and trials[trial.index - 1].role != "pair":
            browser.picture("6-pair-locked")
        if trial.index:
            play_all(browser)
        if trial.index == 2:  # a reload keeps the place, and what was played
            browser.driver.refresh()
            browser.until(lambda: browser.count() == f"2 of {len(trials)}")
            browser.until(lambda: browser.all("figcaption span")[0].text == "played")
        for box in browser.all("fieldset"):
            radios = box.find_elements("css selector", "input")
            browser.until(radios[0].is_enabled)
            radios[(trial.index + 1) % len(radios)].click()
        if trial.role == "pair":
            browser.picture("7-pair")
        elif trial.index == 0:
            browser.picture("5-answered")
        if trial.index == 3:  # the server dies while the answer is on its way; it comes back, nobody does anything
            server.kill()
            browser.click("#send")
            browser.until(lambda: "kept" in browser.find("#status").text)
            browser.picture("8-offline")
            threading.Thread(target=server.start).start()
        else:
            browser.click("#send")
    browser.find(".code", 60)
    browser.picture("9-done")
    store = Ratings(server.folder, study.hash)
    assert [(r.seat, r.trial) for r in store.ratings()] == [(0, t.index) for t in trials]
    assert not [e for e in browser.driver.get_log("browser") if "Content Security Policy" in e["message"]]


def test_keys_alone_are_enough(browser, served):
    server, study = served
    begin(browser, server, study, 0)
    trials = study.trials(0)
    for trial in trials:
        browser.until(lambda t=trial: browser.count() == f"{t.index} of {len(trials)}")
        for number, key in enumerate("ab" if trial.role == "pair" else " "):
            browser.press(key)
            browser.until(lambda n=number: browser.all("figcaption span")[n].text == "played")
        browser.find("fieldset.now")
        browser.press(*("31" if trial.role == "pair" else "543212"))
        browser.until(lambda: browser.find("#send").is_enabled())
        browser.press("\ue007")  # Enter
    browser.find(".code")
    given = {r.trial: r.answers for r in Ratings(server.folder, study.hash).ratings()}
    assert len(given) == len(trials)
    for trial in trials:
        wanted = [-1, 1] if trial.role == "pair" else [5, 4, 3, 2, 1, 2]
        assert list(given[trial.index].values()) == wanted


def test_a_narrow_screen_shows_everything(browser, served):
    server, study = served
    browser.driver.set_window_size(500, 900)
    begin(browser, server, study, 0)
    play_all(browser)
    browser.find("fieldset.now")
    browser.picture("10-narrow")
    wide = browser.driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "nothing sticks out at the side"


def agree(page: Page) -> None:
    page.click("#agree")
    page.click("#start")
    page.find(".listen")


def test_two_people_share_one_browser(browser, served):
    server, study = served
    browser.driver.get(f"{server.url}?id=P1")
    agree(browser)
    own = browser.driver.current_url
    assert "id=P1&key=" in own
    browser.driver.get(f"{server.url}?id=P2")
    browser.find("#agree")
    agree(browser)
    store = Ratings(server.folder, study.hash)
    assert [r.outside for r in store.raters()] == ["P1", "P2"]
    browser.driver.get(f"{server.url}?id=P1")  # back in the same browser: no second consent, no new seat
    browser.find(".listen")
    assert browser.driver.execute_script("return me") == store.raters()[0].token
    browser.driver.execute_script("localStorage.clear(); sessionStorage.clear()")
    browser.driver.get(f"{server.url}?id=P1")  # as from another browser, where the name alone proves nothing
    browser.until(lambda: "cannot begin" in browser.find("h1").text)
    browser.picture("11-refused")
    browser.driver.get(own)
    browser.find(".listen")
    assert browser.driver.execute_script("return me") == store.raters()[0].token
    assert len(store.raters()) == 2


def test_without_a_name_the_page_asks_who_has_come_back(browser, served):
    server, study = served
    browser.driver.get(server.url)
    agree(browser)
    first = browser.driver.execute_script("return me")
    browser.driver.refresh()
    browser.find(".listen")
    browser.driver.switch_to.new_window("tab")
    browser.driver.get(server.url)
    browser.find("#other")
    browser.picture("12-who")
    browser.click("#other")
    agree(browser)
    second = browser.driver.execute_script("return me")
    assert second != first
    browser.driver.switch_to.window(browser.driver.window_handles[0])
    # the first tab does not answer for the first person any more while the second one sits here
    browser.until(lambda: browser.all("#same"))
    browser.click("#same")
    assert browser.driver.execute_script("return me") == second
    assert [r.token for r in Ratings(server.folder, study.hash).raters()] == [first, second]


def test_withdrawing_deletes_the_answers(browser, served):
    server, study = served
    begin(browser, server, study, 0)
    play_all(browser)
    for box in browser.all("fieldset"):
        box.find_elements("css selector", "input")[1].click()
    browser.click("#send")
    store = Ratings(server.folder, study.hash)
    browser.until(lambda: browser.count().startswith("1 of"))
    browser.click("#withdraw")
    browser.click("#stay")
    browser.find("#lock")
    browser.click("#withdraw")
    browser.picture("13-withdraw")
    browser.click("#delete")
    browser.until(lambda: "deleted" in browser.find("h1").text)
    assert store.ratings() == []
    browser.driver.refresh()
    browser.find("#agree")


@pytest.fixture
def mushra_served(tmp_path):
    folder, study = study_of(tmp_path, likert=0, pairs=0, anchors=0, catches=0, duplicates=0, mushra=2)
    server = Server(folder)
    try:
        yield server, study
    finally:
        server.kill()


def test_mushra_by_keys_alone(browser, mushra_served):
    server, study = mushra_served
    begin(browser, server, study, 0)
    browser.picture("14-mushra-locked")
    letters = "ABCDE"
    for trial in study.trials(0):
        browser.until(lambda t=trial: browser.count() == f"{t.index} of 2")
        assert not browser.find("#send").is_enabled()
        for number, key in enumerate("r" + letters.lower()):
            browser.press(key)
            browser.until(lambda n=number: browser.all("figcaption span")[n].get_attribute("textContent") == "played")
        for place, key in enumerate(letters.lower()):
            browser.press(key, str(place + 2), "\ue014")  # ArrowRight: one more
        browser.until(lambda: browser.find("#send").is_enabled())
        browser.picture("15-mushra")
        if trial.index == 0:  # a reload keeps what was set
            browser.driver.refresh()
            browser.until(lambda: [o.text for o in browser.all("output")] == ["21", "31", "41", "51", "61"])
        browser.press("\ue007")
    browser.find(".code")
    given = {r.trial: r.answers for r in Ratings(server.folder, study.hash).ratings()}
    assert given == {i: {"A": 21, "B": 31, "C": 41, "D": 51, "E": 61} for i in range(2)}


def test_mushra_on_a_phone(browser, mushra_served):
    server, study = mushra_served
    metrics = {"width": 390, "height": 780, "deviceScaleFactor": 2, "mobile": True}
    begin(browser, server, study, 0)
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for number, row in enumerate(browser.all(".version .listen")):
        row.click()
        browser.until(lambda n=number: browser.all("figcaption span")[n].get_attribute("textContent") == "played")
    for slider in browser.all(".version input"):
        browser.until(slider.is_enabled)
        slider.click()
    browser.until(lambda: browser.find("#send").is_enabled())
    browser.picture("16-mushra-phone")
    wide = browser.driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "nothing sticks out at the side"
    small = browser.driver.execute_script(
        "return [...document.querySelectorAll('.version button, .version input, #send')]"
        ".filter((e) => e.getBoundingClientRect().height < 44).length"
    )
    assert small == 0, "everything is large enough for a finger"
    browser.click("#send")
    browser.until(lambda: browser.count() == "1 of 2")
