"""Checks that the documents agree with the code: the configuration table is the binary's own; every metric that a page or an alarm names exists, and
every metric that exists is named; every make target, test and case of the fault rig that a page names exists, and every case has its row in the
page of faults; every link leads to a file, and its anchor to a heading; every file that a page names exists; every page is on the map, every
decision in its index; the README stays short."""

import pathlib
import re
import subprocess
import sys

README, SECURITY, CONTRIBUTING = pathlib.Path("README.md"), pathlib.Path("SECURITY.md"), pathlib.Path("CONTRIBUTING.md")
CONFIGURATION, CONCEPTS = pathlib.Path("docs/configuration.md"), pathlib.Path("docs/concepts.md")
FAULTS = pathlib.Path("docs/faults.md")
MAP, DECISIONS = pathlib.Path("docs/README.md"), pathlib.Path("docs/adr/README.md")
README_LINES_MAX = 150

PAGES = {path: path.read_text() for path in (README, SECURITY, CONTRIBUTING, *sorted(pathlib.Path("docs").rglob("*.md")))}
TEXT = "".join(PAGES.values())
ALERTS = pathlib.Path("deploy/alerts.yml").read_text()  # whose expressions are in docs/operations.md

NOT_METRICS = {"schedule_service", "schedule_webhooks", "schedule_relay", "schedule_admin", "schedule_hours", "schedule_id", "schedule_id_blocks", "schedule_access"}


def length() -> list[str]:
    lines = PAGES[README].count("\n")
    return [f"{README} has {lines} lines, more than {README_LINES_MAX}"] if lines > README_LINES_MAX else []


def config_table(binary: str) -> list[str]:
    env = {"DATABASE_URL": "postgresql://example", "PATH": "/usr/bin:/bin"}
    table = subprocess.run([binary, "check-config", "--table"], env=env, capture_output=True, text=True, check=True).stdout
    return [] if table in PAGES[CONFIGURATION] else [f"{CONFIGURATION}: the table differs from `check-config --table`:\n{table}"]


def metrics() -> list[str]:
    source = "".join(path.read_text() for path in pathlib.Path("service").rglob("*.c"))
    in_code = set(re.findall(r'"((?:schedule|process)_\w+)"', source)) - NOT_METRICS
    in_docs = set(re.findall(r"`((?:schedule|process)_\w+)[`{]", TEXT)) - NOT_METRICS
    in_docs |= {name.removesuffix("_bucket") for name in re.findall(r"(?:schedule|process)_\w+", ALERTS)}
    faults = [f"the documents name the metric {name}, which the code does not have" for name in sorted(in_docs - in_code)]
    return faults + [f"the metric {name} is in no document" for name in sorted(in_code - in_docs)]


def targets() -> list[str]:
    makefile = pathlib.Path("Makefile").read_text()
    known = set(re.findall(r"^([a-z0-9-]+):", makefile, re.M))
    named = set(re.findall(r"(?:`|^    (?:\$ )?)make ([a-z][a-z0-9-]*)", TEXT, re.M))
    return [f"the documents name `make {name}`, which the Makefile does not have" for name in sorted(named - known)]


def proofs() -> list[str]:
    """The last column of the tables of guarantees and protections: tests have an underscore in their names, cases of the rig a hyphen."""
    files = [path for path in pathlib.Path("tests").rglob("test_*") if path.suffix in (".c", ".py")]
    tests = set(re.findall(r"\b\w+\b", "".join(path.read_text() for path in files)))
    cases = set(re.findall(r'"([a-z0-9-]+)"', "".join(path.read_text() for path in pathlib.Path("tests/fault").glob("*.py"))))
    guarantees = [line for line in PAGES[CONCEPTS].splitlines() if line.startswith("| G")]
    protections = [line for line in PAGES[SECURITY].partition("| | how | test |")[2].splitlines() if line.startswith("|")]
    faults = [f"{path}: the table of proofs is not found" for path, rows in ((CONCEPTS, guarantees), (SECURITY, protections)) if not rows]
    for name in sorted({name for row in guarantees + protections for name in re.findall(r"`([\w-]+)`", row.split("|")[3])}):
        if ("_" in name and name not in tests) or ("-" in name and name not in cases):
            faults.append(f"a table of proofs names {name}, which is neither a test nor a case of the rig")
    return faults


def fault_cases() -> list[str]:
    """Each case of `make fault` has a row in docs/faults.md, and each row a case; how many there are is told right, or not at all."""
    cases = re.findall(r'_case\("([a-z0-9-]+)"', pathlib.Path("tests/fault/cases.py").read_text())
    every = {case for case in cases if not case.startswith("short-")}
    rows = set(re.findall(r"^\| `([a-z0-9-]+)` \|", PAGES[FAULTS], re.M))
    faults = [f"{FAULTS} has no row for the case {case}" for case in sorted(every - rows)]
    faults += [f"{FAULTS} has a row for {row}, which is no case" for row in sorted(rows - every)]
    return faults + [f"{page} tells of {count} cases: `make fault` has {len(every)}" for page, text in PAGES.items()
                     for count in re.findall(r"\b(\d+) cases", text) if int(count) != len(every)]


def anchors(page: str) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    made: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page, flags=re.M | re.S), re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        again = sum(1 for other in made if re.fullmatch(rf"{slug}(-\d+)?", other))
        made.add(f"{slug}-{again}" if again else slug)
    return made


def links() -> list[str]:
    faults = []
    for page, text in PAGES.items():
        for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", text):
            path = page.parent / target if target else page
            if not path.exists():
                faults.append(f"{page}: the link {target} leads nowhere")
            elif anchor and anchor not in anchors(path.read_text()):
                faults.append(f"{page}: {path} has no heading for #{anchor}")
    return faults


def mentions() -> list[str]:
    """Pages that code, comments and descriptions name."""
    faults = []
    for name in subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split():
        if pathlib.Path(name).suffix in (".c", ".h", ".py", ".sh", ".sql", ".yml", ".json", ".md", ".proto") or name == "Makefile":
            for page in re.findall(r"\bdocs/[\w/-]+\.(?:md|json|svg|png)", pathlib.Path(name).read_text()):
                if not pathlib.Path(page).exists():
                    faults.append(f"{name} names {page}, which is not there")
    return faults


def paths() -> list[str]:
    """Files and folders of the repository that a page names."""
    named = [(page, path) for page, text in PAGES.items() for path in re.findall(r"`((?:deploy|migrations|proto|service|tests)/[\w./-]*)`", text)]
    return [f"{page} names {path}, which is not there" for page, path in named if not pathlib.Path(path).exists()]


def indexes() -> list[str]:
    decisions = [path for path in PAGES if path.parent == DECISIONS.parent and path != DECISIONS]
    pages = [path for path in PAGES if path.parent == MAP.parent and path != MAP]
    return [f"{index} does not list {path.name}" for index, listed in ((DECISIONS, decisions), (MAP, pages)) for path in listed
            if f"]({path.name})" not in PAGES[index]]


def main() -> int:
    faults = length() + config_table(sys.argv[1]) + metrics() + targets() + proofs() + fault_cases() + links() + mentions() + paths() + indexes()
    print("\n".join(faults) or "the documents agree with the code")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
