-- Which servers may be written to. A server that was restored, set back or promoted may hold other commits than those whose events are
-- published, and hand out ids again that are known to the world: nothing is written there until a relay has looked and accepted it.
--
-- A server that failed over, was set back or restored may have a schedule in an older version than is published, or none of it at all.
-- Before a relay accepts it, what it has is brought beyond what is published and published again: no ce_id is of two states then, and
-- whoever keeps the latest version of each schedule ends with the rows.

-- Any fixed number that no other application locks with on the same database.
CREATE OR REPLACE FUNCTION relay_lock_class() RETURNS integer
LANGUAGE sql IMMUTABLE
AS $$ SELECT 721583012 $$;

-- The locks of this kind that the process holds.
CREATE OR REPLACE FUNCTION relay_holders(p_pid integer) RETURNS SETOF integer
LANGUAGE sql STABLE
AS $$
    SELECT objid::bigint::integer FROM pg_locks
     WHERE pid = p_pid AND locktype = 'advisory' AND objsubid = 2 AND granted AND classid = relay_lock_class()::oid
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
$$;

-- Whether a slot of this name is there, or ever was: else somebody has mistaken the name.
CREATE OR REPLACE FUNCTION is_slot_known(p_slot text) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = p_slot)
        OR EXISTS (SELECT FROM slot_generations WHERE slot = p_slot)
        OR EXISTS (SELECT FROM relay_positions WHERE slot = p_slot)
$$;

-- A slot is made again: the relay then reads all that is in it, and what was said of the former one is void.
CREATE OR REPLACE FUNCTION begin_slot_generation(p_slot text) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO slot_generations (slot, generation) VALUES (p_slot, gen_random_uuid())
    ON CONFLICT (slot) DO UPDATE SET generation = excluded.generation;
    DELETE FROM relay_positions WHERE slot = p_slot;
$$;

-- 'accepted', 'refused', 'waits', or 'unknown': no slot of the name is there, or was ever made by `migrate` or read by a relay. A process without such a lock is a relay of a build that knew none: it vouches for nothing, and
-- while it works the intake of newer builds must open as its own do, or no build could follow another one without a gap.
CREATE OR REPLACE FUNCTION position_state(p_slot text) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_position relay_positions;
    v_pid      integer;
    v_holders  integer[];
BEGIN
    SELECT * INTO v_position FROM relay_positions WHERE slot = p_slot;
    IF v_position.refusal IS NOT NULL THEN
        RETURN 'refused';
    END IF;
    SELECT active_pid INTO v_pid FROM pg_replication_slots WHERE slot_name = p_slot;
    IF v_pid IS NULL THEN
        RETURN CASE WHEN is_slot_known(p_slot) THEN 'waits' ELSE 'unknown' END;
    END IF;
    v_holders := ARRAY(SELECT relay_holders(v_pid));
    IF cardinality(v_holders) = 0 OR v_position.holder = ANY (v_holders) THEN
        RETURN 'accepted';
    END IF;
    RETURN 'waits';
END;
$$;

-- Lets ids begin behind p_id, and returns the highest that may have been handed out by now; 0: none. Ids come in blocks, of which the
-- sequence hands out the first.
CREATE OR REPLACE FUNCTION move_schedule_ids(p_id bigint) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_block   CONSTANT bigint := 1000;
    v_highest bigint;
BEGIN
    SELECT CASE WHEN is_called THEN last_value + v_block - 1 ELSE 0 END INTO v_highest FROM schedule_id_blocks;
    IF p_id > v_highest THEN
        v_highest := setval('schedule_id_blocks', (p_id - 1) / v_block * v_block + 1) + v_block - 1;
    END IF;
    RETURN v_highest;
END;
$$;

-- The relay whose walsender holds the slot, and that lock, accepts where the server stands; ids begin behind p_highest_id. Returns what
-- move_schedule_ids does.
CREATE OR REPLACE FUNCTION accept_position(p_slot text, p_holder integer, p_highest_id bigint) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_pid     integer := relay_walsender(p_slot, p_holder);
    v_highest bigint := move_schedule_ids(p_highest_id);
BEGIN
    INSERT INTO relay_positions (slot, holder, holder_pid, accepted_at) VALUES (p_slot, p_holder, v_pid, now())
    ON CONFLICT (slot) DO UPDATE SET holder = excluded.holder, holder_pid = excluded.holder_pid,
        accepted_at = excluded.accepted_at, refusal = NULL;
    RETURN v_highest;
END;
$$;

-- A relay has found that the slot is not the one whose events were published.
CREATE OR REPLACE FUNCTION refuse_position(p_slot text, p_reason text) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO relay_positions (slot, refusal) VALUES (p_slot, p_reason)
    ON CONFLICT (slot) DO UPDATE SET holder = NULL, holder_pid = NULL, accepted_at = NULL, refusal = excluded.refusal
