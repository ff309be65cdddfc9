-- What it takes to tell one schedule's last event again, which Kafka refused.

-- Emits the last event of a schedule: the one that its row tells, or its deletion while that is remembered. Whether there was one.
CREATE FUNCTION emit_last_event(p_id bigint) RETURNS boolean
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
       FROM settled_commands
      WHERE schedule_id = p_id AND state::json ->> 'type' = 'ScheduleDeleted';
    RETURN FOUND;
END;
$$;
