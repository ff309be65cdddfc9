"""Refuses the names that the glossary of CONTRIBUTING.md has replaced, by whole words, in what Git tracks."""

import re
import subprocess
import sys

FORMER = ["[Dd]oors?", "http_doors?", "kafka_doors?", "kafka_entry", "kafka_kind", "bury", "[Bb]uried", "[Jj]udges?", "[Jj]udged", "lanes?", "lookups",
          "schedule_standing", "rate_standing", "pump", "waiter", "meter", "[Ss]ettles?", "[Ss]ettled", "settled_commands", "[Rr]etold", "[Aa]new"]
ELSEWHERE = ("CHANGELOG.md", "CONTRIBUTING.md", "migrations/former/", "migrations/functions/history", "tests/e2e/former/",
             "tests/lint/check_names.py", "tests/e2e/test_migrate.py", "tests/fuzz/corpus/", "service/app/config.c", "docs/page/")
WORDS = re.compile(rf"(?<![A-Za-z0-9_])({'|'.join(FORMER)})(?![A-Za-z0-9_])")


def main() -> int:
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    faults = []
    for name in files:
        if name.startswith(ELSEWHERE):
            continue
        try:
            lines = open(name, encoding="utf-8").read().splitlines()
        except UnicodeDecodeError:
            continue
        faults += [f"{name}:{number}: {found[1]} has another name now: see the glossary" for number, line in enumerate(lines, 1)
                   for found in [WORDS.search(line)] if found]
    print("\n".join(faults) or "names are those of the glossary")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
