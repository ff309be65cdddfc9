"""A request of a webhook, as the service that `make up` started signs it, for the programs of examples/webhooks and the receivers' libraries."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "deploy/local"), str(ROOT / "tests/e2e")]

from receiver import Got, Receiver  # noqa: E402
from servers import wait_until  # noqa: E402

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WITH_PYTHON = "import json, sys; from standardwebhooks.webhooks import Webhook; " \
              "Webhook(sys.argv[1]).verify(sys.stdin.read(), json.loads(sys.argv[2]))"
WITH_NODE = "import { Webhook } from 'standardwebhooks'; import { readFileSync } from 'node:fs'; " \
            "new Webhook(process.argv[1]).verify(readFileSync(0, 'utf8'), JSON.parse(process.argv[2]))"


def request_of(url: str, key: str) -> Got:
    """What the service sends to a new webhook for one event."""
    def post(path: str, body: dict[str, object]) -> None:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(url + path, json.dumps(body).encode(), headers), timeout=20).close()

    receiver = Receiver()
    try:
        post("/v2/webhooks", {"active": True, "subscriberUrl": receiver.url(), "triggers": ["SCHEDULE_CREATED"], "secret": SECRET})
        post("/v2/schedules", {"name": "Größe", "timeZone": "Europe/Rome", "isDefault": False})
        if not wait_until(lambda: receiver.at() != [], 30):
            raise RuntimeError("no request came")
        return receiver.at()[0]
    finally:
        receiver.close()


def is_accepted(command: list[str], body: bytes, cwd: Path) -> bool:
    return subprocess.run(command, input=body, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300).returncode == 0


def check(name: str, command: list[str], body: bytes, cwd: Path = ROOT) -> None:
    """It takes the body as it came, and no other."""
    if not is_accepted(command, body, cwd):
        raise RuntimeError(f"{name} refuses the request")
    if is_accepted(command, body.replace(b"Rome", b"Oslo"), cwd):
        raise RuntimeError(f"{name} takes another body")


def check_all(url: str, key: str, python: Path, tsx: Path) -> None:
    """python: of an environment with `standardwebhooks`; tsx beside node_modules that have it."""
    got = request_of(url, key)
    headers = {name: got.headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    examples, arguments = ROOT / "examples/webhooks", [SECRET, *headers.values()]
    for language, command in (("Python", [str(python), "verify.py"]), ("Go", ["go", "run", "verify.go"]),
                              ("TypeScript", [str(tsx), "verify.ts"]), ("Java", ["java", "Verify.java"])):
        check(f"the example in {language}", command + arguments, got.body, examples)
    check("standardwebhooks of PyPI", [str(python), "-c", WITH_PYTHON, SECRET, json.dumps(headers)], got.body)
    check("standardwebhooks of npm", ["node", "--input-type=module", "-e", WITH_NODE, SECRET, json.dumps(headers)], got.body,
          tsx.parents[2])
