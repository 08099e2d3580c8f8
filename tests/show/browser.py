"""A headless Chromium for the tests of the report page and for its picture in the docs."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = None if CHROMIUM and DRIVER else "no Chromium with its chromedriver (Debian: chromium, chromium-driver)"
"""Why there is no browser; None where there is one."""
_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-quic --force-color-profile=srgb --lang=en-GB"
)


@contextmanager
def chromium(folder: Path, *, size: tuple[int, int] = (1500, 1000)) -> Generator[webdriver.Chrome]:
    """A browser that keeps its profile and its downloads in `folder`, and records what it asks the network for."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*_FLAGS.split(), f"--user-data-dir={folder / 'profile'}", "--window-size={},{}".format(*size)):
        options.add_argument(flag)
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(folder), "download.prompt_for_download": False}
    )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
