"""Builds the service from just the files that deploy/Dockerfile copies for it, with the command that it runs: what the image would lack
is found here, where there is no container engine."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

STAGE = pathlib.Path("deploy/Dockerfile").read_text().partition(" AS build\n")[2].partition("\nFROM ")[0]


def main() -> int:
    sources = [words.split() for words in re.findall(r"^COPY (?!--)(.*)$", STAGE, re.M)]
    [command] = re.findall(r"^RUN (make .*)$", STAGE, re.M)
    with tempfile.TemporaryDirectory() as directory:
        for *paths, target in sources:
            for path in paths:
                if os.path.isdir(path):
                    shutil.copytree(path, os.path.join(directory, target))
                else:
                    shutil.copy(path, os.path.join(directory, target))
        environment = os.environ | {"VIEWER": "", "REVISION": "lint", "MAKEFLAGS": "-s"}
        return subprocess.run(["sh", "-c", command], cwd=directory, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
