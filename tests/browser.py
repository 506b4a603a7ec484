"""Chromium for tests, driven by its DevTools protocol over a pipe: needs nothing but the program."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "chrome-headless-shell", "google-chrome")
LIMIT_S = 60.0


def find_chromium() -> str:
    """Return the path of a Chromium; empty without one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), "")


class Browser:
    """One page of a headless Chromium. ``errors`` are its console errors and the requests that failed."""

    def __init__(self, program: str, profile: Path) -> None:
        self.errors: list[str] = []
        self._count, self._data = 0, b""
        ours, theirs = os.pipe(), os.pipe()  # what we write, what we read
        # Chromium reads descriptor 3 and writes 4. Both may be taken here, so a shell moves them.
        words = f'exec "$0" "$@" 3<&{ours[0]} 4>&{theirs[1]}'
        options = ("--headless", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run")
        self._process = subprocess.Popen(
            ["bash", "-c", words, program, *options, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(ours[0], theirs[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours[0])
        os.close(theirs[1])
        self._write, self._read, self._session = ours[1], theirs[0], ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result. Raises RuntimeError if the browser refuses it."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._count:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, url: str) -> None:
        """Go to ``url`` and wait until it and its scripts are loaded."""
        self.errors.clear()
        self.call("Page.navigate", url=url)
        self.wait_for(f"document.readyState == 'complete' && location.href.startsWith('{url[:5]}')")

    def run(self, expression: str) -> Any:
        """Return the value of ``expression`` in the page, or of its promise."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"])
        return done["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until ``expression`` is true in the page."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            try:
                if self.run(expression):
                    return
            except RuntimeError as error:
                if "navigated" not in str(error):  # the page was left while the expression was evaluated
                    raise
            assert time.monotonic() < deadline, expression
            time.sleep(0.02)

    def show(self, width: int, scheme: str, height: int = 800) -> None:
        """Set the width of the window and the preferred colour scheme, ``light`` or ``dark``."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def press(self, key: str, code: int) -> None:
        """Press a key, such as ``Tab`` (9)."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        """Write a PNG of the whole page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _receive(self) -> Any:
        while b"\0" not in self._data:
            ready, _, _ = select.select([self._read], [], [], LIMIT_S)
            part = os.read(self._read, 1 << 16) if ready else b""
            if not part:
                raise RuntimeError("Chromium ended or does not answer")
            self._data += part
        first, _, self._data = self._data.partition(b"\0")
        event = json.loads(first)
        details = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and details["entry"]["level"] in ("error", "warning"):
            self.errors.append(details["entry"]["text"])
        elif event.get("method") == "Runtime.consoleAPICalled" and details["type"] in ("error", "warning"):
            self.errors.append(str(details["args"]))
        elif event.get("method") in ("Runtime.exceptionThrown", "Network.loadingFailed"):
            self.errors.append(str(details))
        return event
