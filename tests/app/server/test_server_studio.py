"""The studio in a real browser: every thing a person does there, by mouse, by keys, and on a phone."""

from __future__ import annotations

import importlib.util
import json
import urllib.request
from pathlib import Path

import pytest
from live import Live

from browser import browser  # noqa: F401
from phonofilm.media import read_clip, write_clip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    (folder / "report.html").write_text(
        "<html lang=en><title>Scores of A</title><p>A is best</p><script>top.bad = 1</script>"
    )
    made = Live(folder / "data", "--report", str(folder / "report.html"))
    yield made
    made.stop()


@pytest.fixture
def studio(live, browser):  # noqa: F811
    browser.driver.get(live.url)
    browser.until(lambda: browser.all("#model option"))
    return browser


def films(live) -> list[dict]:
    with urllib.request.urlopen(f"{live.url}/v1/videos?limit=100") as answer:
        return json.load(answer)["data"]


def make(page, seconds: str = "1", size: str = "128x128") -> None:
    """One film from the prompt; the player opens when it is ready."""
    for name, value in (("seconds", seconds), ("size", size)):
        page.find(f"#{name}").clear()
        page.find(f"#{name}").send_keys(value)
    page.click("#go")
    page.until(lambda: page.find("#player").is_displayed(), 120)
    page.until(lambda: page.driver.execute_script("return document.querySelector('#video').readyState") >= 2)


def after(page, live, action) -> dict:
    """The film that an action made."""
    before = {film["id"] for film in films(live)}
    action()
    page.until(lambda: {film["id"] for film in films(live)} - before or page.find("#error").is_displayed())
    assert not page.find("#error").is_displayed(), page.find("#error").text
    (id,) = {film["id"] for film in films(live)} - before
    page.until(lambda: next(f for f in films(live) if f["id"] == id)["status"] in ("completed", "failed"), 120)
    film = next(film for film in films(live) if film["id"] == id)
    assert film["status"] == "completed", film["error"]
    page.until(lambda: page.find("#state").text == "The film is ready.")
    return film


def first_paint(page) -> float:
    """Milliseconds from asking for the page to the first of it that is seen."""
    asked = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    page.until(lambda: page.driver.execute_script(asked))
    return float(page.driver.execute_script(asked))


def test_the_first_film_is_one_click_from_a_cold_page(live, studio):
    painted = first_paint(studio)
    studio.driver.get(f"{live.url}/healthz")
    plain = first_paint(studio)
    studio.driver.get(live.url)
    studio.until(lambda: studio.all("#model option"))
    studio.until(lambda: studio.find("#empty").is_displayed())
    studio.picture("studio-cold")
    sent = studio.driver.execute_script(
        "return performance.getEntriesByType('resource').map(e => [e.name, e.decodedBodySize])"
    )
    assert all(name.startswith(live.url) for name, _ in sent), "nothing comes from elsewhere"
    assert sum(size for _, size in sent) < 300_000
    assert painted < max(1_000, 5 * plain), "a second, or where the machine is starved five times what one line takes"
    studio.click("#go")
    studio.until(lambda: studio.find("#player").is_displayed(), 120)
    studio.until(lambda: studio.driver.execute_script("return document.querySelector('#video').videoWidth") > 0)
    studio.picture("studio-first-film")
    assert not studio.find("#error").is_displayed()


