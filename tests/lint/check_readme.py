"""Holds the README and SECURITY.md to the code: its configuration table is the binary's own, every metric that it or an
alarm names exists and every metric that exists is named in it, in docs/ or in an alarm, every make target it names exists, every test that proves a guarantee or a protection exists, every local link leads
somewhere."""

import pathlib
import re
import subprocess
import sys

README = pathlib.Path("README.md").read_text()
SECURITY = pathlib.Path("SECURITY.md").read_text()
DOCS = README + "".join(path.read_text() for path in sorted(pathlib.Path("docs").rglob("*.md")))
ALERTS = pathlib.Path("deploy/alerts.yml").read_text()  # whose expressions are in docs/operations.md

NOT_METRICS = {"schedule_service", "schedule_relay", "schedule_admin", "schedule_hours", "schedule_id", "schedule_id_blocks"}


def config_table(binary: str) -> list[str]:
    env = {"DATABASE_URL": "postgresql://example", "PATH": "/usr/bin:/bin"}
    table = subprocess.run([binary, "check-config", "--table"], env=env, capture_output=True, text=True, check=True).stdout
    return [] if table in README else [f"README.md: the configuration table differs from `check-config --table`:\n{table}"]


def metrics() -> list[str]:
    source = "".join(path.read_text() for path in pathlib.Path("service").rglob("*.c"))
    in_code = set(re.findall(r'"((?:schedule|process)_\w+)"', source)) - NOT_METRICS
    in_docs = set(re.findall(r"`((?:schedule|process)_\w+)[`{]", DOCS)) - NOT_METRICS
    in_docs |= {name.removesuffix("_bucket") for name in re.findall(r"(?:schedule|process)_\w+", ALERTS)}
    faults = [f"docs name the metric {name}, which the code has not" for name in sorted(in_docs - in_code)]
    return faults + [f"the metric {name} is in no document" for name in sorted(in_code - in_docs)]


def targets() -> list[str]:
    makefile = pathlib.Path("Makefile").read_text()
    known = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = set(re.findall(r"`make ([a-z-]+)", DOCS))
    return [f"docs name `make {name}`, which the Makefile has not" for name in sorted(named - known)]


def proofs() -> list[str]:
    files = [path for path in pathlib.Path("tests").rglob("test_*") if path.suffix in (".c", ".py")]
    tests = "".join(path.read_text() for path in files)
    rows = [line for line in README.splitlines() if line.startswith("| G")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[3])}
    named |= set(re.findall(r"`(test_\w+)`", SECURITY))
    return [f"README.md or SECURITY.md names the test {name}, which is nowhere" for name in sorted(named) if name not in tests]


def links() -> list[str]:
    faults = []
    for page in [pathlib.Path("README.md"), pathlib.Path("CONTRIBUTING.md"), pathlib.Path("SECURITY.md"), *pathlib.Path("docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            if not (page.parent / target).exists():
                faults.append(f"{page}: the link {target} leads nowhere")
    return faults


def main() -> int:
    faults = config_table(sys.argv[1]) + metrics() + targets() + proofs() + links()
    print("\n".join(faults) or "the documents agree with the code")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
