"""Headless Chromium without a network: it runs in a network namespace that has no other host, and what it asks for is asked here instead, so a test
sees every request. Only those to the service are passed on. Chromium is spoken to in the DevTools protocol over pipes."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import requests

from namespace import NEEDED, isolating

PROGRAM = "chromium-headless-shell"
DEADLINE_S = 30


class Browser:
    """One page. `url` is where the service is; everything else is refused and kept in `elsewhere`."""

    def __init__(self, directory: Path, url: str) -> None:
        assert shutil.which(PROGRAM), f"{PROGRAM} is not there: run `deploy/local/setup.sh test`"
        self.url, self.elsewhere, self.faults, self.requests = url, [], [], []
        self._answers: dict[int, dict[str, Any]] = {}
        self._last, self._rest = 0, b""
        self.http = requests.Session()
        to_read, self._to = os.pipe()
        self._from, from_write = os.pipe()
        # It reads from descriptor 3 and writes to 4.
        way = isolating()
        assert way, NEEDED
        command = [*way, "bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}', PROGRAM,
                   "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={directory}", "about:blank"]
        self._log = (directory.parent / f"{directory.name}.log").open("wb")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                                         pass_fds=(to_read, from_write))
        os.close(to_read)
        os.close(from_write)
        self._session = ""
        page = next(target for target in self.call("Target.getTargets")["targetInfos"] if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        self.call("Fetch.enable", patterns=[{"urlPattern": "*"}])
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._log.close()
        self.http.close()

    # ---- the protocol

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = self._send(method, params)
        until = time.monotonic() + DEADLINE_S
        while number not in self._answers:
            self._take(until)
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _send(self, method: str, params: dict[str, Any]) -> int:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data):]
        return self._last

    def _take(self, until: float) -> None:
        """Takes what comes next."""
        readable, _, _ = select.select([self._from], [], [], max(0, until - time.monotonic()))
        assert readable, f"Chromium says nothing:\n{Path(self._log.name).read_text(errors='replace')[-2000:]}"
        data = os.read(self._from, 1 << 20)
        assert data, f"Chromium has ended:\n{Path(self._log.name).read_text(errors='replace')[-2000:]}"
        *messages, self._rest = (self._rest + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self._on_event(message["method"], message["params"])

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Fetch.requestPaused":
            self._on_request(params["requestId"], params["request"])
        elif method == "Runtime.exceptionThrown":
            self.faults.append(params["exceptionDetails"])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.faults.append(params["entry"])

    def _on_request(self, request: str, asked: dict[str, Any]) -> None:
        if not asked["url"].startswith(self.url + "/"):
            self.elsewhere.append(asked["url"])
            self._send("Fetch.failRequest", {"requestId": request, "errorReason": "AddressUnreachable"})
            return
        self.requests.append(f"{asked['method']} {asked['url'].removeprefix(self.url)}")
        answer = self.http.request(asked["method"], asked["url"], headers=asked["headers"], data=asked.get("postData"), timeout=20)
        headers = [{"name": name, "value": value} for name, value in answer.headers.items() if name.lower() not in ("content-encoding", "content-length")]
        self._send("Fetch.fulfillRequest", {"requestId": request, "responseCode": answer.status_code, "responseHeaders": headers,
                                            "body": base64.b64encode(answer.content).decode()})

    # ---- the page

    def open(self, path: str) -> None:
        self.call("Page.navigate", url=self.url + path)
        self.wait(f"location.pathname === {json.dumps(path)} && document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, condition: str) -> None:
        until = time.monotonic() + DEADLINE_S
        while not self.evaluate(condition):
            assert time.monotonic() < until, f"not within {DEADLINE_S} s: {condition}\n{self.evaluate('document.body.innerText')}"
            time.sleep(0.02)

    def screenshot(self, path: Path, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]))
