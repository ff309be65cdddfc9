-- What is remembered of commands that have no row in schedules.

-- Remembers commands, for as long as p_keep; a null id is passed over. 40001: one was completed meanwhile; who tries again sees it.
DROP FUNCTION IF EXISTS remember_command(uuid, bytea, bigint, text, interval);
CREATE OR REPLACE FUNCTION remember_commands(p_ids uuid[], p_digests bytea[], p_schedule_ids bigint[], p_states text[], p_keep interval)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_count bigint;
BEGIN
    INSERT INTO processed_commands (id, digest, schedule_id, state, expires_at)
    SELECT u.id, u.digest, u.schedule_id, u.state, now() + p_keep
      FROM unnest(p_ids, p_digests, p_schedule_ids, p_states) AS u (id, digest, schedule_id, state)
     WHERE u.id IS NOT NULL
        ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> cardinality(p_ids) - cardinality(array_positions(p_ids, NULL)) THEN
        RAISE EXCEPTION 'a command was completed meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END;
$$;

-- How long a repeated update or delete, or the create of a deleted schedule, is known as such.
CREATE OR REPLACE FUNCTION command_memory() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '7 days' $$;

-- Deletes up to p_max completed commands whose time is over, the oldest first, from p_after on (null: from the first), and returns how many
-- they were and where the next call goes on, which so passes over no row that is deleted and not vacuumed. Waits for no lock.
CREATE OR REPLACE FUNCTION sweep_processed_commands(p_after timestamptz, p_max bigint, OUT swept bigint, OUT up_to timestamptz)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    WITH gone AS (
        DELETE FROM processed_commands
         WHERE id = ANY (ARRAY(SELECT s.id FROM processed_commands s
                                WHERE s.expires_at >= coalesce(p_after, '-infinity') AND s.expires_at <= now()
                                ORDER BY s.expires_at LIMIT p_max FOR UPDATE SKIP LOCKED))
        RETURNING expires_at)
    SELECT count(*), coalesce(max(g.expires_at), p_after) INTO swept, up_to FROM gone g;
END;
$$;
