"""Chromium without a window, driven as a user would: for tests of pages."""

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
    """The browser and its driver; None where one of them is missing."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def skip_or_fail() -> tuple[str, str]:
    """The programs; skips the test where there are none, but fails it in CI, which has to test in a browser."""
    found = programs()
    if found is not None:
        return found
    reason = "chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"
    if os.environ.get("CI"):
        pytest.fail(f"CI has to test in a browser: {reason}")
    pytest.skip(f"no browser: {reason}")


@contextmanager
def open_browser(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser that knows nothing but what it is shown. profile: an empty folder."""
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
    """A window of this many CSS pixels, a phone's if it is narrow."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def set_scheme(browser: webdriver.Chrome, scheme: str, medium: str = "") -> None:
    """What the user prefers: light or dark. medium: print, as on paper."""
    wish: dict[str, Any] = {"media": medium, "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
