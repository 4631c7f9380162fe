"""A real browser without a screen: Debian's chromium, driven by its own driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

T = TypeVar("T")
_SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # as root it wants that
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
)


@contextmanager
def browser(width: int = 1600, height: int = 950) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for one in (*_SWITCHES, f"--window-size={width},{height}"):
        options.add_argument(one)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = Chrome(options, Service("/usr/bin/chromedriver"))
    made.set_script_timeout(120)
    try:
        yield made
    finally:
        made.quit()


def until(what: str, look: Callable[[], T], seconds: float = 30) -> T:
    """The first true value of `look`."""
    end = time.monotonic() + seconds
    found: Any = None
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.03)
    raise AssertionError(f"{what}: not within {seconds} s; last: {found!r}")


def ready(page: Chrome, address: str) -> None:
    """The page with its first picture."""
    page.get(address)
    until("a picture", lambda: page.execute_script("return document.documentElement.dataset.ready"))
