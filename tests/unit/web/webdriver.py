"""Headless Chromium over the WebDriver protocol (W3C WebDriver 2): what the browser tests and the screenshots need."""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from tests.unit.web.serving import free_ports

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element reference, as the standard fixes it."""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
]


def missing() -> str:
    """What a browser test lacks on this machine, or the empty string."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed: tests/packages.sh browser" if absent else ""


class StaleElement(Exception):
    """The element was found, and gone before it was used."""


class Browser:
    """One browser window. ``log`` holds what the console said, also refusals of the content security policy."""

    def __init__(self, base: str, session: str) -> None:
        self.url = f"{base}/session/{session}"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = requests.request(method, self.url + path, json=body if method == "POST" else None, timeout=60)
        value = answer.json()["value"]
        if not answer.ok and value["error"] == "stale element reference":
            raise StaleElement
        assert answer.ok, f"{method} {path}: {value}"
        return value

    def on(self, css: str, method: str, what: str, body: dict[str, Any] | None = None) -> Any:
        """Do something with the element that ``css`` finds. A live page may replace it in between: then with the new one."""
        for _ in range(20):
            with suppress(StaleElement):
                return self.call(method, f"/element/{self.find(css)}/{what}", body)
        raise AssertionError(f"{css} is replaced again and again")

    def go(self, url: str) -> None:
        self.call("POST", "/url", {"url": url})

    def find(self, css: str) -> str:
        return str(self.call("POST", "/element", {"using": "css selector", "value": css})[ELEMENT])

    def text(self, css: str = "body") -> str:
        return str(self.on(css, "GET", "text"))

    def click(self, css: str) -> None:
        self.on(css, "POST", "click", {})

    def type(self, css: str, text: str) -> None:
        self.on(css, "POST", "value", {"text": text})

    def run(self, script: str) -> Any:
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def resize(self, width: int, height: int) -> None:
        self.call("POST", "/window/rect", {"width": width, "height": height})

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        if whole:
            width = self.run("return window.innerWidth")
            self.resize(width, min(4000, int(self.run("return document.documentElement.scrollHeight")) + 20))
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def wait(self, text: str, css: str = "body", seconds: float = 20.0) -> None:
        """Until ``text`` is in an element, without reloading."""
        deadline = time.monotonic() + seconds
        while text not in (shown := self.text(css)):
            assert time.monotonic() < deadline, f"{text!r} did not appear in {css}: {shown[:500]}"
            time.sleep(0.1)

    def complaints(self) -> list[str]:
        """Errors and warnings of the console since the last call."""
        entries = self.call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]


@contextmanager
def browser(*, width: int = 1280, height: int = 900, dark: bool = False, script: bool = True) -> Iterator[Browser]:
    """A fresh browser that trusts any certificate (ours is of our own authority)."""
    [port] = free_ports(1)
    profile = tempfile.mkdtemp(prefix="rackseed-browser-")
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    made: Browser | None = None
    try:
        _wait_for(base)
        flags = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        flags += ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
        chrome: dict[str, Any] = {"args": flags}
        if not script:
            chrome["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        wanted = {
            "browserName": "chrome",
            "acceptInsecureCerts": True,
            "timeouts": {"implicit": 20_000},  # between two pages there is no element at all
            "goog:chromeOptions": chrome,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        answer = requests.post(f"{base}/session", json={"capabilities": {"alwaysMatch": wanted}}, timeout=60)
        assert answer.ok, answer.text
        made = Browser(base, answer.json()["value"]["sessionId"])
        yield made
    finally:
        if made is not None:
            made.call("DELETE", "")
        driver.terminate()
        driver.wait(10)
        shutil.rmtree(profile, ignore_errors=True)


def _wait_for(base: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            requests.get(f"{base}/status", timeout=2)
            return
        except requests.exceptions.ConnectionError:
            assert time.monotonic() < deadline, "chromedriver does not answer"
            time.sleep(0.1)
