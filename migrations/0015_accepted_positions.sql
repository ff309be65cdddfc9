-- Which servers may be written to. A server that was restored, set back or promoted may hold other commits than those whose events are
-- published, and hand out ids again that are known to the world: nothing is written there until a relay has looked and accepted it.

-- What a relay has said of a slot on this server. It travels with backups and to standbys, so it counts only while the walsender that
-- held the slot then holds it: that one keeps an advisory lock of its own, the number of which is here. Of other users' processes
-- pg_stat_activity tells neither the start nor the name, while pg_locks tells everybody who holds what.
CREATE TABLE relay_positions (
    slot         text PRIMARY KEY,
    holder       integer,       -- (relay_lock_class(), holder) is the lock; null: none was accepted
    holder_pid   integer,
    accepted_at  timestamptz,
    refusal      text           -- why the slot is none of ours, until `rebuild` makes it anew
);

-- Any fixed number that no other application locks with on the same database.
CREATE FUNCTION relay_lock_class() RETURNS integer
LANGUAGE sql IMMUTABLE
AS $$ SELECT 721583012 $$;

-- The locks of this kind that the process holds.
CREATE FUNCTION relay_holders(p_pid integer) RETURNS SETOF integer
LANGUAGE sql STABLE
AS $$
    SELECT objid::bigint::integer FROM pg_locks
     WHERE pid = p_pid AND locktype = 'advisory' AND objsubid = 2 AND granted AND classid = relay_lock_class()::oid
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
$$;

-- 'accepted', 'refused', or 'waits'. A process without such a lock is a relay of a build that knew none: it vouches for nothing, and
-- while it works the doors of newer builds must open as its own do, or no build could follow another one without a gap.
CREATE FUNCTION position_state(p_slot text) RETURNS text
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
        RETURN 'waits';
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
CREATE FUNCTION move_schedule_ids(p_id bigint) RETURNS bigint
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
CREATE FUNCTION accept_position(p_slot text, p_holder integer, p_highest_id bigint) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_pid     integer;
    v_highest bigint;
BEGIN
    SELECT s.active_pid INTO v_pid FROM pg_replication_slots s
     WHERE s.slot_name = p_slot AND p_holder IN (SELECT relay_holders(s.active_pid));
    IF v_pid IS NULL THEN
        RAISE EXCEPTION 'another process holds the replication slot "%"', p_slot USING ERRCODE = 'object_in_use';
    END IF;
    v_highest := move_schedule_ids(p_highest_id);
    INSERT INTO relay_positions (slot, holder, holder_pid, accepted_at) VALUES (p_slot, p_holder, v_pid, now())
    ON CONFLICT (slot) DO UPDATE SET holder = excluded.holder, holder_pid = excluded.holder_pid,
        accepted_at = excluded.accepted_at, refusal = NULL;
    RETURN v_highest;
END;
$$;

-- A relay has found that the slot is not the one whose events were published.
CREATE FUNCTION refuse_position(p_slot text, p_reason text) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO relay_positions (slot, refusal) VALUES (p_slot, p_reason)
    ON CONFLICT (slot) DO UPDATE SET holder = NULL, holder_pid = NULL, accepted_at = NULL, refusal = excluded.refusal
$$;

INSERT INTO role_grants (role_name, privileges, object) VALUES
    ('schedule_service', 'EXECUTE', 'FUNCTION position_state'),
    ('schedule_relay', 'EXECUTE', 'FUNCTION accept_position'),
    ('schedule_relay', 'EXECUTE', 'FUNCTION refuse_position'),
    ('schedule_relay', 'SELECT', 'TABLE relay_positions');
