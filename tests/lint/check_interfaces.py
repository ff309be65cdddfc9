"""Holds docs/openapi.json and docs/asyncapi.json to their specifications, their references to what is there, their examples
to their own schemas, their version to VERSION, and the messages of the latter to their protobuf forms. What generators make a type of has a name,
and a constant has a type.

    check_interfaces.py DIRECTORY    where setup.sh puts AsyncAPI's JSON schema
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from document import Document  # noqa: E402

OPENAPI = Document(ROOT / "docs/openapi.json")
ASYNCAPI = Document(ROOT / "docs/asyncapi.json")


def openapi() -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in OpenAPIV31SpecValidator(OPENAPI.content).iter_errors()] + type_names()


def type_names() -> list[str]:
    """Generators make a type of each, all in one name space, in which most languages have an `Error` of their own."""
    names = ["Error"] + [name for kind in ("schemas", "responses", "requestBodies") for name in OPENAPI.content["components"][kind]]
    return [f"the name {name} is given twice" for name in sorted(set(names)) if names.count(name) > 1]


def asyncapi(schema: Path) -> list[str]:
    errors = Draft7Validator(json.loads(schema.read_text())).iter_errors(ASYNCAPI.content)
    return [f"{deepest.json_path}: {deepest.message}" for error in errors if (deepest := best_match([error]))]


def references(document: Document) -> list[str]:
    return [f"the reference {target} leads nowhere" for target in sorted(document.references()) if not document.has(target)]


def examples(document: Document) -> list[str]:
    found = list(document.examples())
    assert found, "no examples, or this check does not see them"
    return [f"the example at {pointer}: {fault}" for pointer, example in found for fault in document.faults(pointer, example)]


def constants(part: Any, pointer: str = "") -> list[str]:
    """Without a type beside it generators make anything of one."""
    if isinstance(part, list):
        return [fault for item in part for fault in constants(item, pointer)]
    if not isinstance(part, dict):
        return []
    faults = [f"the constant at {pointer} has no type"] if "const" in part and "type" not in part else []
    return faults + [fault for key, value in part.items() if key not in ("example", "examples") for fault in constants(value, f"{pointer}/{key}")]


def unnamed(schema: Any, name: str) -> list[str]:
    """Objects inside of a schema that are written out where they are used."""
    parts = [(f"{name}/{key}", part) for key, part in schema.get("properties", {}).items()]
    parts += [(f"{name}/items", schema["items"])] if "items" in schema else []
    faults = [f"the object at {where} has no name" for where, part in parts if part.get("type") == "object" or "properties" in part]
    return faults + [fault for where, part in parts for fault in unnamed(part, where)]


def names() -> list[str]:
    components = ASYNCAPI.content["components"]
    faults = [f"the {part} of {name} have no name" for name, message in components["messages"].items() for part in ("headers", "payload")
              if part in message and not {"$ref", "x-parser-schema-id"} & message[part].keys()]
    return faults + [fault for name, schema in components["schemas"].items() for fault in unnamed(schema, name)]


def version(document: Document) -> list[str]:
    wanted, named = (ROOT / "VERSION").read_text().strip(), document.content["info"]["version"]
    return [] if wanted == named else [f"info.version is {named}, VERSION is {wanted}"]


def protobuf_fields() -> dict[str, set[str]]:
    """The fields of each message, by their names in JSON."""
    fields: dict[str, set[str]] = {}
    for file in json.loads((ROOT / "proto/v1.lock.json").read_text())["file"]:
        for message in file.get("messageType", []):
            fields[f"{file['package']}.{message['name']}"] = {field["jsonName"] for field in message.get("field", [])}
    return fields


def messages() -> list[str]:
    """A message and its protobuf form have the same name and, where both are one object, the same fields."""
    faults, fields = [], protobuf_fields()
    for name, message in ASYNCAPI.content["components"]["messages"].items():
        payload, _ = ASYNCAPI.find(f"/components/messages/{name}/payload")
        protobuf = message.get("x-protobuf")
        if protobuf and (protobuf != f"schedules.v1.{name}" or protobuf not in fields):
            faults.append(f"{name} has no protobuf form {protobuf}")
        elif protobuf and "properties" in payload and (differ := fields[protobuf] ^ set(payload["properties"])):
            faults.append(f"{name} and {protobuf} differ in {', '.join(sorted(differ))}")
    return faults


def main(schema: Path) -> int:
    if not schema.exists():
        print(f"AsyncAPI's JSON schema is not at {schema}: `make setup` fetches it")
        return 1
    faults = []
    for name, document, check in (("openapi", OPENAPI, openapi), ("asyncapi", ASYNCAPI, lambda: asyncapi(schema) + messages() + names())):
        found = references(document) or check() + examples(document) + version(document) + constants(document.content)
        faults += [f"docs/{name}.json: {fault}" for fault in found]
    print("\n".join(faults) or "the descriptions of the interfaces are valid, with their examples")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) / "3.0.0.json"))
