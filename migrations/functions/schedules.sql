-- Writes of schedules, all through one function, write_batch. What follows from a write is decided here, in its transaction: whose
-- default is replaced, which version comes next, which events are emitted. The kinds of writes: 0 a record to emit, 1 create, 2 update,
-- 3 delete, 4 create with an Idempotency-Key, 5 a directory entry. Locks: see removals.sql.

-- Makes schedules their owners' defaults, in the order of the arrays, which run in parallel; a null schedule is passed over. That a
-- former one is none any more is a change of that one: returns the states to emit before the event of the write of that ordinal.
CREATE OR REPLACE FUNCTION take_defaults(p_owner_ids bigint[], p_schedule_ids bigint[], p_command_ids uuid[], p_traceparents text[],
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
    v_processed   uuid[]; -- commands whose schedules were deleted
    v_all_new   boolean;
    v_repeated  bigint;
    v_defaults  bigint[]; -- in parallel to the writes; null: becomes no default
    v_at        integer[]; -- in parallel: the writes before whose events these states go
    v_states    text[];
BEGIN
    -- The others go on: what comes after them in the batch is checked by them.
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
         ORDER BY u.ordinal -- the first with an id is the original
            ON CONFLICT (command_id) DO NOTHING
        RETURNING id)
    SELECT coalesce(array_agg(id), '{}') INTO v_inserted FROM inserted;

    -- A new statement: it sees the deletes that the insert waited for.
    v_processed := ARRAY(SELECT id FROM processed_commands WHERE id = ANY (p_command_ids));
    IF cardinality(v_processed) > 0 THEN
        WITH gone AS (DELETE FROM schedules WHERE id = ANY (v_inserted) AND command_id = ANY (v_processed) RETURNING id)
        SELECT ARRAY(SELECT u.id FROM unnest(v_inserted) AS u (id) WHERE NOT EXISTS (SELECT FROM gone g WHERE g.id = u.id))
          INTO v_inserted;
    END IF;
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

    -- Some were completed before. A new statement also sees what was committed meanwhile.
    RETURN QUERY
    SELECT p_before + u.ordinal, CASE WHEN o.digest = u.digest THEN 'repeat' ELSE 'conflict' END, o.id, NULL
      FROM unnest(p_ids, p_command_ids, p_digests) WITH ORDINALITY AS u (id, command_id, digest, ordinal),
           LATERAL (SELECT s.id, s.command_digest FROM schedules s WHERE s.command_id = u.command_id
                    UNION ALL
                    SELECT s.schedule_id, s.digest FROM processed_commands s WHERE s.id = u.command_id
                     LIMIT 1) AS o (id, digest)
     WHERE o.id <> u.id AND u.ordinal <> ALL (v_unknown);
    GET DIAGNOSTICS v_repeated = ROW_COUNT;
    IF cardinality(v_inserted) + v_repeated <> v_schedules THEN
        RAISE EXCEPTION 'an original vanished meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END;
$$;

-- A create whose sender may repeat it with the same Idempotency-Key, within p_keep. One that another transaction has under way is
-- not waited for.
CREATE OR REPLACE FUNCTION create_schedule_once(
    p_ordinal bigint, p_key uuid, p_keep interval, p_id bigint, p_command_id uuid, p_digest bytea, p_org_id bigint,
    p_owner_id bigint, p_name text, p_time_zone text, p_availability json, p_overrides json, p_is_default boolean,
    p_traceparent text, p_record bytea, p_at timestamptz)
RETURNS SETOF write_outcome
LANGUAGE plpgsql
AS $$
DECLARE
    v_processed processed_commands;
    v_schedule  schedules;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended(p_key::text, 0)) THEN
        RETURN NEXT (p_ordinal, 'running', NULL, NULL)::write_outcome;
        RETURN;
    END IF;
    DELETE FROM processed_commands WHERE id = p_key AND expires_at <= now();
    SELECT * INTO v_processed FROM processed_commands WHERE id = p_key;
    IF FOUND THEN
        RETURN NEXT (p_ordinal, CASE WHEN v_processed.digest = p_digest THEN 'repeat' ELSE 'conflict' END,
                     v_processed.schedule_id, v_processed.state)::write_outcome;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT * FROM create_schedules(
        p_ordinal - 1, ARRAY[p_id], ARRAY[p_command_id], ARRAY[p_digest], ARRAY[p_org_id], ARRAY[p_owner_id], ARRAY[p_name],
        ARRAY[p_time_zone], ARRAY[p_availability], ARRAY[p_overrides], ARRAY[p_is_default], ARRAY[p_traceparent],
        ARRAY[p_record], p_at);
    IF NOT FOUND THEN
        SELECT * INTO v_schedule FROM schedules WHERE id = p_id;
        PERFORM remember_command(p_key, p_digest, p_id, schedule_state('ScheduleCreated', v_schedule, p_is_default, p_command_id,
                                                                     p_at, p_traceparent), p_keep);
    END IF;
END;
$$;

