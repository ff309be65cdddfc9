-- A user has at most so many schedules as the configuration says. Who has more, from a time without the limit or with another one, keeps
-- them.
--
-- They are counted behind the creates of a batch, under their owner's lock, and only until there are more: no counter has to be kept true by
-- all that creates and deletes. A default schedule that comes with a user is that user's first, and is not counted.

-- The last creates of a batch, as many as their owner has schedules beyond p_max. What the batch made and deleted again does not count.
CREATE FUNCTION beyond_limit(p_kinds integer[], p_ids bigint[], p_owner_ids bigint[], p_max bigint) RETURNS SETOF write_outcome
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT m.ordinal, 'limit', NULL::bigint, NULL
      FROM (SELECT DISTINCT u.owner_id FROM unnest(p_kinds, p_owner_ids) AS u (kind, owner_id) WHERE u.kind IN (1, 4)) AS o,
           LATERAL (SELECT count(*) AS schedules FROM (SELECT FROM schedules s WHERE s.owner_id = o.owner_id
                                                       OFFSET p_max LIMIT cardinality(p_ids)) AS s) AS beyond,
           LATERAL (SELECT u.ordinal FROM unnest(p_kinds, p_ids, p_owner_ids) WITH ORDINALITY AS u (kind, id, owner_id, ordinal)
                     WHERE u.kind IN (1, 4) AND u.owner_id = o.owner_id AND EXISTS (SELECT FROM schedules s WHERE s.id = u.id)
                     ORDER BY u.ordinal DESC LIMIT beyond.schedules) AS m;
END;
$$;

DROP FUNCTION write_batch(text[], integer[], bigint[], bigint[], integer[], bigint[], uuid[], bytea[], bigint[], bigint[], text[], text[],
                          json[], json[], boolean[], bigint[], uuid[], json[], text[], bytea[], timestamptz, interval);

-- One batch of writes: everything happens, or nothing and the error says what is in the way.
--
-- The arrays of the offsets run in parallel, and so do those of the writes; what a kind of write does not use is null. p_keys are
-- ids made from Idempotency-Keys, kept for p_keep. No create brings a user beyond p_schedules_max schedules; 0: no limit. Returns the
-- repeats, and what was changed when no offsets are moved (requests wait for the answer, commands do not).
--
-- Entries come before all else of the batch: nothing in it has an order to them.
--
-- Locks, in this order: the offsets' rows; what entries name (see lock_entries); by id the users whose default is replaced, or whose
-- schedules are changed or counted, FOR NO KEY UPDATE; what creates depend on (see unknown_owners); schedules.
--
-- Errors of its own: SS001 (see move_offsets); SS002, writes are refused, detail "<ordinal>:<verdict>,...", where ordinals count from
-- 1; SS003, an entry names what is being removed: it goes on, alone, when that has ended.
CREATE FUNCTION write_batch(
    p_topics text[], p_partitions integer[], p_expected bigint[], p_next bigint[],
    p_kinds integer[], p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[], p_owner_ids bigint[],
    p_names text[], p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[], p_versions bigint[],
    p_keys uuid[], p_entries json[], p_traceparents text[], p_records bytea[], p_at timestamptz, p_keep interval,
    p_schedules_max bigint DEFAULT 0)
RETURNS SETOF write_outcome
LANGUAGE plpgsql
-- Plans are made once, when tables may be empty: they must be right for large ones too.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_outcomes write_outcome[] := '{}';
    v_done     bigint := 0; -- writes that were dealt with
    v_at       bigint;      -- the next one that goes alone
    v_detail   text;
