"""The rendering of docs/openapi.json for tools that read no OpenAPI 3.1: docs/openapi-3.0.json, in the words of 3.0.3.

    openapi_30.py [--write]    checks that it is the current one, or writes it
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV30SpecValidator

ROOT = Path(__file__).resolve().parents[2]
SOURCE, RENDERING = ROOT / "docs/openapi.json", ROOT / "docs/openapi-3.0.json"
NULL = {"type": "null"}


def schema_30(schema: dict[str, Any]) -> dict[str, Any]:
    """null is no type in 3.0, and a schema has one example at most."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    made = {key: value for key, value in schema.items() if key != "examples"}
    if "examples" in schema:
        made["example"] = schema["examples"][0]
    if isinstance(schema.get("type"), list):
        made |= {"type": next(name for name in schema["type"] if name != "null"), "nullable": True}
    if NULL in schema.get("oneOf", []):
        [other] = (one for one in schema["oneOf"] if one != NULL)
        return {"$ref": nullable(other["$ref"])}
    if "properties" in made:
        made["properties"] = {name: schema_30(value) for name, value in made["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = schema_30(made[key])
    return made


def nullable(reference: str) -> str:
    """The name of the schema's nullable form: beside a reference nothing else counts in 3.0."""
    start, _, name = reference.rpartition("/")
    return f"{start}/Nullable{name}"


def part_30(part: Any) -> Any:
    """Everything but schemas, which are found in it."""
    if isinstance(part, list):
        return [part_30(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {key: schema_30(value) if key == "schema" else part_30(value) if key not in ("example", "examples") else value
            for key, value in part.items()}


def rendered(document: dict[str, Any]) -> dict[str, Any]:
    schemas = {name: schema_30(schema) for name, schema in document["components"]["schemas"].items()}
    wanted = {name for name in schemas if f'"{nullable("#/components/schemas/" + name)}"' in json.dumps(schemas)}
    schemas |= {f"Nullable{name}": schemas[name] | {"nullable": True} for name in sorted(wanted)}
    made = part_30(document)
    made["openapi"] = "3.0.3"
    made["info"] = {key: value for key, value in document["info"].items() if key != "summary"}
    made["info"]["license"] = {"name": document["info"]["license"]["name"]}
    made["components"]["schemas"] = schemas
    return dict(made)


def main(arguments: list[str]) -> int:
    made = rendered(json.loads(SOURCE.read_text()))
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    faults = [f"docs/openapi-3.0.json: {error.json_path}: {error.message}" for error in OpenAPIV30SpecValidator(made).iter_errors()]
    if arguments == ["--write"]:
        RENDERING.write_text(text)
    elif not RENDERING.exists() or RENDERING.read_text() != text:
        faults.append("docs/openapi-3.0.json is not the rendering of docs/openapi.json: `make openapi-30` makes it")
    print("\n".join(faults) or "docs/openapi-3.0.json is the rendering of docs/openapi.json, and valid")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