-- An update (what is null stays) or a delete.
CREATE OR REPLACE FUNCTION change_schedule(
    p_ordinal bigint, p_is_delete boolean, p_id bigint, p_command_id uuid, p_digest bytea, p_org_id bigint, p_owner_id bigint,
    p_name text, p_time_zone text, p_availability json, p_overrides json, p_is_default boolean, p_version bigint,
    p_traceparent text, p_at timestamptz)
RETURNS write_outcome
LANGUAGE plpgsql
AS $$
DECLARE
    v_outcome    write_outcome := (p_ordinal, NULL, p_id, NULL);
    v_processed  bytea;
    v_schedule   schedules;
    v_is_default boolean := EXISTS (SELECT FROM default_schedules d WHERE d.schedule_id = p_id);
BEGIN
    -- Of somebody else's nothing is locked: who locks schedules holds their owner's row.
    SELECT * INTO v_schedule FROM schedules WHERE id = p_id AND owner_id = p_owner_id FOR UPDATE;
    IF NOT FOUND THEN
        SELECT * INTO v_schedule FROM schedules WHERE id = p_id;
    END IF;
    SELECT digest INTO v_processed FROM processed_commands WHERE id = p_command_id
    UNION ALL
    SELECT command_digest FROM schedules WHERE command_id = p_command_id;
    v_outcome.verdict := CASE
        WHEN v_processed = p_digest THEN 'repeat'
        WHEN v_processed IS NOT NULL THEN 'conflict'
        WHEN EXISTS (SELECT FROM unknown_owners(ARRAY[p_org_id], ARRAY[p_owner_id])) THEN 'member'
        ELSE CASE schedule_access(p_org_id, p_owner_id, v_schedule.org_id, v_schedule.owner_id)
             WHEN 'own' THEN CASE WHEN p_version <> v_schedule.version THEN 'version' ELSE 'changed' END
             WHEN 'other' THEN 'owner'
             ELSE 'missing' END
        END;
    IF v_outcome.verdict = 'repeat' AND v_schedule.id IS NOT NULL THEN
        v_outcome.state := schedule_state('ScheduleUpdated', v_schedule, v_is_default, p_command_id, p_at, p_traceparent);
    ELSIF v_outcome.verdict = 'changed' THEN
        IF p_is_delete THEN
            v_outcome.state := (delete_schedules(ARRAY[p_id], p_command_id, p_at, p_traceparent))[1];
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
        PERFORM remember_command(p_command_id, p_digest, p_id, NULL, command_memory());
    END IF;
    RETURN v_outcome;
END;
$$;

-- Moves the stored offsets, as a compare-and-set. SS001: some are not the expected ones; the detail lists them as
-- "<ordinal>:<its offset>,...".
CREATE OR REPLACE FUNCTION move_offsets(p_topics text[], p_partitions integer[], p_expected bigint[], p_next bigint[]) RETURNS void
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

-- The last creates of a batch, as many as their owner has schedules beyond p_max (0: none are too many). What the batch made and deleted
-- again does not count. The caller holds the locks of the owners' rows in users; p_bounded: those with a bound.
--
-- To count at each create would cost more the more schedules there are, and to write at each would cost everybody. So who has few is looked
-- at, up to the ninth, and nothing is written. Others have a bound that only creates move (users.schedules_bound); they are counted when it
-- goes beyond the limit. Who has more, from before, keeps them.
CREATE OR REPLACE FUNCTION beyond_limit(p_kinds integer[], p_ids bigint[], p_owner_ids bigint[], p_max bigint, p_bounded bigint[])
RETURNS SETOF write_outcome
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_few    bigint := least(8, p_max);
    v_owners bigint[]; -- who may be beyond it
BEGIN
    IF p_max = 0 THEN
        IF p_bounded IS NOT NULL THEN -- it would be too low
            UPDATE users SET schedules_bound = NULL WHERE id = ANY (p_bounded);
        END IF;
        RETURN;
    END IF;
    v_owners := ARRAY(
        SELECT m.owner_id
          FROM (SELECT DISTINCT u.owner_id FROM unnest(p_kinds, p_owner_ids) AS u (kind, owner_id)
                 WHERE u.kind IN (1, 4) AND (u.owner_id = ANY (p_bounded)) IS NOT TRUE) AS m
         WHERE EXISTS (SELECT FROM schedules s WHERE s.owner_id = m.owner_id OFFSET v_few));
    IF p_bounded IS NOT NULL THEN
        WITH moved AS (
            UPDATE users u SET schedules_bound = u.schedules_bound + made.schedules
              FROM (SELECT m.owner_id, count(*) AS schedules FROM unnest(p_kinds, p_owner_ids) AS m (kind, owner_id)
                     WHERE m.kind IN (1, 4) AND m.owner_id = ANY (p_bounded) GROUP BY m.owner_id) AS made
             WHERE u.id = made.owner_id
            RETURNING u.id, u.schedules_bound)
        SELECT v_owners || array_agg(m.id) INTO v_owners FROM moved m WHERE m.schedules_bound > p_max;
    END IF;
    IF cardinality(v_owners) = 0 THEN
        RETURN;
    END IF;
    UPDATE users u
       SET schedules_bound = (SELECT nullif(count(*), p_max + cardinality(p_ids)) -- or more
                                FROM (SELECT FROM schedules s WHERE s.owner_id = u.id LIMIT p_max + cardinality(p_ids)) AS s)
     WHERE u.id = ANY (v_owners);
    RETURN QUERY
    SELECT m.ordinal, 'limit', NULL::bigint, NULL
      FROM users o,
           LATERAL (SELECT u.ordinal FROM unnest(p_kinds, p_ids, p_owner_ids) WITH ORDINALITY AS u (kind, id, owner_id, ordinal)
                     WHERE u.kind IN (1, 4) AND u.owner_id = o.id AND EXISTS (SELECT FROM schedules s WHERE s.id = u.id)
                     ORDER BY u.ordinal DESC LIMIT CASE WHEN o.schedules_bound <= p_max THEN 0 ELSE o.schedules_bound - p_max END) AS m
     WHERE o.id = ANY (v_owners);
