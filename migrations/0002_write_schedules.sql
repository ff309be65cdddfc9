-- One batch of writes as one call: everything happens, or nothing and the error says what is in the way.
--
-- The arrays of the offsets run in parallel, and so do those of the writes. A write without an id stores no schedule and only
-- emits its record (a rejection or a dead letter). Returns the writes that were stored before (same command id and content)
-- with the id they got then.
--
-- Errors of its own: SS001, a partition's offset is not the expected one (detail "<ordinal>:<its offset>,...");
-- SS002, writes that are refused (detail "<ordinal>:member,<ordinal>:conflict,..."). Ordinals count from 1.
CREATE FUNCTION write_schedules(
    p_topics text[], p_partitions integer[], p_expected bigint[], p_next bigint[],
    p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[], p_owner_ids bigint[], p_names text[],
    p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[], p_created_at timestamptz,
    p_records bytea[])
RETURNS TABLE (ordinal bigint, original_id bigint)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_count   bigint;
    v_detail  text;
BEGIN
    IF cardinality(p_topics) > 0 THEN
        WITH moved AS (
            UPDATE command_offsets o SET next_offset = u.next_offset
              FROM unnest(p_topics, p_partitions, p_expected, p_next) AS u (topic, partition, expected, next_offset)
             WHERE o.topic = u.topic AND o.partition = u.partition AND o.next_offset = u.expected
            RETURNING 1)
        SELECT count(*) INTO v_count FROM moved;
        IF v_count < cardinality(p_topics) THEN
            SELECT string_agg(u.ordinal || ':' || coalesce(o.next_offset, 0), ',') INTO v_detail
              FROM unnest(p_topics, p_partitions) WITH ORDINALITY AS u (topic, partition, ordinal)
              LEFT JOIN command_offsets o USING (topic, partition);
            RAISE EXCEPTION 'an offset has moved' USING ERRCODE = 'SS001', DETAIL = v_detail;
        END IF;
    END IF;

    SELECT string_agg(u.ordinal || ':member', ',') INTO v_detail
      FROM unnest(p_ids, p_org_ids, p_owner_ids) WITH ORDINALITY AS u (id, org_id, owner_id, ordinal)
     WHERE u.id IS NOT NULL
       AND CASE WHEN u.org_id IS NULL
                THEN NOT EXISTS (SELECT FROM users WHERE users.id = u.owner_id)
                ELSE NOT EXISTS (SELECT FROM memberships m WHERE m.org_id = u.org_id AND m.user_id = u.owner_id)
           END;
    IF v_detail IS NOT NULL THEN
        RAISE EXCEPTION 'writes are refused' USING ERRCODE = 'SS002', DETAIL = v_detail;
    END IF;

    WITH input AS MATERIALIZED (
        SELECT * FROM unnest(p_ids, p_command_ids, p_digests, p_org_ids, p_owner_ids, p_names, p_time_zones, p_availability,
                             p_overrides, p_defaults, p_records)
            WITH ORDINALITY AS u (id, command_id, digest, org_id, owner_id, name, time_zone, availability, overrides,
                                  is_default, record, ordinal)),
    inserted AS (
        INSERT INTO schedules (id, command_id, command_digest, org_id, owner_id, name, time_zone, availability, overrides,
                               created_at, updated_at)
        SELECT id, command_id, digest, org_id, owner_id, name, time_zone, availability, overrides, p_created_at, p_created_at
          FROM input WHERE id IS NOT NULL ORDER BY ordinal
        ON CONFLICT (command_id) DO NOTHING
        RETURNING id),
    defaults AS (
        INSERT INTO default_schedules AS d (owner_id, schedule_id)
        SELECT DISTINCT ON (owner_id) owner_id, id
          FROM input JOIN inserted USING (id) WHERE is_default ORDER BY owner_id, ordinal DESC
        ON CONFLICT (owner_id) DO UPDATE SET schedule_id = excluded.schedule_id)
    SELECT count(pg_logical_emit_message(true, 'schedule-service', record)) INTO v_count
      FROM (SELECT record FROM input LEFT JOIN inserted ON inserted.id = input.id
             WHERE input.id IS NULL OR inserted.id IS NOT NULL ORDER BY ordinal) AS emitted;
    IF v_count = cardinality(p_records) THEN
        RETURN;
    END IF;

    -- Some command ids were there already. A new statement sees also what was committed meanwhile.
    SELECT string_agg(u.ordinal || ':conflict', ',') INTO v_detail
      FROM unnest(p_ids, p_command_ids, p_digests) WITH ORDINALITY AS u (id, command_id, digest, ordinal)
      JOIN schedules s USING (command_id)
     WHERE s.id <> u.id AND s.command_digest <> u.digest;
    IF v_detail IS NOT NULL THEN
        RAISE EXCEPTION 'writes are refused' USING ERRCODE = 'SS002', DETAIL = v_detail;
    END IF;
    RETURN QUERY
    SELECT u.ordinal, s.id
      FROM unnest(p_ids, p_command_ids) WITH ORDINALITY AS u (id, command_id, ordinal)
      JOIN schedules s USING (command_id)
     WHERE s.id <> u.id;
    GET DIAGNOSTICS v_detail = ROW_COUNT;
    IF v_count + v_detail::bigint <> cardinality(p_records) THEN
        RAISE EXCEPTION 'an original vanished meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END;
$$;
