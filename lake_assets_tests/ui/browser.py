"""Chromium without a window, told what to do over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from lake_assets_tests.ui.server import until

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def chromium() -> str | None:
    """Return the browser's program, where it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """The browser's one page."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._last = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call one DevTools method."""
        self._last += 1
        self._connection.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while True:
            answer = json.loads(self._connection.recv(60))
            if answer.get("id") == self._last:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """Return what a JavaScript expression says."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def text(self) -> str:
        """Return the text that the page shows."""
        return self.evaluate("document.body ? document.body.innerText : ''") or ""

    def open(self, address: str, *shown: str) -> str:
        """Go to an address and wait until the page shows all of `shown`; return its text."""
        self.call("Page.navigate", url=address)
        return self.wait_for(*shown)

    def wait_for(self, *shown: str) -> str:
        """Wait until the page shows all of `shown`; return its text."""

        def complete() -> str | None:
            text = self.text()
            return text if all(part in text for part in shown) else None

        return until(f"the page shows {', '.join(shown)}", complete, 120)

    def screenshot(self, file: Path) -> None:
        """Write what the page shows as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(folder: Path, width: int = 1600, height: int = 1000) -> Iterator[Page]:
    """Run Chromium with a fresh profile below `folder`."""
    program = chromium()
    assert program is not None
    profile = folder / "profile"
    with folder.joinpath("chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        port = until("Chromium listens", lambda: _port(profile / "DevToolsActivePort"), 60)
        (target,) = [item for item in httpx.get(f"http://127.0.0.1:{port}/json").json() if item["type"] == "page"]
        # Screenshots are large messages.
        with connect(target["webSocketDebuggerUrl"], max_size=None, proxy=None) as connection:
            yield Page(connection)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _port(file: Path) -> int | None:
    found = re.match(r"(\d+)\n", file.read_text()) if file.is_file() else None
    return int(found[1]) if found else None
