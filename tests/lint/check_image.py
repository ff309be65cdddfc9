"""Builds the service from just the files that deploy/Dockerfile copies for it out of what .dockerignore lets through, with the command
that it runs: what the image would lack is found here, where there is no container engine."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

STAGE = pathlib.Path("deploy/Dockerfile").read_text().partition(" AS build\n")[2].partition("\nFROM ")[0]
CONTEXT = re.findall(r"^!/(.*)$", pathlib.Path(".dockerignore").read_text(), re.M)


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def main() -> int:
    copies = [words.split() for words in re.findall(r"^COPY (?!--)(.*)$", STAGE, re.M)]
    [command] = re.findall(r"^RUN (make .*)$", STAGE, re.M)
    with tempfile.TemporaryDirectory() as directory:
        context, work = pathlib.Path(directory, "context"), pathlib.Path(directory, "src")
        work.mkdir()
        for path in CONTEXT:
            copy(pathlib.Path(path), context / path)
        for *paths, target in copies:
            for path in paths:
                copy(context / path, work / target)
        environment = os.environ | {"VIEWER": "", "REVISION": "lint", "MAKEFLAGS": "-s"}
        return subprocess.run(["sh", "-c", command], cwd=work, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
