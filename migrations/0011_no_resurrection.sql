-- A create that is repeated while its schedule is being deleted does not make it again.
--
-- Such an insert waits for the delete, finds no row in its way, and stores: its statement began before the delete had told
-- settled_commands. So a new statement looks there behind the insert; before it nothing is looked up any more.

-- Deletes schedules of which the caller holds the locks (see write_batch), each with its event, whose version is one above the last.
-- That state is kept with the id of the create, which therefore makes nothing again. p_command_id: what deletes them; null: each gets
-- an id of its own. Returns the states in the order of owners and ids.
--
-- One that was deleted before, by a build that let it come back, is settled anew.
CREATE FUNCTION delete_schedules(p_ids bigint[], p_command_id uuid, p_at timestamptz, p_traceparent text) RETURNS text[]
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
    told AS (
        SELECT g.owner_id, g.id, g.command_id, g.command_digest,
               schedule_state('ScheduleDeleted',
                              ROW(g.id, g.command_id, g.command_digest, g.org_id, g.owner_id, g.name, g.time_zone, g.availability,
                                  g.overrides, g.version + 1, g.created_at, g.updated_at)::schedules,
                              d.schedule_id IS NOT NULL, coalesce(p_command_id, gen_random_uuid()), p_at, p_traceparent) AS state
          FROM gone g LEFT JOIN default_schedules d ON d.schedule_id = g.id)
    SELECT array_agg(t.id ORDER BY t.owner_id, t.id), array_agg(t.command_id ORDER BY t.owner_id, t.id),
           array_agg(t.command_digest ORDER BY t.owner_id, t.id), array_agg(t.state ORDER BY t.owner_id, t.id)
      INTO v_ids, v_commands, v_digests, v_states
      FROM told t;
    INSERT INTO settled_commands AS s (id, digest, schedule_id, state, expires_at)
    SELECT u.id, u.digest, u.schedule_id, u.state, now() + command_memory()
      FROM unnest(v_commands, v_digests, v_ids, v_states) AS u (id, digest, schedule_id, state)
        ON CONFLICT (id) DO UPDATE
       SET digest = excluded.digest, schedule_id = excluded.schedule_id, state = excluded.state, expires_at = excluded.expires_at;
    PERFORM pg_logical_emit_message(true, 'schedule-service.state', convert_to(u.state, 'UTF8')) FROM unnest(v_states) AS u (state);
    RETURN v_states;
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
    v_settled   uuid[]; -- commands whose schedules were deleted
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
         ORDER BY u.ordinal -- the first with an id is the original
            ON CONFLICT (command_id) DO NOTHING
        RETURNING id)
    SELECT coalesce(array_agg(id), '{}') INTO v_inserted FROM inserted;

    -- A new statement: it sees the deletes that the insert waited for.
    v_settled := ARRAY(SELECT id FROM settled_commands WHERE id = ANY (p_command_ids));
    IF cardinality(v_settled) > 0 THEN
        WITH gone AS (DELETE FROM schedules WHERE id = ANY (v_inserted) AND command_id = ANY (v_settled) RETURNING id)
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

    -- Some were settled before. A new statement also sees what was committed meanwhile.
    RETURN QUERY
    SELECT p_before + u.ordinal, CASE WHEN o.digest = u.digest THEN 'repeat' ELSE 'conflict' END, o.id, NULL
      FROM unnest(p_ids, p_command_ids, p_digests) WITH ORDINALITY AS u (id, command_id, digest, ordinal),
           LATERAL (SELECT s.id, s.command_digest FROM schedules s WHERE s.command_id = u.command_id
                    UNION ALL
                    SELECT s.schedule_id, s.digest FROM settled_commands s WHERE s.id = u.command_id
                     LIMIT 1) AS o (id, digest)
     WHERE o.id <> u.id AND u.ordinal <> ALL (v_unknown);
    GET DIAGNOSTICS v_repeated = ROW_COUNT;
    IF cardinality(v_inserted) + v_repeated <> v_schedules THEN
        RAISE EXCEPTION 'an original vanished meanwhile' USING ERRCODE = 'serialization_failure';
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
    v_settled    bytea;
    v_schedule   schedules;
    v_is_default boolean := EXISTS (SELECT FROM default_schedules d WHERE d.schedule_id = p_id);
BEGIN
    -- Of somebody else's nothing is locked: who locks schedules holds their owner's row.
    SELECT * INTO v_schedule FROM schedules WHERE id = p_id AND owner_id = p_owner_id FOR UPDATE;
    IF NOT FOUND THEN
        SELECT * INTO v_schedule FROM schedules WHERE id = p_id;
    END IF;
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
        PERFORM settle_command(p_command_id, p_digest, p_id, NULL, command_memory());
    END IF;
    RETURN v_outcome;
END;
$$;

CREATE OR REPLACE FUNCTION remove_user(p_id bigint, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM users WHERE id = p_id FOR UPDATE;
    PERFORM delete_schedules(ARRAY(SELECT id FROM schedules WHERE owner_id = p_id), NULL, p_at, NULL);
    DELETE FROM users WHERE id = p_id;
    RETURN FOUND;
END;
$$;

-- Nothing finds schedules by their organization but this: it reads them all.
CREATE OR REPLACE FUNCTION remove_organization(p_id bigint, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    -- Who is no member makes no schedule in it, and whoever is making one holds this lock.
    PERFORM FROM users
      WHERE id IN (SELECT user_id FROM memberships WHERE org_id = p_id UNION SELECT owner_id FROM schedules WHERE org_id = p_id)
      ORDER BY id FOR NO KEY UPDATE;
    PERFORM delete_schedules(ARRAY(SELECT id FROM schedules WHERE org_id = p_id), NULL, p_at, NULL);
    DELETE FROM organizations WHERE id = p_id;
    RETURN FOUND;
END;
$$;

DROP FUNCTION delete_schedule(schedules, uuid, timestamptz, text);
