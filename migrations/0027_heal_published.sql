-- A database that failed over, was set back or restored may have a schedule in an older version than is published, or none of it at all. Before a
-- relay accepts it, what it has is brought beyond what is published and told again: no ce_id is told of two states then, and whoever keeps
-- the latest version of each schedule ends with the rows.

-- What is published and the database lacks, as a relay read it from the events topic, until heal_published() has dealt with it.
CREATE TABLE published_versions (
    schedule_id  bigint PRIMARY KEY,
    version      bigint NOT NULL,  -- the highest that is published
    deletion     bytea             -- a record of its deletion, a version above; null: it is published as deleted, or is not known to say how
);

-- The process id of the walsender that holds the slot and that lock: the relay that asks.
--
-- Errors: object_in_use, it is another one's.
CREATE FUNCTION relay_walsender(p_slot text, p_holder integer) RETURNS integer
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

-- Keeps what of published events the database lacks: those of a schedule that is not there, or in an older version. The arrays run in
-- parallel, in the order of the topic; p_deletions: as in published_versions. Noting the same again changes nothing.
--
-- Locks: none but the rows it writes, which only relays do. Errors: those of relay_walsender.
CREATE FUNCTION note_published(p_slot text, p_holder integer, p_ids bigint[], p_versions bigint[], p_deletions bytea[]) RETURNS void
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
-- the published one and is told as it is; `raised` counts them. One that is not there and is published as existing is told to be deleted;
-- `ended` counts those. A deletion that is remembered is told by the slot or by `rebuild`, if it is not older than what is published.
-- `is_left`: there are more. After a crash what was noted is noted and healed again: rows that were raised are passed over, and a
-- deletion that comes twice is the same.
--
-- Locks, in this order: the owners in users by id, as whoever changes a schedule (FOR NO KEY UPDATE), then the schedules.
-- Errors: those of relay_walsender.
CREATE FUNCTION heal_published(p_slot text, p_holder integer, p_max integer, OUT raised bigint, OUT ended bigint, OUT is_left boolean)
LANGUAGE plpgsql
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
          FROM settled_commands c
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

INSERT INTO role_grants (role_name, privileges, object) VALUES
    ('schedule_relay', 'EXECUTE', 'FUNCTION note_published'),
    ('schedule_relay', 'EXECUTE', 'FUNCTION heal_published');