def test_all_that_is_made_of_a_film(live, studio):
    make(studio, "2")
    studio.click("#play")
    studio.until(lambda: studio.driver.execute_script("return document.querySelector('#video').currentTime") > 0.05)
    studio.click("#play")
    box = studio.find("#timeline")
    width = box.size["width"]
    from selenium.webdriver import ActionChains

    drag = ActionChains(studio.driver).move_to_element_with_offset(box, -width // 4, 0).click_and_hold()
    drag.move_by_offset(width // 8, 0).move_by_offset(width // 8, 0).release().perform()
    start, end = (float(studio.find(f"#{name}").get_attribute("value")) for name in ("from", "to"))
    assert (start, end) == (pytest.approx(0.5, abs=0.1), pytest.approx(1.0, abs=0.1))
    assert studio.find("#selection").is_displayed()
    studio.picture("studio-player")
    film = after(studio, live, lambda: studio.click("#retake"))
    assert (film["task"], film["seconds"]) == ("retake", "2")
    assert after(studio, live, lambda: studio.click("#foley"))["task"] == "foley"
    assert after(studio, live, lambda: studio.click("#animate"))["task"] == "animate"
    assert after(studio, live, lambda: studio.click("#remix"))["task"] == "remix"
    longer = after(studio, live, lambda: studio.click("#extend"))
    assert float(longer["seconds"]) == pytest.approx(4, abs=0.2)
    studio.click("#soundtrack-box summary")
    studio.find("#keep").click()
    assert after(studio, live, lambda: studio.click("#soundtrack"))["task"] == "soundtrack"


def test_a_story_of_two_shots(live, studio):
    studio.click("#story-box summary")
    studio.find("#size").send_keys("64x64")
    studio.find("#story").clear()
    studio.find("#story").send_keys("a ball")
    studio.click("#story-go")
    studio.until(lambda: "begins with its seconds" in studio.find("#error").text)
    studio.find("#story").clear()
    studio.find("#story").send_keys("1 a ball\n~1.5 rain")
    film = after(studio, live, lambda: studio.click("#story-go"))
    assert (film["task"], film["seconds"], film["prompt"]) == ("story", "2", "a ball / rain")
    assert film["facts"]["starts"] == [0, 0.5]
    studio.picture("studio-story")


def test_faders_solo_and_mute(live, studio):
    make(studio)

    def heard() -> dict[str, bool]:
        rows = studio.all("#mixer input")
        return {row.get_attribute("id")[6:]: row.is_displayed() for row in rows}

    assert set(heard()) == {"speech", "effects", "music"}
    muted = "return document.querySelector('#video').muted"
    assert studio.driver.execute_script(muted) is False, "the film's own mix is heard first"
    studio.click("#solo-music")
    assert studio.find("#solo-music").get_attribute("aria-pressed") == "true"
    assert studio.driver.execute_script(muted) is True
    studio.click("#solo-music")
    assert studio.driver.execute_script(muted) is False
    studio.click("#mute-effects")
    assert studio.driver.execute_script(muted) is True
    studio.find("#fader-speech").send_keys("\ue012" * 3)  # the left arrow
    assert studio.find("#fader-speech").get_attribute("aria-valuetext") == "-3 decibels"
    studio.picture("studio-mixer")


def test_two_films_side_by_side_stay_together(live, studio):
    make(studio, "2")
    studio.click("#close")
    studio.find("#seed").send_keys("7")
    make(studio, "2")
    options = studio.all("#other option")
    assert len(options) >= 2
    options[1].click()
    studio.until(lambda: studio.find("#video-b").is_displayed())
    studio.click("#play")
    times = "return ['video', 'video-b'].map(n => document.getElementById(n).currentTime)"
    studio.until(lambda: min(studio.driver.execute_script(times)) > 0.2)
    first, second = studio.driver.execute_script(times)
    assert abs(first - second) < 0.3
    studio.click("#swap")
    assert studio.find("#swap").text == "Hear the first"
    studio.picture("studio-compare")


def test_downloads_are_what_they_say(live, studio):
    make(studio)
    links = {link.text: link.get_attribute("href") for link in studio.all("#downloads a")}
    assert set(links) == {"MP4", "WAV", "Stems", "Recipe"}
    starts = {"MP4": b"ftyp", "WAV": b"RIFF", "Stems": b"PK", "Recipe": b"{"}
    for name, href in links.items():
        with urllib.request.urlopen(href) as answer:
            assert starts[name] in answer.read(12), name


def test_a_film_or_a_sound_is_dropped_in(live, studio, tmp_path):
    make(studio)
    with urllib.request.urlopen(next(a.get_attribute("href") for a in studio.all("#downloads a"))) as answer:
        (tmp_path / "film.mp4").write_bytes(answer.read())
    sound = read_clip(tmp_path / "film.mp4").with_(frames=None, fps=None)
    write_clip(sound, tmp_path / "sound.wav")
    for field, file, task in (("foley-file", "film.mp4", "foley"), ("animate-file", "sound.wav", "animate")):
        studio.find(f"#{field}").send_keys(str(tmp_path / file))
        assert after(studio, live, lambda: studio.click("#go"))["task"] == task


DROP = """
    const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(arguments[2])], arguments[1], {type: arguments[0]}));
    const send = name => document.querySelector('#prompt').dispatchEvent(
        new DragEvent(name, {dataTransfer: files, bubbles: true, cancelable: true}));
    send('dragover');
    const shown = !document.querySelector('#drop').hidden;
    send('drop');
    return shown;
"""


def test_files_are_dropped_on_the_page(live, studio):
    make(studio)
    with urllib.request.urlopen(next(a.get_attribute("href") for a in studio.all("#downloads a"))) as answer:
        film = list(answer.read())
    assert studio.driver.execute_script(DROP, "video/mp4", "<b>.mp4", film) is True
    assert not studio.find("#drop").is_displayed()
    assert studio.find("#state").text == "<b>.mp4 gets a new sound: press Make the film."
    assert after(studio, live, lambda: studio.click("#go"))["task"] == "foley"
    studio.driver.execute_script(DROP, "application/pdf", "a.pdf", [1, 2, 3])
    studio.until(lambda: "neither a film" in studio.find("#error").text)


def test_a_live_film_is_watched_and_changed_while_it_runs(live, studio):
    studio.click("#tab-live")
    field = studio.find("#live-prompt")
    field.clear()
    field.send_keys("a red ball")
    studio.click("#live-go")
    playing = "const v = document.querySelector('#live-film'); return [v.currentTime, v.videoWidth, v.error?.message]"
    studio.until(lambda: studio.driver.execute_script(playing)[0] > 1, 120)
    assert studio.driver.execute_script(playing)[1:] == [64, None]
    heard = "return document.querySelector('#live-film').webkitAudioDecodedByteCount"
    assert studio.driver.execute_script(heard) > 0
    studio.until(lambda: "s after it was made" in studio.find("#live-now").text)
    assert studio.find("#live-go").text == "Change the words"
    studio.picture("studio-live")
    field.clear()
    field.send_keys("a blue box")
    studio.click("#live-go")
    studio.until(lambda: "a blue box" in studio.find("#live-now").text, 60)
    assert "the new words were seen after" in studio.find("#live-now").text
    field.clear()
    field.send_keys(" ")
    studio.click("#live-go")
    studio.until(lambda: studio.find("#live-note").text.startswith("The prompt is empty"))
    studio.click("#live-pause")
    studio.until(lambda: studio.find("#live-pause").text == "Go on")
    studio.click("#live-pause")
    studio.until(lambda: studio.find("#live-pause").text == "Pause")
    studio.click("#live-stop")
    studio.until(lambda: studio.find("#live-note").text == "The film is over.", 60)
    assert not studio.find("#live-stop").is_enabled()
    assert not studio.find("#live-error").is_displayed()
    assert [line for line in studio.driver.get_log("browser") if line["level"] == "SEVERE"] == []
    field.clear()
    field.send_keys("a red ball")
    studio.find("#live-seed").clear()
    studio.find("#live-seed").send_keys("3")
    studio.click("#live-go")
    studio.until(lambda: "a red ball" in studio.find("#live-now").text, 120)
    studio.click("#live-stop")


def test_reports_are_tabs_by_mouse_and_by_keys(live, studio):
    tabs = studio.all("#tabs [role=tab]")
    assert [tab.text for tab in tabs] == ["Films", "Live", "Scores of A"]
    tabs[0].send_keys("\ue014")  # the right arrow
    assert studio.find("#live").is_displayed()
    assert "phonofilm stream" in studio.find("#live").text
    assert studio.find("#live-go").text == "Begin"
    assert not studio.find("#films").is_displayed()
    tabs[1].send_keys("\ue014")
    studio.driver.switch_to.frame(studio.find("#report-0 iframe"))
    studio.until(lambda: studio.find("p").text == "A is best")
    studio.driver.switch_to.default_content()
    assert studio.driver.execute_script("return window.bad === undefined"), "its script did not run"
    studio.picture("studio-report")
    tabs[0].click()
    assert studio.find("#prompt").is_displayed()


def test_axe_finds_nothing_serious(live, studio):
    name = "needs axe: pip install --no-deps axe-playwright-python==0.1.8"
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None, name
    script = Path(found.submodule_search_locations[0]) / "axe.min.js"
    make(studio)
    for tab in ("films", "live", "report-0"):
        studio.click(f"#tab-{tab}")
        studio.driver.execute_script(script.read_text(encoding="utf-8"))
        ask = "const done = arguments[0]; axe.run({iframes: false}).then(found => done(found.violations))"
        wrong = [one for one in studio.driver.execute_async_script(ask) if one["impact"] in ("serious", "critical")]
        assert not wrong, [(one["id"], one["help"], [node["html"] for node in one["nodes"]][:3]) for one in wrong]


def test_every_error_is_words(live, studio):
    studio.find("#prompt").clear()
    studio.click("#go")
    studio.until(lambda: studio.find("#error").is_displayed())
    assert "prompt" in studio.find("#error").text.lower()
    studio.find("#prompt").send_keys("<b>a ball</b>")
    studio.find("#size").send_keys("17x9000")
    studio.click("#go")
    studio.until(lambda: "size" in studio.find("#error").text or "side" in studio.find("#error").text)
    studio.picture("studio-error")
    studio.find("#size").clear()
    make(studio)
    assert studio.find("#player-title").text == "<b>a ball</b>", "a prompt is text, whatever it holds"
    assert not studio.all("#player-title b")


def test_cancelling_and_erasing(live, studio):
    studio.find("#seconds").send_keys("300")
    studio.find("#size").send_keys("512x512")
    studio.click("#go")
    studio.click("#gallery li:first-child .row button")
    studio.until(lambda: studio.find("#gallery li:first-child .about").text == "Cancelled.", 120)
    count = len(studio.all("#gallery li"))
    studio.click("#gallery li:first-child .row button")
    studio.until(lambda: len(studio.all("#gallery li")) == count - 1)


def test_by_keyboard_alone(live, studio):
    studio.press("\ue004")  # Tab: the link that skips
    studio.press("\ue007")  # Enter
    assert studio.driver.switch_to.active_element.get_attribute("id") in ("prompt", "")
    studio.find("#prompt").send_keys("\ue009\ue007")  # Control and Enter
    studio.until(lambda: studio.find("#player").is_displayed(), 120)
    assert studio.driver.switch_to.active_element.get_attribute("id") == "player-title"
    studio.until(lambda: studio.driver.execute_script("return document.querySelector('#video').readyState") >= 2)
    studio.find("#timeline").send_keys("\ue014" * 3)
    now = "return document.querySelector('#video').currentTime"
    studio.until(lambda: studio.driver.execute_script(now) == pytest.approx(0.3, abs=0.05))
    studio.find("#timeline").send_keys("[")
    assert float(studio.find("#from").get_attribute("value")) == pytest.approx(0.3, abs=0.05)
    studio.press("\ue00c")  # Escape
    studio.until(lambda: not studio.find("#player").is_displayed())


def test_on_a_phone_and_in_the_dark(live, studio):
    studio.driver.set_window_size(390, 844)
    studio.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    make(studio)
    wide = "return document.documentElement.scrollWidth <= window.innerWidth + 1"
    assert studio.driver.execute_script(wide), "nothing sticks out"
    studio.picture("studio-phone-dark")
    colour = "return getComputedStyle(document.body).backgroundColor"
    assert studio.driver.execute_script(colour) == "rgb(22, 20, 18)"
    for element in studio.all("button, input:not([type=file]), select"):
        if element.is_displayed():
            assert element.size["height"] >= 24, element.get_attribute("outerHTML")


def test_everything_has_a_name(live, studio):
    make(studio)
    unnamed = """
        const named = e => (e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim() || e.title);
        return [...document.querySelectorAll('button, input, select, textarea, a, [role=slider]')]
            .filter(e => !named(e)).map(e => e.outerHTML.slice(0, 120))
    """
    assert studio.driver.execute_script(unnamed) == []
    ids = studio.driver.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    assert studio.driver.execute_script("return document.querySelectorAll('img:not([alt])').length") == 0


def test_an_error_of_the_script_is_an_error_of_the_test(live, studio):
    make(studio)
    faults = [line for line in studio.driver.get_log("browser") if line["level"] == "SEVERE"]
    assert faults == []
