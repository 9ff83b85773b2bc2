"""A page in a real browser, as a person sees it; without Chromium skipped, and under `make test-browser` a failure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
REQUIRED = os.environ.get("PHONOFILM_BROWSER") == "required"
PICTURES = os.environ.get("PHONOFILM_SCREENSHOTS")


@pytest.fixture
def browser(tmp_path):
    if CHROMIUM is None or DRIVER is None:
        (pytest.fail if REQUIRED else pytest.skip)("needs Chromium and its driver: make setup-browser")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,860"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield Page(driver)
    finally:
        driver.quit()


class Page:
    """The page as a person sees it."""

    def __init__(self, driver) -> None:
        self.driver = driver

    def find(self, css: str, seconds: float = 30):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds, 0.05).until(
            lambda d: (d.find_elements("css selector", css) or [None])[0]
        )

    def all(self, css: str):
        return self.driver.find_elements("css selector", css)

    def until(self, test, seconds: float = 30):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds, 0.05).until(lambda _: test())

    def click(self, css: str) -> None:
        self.until(lambda: self.find(css).is_enabled())
        self.find(css).click()

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def picture(self, name: str) -> None:
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(PICTURES) / f"{name}.png"))

    def count(self) -> str:
        return self.find("#count").text
