"""Holds docs/openapi.json and docs/asyncapi.json to their specifications, their examples to their own schemas, their version
to VERSION, and the messages of the latter to their protobuf forms.

    check_interfaces.py DIRECTORY    where setup.sh puts AsyncAPI's JSON schema
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from document import Document  # noqa: E402

OPENAPI = Document(ROOT / "docs/openapi.json")
ASYNCAPI = Document(ROOT / "docs/asyncapi.json")


def specification(schema: Path) -> list[str]:
    """What the two specifications have against the documents."""
    openapi = OpenAPIV31SpecValidator(OPENAPI.content).iter_errors()
    asyncapi = Draft7Validator(json.loads(schema.read_text())).iter_errors(ASYNCAPI.content)
    deepest = [("docs/openapi.json", error) for error in openapi] + [("docs/asyncapi.json", best_match([error])) for error in asyncapi]
    return [f"{name}: {error.json_path}: {error.message}" for name, error in deepest]


def examples(name: str, document: Document) -> list[str]:
    found = list(document.examples())
    assert found, f"{name} has no examples, or this check does not see them"
    return [f"{name}: the example at {pointer}: {fault}"
            for pointer, example in found for fault in document.faults(pointer, example)]


def version(name: str, document: Document) -> list[str]:
    wanted, named = (ROOT / "VERSION").read_text().strip(), document.content["info"]["version"]
    return [] if wanted == named else [f"{name}: info.version is {named}, VERSION is {wanted}"]


def protobuf_fields() -> dict[str, set[str]]:
    """The fields of each message, by their names in JSON."""
    fields: dict[str, set[str]] = {}
    for line in (ROOT / "proto/schedules/v1.lock").read_text().splitlines():
        message, _, name, *_ = line.split()
        fields.setdefault(message, set()).add(re.sub(r"_(.)", lambda match: match[1].upper(), name))
    return fields


def messages() -> list[str]:
    """A message and its protobuf form have the same name and, where both are one object, the same fields."""
    faults, fields = [], protobuf_fields()
    for name in ASYNCAPI.content["components"]["messages"]:
        message, pointer = ASYNCAPI.find(f"/components/messages/{name}")
        payload, _ = ASYNCAPI.find(pointer + "/payload")
        protobuf = message.get("x-protobuf", f"schedules.v1.{name}")
        if protobuf != f"schedules.v1.{name}":
            faults.append(f"docs/asyncapi.json: {name} is not {protobuf}")
        if "properties" in payload and fields.get(protobuf, set(payload["properties"])) != set(payload["properties"]):
            faults.append(f"docs/asyncapi.json: {name} and {protobuf} differ in {set(payload['properties']) ^ fields[protobuf]}")
    return faults


def main(schema: Path) -> int:
    if not schema.exists():
        print(f"AsyncAPI's JSON schema is not at {schema}: `make setup` fetches it")
        return 1
    faults = specification(schema) + messages()
    for name, document in (("docs/openapi.json", OPENAPI), ("docs/asyncapi.json", ASYNCAPI)):
        faults += examples(name, document) + version(name, document)
    print("\n".join(faults) or "the descriptions of the interfaces are valid, with their examples")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) / "3.0.0.json"))
