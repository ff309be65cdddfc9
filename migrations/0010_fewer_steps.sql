-- What a batch costs. A batch of one create took PostgreSQL half again as long.
--
-- The records of a batch go into one WAL message, one behind the other (service/codec/record.h): a message of its own costs the server,
-- its WAL sender and the relay more than the record in it. Plans that were made at each call are kept, and steps that have
-- nothing to do are left out.

-- Which of these owners may have no schedule of the organization beside them, or without one none of their own: their ordinals. A
-- null owner is passed over.
CREATE OR REPLACE FUNCTION unknown_owners(p_org_ids bigint[], p_owner_ids bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN QUERY
    SELECT o.ordinal
      FROM unnest(p_org_ids, p_owner_ids) WITH ORDINALITY AS o (org_id, owner_id, ordinal)
     WHERE o.owner_id IS NOT NULL
       AND CASE WHEN o.org_id IS NULL THEN NOT EXISTS (SELECT FROM users u WHERE u.id = o.owner_id)
                ELSE NOT EXISTS (SELECT FROM memberships m WHERE m.org_id = o.org_id AND m.user_id = o.owner_id) END;
END;
$$;

-- Creates and records, in one go. Returns the repeats, and the refused ones: the caller then undoes everything.
CREATE OR REPLACE FUNCTION create_schedules(
    p_before bigint, p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[], p_owner_ids bigint[],
    p_names text[], p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[],
    p_traceparents text[], p_records bytea[], p_at timestamptz)
RETURNS SETOF write_outcome
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_schedules bigint := cardinality(p_ids) - cardinality(array_positions(p_ids, NULL));
    v_unknown   bigint[]; -- the ordinals of those whose owner may have none
    v_inserted  bigint[];
    v_all_new   boolean;
    v_repeated  bigint;
    v_defaults  bigint[]; -- in parallel to the writes; null: becomes no default
    v_at        integer[]; -- in parallel: the writes before whose events these states go
    v_states    text[];
BEGIN
    -- The others go on: what comes after them in the batch is judged by them.
    v_unknown := ARRAY(SELECT unknown_owners(p_org_ids, p_owner_ids));
    v_schedules := v_schedules - cardinality(v_unknown);
    IF cardinality(v_unknown) > 0 THEN
        RETURN QUERY SELECT p_before + ordinal, 'member', NULL::bigint, NULL FROM unnest(v_unknown) AS ordinal;
    END IF;

    WITH inserted AS (
        INSERT INTO schedules (id, command_id, command_digest, org_id, owner_id, name, time_zone, availability, overrides,
                               created_at, updated_at)
        SELECT u.id, u.command_id, u.digest, u.org_id, u.owner_id, u.name, u.time_zone, u.availability, u.overrides, p_at, p_at
          FROM unnest(p_ids, p_command_ids, p_digests, p_org_ids, p_owner_ids, p_names, p_time_zones, p_availability,
                      p_overrides)
               WITH ORDINALITY
               AS u (id, command_id, digest, org_id, owner_id, name, time_zone, availability, overrides, ordinal)
         WHERE u.id IS NOT NULL AND u.ordinal <> ALL (v_unknown)
           AND NOT EXISTS (SELECT FROM settled_commands s WHERE s.id = u.command_id)
         ORDER BY u.ordinal -- the first with an id is the original
            ON CONFLICT (command_id) DO NOTHING
        RETURNING id)
    SELECT coalesce(array_agg(id), '{}') INTO v_inserted FROM inserted;
    v_all_new := cardinality(v_inserted) = v_schedules;

    IF true = ANY (p_defaults) THEN
        v_defaults := ARRAY(SELECT CASE WHEN u.is_default AND u.id = ANY (v_inserted) THEN u.id END
                              FROM unnest(p_ids, p_defaults) AS u (id, is_default));
        SELECT array_agg(f.ordinal), array_agg(f.state) INTO v_at, v_states
          FROM take_defaults(p_owner_ids, v_defaults, p_command_ids, p_traceparents, p_at) AS f;
    END IF;

    -- In the order of the writes. Where no states come between, the records go together.
    IF v_at IS NULL THEN
        PERFORM pg_logical_emit_message(true, 'schedule-service', string_agg(u.record, ''))
           FROM unnest(p_ids, p_records) AS u (id, record)
          WHERE v_all_new OR u.id IS NULL OR u.id = ANY (v_inserted);
    ELSE
        PERFORM pg_logical_emit_message(true, m.prefix, m.content)
           FROM (SELECT u.ordinal, 1 AS turn, 'schedule-service' AS prefix, u.record AS content
                   FROM unnest(p_ids, p_records) WITH ORDINALITY AS u (id, record, ordinal)
                  WHERE v_all_new OR u.id IS NULL OR u.id = ANY (v_inserted)
                  UNION ALL
                 SELECT f.ordinal, 0, 'schedule-service.state', convert_to(f.state, 'UTF8')
                   FROM unnest(v_at, v_states) AS f (ordinal, state)
                  ORDER BY ordinal, turn) AS m;
    END IF;
    IF v_all_new THEN
        RETURN;
    END IF;

    -- Some were settled before. A new statement also sees what was committed meanwhile.
    RETURN QUERY
    SELECT p_before + u.ordinal, CASE WHEN o.digest = u.digest THEN 'repeat' ELSE 'conflict' END, o.id, NULL
      FROM unnest(p_ids, p_command_ids, p_digests) WITH ORDINALITY AS u (id, command_id, digest, ordinal),
           LATERAL (SELECT s.id, s.command_digest FROM schedules s WHERE s.command_id = u.command_id
                    UNION ALL
                    SELECT s.schedule_id, s.digest FROM settled_commands s WHERE s.id = u.command_id) AS o (id, digest)
     WHERE o.id <> u.id AND u.ordinal <> ALL (v_unknown);
    GET DIAGNOSTICS v_repeated = ROW_COUNT;
    IF cardinality(v_inserted) + v_repeated <> v_schedules THEN
        RAISE EXCEPTION 'an original vanished meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END;
$$;

-- One batch of writes: everything happens, or nothing and the error says what is in the way.
--
-- The arrays of the offsets run in parallel, and so do those of the writes; what a kind of write does not use is null. p_keys are
-- ids made from Idempotency-Keys, kept for p_keep. Returns the repeats, and what was changed when no offsets are moved
-- (requests wait for the answer, commands do not).
--
-- Errors of its own: SS001 (see move_offsets); SS002, writes are refused, detail "<ordinal>:<verdict>,...". Ordinals count from 1.
CREATE OR REPLACE FUNCTION write_batch(
    p_topics text[], p_partitions integer[], p_expected bigint[], p_next bigint[],
    p_kinds integer[], p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[], p_owner_ids bigint[],
    p_names text[], p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[], p_versions bigint[],
    p_keys uuid[], p_entries json[], p_traceparents text[], p_records bytea[], p_at timestamptz, p_keep interval)
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

    -- What concerns an owner's default, or changes an owner's schedule, happens one after the other.
    IF true = ANY (p_defaults) OR p_kinds && '{2,3}' THEN
        PERFORM FROM users
          WHERE id IN (SELECT u.owner_id FROM unnest(p_kinds, p_owner_ids, p_defaults) AS u (kind, owner_id, is_default)
                        WHERE u.is_default OR u.kind IN (2, 3))
          ORDER BY id FOR NO KEY UPDATE;
    END IF;

    FOREACH v_at IN ARRAY ARRAY(SELECT u.ordinal FROM unnest(p_kinds) WITH ORDINALITY AS u (kind, ordinal)
                                 WHERE u.kind > 1 ORDER BY u.ordinal) || cardinality(p_kinds) + 1::bigint
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
        WHEN 5 THEN
            PERFORM apply_directory(p_entries[v_at], p_at);
        ELSE
            NULL; -- behind the last
        END CASE;
    END LOOP;

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
