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

-- Of earlier builds.
DROP FUNCTION IF EXISTS create_schedules(bigint, bigint[], uuid[], bytea[], bigint[], bigint[], text[], text[], json[], json[], boolean[],
                                         text[], bytea[], timestamptz);
DROP FUNCTION IF EXISTS change_schedule(bigint, boolean, bigint, uuid, bytea, bigint, bigint, text, text, json, json, boolean, bigint,
                                        text, timestamptz);
DROP FUNCTION IF EXISTS beyond_limit(integer[], bigint[], bigint[], bigint, bigint[]);

-- Creates, in one go. p_unknown: the ordinals of those whose owner may have none. Returns the refused ones and the repeats, and as 'former'
-- the states of schedules that are no default any more. It emits nothing.
CREATE OR REPLACE FUNCTION create_schedules(
    p_kinds integer[], p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[], p_owner_ids bigint[],
    p_names text[], p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[], p_traceparents text[],
    p_unknown bigint[], p_at timestamptz)
RETURNS SETOF write_outcome
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_repeats   bigint[] := '{}'; -- ordinals
    v_before    bigint;
    v_processed uuid[]; -- commands whose schedules were deleted
BEGIN
    -- To look for repeats first, as ON CONFLICT does, costs every create; a repeat costs its batch a second insert.
    LOOP
        BEGIN
            INSERT INTO schedules (id, command_id, command_digest, org_id, owner_id, name, time_zone, availability, overrides,
                                   created_at, updated_at)
            SELECT u.id, u.command_id, u.digest, u.org_id, u.owner_id, u.name, u.time_zone, u.availability, u.overrides, p_at, p_at
              FROM unnest(p_kinds, p_ids, p_command_ids, p_digests, p_org_ids, p_owner_ids, p_names, p_time_zones, p_availability,
                          p_overrides)
                   WITH ORDINALITY
                   AS u (kind, id, command_id, digest, org_id, owner_id, name, time_zone, availability, overrides, ordinal)
             WHERE u.kind = 1 AND u.ordinal <> ALL (p_unknown) AND u.ordinal <> ALL (v_repeats);
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            -- A new statement: it sees what the insert waited for. The first of a batch with an id is the original.
            v_before := cardinality(v_repeats);
            v_repeats := ARRAY(
                SELECT r.ordinal
                  FROM (SELECT u.ordinal, u.command_id, row_number() OVER (PARTITION BY u.command_id ORDER BY u.ordinal) AS turn
                          FROM unnest(p_kinds, p_command_ids) WITH ORDINALITY AS u (kind, command_id, ordinal)
                         WHERE u.kind = 1 AND u.ordinal <> ALL (p_unknown)) AS r
                 WHERE r.turn > 1 OR (SELECT s.id FROM schedules s WHERE s.command_id = r.command_id) IS NOT NULL
                    OR (SELECT c.id FROM processed_commands c WHERE c.id = r.command_id) IS NOT NULL);
            IF cardinality(v_repeats) = v_before THEN
                RAISE;
            END IF;
        END;
    END LOOP;

    -- Also a new statement: it sees the deletes that the insert waited for.
    v_processed := ARRAY(SELECT id FROM processed_commands WHERE id = ANY (p_command_ids));
    IF cardinality(v_processed) > 0 THEN
        DELETE FROM schedules s
         USING unnest(p_kinds, p_ids) AS u (kind, id)
         WHERE s.id = u.id AND u.kind = 1 AND s.command_id = ANY (v_processed);
        v_repeats := ARRAY(SELECT u.ordinal FROM unnest(p_kinds, p_command_ids) WITH ORDINALITY AS u (kind, command_id, ordinal)
                            WHERE u.kind = 1 AND u.ordinal <> ALL (p_unknown)
                              AND (u.command_id = ANY (v_processed) OR u.ordinal = ANY (v_repeats)));
    END IF;

    IF true = ANY (p_defaults) THEN
        RETURN QUERY
        SELECT f.ordinal::bigint, 'former', NULL::bigint, f.state
          FROM take_defaults(p_owner_ids,
                             ARRAY(SELECT CASE WHEN u.kind = 1 AND u.is_default AND u.ordinal <> ALL (p_unknown || v_repeats) THEN u.id END
                                     FROM unnest(p_kinds, p_ids, p_defaults) WITH ORDINALITY AS u (kind, id, is_default, ordinal)),
                             p_command_ids, p_traceparents, p_at) AS f;
    END IF;
    IF cardinality(p_unknown) > 0 THEN
        RETURN QUERY SELECT u.ordinal, 'member', NULL::bigint, NULL FROM unnest(p_unknown) AS u (ordinal) WHERE p_kinds[u.ordinal] = 1;
    END IF;
    IF cardinality(v_repeats) > 0 THEN
        RETURN QUERY
        SELECT u.ordinal, CASE WHEN o.digest = u.digest THEN 'repeat' ELSE 'conflict' END, o.id, NULL
          FROM unnest(p_command_ids, p_digests) WITH ORDINALITY AS u (command_id, digest, ordinal),
               LATERAL (SELECT s.id, s.command_digest FROM schedules s WHERE s.command_id = u.command_id
                        UNION ALL
                        SELECT c.schedule_id, c.digest FROM processed_commands c WHERE c.id = u.command_id
                         LIMIT 1) AS o (id, digest)
         WHERE u.ordinal = ANY (v_repeats);
        GET DIAGNOSTICS v_before = ROW_COUNT;
        IF v_before <> cardinality(v_repeats) THEN
            RAISE EXCEPTION 'an original vanished meanwhile' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
