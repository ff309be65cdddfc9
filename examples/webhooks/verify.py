"""Verifies one request of a webhook: verify.py SECRET ID TIMESTAMP SIGNATURES < BODY, the three headers `webhook-*` and the body's bytes as they
came. Exit 0 when it is genuine and at most five minutes old."""

import base64
import hashlib
import hmac
import sys
import time

TOLERANCE_S = 300


def key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()


def is_genuine(secret: str, event_id: str, timestamp: str, signatures: str, body: bytes) -> bool:
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return False
    signed = f"{event_id}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(expected, signature) for signature in signatures.split(" "))


if __name__ == "__main__":
    sys.exit(0 if is_genuine(*sys.argv[1:5], sys.stdin.buffer.read()) else 1)
