"""What make and deploy/local/setup.sh do on a machine that lacks packages."""

import shutil
import subprocess
from pathlib import Path

from servers import ROOT

SETUP = ROOT / "deploy/local/setup.sh"
# With sudo neither among them nor, of Debian's packages, any.
PROGRAMS = ("bash", "comm", "dirname", "env", "paste", "sed", "sort")


def fake(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_who_may_not_install_is_told_what_to_install(tmp_path: Path) -> None:
    for name in PROGRAMS:
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    fake(tmp_path, "id", "echo 1000")
    fake(tmp_path, "dpkg-query", "exit 1")
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([SETUP], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    [command] = [line for line in done.stderr.splitlines() if "apt-get install" in line]
    assert {"gcc", "librdkafka-dev", "maven"} <= set(command.split()), command
    assert not {"clang", "python3-pytest", "chromium-headless-shell"} & set(command.split()), "a demo needs none of them"
    assert not list(tmp_path.glob("schedule-service*")), "nothing was fetched"


def test_make_reports_no_error_before_anything_is_installed(tmp_path: Path) -> None:
    for name in ("make", "bash", "awk", "cat", "date", "find", "grep"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run(["make", "help", f"PYTHON={tmp_path}/python3"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert " demo " in done.stdout
