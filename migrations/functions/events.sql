-- What the relay reads: the messages that transactions emit.

-- A schedule as it is now and what happened to it, as the relay reads it (service/codec/schedule_state.h).
CREATE OR REPLACE FUNCTION schedule_state(p_type text, p_schedule schedules, p_is_default boolean, p_command_id uuid, p_at timestamptz,
                               p_traceparent text) RETURNS text
LANGUAGE sql STABLE
AS $$
    SELECT json_build_object(
        'type', p_type,
        'schedule', json_build_object(
            'id', p_schedule.id, 'ownerId', p_schedule.owner_id, 'orgId', p_schedule.org_id, 'name', p_schedule.name,
            'timeZone', p_schedule.time_zone, 'availability', p_schedule.availability, 'isDefault', p_is_default,
            'overrides', p_schedule.overrides, 'version', p_schedule.version),
        'commandId', p_command_id,
        'occurredUs', (extract(epoch FROM p_at) * 1000000)::bigint,
        'traceparent', p_traceparent)::text
$$;

-- Emits the event of a type (ScheduleCreated, ScheduleUpdated, ScheduleDeleted) with the state, which it returns.
CREATE OR REPLACE FUNCTION emit_schedule(p_type text, p_schedule schedules, p_is_default boolean, p_command_id uuid, p_at timestamptz,
                              p_traceparent text) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_state text := schedule_state(p_type, p_schedule, p_is_default, p_command_id, p_at, p_traceparent);
BEGIN
    PERFORM pg_logical_emit_message(true, 'schedule-service.state', convert_to(v_state, 'UTF8'));
    RETURN v_state;
END;
$$;
