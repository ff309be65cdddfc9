-- What is remembered of commands that have no row in schedules.

-- Remembers a command, for as long as p_keep. 40001: it was completed meanwhile; who tries again sees it.
CREATE OR REPLACE FUNCTION remember_command(p_id uuid, p_digest bytea, p_schedule_id bigint, p_state text, p_keep interval) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO processed_commands (id, digest, schedule_id, state, expires_at)
    VALUES (p_id, p_digest, p_schedule_id, p_state, now() + p_keep)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the command was completed meanwhile' USING ERRCODE = 'serialization_failure';
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