BEGIN
    IF cardinality(p_topics) > 0 THEN
        PERFORM move_offsets(p_topics, p_partitions, p_expected, p_next);
    END IF;

    IF 5 = ANY (p_kinds) THEN
        PERFORM apply_entries(ARRAY(SELECT e FROM unnest(p_entries) AS e WHERE e IS NOT NULL), p_at);
    END IF;

    -- What concerns an owner's default, or changes or counts an owner's schedules, happens one after the other.
    IF true = ANY (p_defaults) OR p_kinds && '{2,3}' OR p_schedules_max > 0 AND p_kinds && '{1,4}' THEN
        PERFORM FROM users
          WHERE id IN (SELECT u.owner_id FROM unnest(p_kinds, p_owner_ids, p_defaults) AS u (kind, owner_id, is_default)
                        WHERE u.is_default OR u.kind IN (2, 3) OR p_schedules_max > 0)
          ORDER BY id FOR NO KEY UPDATE;
    END IF;

    FOREACH v_at IN ARRAY ARRAY(SELECT u.ordinal FROM unnest(p_kinds) WITH ORDINALITY AS u (kind, ordinal)
                                 WHERE u.kind IN (2, 3, 4) ORDER BY u.ordinal) || cardinality(p_kinds) + 1::bigint
    LOOP
        IF v_at > v_done + 1 THEN
            v_outcomes := v_outcomes || ARRAY(
                SELECT o FROM create_schedules(
                    v_done, p_ids[v_done + 1 : v_at - 1], p_command_ids[v_done + 1 : v_at - 1],
                    p_digests[v_done + 1 : v_at - 1], p_org_ids[v_done + 1 : v_at - 1], p_owner_ids[v_done + 1 : v_at - 1],
                    p_names[v_done + 1 : v_at - 1], p_time_zones[v_done + 1 : v_at - 1],
                    p_availability[v_done + 1 : v_at - 1], p_overrides[v_done + 1 : v_at - 1],
                    p_defaults[v_done + 1 : v_at - 1], p_traceparents[v_done + 1 : v_at - 1],
                    p_records[v_done + 1 : v_at - 1], p_at) AS o);
        END IF;
        v_done := v_at;
        CASE p_kinds[v_at]
        WHEN 2, 3 THEN
            v_outcomes := v_outcomes || change_schedule(
                v_at, p_kinds[v_at] = 3, p_ids[v_at], p_command_ids[v_at], p_digests[v_at], p_org_ids[v_at],
                p_owner_ids[v_at], p_names[v_at], p_time_zones[v_at], p_availability[v_at], p_overrides[v_at],
                p_defaults[v_at], p_versions[v_at], p_traceparents[v_at], p_at);
        WHEN 4 THEN
            v_outcomes := v_outcomes || ARRAY(
                SELECT o FROM create_schedule_once(
                    v_at, p_keys[v_at], p_keep, p_ids[v_at], p_command_ids[v_at], p_digests[v_at], p_org_ids[v_at],
                    p_owner_ids[v_at], p_names[v_at], p_time_zones[v_at], p_availability[v_at], p_overrides[v_at],
                    p_defaults[v_at], p_traceparents[v_at], p_records[v_at], p_at) AS o);
        ELSE
            NULL; -- behind the last
        END CASE;
    END LOOP;

    IF p_schedules_max > 0 AND p_kinds && '{1,4}' THEN
        v_outcomes := v_outcomes || ARRAY(SELECT o FROM beyond_limit(p_kinds, p_ids, p_owner_ids, p_schedules_max) AS o);
    END IF;

    IF cardinality(v_outcomes) = 0 THEN
        RETURN;
    END IF;
    SELECT string_agg(o.ordinal || ':' || o.verdict, ',' ORDER BY o.ordinal) INTO v_detail
      FROM unnest(v_outcomes) AS o
     WHERE o.verdict NOT IN ('repeat', 'changed');
    IF v_detail IS NOT NULL THEN
        RAISE EXCEPTION 'writes are refused' USING ERRCODE = 'SS002', DETAIL = v_detail;
    END IF;
    RETURN QUERY SELECT * FROM unnest(v_outcomes) AS o WHERE o.verdict = 'repeat' OR cardinality(p_topics) = 0;
END;
$$;