END;
$$;

-- Updates (what is null stays) and deletes of different schedules, in one go. p_unknown: as of create_schedules(). Returns what became
-- of each, and as 'former' the states of schedules that are no default any more. It emits nothing.
--
-- Nothing is locked before it is read: who changes a schedule holds its owner's row in users, and so does the caller. 40001: somebody
-- did without, or completed the command meanwhile.
CREATE OR REPLACE FUNCTION change_schedules(
    p_kinds integer[], p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[], p_owner_ids bigint[],
    p_names text[], p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[], p_versions bigint[],
    p_traceparents text[], p_unknown bigint[], p_at timestamptz)
RETURNS SETOF write_outcome
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_verdicts text[]; -- these are in parallel to the writes, and null for what is none of them
    v_updated  bigint[];
    v_deleted  bigint[];
    v_commands uuid[];
    v_count    bigint;
    v_changed  bigint;
BEGIN
    v_verdicts := ARRAY(
        SELECT CASE
               WHEN u.id IS NULL THEN NULL
               WHEN known.digest = u.digest THEN 'repeat'
               WHEN known.digest IS NOT NULL THEN 'conflict'
               WHEN u.ordinal = ANY (p_unknown) THEN 'member'
               ELSE CASE schedule_access(u.org_id, u.owner_id, s.org_id, s.owner_id)
                    WHEN 'own' THEN CASE WHEN u.version <> s.version THEN 'version' ELSE 'changed' END
                    WHEN 'other' THEN 'owner'
                    ELSE 'missing' END
               END
          FROM (SELECT CASE WHEN kind IN (2, 3) THEN id END AS id, CASE WHEN kind IN (2, 3) THEN command_id END AS command_id,
                       digest, org_id, owner_id, version, ordinal
                  FROM unnest(p_kinds, p_ids, p_command_ids, p_digests, p_org_ids, p_owner_ids, p_versions) WITH ORDINALITY
                       AS w (kind, id, command_id, digest, org_id, owner_id, version, ordinal)) AS u
          LEFT JOIN LATERAL (SELECT s.org_id, s.owner_id, s.version FROM schedules s WHERE s.id = u.id OFFSET 0) AS s ON true
          LEFT JOIN LATERAL (SELECT p.digest FROM processed_commands p WHERE p.id = u.command_id
                             UNION ALL
                             SELECT c.command_digest FROM schedules c WHERE c.command_id = u.command_id
                              LIMIT 1) AS known ON true
         ORDER BY u.ordinal);
    v_changed := cardinality(array_positions(v_verdicts, 'changed'));
    IF v_changed < cardinality(array_positions(p_kinds, 2)) + cardinality(array_positions(p_kinds, 3)) THEN
        RETURN QUERY
        SELECT u.ordinal, u.verdict, u.id,
               CASE WHEN u.verdict = 'repeat' AND s.id IS NOT NULL THEN
                   schedule_state('ScheduleUpdated', s, (SELECT d.schedule_id FROM default_schedules d WHERE d.schedule_id = s.id) IS NOT NULL,
                                  u.command_id, p_at, u.traceparent) END
          FROM unnest(v_verdicts, p_ids, p_command_ids, p_traceparents) WITH ORDINALITY
               AS u (verdict, id, command_id, traceparent, ordinal)
          LEFT JOIN schedules s ON s.id = u.id
         WHERE u.verdict <> 'changed';
    END IF;

    SELECT array_agg(CASE WHEN u.kind = 2 AND u.verdict = 'changed' THEN u.id END ORDER BY u.ordinal),
           array_agg(CASE WHEN u.kind = 3 AND u.verdict = 'changed' THEN u.id END ORDER BY u.ordinal),
           array_agg(CASE WHEN u.verdict = 'changed' THEN u.command_id END ORDER BY u.ordinal)
      INTO v_updated, v_deleted, v_commands
      FROM unnest(p_kinds, v_verdicts, p_ids, p_command_ids) WITH ORDINALITY AS u (kind, verdict, id, command_id, ordinal);
    IF true = ANY (p_defaults) THEN
        RETURN QUERY
        SELECT f.ordinal::bigint, 'former', NULL::bigint, f.state
          FROM take_defaults(p_owner_ids,
                             ARRAY(SELECT CASE WHEN u.is_default AND d.schedule_id IS NULL THEN u.id END
                                     FROM unnest(v_updated, p_defaults) WITH ORDINALITY AS u (id, is_default, ordinal)
                                     LEFT JOIN default_schedules d ON d.schedule_id = u.id
                                    ORDER BY u.ordinal),
                             p_command_ids, p_traceparents, p_at) AS f;
    END IF;
    RETURN QUERY
    UPDATE schedules s
       SET name = coalesce(u.name, s.name), time_zone = coalesce(u.time_zone, s.time_zone),
           availability = coalesce(u.availability, s.availability), overrides = coalesce(u.overrides, s.overrides),
           version = s.version + 1, updated_at = p_at
      FROM unnest(v_updated, p_command_ids, p_names, p_time_zones, p_availability, p_overrides, p_traceparents) WITH ORDINALITY
           AS u (id, command_id, name, time_zone, availability, overrides, traceparent, ordinal)
     WHERE s.id = u.id
    RETURNING u.ordinal, 'changed', s.id,
              schedule_state('ScheduleUpdated', s, (SELECT d.schedule_id FROM default_schedules d WHERE d.schedule_id = s.id) IS NOT NULL,
                             u.command_id, p_at, u.traceparent);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    v_changed := v_changed - v_count;
    IF 3 = ANY (p_kinds) THEN
        RETURN QUERY
        SELECT array_position(v_deleted, d.id)::bigint, 'changed', d.id, d.state
          FROM delete_schedules(v_deleted, p_command_ids, p_traceparents, p_at) AS d;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        v_changed := v_changed - v_count;
    END IF;
    IF v_changed <> 0 THEN
        RAISE EXCEPTION 'a schedule was changed without its owner''s lock' USING ERRCODE = 'serialization_failure';
    END IF;
    PERFORM remember_commands(v_commands, p_digests, p_ids, NULL, command_memory());
