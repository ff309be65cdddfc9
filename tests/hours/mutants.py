"""Takes one rule after the other out of a copy of core/ and expects the unit tests of hours and zones to fail for each."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ("test_hours", "test_zone")
# What is lost, the file, what stands there, and what takes its place.
MUTANTS = [
    ("ranges join over midnight", "hours.c", "if (piece.range.start_s > range.end_s) {", "if (piece.range.start_s >= range.end_s) {"),
    ("the second pass of a repeated hour", "hours.c", "if (part.end_s >= hours->within.end_s) return false;",
     "if (part.end_s >= hours->within.end_s) return false;\n            if (hours->period + 1 < hours->zone->len && "
     "hours->zone->offsets_s[hours->period + 1] < hours->zone->offsets_s[hours->period]) hours->within.end_s = part.end_s;"),
    ("the years behind the table", "zone.c", "if (rule.has_dst) append_rule(", "if (false) append_rule("),
    ("23:59 is midnight", "hours.c", "end_minute == LAST_MINUTE && start_minute < LAST_MINUTE", "false"),
    ("overrides replace windows", "hours.c", "plan->overrides[first].day == day) {", "plan->overrides[first].day == day && item < 0) {"),
]


def fails(core: Path, test: str, into: Path) -> bool:
    """Whether the test fails with this copy of core/; a copy that does not compile is an error of the mutant."""
    binary = into / test
    subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-O1", f"-I{into / 'service'}", f"-I{ROOT / 'tests/unit'}", "-o", str(binary),
                    str(ROOT / "tests/unit" / f"{test}.c"), *map(str, core.glob("*.c")), "-lcmocka"], check=True)
    return subprocess.run([str(binary)], capture_output=True, check=False, timeout=60).returncode != 0


def main() -> int:
    missed = 0
    for name, file, before, after in [("nothing", "hours.c", "", ""), *MUTANTS]:
        with tempfile.TemporaryDirectory() as directory:
            core = Path(shutil.copytree(ROOT / "service/core", Path(directory) / "service/core"))
            text = (core / file).read_text()
            if before not in text:
                sys.exit(f"{file} has no more {before!r}")
            (core / file).write_text(text.replace(before, after, 1) if before else text)
            caught = any([fails(core, test, Path(directory)) for test in TESTS])
        expected = name != "nothing"
        missed += caught != expected
        print(f"{'ok  ' if caught == expected else 'FAIL'} without {name}: {'a test fails' if caught else 'the tests pass'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
