#!/usr/bin/env python3
"""The proof that the fault rig sees: copies of the service, each without one mechanism that a guarantee rests on. Every one must
make a case fail, and by what the ledger says, not by a timeout.

    proof.py [--seed N] [NAME ...]
    proof.py --check    only that each mutant still finds what it changes"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Edit:
    """`old`, which is in `file` once, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """With these edits `case` must report a fault that the pattern `fault` is found in."""

    name: str
    case: str
    fault: str
    edits: tuple[Edit, ...]


MUTANTS = [
    Mutant("no compare-and-set of offsets", "short-cut", "twice: ", (
        Edit("migrations/functions/schedules.sql", "o.partition = u.partition AND o.next_offset = u.expected", "o.partition = u.partition"),)),
    Mutant("repeated commands are not told apart", "short-cut", "twice: ", (
        Edit("migrations/functions/schedules.sql",
             "WHERE r.ordinal <> ALL (ARRAY(SELECT o.ordinal FROM unnest(v_outcomes) AS o WHERE o.verdict <> 'former'))", "WHERE true"),)),
    Mutant("a write is completed by its row, before the commit", "short-cut", "lost: HTTP answered", (
        Edit("service/driver/pg.c", "    return is_sent == 1 || doom(pg);\n}\n\nbool pg_sync",
             "    return (is_sent == 1 && PQsendFlushRequest(pg->conn) == 1) || doom(pg);\n}\n\nbool pg_sync"),
        Edit("service/store/write_connection.c", "    else write_outcome_read(connection->batches[connection->answered], result);\n",
             "    else write_outcome_read(connection->batches[connection->answered], result);\n"
             "    if (!is_ok || PQnfields(result) != WRITE_OUTCOME_FIELDS) return;\n"
             "    struct write_batch *batch = connection->batches[connection->answered];\n"
             "    for (size_t i = 0; i < batch->rows_len; i++) {\n"
             "        if (batch->rows[i] != NULL) write_pool_complete(connection->pool, batch->rows[i], STATUS_OK);\n"
             "        batch->rows[i] = NULL;\n"
             "    }\n"))),
    Mutant("published transactions are not skipped", "short-postgres-kill", "twice: ", (
        Edit("service/relay/relay_loop.c", "loop->is_skipping = message->commit_lsn < loop->progress.lsn;", "loop->is_skipping = false;"),)),
    Mutant("what is published of a transaction is not passed over", "large-transaction", "twice: ", (
        Edit("service/relay/relay_loop.c", "overlap_has(&loop->overlap, record, loop->commit_lsn)", "false"),)),
    Mutant("the slot is confirmed before Kafka has committed", "open-transaction", "lost: |is not there|comes after version", (
        Edit("service/relay/relay_loop.c", "    if (batch_records(loop) > 0) return;\n", ""),
        Edit("service/relay/relay_loop.c", "    uint64_t final = loop->progress.final_lsn;\n", "    uint64_t final = loop->seen;\n"),
        # Without this the relay refuses such a slot, and waits.
        Edit("service/relay/acceptance.c", "    if (source->confirmed > smaller(progress->lsn, end)) return VERDICT_FOREIGN_SLOT;\n", ""))),
    Mutant("positions of another timeline are taken for this one's", "failover", "lost: ", (
        Edit("service/relay/acceptance.c", "if (verdict == VERDICT_SWITCHED) next.lsn = smaller(next.lsn, end);", ""),)),
    Mutant("ids are not moved behind those that are published", "restore", "twice: ", (
        Edit("migrations/functions/positions.sql", "    IF p_id > v_highest THEN\n", "    IF false THEN\n"),)),
    Mutant("schedules keep versions that are below the published ones", "failover", "twice: |lost: ", (
        Edit("migrations/functions/positions.sql", "p.schedule_id = s.id AND s.version < p.version", "false"),)),
    Mutant("what is published and not there is not ended", "failover", "never told to be deleted", (
        Edit("migrations/functions/positions.sql", "p.schedule_id = ANY (v_ids) AND p.deletion IS NOT NULL", "false"),)),
    Mutant("a slot is known by its name alone", "slot-recreated", "lost: ", (
        Edit("service/relay/acceptance.c", "    if (source->confirmed > smaller(progress->lsn, end)) return VERDICT_FOREIGN_SLOT;\n", ""),)),
    Mutant("a create is not looked for behind its insert", "repeat-deleted", "twice: ", (
        Edit("migrations/functions/schedules.sql", "    IF cardinality(v_processed) > 0 THEN\n", "    IF false THEN\n"),)),
    Mutant("a later transaction commits without the earlier one", "end-txn-dropped", "lost: |is not there|comes after version", (
        Edit("service/relay/publisher.c", "if (error != NULL) return publisher_fail_with(publisher, \"committing a transaction\", error);",
             "if (error != NULL) rd_kafka_error_destroy(error);"),)),
    Mutant("a transaction over which a connection was lost is trusted", "end-txn-cut", "the relay does not trust the answer", (
        Edit("service/relay/publisher.c", "    if (atomic_load(&publisher->connections_closed) == publisher->closed_before) return true;\n",
             "    if (publisher != NULL) return true;\n"),)),
    Mutant("what is published behind what is final is not read back", "torn", "lost: |twice: ", (
        Edit("service/relay/takeover.c", "    if (progress->final_lsn > 0) {\n", "    if (false) {\n"),
        Edit("service/relay/overlap.c", "    if (overlap->len == 0) return false;\n", "    if (overlap != NULL) return false;\n"),)),
    Mutant("the slot is confirmed as soon as Kafka has answered", "torn", "not within|has not published", (
        Edit("service/relay/relay_loop.c", "    uint64_t final = loop->progress.final_lsn;\n", "    uint64_t final = loop->progress.lsn;\n"),)),
    Mutant("a relay that takes over leaves open what is open", "forgotten", "the relay has published it|twice: ", (
        Edit("service/relay/publisher_opening.c", "partition < count && error ==", "partition < count && count < 0 && error =="),)),
    Mutant("what Kafka refuses for good is left out", "refused", "lost: ", (
        Edit("service/relay/relay_loop.c", "is_refused && (sent = reduce(", "is_refused && false && (sent = reduce("),)),
    Mutant("a batch may unpack to any size", "unpacks-large", "was taken|a replica took", (
        Edit("service/driver/kafka_unpack.c", "    if (bytes > limit->batch_max) return false;\n"
             "    if (waiting == 0 || bytes + waiting <= limit->batch_max) return true;\n",
             "    if (bytes + waiting < (size_t)1 << 40) return true;\n"),)),
    Mutant("the end of a partition is not stored", "control-records", "stopped although nothing is missing", (
        Edit("service/consumer/kafka_consumer_taking.c", "partition->end = message->offset; break;", "break;"),)),
    Mutant("a removal leaves no tombstone", "remove-users", "still have schedules", (
        Edit("migrations/functions/removals.sql", "    INSERT INTO removals (type, id) VALUES (TG_ARGV[0], OLD.id) ON CONFLICT DO NOTHING;\n", ""),)),
    Mutant("a partition that stops makes the process unready", "topic-recreated", '"status":"unavailable"', (
        Edit("service/app/readiness.c", "kafka_consumer_degraded(parts->consumers[i], &ret->degraded);\n    }\n",
             "kafka_consumer_degraded(parts->consumers[i], &ret->degraded);\n    }\n"
             "    if (ret->degraded.len > 0) ret->reason = \"degraded\";\n"),)),
    Mutant("a batch that fails is tried again as it was", "locked-row", "of another partition waited|the caller", (
        Edit("service/store/write_outcome.c", "    size_t rows_len = batch->rows_len;\n    const char *reason",
             "    if (batch->outcome == STATUS_UNAVAILABLE) {\n        write_outcome_put_back(batch);\n        return;\n    }\n"
             "    size_t rows_len = batch->rows_len;\n    const char *reason"),)),
    Mutant("a lock is waited for without end", "locked-row", "of another partition waited|the caller|it was answered after", (
        Edit("service/store/writer.c", ".lock_timeout_ms = config->lock_timeout_ms == 0 ? WRITE_LOCK_TIMEOUT_MS : config->lock_timeout_ms,",
             ".lock_timeout_ms = 0,"),
        Edit("service/store/writer.c",
             "config->statement_timeout_ms == 0 ? WRITE_STATEMENT_TIMEOUT_MS : config->statement_timeout_ms", "0"))),
    Mutant("what is on its way is not given up at its deadline", "locked-row", "it was answered after", (
        Edit("service/store/writer.c", ".lock_timeout_ms = config->lock_timeout_ms == 0 ? WRITE_LOCK_TIMEOUT_MS : config->lock_timeout_ms,",
             ".lock_timeout_ms = 0,"),
        Edit("service/store/writer.c",
             "config->statement_timeout_ms == 0 ? WRITE_STATEMENT_TIMEOUT_MS : config->statement_timeout_ms", "0"),
        Edit("service/store/write_connection.c", "pending_write->deadline_us == 0 || pending_write->deadline_us > now_us) continue;",
             "pending_write->deadline_us > now_us - 3600000000) continue;"))),
    Mutant("a webhook does not wait for the one before it that failed", "webhook-sender-kill", "too early: ", (
        Edit("service/webhook/webhook_deliveries.c", "    keep_all(sender, chain);\n}",
             "    if (chain->rows == 0) keep_all(sender, chain);\n    chain_make_ready(sender, chain);\n}"),
        Edit("service/webhook/webhook_chains.c", "(chain->first == NULL || chain->rows > 0)", "chain->first == NULL"),
        Edit("service/webhook/webhook_deliveries.c", "    if (chain->rows > 0) {\n", "    if (false) {\n"))),
    Mutant("offsets of webhooks are stored before what they pass over is done", "webhook-sender-kill", "lost: ", (
        Edit("service/webhook/webhook_windows.c", "window->first == NULL ? window->position : window->first->offset", "window->position"),)),
]