END;
$$;

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
CREATE OR REPLACE FUNCTION write_batch(
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
    v_bounded  bigint[];    -- owners with a bound of their schedules (see beyond_limit)
    v_detail   text;
BEGIN
    IF cardinality(p_topics) > 0 THEN
        PERFORM move_offsets(p_topics, p_partitions, p_expected, p_next);
    END IF;

    IF 5 = ANY (p_kinds) THEN
        PERFORM apply_entries(ARRAY(SELECT e FROM unnest(p_entries) AS e WHERE e IS NOT NULL), p_at);
    END IF;

    -- What concerns an owner's default, changes an owner's schedule, or counts them, happens one after the other.
    IF p_kinds && '{1,2,3,4}' THEN
        SELECT array_agg(o.id) FILTER (WHERE o.schedules_bound IS NOT NULL) INTO v_bounded
          FROM (SELECT id, schedules_bound FROM users
                 WHERE id IN (SELECT w.owner_id FROM unnest(p_kinds, p_owner_ids, p_defaults) AS w (kind, owner_id, is_default)
                               WHERE w.is_default OR w.kind IN (2, 3)
                                  OR w.kind IN (1, 4)
                                     AND (p_schedules_max > 0
                                          OR EXISTS (SELECT FROM users b WHERE b.id = w.owner_id AND b.schedules_bound IS NOT NULL)))
                 ORDER BY id FOR NO KEY UPDATE) AS o;
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

    IF p_kinds && '{1,4}' THEN
        v_outcomes := v_outcomes || ARRAY(SELECT o FROM beyond_limit(p_kinds, p_ids, p_owner_ids, p_schedules_max, v_bounded) AS o);
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

-- Deletes schedules of which the caller holds the locks (see write_batch), each with its event, whose version is one above the last.
-- That state is kept with the id of the create, which therefore makes nothing again. p_command_id: what deletes them; null: each gets
-- an id of its own. Returns the states in the order of owners and ids.
--
-- One that was deleted before, by a build that let it come back, is completed again.
CREATE OR REPLACE FUNCTION delete_schedules(p_ids bigint[], p_command_id uuid, p_at timestamptz, p_traceparent text) RETURNS text[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_ids      bigint[];
    v_commands uuid[];
    v_digests  bytea[];
    v_states   text[];
BEGIN
    WITH gone AS (
        DELETE FROM schedules WHERE id = ANY (p_ids) RETURNING *),
    states AS (
        SELECT g.owner_id, g.id, g.command_id, g.command_digest,
               schedule_state('ScheduleDeleted',
                              ROW(g.id, g.command_id, g.command_digest, g.org_id, g.owner_id, g.name, g.time_zone, g.availability,
                                  g.overrides, g.version + 1, g.created_at, g.updated_at)::schedules,
                              d.schedule_id IS NOT NULL, coalesce(p_command_id, gen_random_uuid()), p_at, p_traceparent) AS state
          FROM gone g LEFT JOIN default_schedules d ON d.schedule_id = g.id)
    SELECT array_agg(t.id ORDER BY t.owner_id, t.id), array_agg(t.command_id ORDER BY t.owner_id, t.id),
           array_agg(t.command_digest ORDER BY t.owner_id, t.id), array_agg(t.state ORDER BY t.owner_id, t.id)
      INTO v_ids, v_commands, v_digests, v_states
      FROM states t;
    INSERT INTO processed_commands AS s (id, digest, schedule_id, state, expires_at)
    SELECT u.id, u.digest, u.schedule_id, u.state, now() + command_memory()
      FROM unnest(v_commands, v_digests, v_ids, v_states) AS u (id, digest, schedule_id, state)
        ON CONFLICT (id) DO UPDATE
       SET digest = excluded.digest, schedule_id = excluded.schedule_id, state = excluded.state, expires_at = excluded.expires_at;
    PERFORM pg_logical_emit_message(true, 'schedule-service.state', convert_to(u.state, 'UTF8')) FROM unnest(v_states) AS u (state);
    RETURN v_states;
END;
$$;
