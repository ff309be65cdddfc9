"""Prints the man page, from what the binary says of its commands, options and settings: man.py BINARY"""

import os
import re
import subprocess
import sys

# In one line each, however long.
ENVIRONMENT = os.environ | {"ARGP_HELP_FMT": "rmargin=2000", "DATABASE_URL": "postgresql://example"}


def say(binary: str, *arguments: str) -> str:
    return subprocess.run([binary, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout


def roff(text: str) -> str:
    """Text as roff takes it: with `code` in bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha").replace("~", "\\(ti")
    return re.sub(r"`([^`]*)`", r"\\fB\1\\fR", text)


def command(binary: str, words: str) -> list[str]:
    usage, meaning, *options = say(binary, *words.split(), "--help").splitlines()
    given = usage.partition("[OPTION...]")[2].strip()
    lines = [".TP", f".B {roff(f'{words} {given}'.strip())}", roff(meaning[0].upper() + meaning[1:] + ".")]
    own = [match.groups() for match in (re.match(r" +--([\w-]+)(=\S+)? +(.*)", option) for option in options) if match]
    rows = [(f"--{name}{value or ''}", text) for name, value, text in own if name != "usage"]
    if rows:
        lines += [".RS", *(line for name, text in rows for line in (".TP", f".B {roff(name)}", roff(text))), ".RE"]
    return lines


def settings(binary: str) -> list[str]:
    rows = re.findall(r"^\| `(\w+)`(?: \((secret)\))? \| (.*?) \| (.*) \|$", say(binary, "check-config", "--table"), re.M)
    assert rows
    lines = []
    for name, secret, default, meaning in rows:
        known = "required" if default == "required" else f"default {default}"
        lines += [".TP", f".B {name}", roff(f"({known}{', secret' if secret else ''}) {meaning}.")]
    return lines


def main() -> None:
    binary = sys.argv[1]
    version = say(binary, "version").split()[1]
    commands = re.findall(r"^  (\w\S*(?: \w\S*)?)  +\S", say(binary, "--help").partition("Commands:")[2], re.M)
    assert commands
    print("\n".join([
        f'.TH SCHEDULE\\-SERVICE 1 "" "schedule-service {version}" "User Commands"',
        ".SH NAME", r"schedule\-service \- schedules from Kafka and HTTP into PostgreSQL, events to Kafka",
        ".SH SYNOPSIS", r".B schedule\-service", ".I COMMAND", "[\\fIOPTION\\fR...]",
        ".SH DESCRIPTION",
        "It keeps users' working schedules: it takes commands from Kafka and requests over HTTP, stores each in PostgreSQL, and",
        "publishes an event for each to Kafka, exactly once.",
        ".SH COMMANDS", *(line for words in commands for line in command(binary, words)),
        ".PP", roff("Each command also knows `--help`, `--usage` and `--version`."),
        ".SH ENVIRONMENT",
        roff("Each setting has a twin whose name ends in `_FILE`: a file to read the value from. `RDKAFKA_SECURITY_PROTOCOL` and the like set "
             "properties of librdkafka."),
        *settings(binary),
        ".SH FILES",
        ".TP", ".I /etc/default/schedule\\-service", "The settings of the systemd units.",
        ".TP", ".I /etc/schedule\\-service/database\\-url", roff("The value of `DATABASE_URL` for `serve`; without this file its unit does not start."),
        ".TP", ".I /etc/schedule\\-service/webhooks\\-database\\-url", roff("The same for `webhooks`."),
        ".SH EXIT STATUS", "0: done. 1: failed. 2: wrong arguments or settings.",
        ".SH SIGNALS", "SIGTERM: it completes what it has taken, and ends within 30 seconds. SIGHUP: it reads a renewed certificate and the time "
        "zones again.",
    ]))


if __name__ == "__main__":
    main()
