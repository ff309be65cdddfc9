"""Refuses an include that runs against the layers, and a purity that is none: core/ includes only core/ and the C library,
codec/ beside it only the libraries of formats."""

import pathlib
import re
import sys

MAY_SEE = {
    "core": {"core"},
    "codec": {"core", "codec"},
    "driver": {"core", "driver"},
    "store": {"core", "codec", "driver", "store"},
    "webhook": {"core", "codec", "driver", "webhook"},
    "api": {"core", "codec", "driver", "store", "webhook", "api"},
    "consumer": {"core", "codec", "driver", "store", "consumer"},
    "relay": {"core", "codec", "driver", "relay"},
    "app": {"core", "codec", "driver", "store", "api", "webhook", "consumer", "relay", "app"},
}
LIBRARIES = {
    "core": {"sanitizer/asan_interface.h"},
    "codec": {"jansson.h", "openssl/evp.h", "openssl/sha.h", "protobuf-c/protobuf-c.h"},
}
C_LIBRARY = re.compile(r"^(std\w+|string|strings|ctype|assert|inttypes|limits|time|errno|math)\.h$")
INCLUDE = re.compile(r'^#include ([<"])([^>"]+)[>"]')


def faults(path: pathlib.Path, layer: str) -> list[str]:
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, name = match.groups()
        folder = name.split("/")[0]
        generated = name.endswith(".pb-c.h") and layer == "codec"
        if quote == '"' and folder not in MAY_SEE[layer] and not generated:
            found.append(f"{path}:{number}: {layer}/ may not include {name}")
        if quote == "<" and layer in LIBRARIES and not C_LIBRARY.match(name) and name not in LIBRARIES[layer]:
            found.append(f"{path}:{number}: {layer}/ is pure and may not include <{name}>")
    return found


def main() -> int:
    folders = {path.name for path in pathlib.Path("service").iterdir()}
    all_faults = [f"service/{name} is no layer that this check knows" for name in sorted(folders - MAY_SEE.keys())]
    all_faults += [
        fault
        for layer in MAY_SEE
        for path in sorted(pathlib.Path("service", layer).rglob("*.[ch]"))
        for fault in faults(path, layer)
    ]
    print("\n".join(all_faults) or "includes follow the layers")
    return 1 if all_faults else 0


if __name__ == "__main__":
    sys.exit(main())
