"""A real browser: chromium, driven by WebDriver (W3C) over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.process import Process, environment, free_port
from tests.real.tools import require
from tests.real.web import answers, request

TAB = "\ue004"


@dataclass(frozen=True, slots=True)
class Browser:
    """A session of one window."""

    session: str

    def open(self, url: str) -> None:
        """Go to a page and wait until it is there."""
        self._ask("POST", "/url", {"url": url})

    def resize(self, width: int, height: int) -> None:
        """Make the page so wide, in CSS pixels: smaller than any window can be made."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, name: str) -> None:
        """Prefer `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.devtools("Emulation.setEmulatedMedia", {"features": [feature]})

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """A command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script: str) -> Any:
        """The value that a script returns; a page's own policy does not hold for it."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def wait_for(self, script: str) -> Any:
        """The value that a script gives to its last argument, which is a function."""
        return self._ask("POST", "/execute/async", {"script": script, "args": []})

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        strokes = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def messages(self) -> list[dict[str, Any]]:
        """What the browser has complained of since it was asked last: errors, refused content."""
        found: list[dict[str, Any]] = self._ask("POST", "/se/log", {"type": "browser"})
        return found

    def _ask(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return _ask(method, self.session + path, body)


@contextmanager
def running(folder: Path) -> Iterator[Browser]:
    """A browser without a screen, its profile in `folder`; skips the test where there is none."""
    binary, driver = require("chromium"), require("chromedriver")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = Process(
        [driver, f"--port={port}"], log=folder / "chromedriver.log", env=environment(HOME=str(folder))
    )
    try:
        process.wait_until(lambda: answers(f"{url}/status"))
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        flags += [f"--user-data-dir={folder / 'profile'}"]
        options = {"binary": str(binary), "args": flags}
        wanted = {
            "goog:chromeOptions": options,
            "timeouts": {"script": 120_000},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        made = _ask("POST", f"{url}/session", {"capabilities": {"alwaysMatch": wanted}})
        session = f"{url}/session/{made['sessionId']}"
        try:
            yield Browser(session)
        finally:
            request("DELETE", session)
    finally:
        process.stop()


def _ask(method: str, url: str, body: dict[str, Any]) -> Any:
    fields = {"Content-Type": "application/json"}
    answer = request(method, url, body=json.dumps(body).encode(), headers=fields, seconds=180)
    value = json.loads(answer.body)["value"]
    assert answer.status == 200, value
    return value
