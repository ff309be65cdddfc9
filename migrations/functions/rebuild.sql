-- The events again that were lost with the replication slot: each schedule's last one, made of its row, and the deletions of the time
-- that processed_commands remembers.

-- Emits the last events of the first p_max schedules behind (p_owner_id, p_id), in the order of owners and ids, and returns the
-- place of the last one and how many they were. A row keeps the command of version 1 alone: the nil UUID stands for later ones.
CREATE OR REPLACE FUNCTION emit_schedules(p_owner_id bigint, p_id bigint, p_max integer,
                               OUT owner_id bigint, OUT id bigint, OUT emitted bigint)
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    v_nil       CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    v_owner_ids bigint[];
    v_ids       bigint[];
BEGIN
    SELECT coalesce(array_agg(s.owner_id), '{}'), coalesce(array_agg(s.id), '{}') INTO v_owner_ids, v_ids
      FROM (SELECT owner_id, id FROM schedules
             WHERE (owner_id, id) > (p_owner_id, p_id)
             ORDER BY owner_id, id LIMIT p_max) AS s;
    emitted := cardinality(v_ids);
    owner_id := v_owner_ids[emitted];
    id := v_ids[emitted];

    -- Who changes a schedule holds its owner's row: what is read now is followed by no older version, and by no change unseen.
    PERFORM FROM users WHERE id = ANY (v_owner_ids) ORDER BY id FOR NO KEY UPDATE;
    PERFORM emit_schedule(CASE WHEN s.version = 1 THEN 'ScheduleCreated' ELSE 'ScheduleUpdated' END, s,
                          d.schedule_id IS NOT NULL, CASE WHEN s.version = 1 THEN s.command_id ELSE v_nil END, s.updated_at, NULL)
       FROM schedules s LEFT JOIN default_schedules d ON d.schedule_id = s.id
      WHERE s.id = ANY (v_ids)
      ORDER BY s.owner_id, s.id;
END;
$$;

-- The same of schedules that were deleted and are still remembered, in the order of their creates' ids, of which null is before the
-- first.
CREATE OR REPLACE FUNCTION emit_deletions(p_id uuid, p_max integer, OUT id uuid, OUT emitted bigint)
LANGUAGE plpgsql
-- Along the primary key, from p_id on.
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    v_ids    uuid[];
    v_states text[];
BEGIN
    SELECT coalesce(array_agg(s.id), '{}'), coalesce(array_agg(s.state), '{}') INTO v_ids, v_states
      FROM (SELECT id, state FROM processed_commands
             WHERE (p_id IS NULL OR id > p_id) AND state::json ->> 'type' = 'ScheduleDeleted'
             ORDER BY id LIMIT p_max) AS s;
    emitted := cardinality(v_ids);
    id := v_ids[emitted];
    PERFORM pg_logical_emit_message(true, 'schedule-service.state', convert_to(s, 'UTF8')) FROM unnest(v_states) AS s;
END;
$$;

-- Emits the last event of a schedule: that of its row, or its deletion while that is remembered. Whether there was one.
CREATE OR REPLACE FUNCTION emit_last_event(p_id bigint) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_owner_id bigint := (SELECT owner_id FROM schedules WHERE id = p_id);
BEGIN
    -- As in emit_schedules: what is read now is followed by no older version. It takes what is behind a place.
    PERFORM FROM users WHERE id = v_owner_id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM schedules WHERE id = p_id) THEN
        PERFORM emit_schedules(v_owner_id, p_id - 1, 1);
        RETURN true;
    END IF;
    PERFORM pg_logical_emit_message(true, 'schedule-service.state', convert_to(state, 'UTF8'))
       FROM processed_commands
      WHERE schedule_id = p_id AND state::json ->> 'type' = 'ScheduleDeleted';
    RETURN FOUND;
END;
$$;
