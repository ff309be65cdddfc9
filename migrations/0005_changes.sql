-- Updates and deletes beside creates, all through one function, write_batch. What follows from a write is decided here, in its
-- transaction: whose default is replaced, which version comes next, which events tell it.

-- Commands that have no row in schedules to tell that they were settled: updates, deletes, the creates of schedules that were
-- deleted, and Idempotency-Keys. Each is kept until it expires.
CREATE TABLE settled_commands (
    id           uuid PRIMARY KEY,      -- the command's id, or one made from the key
    digest       bytea NOT NULL CHECK (length(digest) = 16),
    schedule_id  bigint NOT NULL,
    state        text,                  -- of a key: what its first answer told, see schedule_state
    expires_at   timestamptz NOT NULL
);
CREATE INDEX settled_commands_expiry ON settled_commands (expires_at);

-- Each one that comes takes two with it whose time is over.
CREATE FUNCTION settle_command(p_id uuid, p_digest bytea, p_schedule_id bigint, p_state text, p_keep interval) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO settled_commands (id, digest, schedule_id, state, expires_at)
    VALUES (p_id, p_digest, p_schedule_id, p_state, now() + p_keep)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the command was settled meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    DELETE FROM settled_commands
     WHERE id IN (SELECT id FROM settled_commands WHERE expires_at <= now()
                   ORDER BY expires_at LIMIT 2 FOR UPDATE SKIP LOCKED);
END;
$$;

-- How long a repeated update or delete, or the create of a deleted schedule, is known as such.
CREATE FUNCTION command_memory() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '7 days' $$;

-- Which of these owners may have no schedule of the organization beside them, or without one none of their own: their ordinals. A
-- null owner is passed over.
CREATE FUNCTION unknown_owners(p_org_ids bigint[], p_owner_ids bigint[]) RETURNS SETOF bigint
LANGUAGE sql STABLE
AS $$
    SELECT o.ordinal
      FROM unnest(p_org_ids, p_owner_ids) WITH ORDINALITY AS o (org_id, owner_id, ordinal)
     WHERE o.owner_id IS NOT NULL
       AND CASE WHEN o.org_id IS NULL THEN NOT EXISTS (SELECT FROM users u WHERE u.id = o.owner_id)
                ELSE NOT EXISTS (SELECT FROM memberships m WHERE m.org_id = o.org_id AND m.user_id = o.owner_id) END
$$;

-- ---- events -------------------------------------------------------------------------------------------------------------

