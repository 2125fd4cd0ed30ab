"""Headless Chromium, for tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SILENT = (
    *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
    *("disable-background-networking", "disable-component-update", "disable-sync"),
)


def programs() -> tuple[str, str] | None:
    """The browser and its driver; None if one of them is missing."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def skip_or_fail() -> tuple[str, str]:
    """The programs; if they are missing, skips the test, or fails it in CI, which must test in a browser."""
    found = programs()
    if found is not None:
        return found
    reason = "chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"
    if os.environ.get("CI"):
        pytest.fail(f"CI must test in a browser: {reason}")
    pytest.skip(f"no browser: {reason}")


@contextmanager
def open_browser(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with an empty profile. profile: an empty folder."""
    browser, driver = skip_or_fail()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*_SILENT, f"user-data-dir={profile}"):
        options.add_argument(f"--{flag}")
    opened = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield opened
    finally:
        opened.quit()


def set_window(browser: webdriver.Chrome, width: int, height: int = 900) -> None:
    """Resize the window to this many CSS pixels; a narrow one emulates a phone."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def set_scheme(browser: webdriver.Chrome, scheme: str, medium: str = "") -> None:
    """Set the preferred color scheme: light or dark. medium: "print" for paper."""
    wish: dict[str, Any] = {"media": medium, "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