def without_place() -> list[str]:
    """The edits whose text their file does not hold once."""
    return [f"{mutant.name}: {edit.file} holds `{edit.old}` {count} times" for mutant in MUTANTS for edit in mutant.edits
            if (count := (ROOT / edit.file).read_text().count(edit.old)) != 1]


def build(mutant: Mutant, directory: Path) -> Path:
    """The mutant's binary, made in a copy of the tree from what is built already."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for name in filter(None, files.split("\0")):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, directory / name)
    shutil.copytree(ROOT / "build/release", directory / "build/release")
    for edit in mutant.edits:
        source = directory / edit.file
        source.write_text(source.read_text().replace(edit.old, edit.new))
    subprocess.run(["make", "-s", "-j2", "build/release/schedule-service"], cwd=directory, check=True)
    return directory / "build/release/schedule-service"


def is_caught(mutant: Mutant, seed: int) -> bool:
    """Prints what the case found."""
    with tempfile.TemporaryDirectory(prefix="schedule-service-mutant-") as directory:
        env = os.environ | {"SERVICE_BINARY": str(build(mutant, Path(directory)))}
        rig = [sys.executable, str(ROOT / "tests/fault/fault.py"), "--case", mutant.case, "--seed", str(seed)]
        done = subprocess.run(rig, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = [line.strip() for line in done.stdout.splitlines() if re.search(mutant.fault, line)]
    caught = done.returncode != 0 and bool(found)
    print(f"{'caught' if caught else 'NOT CAUGHT'}: {mutant.name}, by {mutant.case}: "
          f"{found[0] if found else done.stdout}", flush=True)
    return caught


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only the mutants whose name holds one of these")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--check", action="store_true", help="run nothing; whether each edit finds its text once")
    arguments = parser.parse_args()
    lost = without_place()
    if lost or arguments.check:
        print("\n".join(lost) or "OK: every edit finds its text")
        return 1 if lost else 0
    chosen = [one for one in MUTANTS if not arguments.names or any(name in one.name for name in arguments.names)]
    print(f"seed {arguments.seed}; {len(chosen)} mutants", flush=True)
    missed = [mutant.name for mutant in chosen if not is_caught(mutant, arguments.seed)]
    print(f"FAILED: {missed}" if missed or not chosen else "OK: every mutant is caught")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
