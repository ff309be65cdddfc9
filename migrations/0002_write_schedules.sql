-- One batch of writes as one call: everything happens, or nothing and the error says what is in the way.
--
-- The arrays of the offsets run in parallel, and so do those of the writes. A write without an id stores no schedule and only
-- emits its record (a rejection or a dead letter). Returns the writes that were stored before (same command id and content)
-- with the id they got then.
--
-- Errors of its own: SS001, partitions' offsets are not the expected ones (detail "<ordinal>:<its offset>,..." of those);
-- SS002, writes that are refused (detail "<ordinal>:member,<ordinal>:conflict,..."). Ordinals count from 1.
CREATE FUNCTION write_schedules(
    p_topics text[], p_partitions integer[], p_expected bigint[], p_next bigint[],
    p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[], p_owner_ids bigint[], p_names text[],
    p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[], p_created_at timestamptz,
    p_records bytea[])
RETURNS TABLE (ordinal bigint, original_id bigint)
LANGUAGE plpgsql
-- Plans are made once, when tables may be empty: they must be right for large ones too.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_stale     bigint[];
    v_detail    text;
    v_inserted  bigint[];
    v_repeated  bigint;
    v_all_new   boolean;
    v_schedules bigint := cardinality(p_ids) - cardinality(array_positions(p_ids, NULL));
BEGIN
    IF cardinality(p_topics) > 0 THEN
        WITH moved AS (
            UPDATE command_offsets o SET next_offset = u.next_offset
              FROM unnest(p_topics, p_partitions, p_expected, p_next) AS u (topic, partition, expected, next_offset)
             WHERE o.topic = u.topic AND o.partition = u.partition AND o.next_offset = u.expected
            RETURNING o.topic, o.partition)
        SELECT array_agg(u.ordinal) INTO v_stale
          FROM unnest(p_topics, p_partitions) WITH ORDINALITY AS u (topic, partition, ordinal)
         WHERE NOT EXISTS (SELECT FROM moved m WHERE m.topic = u.topic AND m.partition = u.partition);
        IF v_stale IS NOT NULL THEN
            -- Not those that moved: this statement would see them where this transaction, which fails, has moved them.
            SELECT string_agg(u.ordinal || ':' || coalesce(o.next_offset, 0), ',' ORDER BY u.ordinal) INTO v_detail
              FROM unnest(p_topics, p_partitions) WITH ORDINALITY AS u (topic, partition, ordinal)
              LEFT JOIN command_offsets o USING (topic, partition)
             WHERE u.ordinal = ANY (v_stale);
            RAISE EXCEPTION 'an offset has moved' USING ERRCODE = 'SS001', DETAIL = v_detail;
        END IF;
    END IF;

    SELECT string_agg(u.ordinal || ':member', ',' ORDER BY u.ordinal) INTO v_detail
      FROM unnest(p_ids, p_org_ids, p_owner_ids) WITH ORDINALITY AS u (id, org_id, owner_id, ordinal)
     WHERE u.id IS NOT NULL
       AND CASE WHEN u.org_id IS NULL
                THEN NOT EXISTS (SELECT FROM users WHERE users.id = u.owner_id)
                ELSE NOT EXISTS (SELECT FROM memberships m WHERE m.org_id = u.org_id AND m.user_id = u.owner_id)
           END;
    IF v_detail IS NOT NULL THEN
        RAISE EXCEPTION 'writes are refused' USING ERRCODE = 'SS002', DETAIL = v_detail;
    END IF;

    WITH inserted AS (
        INSERT INTO schedules (id, command_id, command_digest, org_id, owner_id, name, time_zone, availability, overrides,
                               created_at, updated_at)
        SELECT u.id, u.command_id, u.digest, u.org_id, u.owner_id, u.name, u.time_zone, u.availability, u.overrides,
               p_created_at, p_created_at
          FROM unnest(p_ids, p_command_ids, p_digests, p_org_ids, p_owner_ids, p_names, p_time_zones, p_availability,
                      p_overrides) AS u (id, command_id, digest, org_id, owner_id, name, time_zone, availability, overrides)
         WHERE u.id IS NOT NULL
            ON CONFLICT (command_id) DO NOTHING
        RETURNING id)
    SELECT coalesce(array_agg(id), '{}') INTO v_inserted FROM inserted;
    v_all_new := cardinality(v_inserted) = v_schedules;

    -- The last of several defaults of one owner counts.
    IF true = ANY (p_defaults) THEN
        INSERT INTO default_schedules AS d (owner_id, schedule_id)
        SELECT DISTINCT ON (u.owner_id) u.owner_id, u.id
          FROM unnest(p_owner_ids, p_ids, p_defaults) WITH ORDINALITY AS u (owner_id, id, is_default, ordinal)
         WHERE u.is_default AND (v_all_new OR u.id = ANY (v_inserted))
         ORDER BY u.owner_id, u.ordinal DESC
            ON CONFLICT (owner_id) DO UPDATE SET schedule_id = excluded.schedule_id;
    END IF;

    -- unnest() gives the records in the order of the writes.
    PERFORM pg_logical_emit_message(true, 'schedule-service', u.record)
       FROM unnest(p_ids, p_records) AS u (id, record)
      WHERE v_all_new OR u.id IS NULL OR u.id = ANY (v_inserted);
    IF v_all_new THEN
        RETURN;
    END IF;

    -- Some command ids were there already. A new statement also sees what was committed meanwhile.
    SELECT string_agg(u.ordinal || ':conflict', ',' ORDER BY u.ordinal) INTO v_detail
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
    GET DIAGNOSTICS v_repeated = ROW_COUNT;
    IF cardinality(v_inserted) + v_repeated <> v_schedules THEN
        RAISE EXCEPTION 'an original vanished meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END;
$$;
