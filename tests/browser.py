"""Chromium without a window and without a network, driven through its DevTools protocol."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import pytest
from tornado.websocket import websocket_connect

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9"),
)
WAIT = 20  # seconds for what a page does
LARGEST = 1 << 28  # bytes of a message


def find_chromium() -> str:
    """The path of the browser. Without one, the test is skipped, or fails in CI."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        missing = "no chromium on the path: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


class Browser:
    """A browser with one page.

    Attributes:
        errors: What the page wrote as errors to the console.
        requests: The addresses that the page asked for.
    """

    def __init__(self, chromium: str, profile: Path, width: int = 1400, height: int = 1000) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._number, self._loop = 0, asyncio.new_event_loop()
        self._process = subprocess.Popen(
            [
                *(chromium, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0"),
                *(f"--window-size={width},{height}", "about:blank"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        lines = iter(self._process.stderr.readline, "")
        address = next(m[1] for line in lines if (m := re.search(r"listening on (ws://\S+)", line)))
        self._socket = self._loop.run_until_complete(self._connected(address))
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._loop.run_until_complete(asyncio.sleep(0.05))  # the socket closes
        self._loop.close()

    @staticmethod
    async def _connected(address: str) -> Any:
        return await websocket_connect(address, max_message_size=LARGEST)

    async def _read(self) -> Any:
        return await self._socket.read_message()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol. What the page reports meanwhile is noted."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._socket.write_message(json.dumps(message))
        while True:
            text = self._loop.run_until_complete(self._read())
            assert text is not None, "the browser has ended"
            answer = json.loads(text)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(str(params["entry"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.errors.append(str(params["args"]))

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression. A promise is awaited."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def open(self, page: Path, ready: str) -> None:
        """Open a file, and wait until a JavaScript expression is true."""
        self.call("Page.navigate", url=page.as_uri())
        self.wait(ready)

    def wait(self, ready: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + WAIT
        while not self.run(f"Boolean({ready})"):
            assert time.monotonic() < end, f"not within {WAIT} s: {ready}"
            time.sleep(0.05)

    def press(self, key: str, code: int) -> None:
        """Press and release a key.

        Args:
            key: Its name, for example Tab or ArrowRight.
            code: Its number in Windows.
        """
        about: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def move(self, x: float, y: float) -> None:
        """Move the mouse to a point of the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
