"""A description of the service's interfaces, docs/openapi.json or docs/asyncapi.json: its parts by JSON pointer, and values
held against its schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

URI = "urn:document"


def token(key: str | int) -> str:
    """A key as a part of a JSON pointer."""
    return "/" + str(key).replace("~", "~0").replace("/", "~1")


class Document:
    def __init__(self, path: Path) -> None:
        self.content: dict[str, Any] = json.loads(path.read_text())
        self._registry: Registry[Any] = Registry().with_resource(URI, DRAFT202012.create_resource(self.content))

    def find(self, pointer: str) -> tuple[Any, str]:
        """The part at a pointer and where it really stands: a reference is followed."""
        part: Any = self.content
        for key in pointer.split("/")[1:]:
            key = key.replace("~1", "/").replace("~0", "~")
            part = part[int(key) if isinstance(part, list) else key]
        return self.find(part["$ref"].removeprefix("#")) if isinstance(part, dict) and "$ref" in part else (part, pointer)

    def has(self, reference: str) -> bool:
        """Whether a reference, "#" and a pointer, leads somewhere."""
        try:
            self.find(reference.removeprefix("#"))
        except (KeyError, IndexError, ValueError):
            return False
        return True

    def references(self) -> set[str]:
        """Every reference."""
        return set(_references(self.content))

    def faults(self, pointer: str, value: Any) -> list[str]:
        """What the schema at a pointer has against the value."""
        validator = Draft202012Validator({"$ref": f"{URI}#{quote(pointer)}"}, registry=self._registry,
                                         format_checker=Draft202012Validator.FORMAT_CHECKER)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def examples(self) -> Iterator[tuple[str, Any]]:
        """Every example, with the pointer of the schema that it must fit."""
        yield from _examples(self.content, "")


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict) and "$ref" in part:
        yield part["$ref"]
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _references(value)


def _examples(part: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    if isinstance(part, list):
        for index, item in enumerate(part):
            yield from _examples(item, pointer + token(index))
    if not isinstance(part, dict):
        return
    if "example" in part:
        yield pointer + "/schema", part["example"]
    examples = part.get("examples", [])
    if isinstance(examples, dict):  # of a media type
        yield from ((pointer + "/schema", example["value"]) for example in examples.values())
    elif "payload" in part:  # of a message
        yield from ((f"{pointer}/{name}", example[name]) for example in examples for name in ("headers", "payload"))
    else:  # of a schema
        yield from ((pointer, example) for example in examples)
    for key, value in part.items():
        if key not in ("example", "examples", "const", "enum", "default"):
            yield from _examples(value, pointer + token(key))
