#!/usr/bin/env python3
"""Registers the messages of proto/schedules/v1 with a schema registry that speaks Confluent's API. Python's standard library is all it takes.

    register-schemas.py URL [--dry-run]    http://registry:8081, or for Apicurio http://registry:8080/apis/ccompat/v7

A topic has messages of several types, so the subject of each is its full name, schedules.v1.ScheduleCreated (RecordNameStrategy). Files that others
import are registered before them, under their own path. Registering again changes nothing; a message that the registry's
rules of compatibility refuse ends it with status 1.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROTO = Path(__file__).resolve().parents[1] / "proto"


def imports_of(path: str) -> list[str]:
    """Of our own; those of Google every registry has."""
    return re.findall(r'^import "(schedules/[^"]+)";', (PROTO / path).read_text(), flags=re.MULTILINE)


def messages() -> list[str]:
    """What travels as a whole: the files that no other imports."""
    paths = [f"schedules/v1/{file.name}" for file in sorted((PROTO / "schedules/v1").glob("*.proto"))]
    parts = {one for path in paths for one in imports_of(path)}
    return [path for path in paths if path not in parts]


def in_order(paths: list[str], done: list[str]) -> list[str]:
    """What is imported comes before who imports it."""
    for path in paths:
        if path not in done:
            in_order(imports_of(path), done)
            done.append(path)
    return done


def subject_of(path: str) -> str:
    return "schedules.v1." + Path(path).stem.title().replace("_", "") if path in messages() else path


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/vnd.schemaregistry.v1+json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def register(url: str, path: str, versions: dict[str, int]) -> str:
    subject = subject_of(path)
    references = [{"name": one, "subject": subject_of(one), "version": versions[one]} for one in imports_of(path)]
    body = {"schemaType": "PROTOBUF", "schema": (PROTO / path).read_text(), "references": references}
    subjects = f"{url}/subjects/{quote(subject, safe='')}"
    schema_id = ask(f"{subjects}/versions", body)["id"]
    versions[path] = ask(subjects, body)["version"]
    return f"{subject} id={schema_id} version={versions[path]}"


def main(arguments: list[str]) -> int:
    is_dry = "--dry-run" in arguments
    urls = [word for word in arguments if not word.startswith("--")]
    if len(urls) != 1 or set(arguments) - {*urls, "--dry-run"}:
        print(__doc__, file=sys.stderr)
        return 2
    versions: dict[str, int] = {}
    for path in in_order(messages(), []):
        try:
            print(subject_of(path) if is_dry else register(urls[0].rstrip("/"), path, versions))
        except urllib.error.HTTPError as error:
            print(f"{subject_of(path)}: {error.code} {error.read().decode(errors='replace')}", file=sys.stderr)
            return 1
        except OSError as error:
            print(f"{urls[0]}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