END;
$$;

-- Writes of which none depends on another but creates on creates: see run_ends(). In one go; the events are emitted in the order of the
-- writes. Returns what became of the changes, the repeats, and the refused ones: the caller then undoes everything. p_before: the
-- writes of the batch before these.
CREATE OR REPLACE FUNCTION write_run(
    p_before bigint, p_kinds integer[], p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[],
    p_owner_ids bigint[], p_names text[], p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[],
    p_versions bigint[], p_traceparents text[], p_records bytea[], p_at timestamptz)
RETURNS SETOF write_outcome
LANGUAGE plpgsql
AS $$
DECLARE
    v_unknown  bigint[] := ARRAY(SELECT unknown_owners(p_org_ids, p_owner_ids));
    v_outcomes write_outcome[] := '{}';
BEGIN
    IF 1 = ANY (p_kinds) THEN
        v_outcomes := ARRAY(
            SELECT o FROM create_schedules(p_kinds, p_ids, p_command_ids, p_digests, p_org_ids, p_owner_ids, p_names, p_time_zones,
                                           p_availability, p_overrides, p_defaults, p_traceparents, v_unknown, p_at) AS o);
    END IF;
    IF p_kinds && '{2,3}' THEN
        v_outcomes := v_outcomes || ARRAY(
            SELECT o FROM change_schedules(p_kinds, p_ids, p_command_ids, p_digests, p_org_ids, p_owner_ids, p_names, p_time_zones,
                                           p_availability, p_overrides, p_defaults, p_versions, p_traceparents, v_unknown, p_at) AS o);
    END IF;

    -- Where no states come between, the records go together.
    IF cardinality(v_outcomes) = 0 THEN
        PERFORM pg_logical_emit_message(true, 'schedule-service', string_agg(r.record, '')) FROM unnest(p_records) AS r (record);
        RETURN;
    END IF;
    PERFORM pg_logical_emit_message(true, m.prefix, m.content)
       FROM (SELECT r.ordinal, 1 AS turn, 'schedule-service' AS prefix, r.record AS content
               FROM unnest(p_records) WITH ORDINALITY AS r (record, ordinal)
              WHERE r.ordinal <> ALL (ARRAY(SELECT o.ordinal FROM unnest(v_outcomes) AS o WHERE o.verdict <> 'former'))
              UNION ALL
             SELECT o.ordinal, (o.verdict <> 'former')::integer, 'schedule-service.state', convert_to(o.state, 'UTF8')
               FROM unnest(v_outcomes) AS o
              WHERE o.verdict IN ('former', 'changed')
              ORDER BY ordinal, turn) AS m;
    RETURN QUERY
    SELECT p_before + o.ordinal, o.verdict, o.schedule_id, o.state FROM unnest(v_outcomes) AS o WHERE o.verdict <> 'former';
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
    SELECT * FROM write_run(
        p_ordinal - 1, ARRAY[1], ARRAY[p_id], ARRAY[p_command_id], ARRAY[p_digest], ARRAY[p_org_id], ARRAY[p_owner_id], ARRAY[p_name],
        ARRAY[p_time_zone], ARRAY[p_availability], ARRAY[p_overrides], ARRAY[p_is_default], ARRAY[NULL::bigint],
        ARRAY[p_traceparent], ARRAY[p_record], p_at);
    IF NOT FOUND THEN
        SELECT * INTO v_schedule FROM schedules WHERE id = p_id;
        PERFORM remember_commands(ARRAY[p_key], ARRAY[p_digest], ARRAY[p_id], ARRAY[
            schedule_state('ScheduleCreated', v_schedule, p_is_default, p_command_id, p_at, p_traceparent)], p_keep);
    END IF;
