"""The contract's answers, taken apart."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import requests

CODES = {
    400: ("BadRequestException", "Bad Request"),
    401: ("UnauthorizedException", "Unauthorized"),
    403: ("ForbiddenException", "Forbidden"),
    404: ("NotFoundException", "Not Found"),
    409: ("ConflictException", "Conflict"),
    412: ("PreconditionFailedException", "Precondition Failed"),
    413: ("PayloadTooLargeException", "Payload Too Large"),
    415: ("UnsupportedMediaTypeException", "Unsupported Media Type"),
    422: ("UnprocessableEntityException", "Unprocessable Entity"),
    429: ("ThrottlerException", ""),
    500: ("InternalServerErrorException", "Internal Server Error"),
    503: ("ServiceUnavailableException", "Service Unavailable"),
}
TIMESTAMP = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def path_of(answer: requests.Response) -> str:
    """The path and query that were asked for."""
    parts = urlsplit(answer.request.url or "")
    return str(parts.path) + (f"?{parts.query}" if parts.query else "")


def assert_envelope(body: str, status: int, message: str, path: str, details: Any) -> None:
    """The error envelope, its keys in the contract's order."""
    envelope = json.loads(body)
    assert TIMESTAMP.fullmatch(envelope.pop("timestamp")), body
    assert list(json.loads(body)) == ["status", "timestamp", "path", "error"]
    assert envelope == {"status": "error", "path": path,
                        "error": {"code": CODES[status][0], "message": message, "details": details}}
    assert list(envelope["error"]) == ["code", "message", "details"]


def assert_error(answer: requests.Response, status: int, message: str, path: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.reason == (CODES[status][1] or "Too Many Requests")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["X-Request-Id"]
    details = {"message": message, "error": CODES[status][1], "statusCode": status}
    assert_envelope(answer.text, status, message, path or path_of(answer), details)


def assert_invalid(answer: requests.Response, errors: list[dict[str, Any]]) -> None:
    """A 400 of the validation with exactly these errors."""
    assert answer.status_code == 400, answer.text
    assert_envelope(answer.text, 400, "Bad Request Exception", path_of(answer), {"errors": errors})


def parse_answers(received: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Status, headers (lower case) and body of each answer in what a connection received; bodies by Content-Length."""
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        answers.append((int(first.split()[1]), headers, rest[:length]))
        received = rest[length:]
    return answers