$$;

-- The process id of the walsender that holds the slot and that lock: the relay that asks.
--
-- Errors: object_in_use, it is another one's.
CREATE OR REPLACE FUNCTION relay_walsender(p_slot text, p_holder integer) RETURNS integer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_pid integer;
BEGIN
    SELECT s.active_pid INTO v_pid FROM pg_replication_slots s
     WHERE s.slot_name = p_slot AND p_holder IN (SELECT relay_holders(s.active_pid));
    IF v_pid IS NULL THEN
        RAISE EXCEPTION 'another process holds the replication slot "%"', p_slot USING ERRCODE = 'object_in_use';
    END IF;
    RETURN v_pid;
END;
$$;

-- Keeps what of published events the database lacks: those of a schedule that is not there, or in an older version. The arrays run in
-- parallel, in the order of the topic; p_deletions: as in published_versions. Noting the same again changes nothing.
--
-- Locks: none but the rows it writes, which only relays do. Errors: those of relay_walsender.
CREATE OR REPLACE FUNCTION note_published(p_slot text, p_holder integer, p_ids bigint[], p_versions bigint[], p_deletions bytea[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM relay_walsender(p_slot, p_holder);
    INSERT INTO published_versions AS p (schedule_id, version, deletion)
    SELECT DISTINCT ON (n.id) n.id, n.version, CASE WHEN s.id IS NULL THEN n.deletion END
      FROM unnest(p_ids, p_versions, p_deletions) WITH ORDINALITY AS n (id, version, deletion, ordinal)
      LEFT JOIN schedules s ON s.id = n.id
     WHERE s.id IS NULL OR s.version < n.version
     ORDER BY n.id, n.version DESC, n.ordinal DESC
        ON CONFLICT (schedule_id) DO UPDATE SET version = excluded.version, deletion = excluded.deletion
     WHERE p.version <= excluded.version;
END;
$$;

-- Deals with the first p_max of published_versions, in the order of ids. A schedule that is there, in an older version, gets the version above
-- the published one and is republished as it is; `raised` counts them. One that is not there and is published as existing is published as deleted;
-- `ended` counts those. A deletion that is remembered is published by the slot or by `rebuild`, if it is not older than what is published.
-- `is_left`: there are more. After a crash what was noted is noted and healed again: rows that were raised are passed over, and a
-- deletion that comes twice is the same.
--
-- Locks, in this order: the owners in users by id, as whoever changes a schedule (FOR NO KEY UPDATE), then the schedules.
-- Errors: those of relay_walsender; lock_not_available, somebody else holds an owner's row.
CREATE OR REPLACE FUNCTION heal_published(p_slot text, p_holder integer, p_max integer, OUT raised bigint, OUT ended bigint, OUT is_left boolean)
LANGUAGE plpgsql
SET lock_timeout = '5s' -- the relay restarts: it does not wait any longer than that for an answer
AS $$
DECLARE
    v_nil CONSTANT uuid := '00000000-0000-0000-0000-000000000000'; -- the command of what no command asked for
    v_ids bigint[] := ARRAY(SELECT schedule_id FROM published_versions ORDER BY schedule_id LIMIT p_max);
BEGIN
    PERFORM relay_walsender(p_slot, p_holder);
    PERFORM FROM users WHERE id IN (SELECT owner_id FROM schedules WHERE id = ANY (v_ids)) ORDER BY id FOR NO KEY UPDATE;
    WITH newer AS (
        UPDATE schedules s SET version = p.version + 1, updated_at = now()
          FROM published_versions p
         WHERE s.id = ANY (v_ids) AND p.schedule_id = s.id AND s.version < p.version
        RETURNING s AS schedule)
    SELECT count(emit_schedule('ScheduleUpdated', n.schedule, d.schedule_id IS NOT NULL, v_nil, now(), NULL)) INTO raised
      FROM newer n LEFT JOIN default_schedules d ON d.schedule_id = (n.schedule).id;

    WITH remembered AS (
        SELECT c.schedule_id, (c.state::json #>> '{schedule,version}')::bigint AS version
          FROM processed_commands c
         WHERE c.schedule_id = ANY (v_ids) AND c.state::json ->> 'type' = 'ScheduleDeleted')
    SELECT count(pg_logical_emit_message(true, 'schedule-service', p.deletion)) INTO ended
      FROM published_versions p
     WHERE p.schedule_id = ANY (v_ids) AND p.deletion IS NOT NULL
       AND NOT EXISTS (SELECT FROM schedules s WHERE s.id = p.schedule_id)
       AND NOT EXISTS (SELECT FROM remembered r WHERE r.schedule_id = p.schedule_id AND r.version > p.version);

    DELETE FROM published_versions WHERE schedule_id = ANY (v_ids);
    is_left := EXISTS (SELECT FROM published_versions);
END;
$$;
