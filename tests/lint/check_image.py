"""Builds the service, and then its unit tests, from just the files that deploy/Dockerfile copies for them out of what .dockerignore lets through, with
the commands that it runs: what the image would lack is found here, where there is no container engine."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DOCKERFILE = pathlib.Path("deploy/Dockerfile").read_text()
STAGES = [DOCKERFILE.partition(f" AS {name}\n")[2].partition("\nFROM ")[0] for name in ("build", "test")]
CONTEXT = re.findall(r"^!/(.*)$", pathlib.Path(".dockerignore").read_text(), re.M)


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def run(stage: str, context: pathlib.Path, work: pathlib.Path) -> int:
    for *paths, target in (words.split() for words in re.findall(r"^COPY (?!--)(.*)$", stage, re.M)):
        for path in paths:
            copy(context / path, work / target)
    [command] = re.findall(r"^RUN (make .*)$", stage, re.M)
    environment = os.environ | {"VIEWER": "", "REVISION": "lint", "MAKEFLAGS": "-s"}
    done = subprocess.run(["sh", "-c", command], cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout[-10_000:] if done.returncode else f"`{command}` has what it needs")
    return done.returncode


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        context, work = pathlib.Path(directory, "context"), pathlib.Path(directory, "src")
        work.mkdir()
        for path in CONTEXT:
            copy(pathlib.Path(path), context / path)
        return next((status for stage in STAGES if (status := run(stage, context, work))), 0)


if __name__ == "__main__":
    sys.exit(main())