END;
$$;

-- Where the runs of a batch end: the ordinals of their last writes. A run is what goes on in one go, so a new one begins before a write that
-- depends on one in the present run: of the same schedule, of the same command, or of an owner whose default one of the two moves.
-- A create with a key goes alone.
CREATE OR REPLACE FUNCTION run_ends(p_kinds integer[], p_ids bigint[], p_command_ids uuid[], p_owner_ids bigint[], p_defaults boolean[])
RETURNS bigint[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_ends  bigint[] := '{}';
    v_begin bigint := 1;
    v_next  record;
BEGIN
    IF p_kinds && '{2,3,4}'
       -- Most batches have none that depends on another, and to see that takes less than to find which.
       AND (4 = ANY (p_kinds)
            OR EXISTS (SELECT FROM unnest(p_ids) AS u (id) GROUP BY u.id HAVING count(u.id) > 1)
            OR EXISTS (SELECT FROM unnest(p_command_ids) AS u (id) GROUP BY u.id HAVING count(u.id) > 1)
            OR true = ANY (p_defaults)) THEN
        FOR v_next IN
            SELECT d.ordinal, d.behind
              FROM (SELECT u.ordinal,
                           greatest(CASE WHEN u.kind = 4 OR lag(u.kind) OVER batch = 4 THEN u.ordinal - 1 END,
                                    CASE WHEN u.id IS NOT NULL THEN lag(u.ordinal) OVER schedule END,
                                    CASE WHEN u.id IS NOT NULL THEN lag(u.ordinal) OVER command END,
                                    CASE WHEN u.is_default THEN lag(u.ordinal) OVER owner
                                         WHEN u.id IS NOT NULL THEN
                                             max(u.ordinal) FILTER (WHERE u.is_default)
                                                 OVER (owner ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                                    END) AS behind
                      FROM unnest(p_kinds, p_ids, p_command_ids, p_owner_ids, p_defaults) WITH ORDINALITY
                           AS u (kind, id, command_id, owner_id, is_default, ordinal)
                    WINDOW batch AS (ORDER BY u.ordinal), schedule AS (PARTITION BY u.id ORDER BY u.ordinal),
                           command AS (PARTITION BY u.command_id ORDER BY u.ordinal),
                           owner AS (PARTITION BY u.owner_id ORDER BY u.ordinal)) AS d
             WHERE d.behind IS NOT NULL
             ORDER BY d.ordinal
        LOOP
            IF v_next.behind >= v_begin THEN
                v_ends := v_ends || v_next.ordinal - 1;
                v_begin := v_next.ordinal;
            END IF;
        END LOOP;
    END IF;
    RETURN v_ends || cardinality(p_kinds)::bigint;
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
-- again does not count. The caller holds the locks of the owners' rows in users; p_bounded: of those who create, who has a bound; p_looked_at:
-- some of the others.
--
-- To count at each create would cost more the more schedules there are, and to write at each would cost everybody. So a create is looked at
-- with a probability of 40 / p_max: has the owner more than a quarter of p_max, or than eight, a bound is written, which from then on
-- creates move (users.schedules_bound); who is beyond the limit by it is counted. That somebody creates the other three quarters without
-- being looked at happens with a probability below exp(-30). Who has more, from before, keeps them.
CREATE OR REPLACE FUNCTION beyond_limit(p_kinds integer[], p_ids bigint[], p_owner_ids bigint[], p_max bigint, p_bounded bigint[],
                                        p_looked_at bigint[])
RETURNS SETOF write_outcome
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_few    bigint := greatest(least(8, p_max), p_max / 4);
    v_owners bigint[]; -- who may be beyond it
BEGIN
    IF p_max = 0 THEN -- it would be too low
        UPDATE users SET schedules_bound = NULL WHERE id = ANY (p_bounded);
        RETURN;
    END IF;
    v_owners := ARRAY(SELECT o.id FROM unnest(p_looked_at) AS o (id)
                       WHERE (SELECT s.id FROM schedules s WHERE s.owner_id = o.id ORDER BY s.id OFFSET v_few LIMIT 1) IS NOT NULL);
    IF p_bounded IS NOT NULL THEN
        WITH moved AS (
            UPDATE users u SET schedules_bound = u.schedules_bound + made.schedules
              FROM (SELECT o.id, count(*) AS schedules
                      FROM unnest(p_kinds, p_owner_ids) AS o (kind, id)
                     WHERE o.kind IN (1, 4) AND o.id = ANY (p_bounded) GROUP BY o.id) AS made
             WHERE u.id = made.id
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
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_material = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_outcomes write_outcome[] := '{}';
    v_done     bigint := 0; -- writes that were dealt with
    v_end      bigint;      -- the last one of the next run
    v_bounded  bigint[];    -- owners that create: see beyond_limit
    v_looked   bigint[];
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
        SELECT array_agg(o.id) FILTER (WHERE o.creates > 0 AND o.schedules_bound IS NOT NULL),
               array_agg(o.id) FILTER (WHERE o.schedules_bound IS NULL AND random() * p_schedules_max < 40 * o.creates)
          INTO v_bounded, v_looked
          FROM (SELECT u.id, u.schedules_bound, w.creates
                  FROM (SELECT w.owner_id, count(*) FILTER (WHERE w.kind IN (1, 4)) AS creates
                          FROM unnest(p_kinds, p_owner_ids, p_defaults) AS w (kind, owner_id, is_default)
                         WHERE w.is_default OR w.kind IN (2, 3)
                            OR w.kind IN (1, 4)
                               AND (p_schedules_max > 0
                                    OR EXISTS (SELECT FROM users b WHERE b.id = w.owner_id AND b.schedules_bound IS NOT NULL))
                         GROUP BY w.owner_id) AS w
                  JOIN users u ON u.id = w.owner_id
                 ORDER BY u.id FOR NO KEY UPDATE OF u) AS o;
    END IF;

    FOREACH v_end IN ARRAY run_ends(p_kinds, p_ids, p_command_ids, p_owner_ids, p_defaults)
    LOOP
        IF p_kinds[v_end] = 4 THEN
            v_outcomes := v_outcomes || ARRAY(
                SELECT o FROM create_schedule_once(
                    v_end, p_keys[v_end], p_keep, p_ids[v_end], p_command_ids[v_end], p_digests[v_end], p_org_ids[v_end],
                    p_owner_ids[v_end], p_names[v_end], p_time_zones[v_end], p_availability[v_end], p_overrides[v_end],
                    p_defaults[v_end], p_traceparents[v_end], p_records[v_end], p_at) AS o);
        ELSIF v_end > v_done THEN
            v_outcomes := v_outcomes || ARRAY(
                SELECT o FROM write_run(
                    v_done, p_kinds[v_done + 1 : v_end], p_ids[v_done + 1 : v_end], p_command_ids[v_done + 1 : v_end],
                    p_digests[v_done + 1 : v_end], p_org_ids[v_done + 1 : v_end], p_owner_ids[v_done + 1 : v_end],
                    p_names[v_done + 1 : v_end], p_time_zones[v_done + 1 : v_end], p_availability[v_done + 1 : v_end],
                    p_overrides[v_done + 1 : v_end], p_defaults[v_done + 1 : v_end], p_versions[v_done + 1 : v_end],
                    p_traceparents[v_done + 1 : v_end], p_records[v_done + 1 : v_end], p_at) AS o);
        END IF;
        v_done := v_end;
    END LOOP;

    IF v_bounded IS NOT NULL OR v_looked IS NOT NULL AND p_schedules_max > 0 THEN
        v_outcomes := v_outcomes
                      || ARRAY(SELECT o FROM beyond_limit(p_kinds, p_ids, p_owner_ids, p_schedules_max, v_bounded, v_looked) AS o);
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

-- Deletes schedules of which the caller holds the locks (see write_batch); a null id is passed over. Returns the states of their events,
-- whose version is one above the last, in the order of owners and ids; the caller emits them. That state is kept with the id of the
-- create, which therefore makes nothing again. p_command_ids: what deletes them, in parallel as p_traceparents; null: each gets an id of
-- its own.
--
-- One that was deleted before, by a build that let it come back, is completed again.
DROP FUNCTION IF EXISTS delete_schedules(bigint[], uuid, timestamptz, text);
CREATE OR REPLACE FUNCTION delete_schedules(p_ids bigint[], p_command_ids uuid[], p_traceparents text[], p_at timestamptz)
RETURNS TABLE (id bigint, state text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH gone AS (
        DELETE FROM schedules s
         USING unnest(p_ids, p_command_ids, p_traceparents) AS u (id, command_id, traceparent)
         WHERE s.id = u.id
        RETURNING s AS schedule, u.command_id AS deleted_by, u.traceparent),
    states AS (
        SELECT (g.schedule).*,
               schedule_state('ScheduleDeleted',
                              ROW((g.schedule).id, (g.schedule).command_id, (g.schedule).command_digest, (g.schedule).org_id,
                                  (g.schedule).owner_id, (g.schedule).name, (g.schedule).time_zone, (g.schedule).availability,
                                  (g.schedule).overrides, (g.schedule).version + 1, (g.schedule).created_at,
                                  (g.schedule).updated_at)::schedules,
                              (SELECT d.schedule_id FROM default_schedules d WHERE d.schedule_id = (g.schedule).id) IS NOT NULL,
                              coalesce(g.deleted_by, gen_random_uuid()), p_at, g.traceparent) AS state
          FROM gone g),
    remembered AS (
        INSERT INTO processed_commands AS c (id, digest, schedule_id, state, expires_at)
        SELECT s.command_id, s.command_digest, s.id, s.state, now() + command_memory() FROM states s
            ON CONFLICT (id) DO UPDATE
           SET digest = excluded.digest, schedule_id = excluded.schedule_id, state = excluded.state, expires_at = excluded.expires_at)
    SELECT s.id, s.state FROM states s ORDER BY s.owner_id, s.id;
END;
$$;
