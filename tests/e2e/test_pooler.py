"""Behind PgBouncer, Debian's: session pooling works, and what carries prepared statements along; else pooling of transactions does not, and the
service says so."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

import pytest

from conftest import MakeLine
from line import MINIMAL, until
from servers import Server, free_port, program, run


def carries_statements() -> bool:
    """From 1.21 on, where it is told to."""
    version = re.search(r"PgBouncer (\d+)\.(\d+)", run(str(program("pgbouncer")), "--version"))
    assert version
    return (int(version[1]), int(version[2])) >= (1, 21)


class PgBouncer(Server):
    """Before one database, as the pool mode says. Like PostgreSQL it refuses to be root, and another user may not enter root's cache: the
    program is copied from there."""

    name = "pgbouncer"

    def __init__(self, directory: Path, url: str, mode: str, statements: int = 0) -> None:
        super().__init__(directory / "pgbouncer.log")
        self.directory, self.mode, self.port = directory, mode, free_port()
        self.more = f"max_prepared_statements={statements}\n" if carries_statements() else ""
        self.database, self.server_port = url.rpartition("/")[2], url.rpartition(":")[2].partition("/")[0]
        if os.geteuid() == 0:
            self.identity = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]

    def command(self) -> list[str]:
        self.directory.mkdir(mode=0o755, exist_ok=True)
        config = self.directory / "pgbouncer.ini"
        # auth_type=any has one user for all, who is named with the database.
        config.write_text(f"[databases]\n{self.database} = host=127.0.0.1 port={self.server_port} user=postgres\n[pgbouncer]\n"
                          f"listen_addr=127.0.0.1\nlisten_port={self.port}\nunix_socket_dir=\nauth_type=any\n"
                          f"pool_mode={self.mode}\ndefault_pool_size=30\n{self.more}")
        return [shutil.copy(program("pgbouncer"), self.directory), str(config)]

    def is_ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{self.database}"


POOLED = (503, "a pooler before the database gives each transaction another session; set it to session pooling")


@pytest.mark.parametrize(("mode", "statements"), [("session", 0), ("transaction", 200)])
def test_sessions_or_statements_that_are_kept_are_enough(make_line: MakeLine, mode: str, statements: int) -> None:
    if statements and not carries_statements():
        pytest.skip("this PgBouncer carries no prepared statements along")
    line = make_line()
    line.directory.mkdir(exist_ok=True)
    with PgBouncer(line.directory, line.database_url, mode, statements) as pooler:
        line.start(DATABASE_URL=pooler.url, RELAY_DATABASE_URL=line.database_url)
        command = line.command()
        line.send(command)
        line.event_of(command["commandId"])
        line.event_of_schedule(line.post(MINIMAL).json()["data"]["id"])
        line.balance()
        line.stop()


def test_pooling_of_transactions_is_told(make_line: MakeLine) -> None:
    line = make_line()
    line.directory.mkdir(exist_ok=True)
    with PgBouncer(line.directory, line.database_url, "transaction") as pooler:
        replica = line.start(wait=False, DATABASE_URL=pooler.url, RELAY_DATABASE_URL=line.database_url)
        line.wait_log("a pooler before PostgreSQL gives each transaction another session; set it to session pooling", 60)
        until(lambda: "started" in replica.log_tail(1000), "it listens")
        line.wait_readiness(POOLED, 60)
        assert line.log().count("a pooler before PostgreSQL") == 1
        line.stop()
