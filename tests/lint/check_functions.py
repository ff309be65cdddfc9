"""Keeps migrations/functions/history: the checksum of each text that the functions of the database have had, the present one last. By it
a build tells an older build's functions, which it replaces, from a newer one's. `--write` adds the present one."""

import hashlib
import pathlib
import sys

FOLDER = pathlib.Path("migrations/functions")
HISTORY = FOLDER / "history"


def main() -> int:
    present = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(FOLDER.glob("*.sql")))).hexdigest()
    known = HISTORY.read_text().split()
    if known[-1] == present:
        print("the functions are the last ones of their history")
        return 0
    if present in known:
        print("migrations/functions: the text is one that was replaced before, which an upgrade would not apply")
        return 1
    if "--write" not in sys.argv:
        print("migrations/functions: the text has changed; `make functions-lock` records it")
        return 1
    HISTORY.write_text("\n".join([*known, present]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
