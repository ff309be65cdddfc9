"""The commands of docs/quickstart.md, run as they stand there against what `make up` starts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from line import BINARY
from servers import ROOT
from stack import Stack

PAGE = (ROOT / "docs/quickstart.md").read_text()
END = "--- end of a step"
DEADLINE_S = 120


def steps() -> list[tuple[str, str]]:
    """Each block of commands with the block that says what it prints."""
    return re.findall(r"```sh\n(.*?)```\n```text\n(.*?)```\n", PAGE, re.DOTALL)


def prints(expected: str, output: str) -> bool:
    """Whether the output is what the page says, where ... stands for anything within a line."""
    return re.fullmatch(re.escape(expected.strip()).replace(r"\.\.\.", ".*"), output.strip()) is not None


def test_every_block_of_the_page_is_run() -> None:
    assert len(steps()) == PAGE.count("```sh\n") == PAGE.count("```text\n") >= 8
    assert not prints("a ... c", "a b d") and prints("a ... c", "a b c")


def test_the_commands_print_what_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "build/release").mkdir(parents=True)
    (tmp_path / "build/release/schedule-service").symlink_to(BINARY)
    (tmp_path / ".run").mkdir()
    script = "set -eo pipefail\n" + "".join(f"{commands}echo; echo '{END}'\n" for commands, _ in steps())
    with Stack(tmp_path / "servers", BINARY) as stack:
        (tmp_path / ".run/env").write_text("".join(f"{name}={value}\n" for name, value in stack.values.items()))
        shell = subprocess.run(["timeout", str(DEADLINE_S), "bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert stack.service and stack.service.stop() == 0
    outputs = shell.stdout.split(END)[:-1]
    for (commands, expected), output in zip(steps(), outputs, strict=False):
        assert prints(expected, output), f"{commands}\nprinted\n{output}\nand not\n{expected}\n{shell.stderr}"
    assert shell.returncode == 0 and len(outputs) == len(steps()), shell.stdout + shell.stderr