-- A schedule as it is now and what happened to it, as the relay reads it (service/codec/schedule_state.h).
CREATE FUNCTION schedule_state(p_type text, p_schedule schedules, p_is_default boolean, p_command_id uuid, p_at timestamptz,
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
CREATE FUNCTION emit_schedule(p_type text, p_schedule schedules, p_is_default boolean, p_command_id uuid, p_at timestamptz,
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

-- ---- what follows from a write; the caller holds the locks of the owners' rows in users --------------------------------------

-- Makes schedules their owners' defaults, in the order of the arrays, which run in parallel; a null schedule is passed over. That a
-- former one is none any more is a change of that one: returns the states to emit before the event of the write of that ordinal.
CREATE FUNCTION take_defaults(p_owner_ids bigint[], p_schedule_ids bigint[], p_command_ids uuid[], p_traceparents text[],
                              p_at timestamptz)
RETURNS TABLE (ordinal integer, state text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wanted AS (
        SELECT u.ordinal::integer AS ordinal, u.owner_id, u.id
          FROM unnest(p_owner_ids, p_schedule_ids) WITH ORDINALITY AS u (owner_id, id, ordinal)
         WHERE u.id IS NOT NULL),
    former AS (
        SELECT w.ordinal, w.id AS by_id,
               coalesce(lag(w.id) OVER (PARTITION BY w.owner_id ORDER BY w.ordinal), d.schedule_id) AS id
          FROM wanted w LEFT JOIN default_schedules d USING (owner_id)),
    changed AS (
        UPDATE schedules s SET version = s.version + 1, updated_at = p_at
          FROM former f
         WHERE s.id = f.id AND f.id <> f.by_id
        RETURNING f.ordinal, s AS schedule)
    SELECT c.ordinal, schedule_state('ScheduleUpdated', c.schedule, false, p_command_ids[c.ordinal], p_at,
                                     p_traceparents[c.ordinal])
      FROM changed c;
    INSERT INTO default_schedules (owner_id, schedule_id)
    SELECT DISTINCT ON (u.owner_id) u.owner_id, u.id
      FROM unnest(p_owner_ids, p_schedule_ids) WITH ORDINALITY AS u (owner_id, id, ordinal)
     WHERE u.id IS NOT NULL
     ORDER BY u.owner_id, u.ordinal DESC
        ON CONFLICT (owner_id) DO UPDATE SET schedule_id = excluded.schedule_id;
END;
$$;

-- Deletes the schedule with its event, whose version is one above the last, and returns that state.
CREATE FUNCTION delete_schedule(p_schedule schedules, p_command_id uuid, p_at timestamptz, p_traceparent text) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_is_default boolean := EXISTS (SELECT FROM default_schedules d WHERE d.schedule_id = p_schedule.id);
BEGIN
    DELETE FROM schedules WHERE id = p_schedule.id;
    PERFORM settle_command(p_schedule.command_id, p_schedule.command_digest, p_schedule.id, NULL, command_memory());
    p_schedule.version := p_schedule.version + 1;
    RETURN emit_schedule('ScheduleDeleted', p_schedule, v_is_default, p_command_id, p_at, p_traceparent);
END;
$$;

-- ---- a batch ------------------------------------------------------------------------------------------------------------

-- What became of one write of a batch. verdict: 'repeat' (settled before; schedule_id is the original's), 'changed', or why it is
-- refused: 'member', 'conflict', 'missing', 'owner', 'version', 'running'. state: see schedule_state.
CREATE TYPE write_outcome AS (ordinal bigint, verdict text, schedule_id bigint, state text);

-- The kinds of writes: 0 a record to emit, 1 create, 2 update, 3 delete, 4 create with an Idempotency-Key, 5 a directory entry.

-- Creates and records, in one go. Returns the repeats, and the refused ones: the caller then undoes everything.
CREATE FUNCTION create_schedules(
    p_before bigint, p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[], p_owner_ids bigint[],
    p_names text[], p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[],
    p_traceparents text[], p_records bytea[], p_at timestamptz)
RETURNS SETOF write_outcome
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_schedules bigint := cardinality(p_ids) - cardinality(array_positions(p_ids, NULL));
    v_inserted  bigint[];
    v_repeated  bigint;
    v_defaults  bigint[]; -- in parallel to the writes; null: becomes no default
    v_at        integer[]; -- in parallel: the writes before whose events these states go
    v_states    text[];
BEGIN
    RETURN QUERY
    SELECT p_before + ordinal, 'member', NULL::bigint, NULL FROM unknown_owners(p_org_ids, p_owner_ids) AS ordinal;
    IF FOUND THEN
        RETURN;
    END IF;

    WITH inserted AS (
        INSERT INTO schedules (id, command_id, command_digest, org_id, owner_id, name, time_zone, availability, overrides,
                               created_at, updated_at)
        SELECT u.id, u.command_id, u.digest, u.org_id, u.owner_id, u.name, u.time_zone, u.availability, u.overrides, p_at, p_at
          FROM unnest(p_ids, p_command_ids, p_digests, p_org_ids, p_owner_ids, p_names, p_time_zones, p_availability,
                      p_overrides) AS u (id, command_id, digest, org_id, owner_id, name, time_zone, availability, overrides)
         WHERE u.id IS NOT NULL AND NOT EXISTS (SELECT FROM settled_commands s WHERE s.id = u.command_id)
            ON CONFLICT (command_id) DO NOTHING
        RETURNING id)
    SELECT coalesce(array_agg(id), '{}') INTO v_inserted FROM inserted;

    IF true = ANY (p_defaults) THEN
        v_defaults := ARRAY(SELECT CASE WHEN u.is_default AND u.id = ANY (v_inserted) THEN u.id END
                              FROM unnest(p_ids, p_defaults) AS u (id, is_default));
        SELECT array_agg(f.ordinal), array_agg(f.state) INTO v_at, v_states
          FROM take_defaults(p_owner_ids, v_defaults, p_command_ids, p_traceparents, p_at) AS f;
    END IF;

    -- In the order of the writes.
    PERFORM pg_logical_emit_message(true, m.prefix, m.content)
       FROM (SELECT u.ordinal, 1 AS turn, 'schedule-service' AS prefix, u.record AS content
               FROM unnest(p_ids, p_records) WITH ORDINALITY AS u (id, record, ordinal)
              WHERE cardinality(v_inserted) = v_schedules OR u.id IS NULL OR u.id = ANY (v_inserted)
              UNION ALL
             SELECT f.ordinal, 0, 'schedule-service.state', convert_to(f.state, 'UTF8')
               FROM unnest(v_at, v_states) AS f (ordinal, state)
              ORDER BY ordinal, turn) AS m;
    IF cardinality(v_inserted) = v_schedules THEN
        RETURN;
    END IF;

    -- Some were settled before. A new statement also sees what was committed meanwhile.
    RETURN QUERY
    SELECT p_before + u.ordinal, CASE WHEN o.digest = u.digest THEN 'repeat' ELSE 'conflict' END, o.id, NULL
      FROM unnest(p_ids, p_command_ids, p_digests) WITH ORDINALITY AS u (id, command_id, digest, ordinal),
           LATERAL (SELECT s.id, s.command_digest FROM schedules s WHERE s.command_id = u.command_id
                    UNION ALL
                    SELECT s.schedule_id, s.digest FROM settled_commands s WHERE s.id = u.command_id) AS o (id, digest)
     WHERE o.id <> u.id;
    GET DIAGNOSTICS v_repeated = ROW_COUNT;
    IF cardinality(v_inserted) + v_repeated <> v_schedules THEN
        RAISE EXCEPTION 'an original vanished meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END;
$$;

-- A create whose sender may repeat it with the same Idempotency-Key, within p_keep. One that another transaction has under way is
-- not waited for.
CREATE FUNCTION create_schedule_once(
    p_ordinal bigint, p_key uuid, p_keep interval, p_id bigint, p_command_id uuid, p_digest bytea, p_org_id bigint,
    p_owner_id bigint, p_name text, p_time_zone text, p_availability json, p_overrides json, p_is_default boolean,
    p_traceparent text, p_record bytea, p_at timestamptz)
RETURNS SETOF write_outcome
LANGUAGE plpgsql
AS $$
DECLARE
    v_settled  settled_commands;
    v_schedule schedules;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended(p_key::text, 0)) THEN
        RETURN NEXT (p_ordinal, 'running', NULL, NULL)::write_outcome;
        RETURN;
    END IF;
    DELETE FROM settled_commands WHERE id = p_key AND expires_at <= now();
    SELECT * INTO v_settled FROM settled_commands WHERE id = p_key;
    IF FOUND THEN
        RETURN NEXT (p_ordinal, CASE WHEN v_settled.digest = p_digest THEN 'repeat' ELSE 'conflict' END,
                     v_settled.schedule_id, v_settled.state)::write_outcome;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT * FROM create_schedules(
        p_ordinal - 1, ARRAY[p_id], ARRAY[p_command_id], ARRAY[p_digest], ARRAY[p_org_id], ARRAY[p_owner_id], ARRAY[p_name],
        ARRAY[p_time_zone], ARRAY[p_availability], ARRAY[p_overrides], ARRAY[p_is_default], ARRAY[p_traceparent],
        ARRAY[p_record], p_at);
    IF NOT FOUND THEN
        SELECT * INTO v_schedule FROM schedules WHERE id = p_id;
        PERFORM settle_command(p_key, p_digest, p_id, schedule_state('ScheduleCreated', v_schedule, p_is_default, p_command_id,
                                                                     p_at, p_traceparent), p_keep);
    END IF;
END;
$$;

-- An update (what is null stays) or a delete.
CREATE FUNCTION change_schedule(
    p_ordinal bigint, p_is_delete boolean, p_id bigint, p_command_id uuid, p_digest bytea, p_org_id bigint, p_owner_id bigint,
    p_name text, p_time_zone text, p_availability json, p_overrides json, p_is_default boolean, p_version bigint,
    p_traceparent text, p_at timestamptz)
RETURNS write_outcome
LANGUAGE plpgsql
AS $$
DECLARE
    v_outcome    write_outcome := (p_ordinal, NULL, p_id, NULL);
    v_settled    bytea;
    v_schedule   schedules;
    v_is_default boolean := EXISTS (SELECT FROM default_schedules d WHERE d.schedule_id = p_id);
BEGIN
    SELECT * INTO v_schedule FROM schedules WHERE id = p_id FOR UPDATE;
    SELECT digest INTO v_settled FROM settled_commands WHERE id = p_command_id
    UNION ALL
    SELECT command_digest FROM schedules WHERE command_id = p_command_id;
    v_outcome.verdict := CASE
        WHEN v_settled = p_digest THEN 'repeat'
        WHEN v_settled IS NOT NULL THEN 'conflict'
        WHEN EXISTS (SELECT FROM unknown_owners(ARRAY[p_org_id], ARRAY[p_owner_id])) THEN 'member'
        ELSE CASE schedule_standing(p_org_id, p_owner_id, v_schedule.org_id, v_schedule.owner_id)
             WHEN 'own' THEN CASE WHEN p_version <> v_schedule.version THEN 'version' ELSE 'changed' END
             WHEN 'other' THEN 'owner'
             ELSE 'missing' END
        END;
    IF v_outcome.verdict = 'repeat' AND v_schedule.id IS NOT NULL THEN
        v_outcome.state := schedule_state('ScheduleUpdated', v_schedule, v_is_default, p_command_id, p_at, p_traceparent);
    ELSIF v_outcome.verdict = 'changed' THEN
        IF p_is_delete THEN
            v_outcome.state := delete_schedule(v_schedule, p_command_id, p_at, p_traceparent);
        ELSE
            IF p_is_default AND NOT v_is_default THEN
                PERFORM pg_logical_emit_message(true, 'schedule-service.state', convert_to(f.state, 'UTF8'))
                   FROM take_defaults(ARRAY[p_owner_id], ARRAY[p_id], ARRAY[p_command_id], ARRAY[p_traceparent], p_at) AS f;
                v_is_default := true;
            END IF;
            UPDATE schedules
               SET name = coalesce(p_name, name), time_zone = coalesce(p_time_zone, time_zone),
                   availability = coalesce(p_availability, availability), overrides = coalesce(p_overrides, overrides),
                   version = version + 1, updated_at = p_at
             WHERE id = p_id
            RETURNING * INTO v_schedule;
            v_outcome.state := emit_schedule('ScheduleUpdated', v_schedule, v_is_default, p_command_id, p_at, p_traceparent);
        END IF;
        PERFORM settle_command(p_command_id, p_digest, p_id, NULL, command_memory());
    END IF;
    RETURN v_outcome;
END;
$$;

DROP FUNCTION write_schedules(text[], integer[], bigint[], bigint[], bigint[], uuid[], bytea[], bigint[], bigint[], text[], text[],
                              json[], json[], boolean[], timestamptz, bytea[]);

-- Moves the stored offsets, as a compare-and-set. SS001: some are not the expected ones; the detail tells them as
-- "<ordinal>:<its offset>,...".
CREATE FUNCTION move_offsets(p_topics text[], p_partitions integer[], p_expected bigint[], p_next bigint[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_stale  bigint[];
    v_detail text;
BEGIN
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
END;
$$;

-- One batch of writes: everything happens, or nothing and the error says what is in the way.
--
-- The arrays of the offsets run in parallel, and so do those of the writes; what a kind of write does not use is null. p_keys are
-- ids made from Idempotency-Keys, kept for p_keep. Returns the repeats, and what was changed when no offsets are moved
-- (requests wait for the answer, commands do not).
--
-- Errors of its own: SS001 (see move_offsets); SS002, writes are refused, detail "<ordinal>:<verdict>,...". Ordinals count from 1.
CREATE FUNCTION write_batch(
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

    SELECT string_agg(o.ordinal || ':' || o.verdict, ',' ORDER BY o.ordinal) INTO v_detail
      FROM unnest(v_outcomes) AS o
     WHERE o.verdict NOT IN ('repeat', 'changed');
    IF v_detail IS NOT NULL THEN
        RAISE EXCEPTION 'writes are refused' USING ERRCODE = 'SS002', DETAIL = v_detail;
    END IF;
    RETURN QUERY SELECT * FROM unnest(v_outcomes) AS o WHERE o.verdict = 'repeat' OR cardinality(p_topics) = 0;
END;
$$;
