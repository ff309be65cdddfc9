
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE TYPE public.membership_role AS ENUM (
    'MEMBER',
    'ADMIN',
    'OWNER'
);

CREATE TYPE public.directory_entry AS (
	type text,
	remove boolean,
	id bigint,
	"orgId" bigint,
	"teamId" bigint,
	"userId" bigint,
	name text,
	"timeZone" text,
	role public.membership_role
);

CREATE TYPE public.write_outcome AS (
	ordinal bigint,
	verdict text,
	schedule_id bigint,
	state text
);

CREATE FUNCTION public.accept_position(p_slot text, p_holder integer, p_highest_id bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_pid     integer;
    v_highest bigint;
BEGIN
    SELECT s.active_pid INTO v_pid FROM pg_replication_slots s
     WHERE s.slot_name = p_slot AND p_holder IN (SELECT relay_holders(s.active_pid));
    IF v_pid IS NULL THEN
        RAISE EXCEPTION 'another process holds the replication slot "%"', p_slot USING ERRCODE = 'object_in_use';
    END IF;
    v_highest := move_schedule_ids(p_highest_id);
    INSERT INTO relay_positions (slot, holder, holder_pid, accepted_at) VALUES (p_slot, p_holder, v_pid, now())
    ON CONFLICT (slot) DO UPDATE SET holder = excluded.holder, holder_pid = excluded.holder_pid,
        accepted_at = excluded.accepted_at, refusal = NULL;
    RETURN v_highest;
END;
$$;

CREATE FUNCTION public.apply_directory(p_entry json, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    RETURN apply_entries(ARRAY[p_entry], p_at) > 0;
END;
$$;

CREATE FUNCTION public.apply_entries(p_entries json[], p_at timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_entries directory_entry[] := ARRAY(SELECT json_populate_record(NULL::directory_entry, e) FROM unnest(p_entries) AS e);
    v_removes boolean := false;
    v_changed bigint := 0;
    v_entry   directory_entry;
BEGIN
    PERFORM lock_entries(v_entries);
    FOREACH v_entry IN ARRAY v_entries LOOP
        IF v_entry.remove THEN
            v_changed := v_changed + remove_entry(v_entry, p_at)::integer;
            v_removes := true;
        ELSE
            IF v_removes THEN
                PERFORM lock_entries(ARRAY[v_entry]);
            END IF;
            v_changed := v_changed + put_entry(v_entry, p_at)::integer;
        END IF;
    END LOOP;
    RETURN v_changed;
END;
$$;

CREATE FUNCTION public.automatic_id_max() RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT 9007199254740991 $$;

CREATE FUNCTION public.begin_removal() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO removals (type, id) VALUES (TG_ARGV[0], OLD.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.change_schedule(p_ordinal bigint, p_is_delete boolean, p_id bigint, p_command_id uuid, p_digest bytea, p_org_id bigint, p_owner_id bigint, p_name text, p_time_zone text, p_availability json, p_overrides json, p_is_default boolean, p_version bigint, p_traceparent text, p_at timestamp with time zone) RETURNS public.write_outcome
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

CREATE FUNCTION public.command_memory() RETURNS interval
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT interval '7 days' $$;

CREATE FUNCTION public.create_default_schedule(p_owner bigint, p_time_zone text, p_at timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_command  uuid := gen_random_uuid();
    v_schedule schedules;
BEGIN
    INSERT INTO schedules (id, command_id, command_digest, owner_id, name, time_zone, availability, overrides, created_at,
                           updated_at)
    VALUES (nextval('schedule_id_blocks'), v_command, uuid_send(v_command), p_owner, 'Default schedule', p_time_zone,
            '[{"days":["Monday","Tuesday","Wednesday","Thursday","Friday"],"startTime":"09:00","endTime":"17:00"}]', '[]',
            p_at, p_at)
    RETURNING * INTO v_schedule;
    INSERT INTO default_schedules (owner_id, schedule_id) VALUES (p_owner, v_schedule.id);
    PERFORM emit_schedule('ScheduleCreated', v_schedule, true, v_command, p_at, NULL);
END;
$$;

CREATE FUNCTION public.create_schedule_once(p_ordinal bigint, p_key uuid, p_keep interval, p_id bigint, p_command_id uuid, p_digest bytea, p_org_id bigint, p_owner_id bigint, p_name text, p_time_zone text, p_availability json, p_overrides json, p_is_default boolean, p_traceparent text, p_record bytea, p_at timestamp with time zone) RETURNS SETOF public.write_outcome
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

CREATE FUNCTION public.create_schedules(p_before bigint, p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[], p_owner_ids bigint[], p_names text[], p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[], p_traceparents text[], p_records bytea[], p_at timestamp with time zone) RETURNS SETOF public.write_outcome
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

CREATE FUNCTION public.delete_schedules(p_ids bigint[], p_command_id uuid, p_at timestamp with time zone, p_traceparent text) RETURNS text[]
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

CREATE FUNCTION public.emit_deletions(p_id uuid, p_max integer, OUT id uuid, OUT emitted bigint) RETURNS record
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    v_ids    uuid[];
    v_states text[];
BEGIN
    SELECT coalesce(array_agg(s.id), '{}'), coalesce(array_agg(s.state), '{}') INTO v_ids, v_states
      FROM (SELECT id, state FROM settled_commands
             WHERE (p_id IS NULL OR id > p_id) AND state::json ->> 'type' = 'ScheduleDeleted'
             ORDER BY id LIMIT p_max) AS s;
    emitted := cardinality(v_ids);
    id := v_ids[emitted];
    PERFORM pg_logical_emit_message(true, 'schedule-service.state', convert_to(s, 'UTF8')) FROM unnest(v_states) AS s;
END;
$$;

CREATE FUNCTION public.emit_last_event(p_id bigint) RETURNS boolean
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

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public.schedules (
    id bigint NOT NULL,
    command_id uuid NOT NULL,
    command_digest bytea NOT NULL,
    org_id bigint,
    owner_id bigint NOT NULL,
    name text NOT NULL,
    time_zone text NOT NULL,
    availability json NOT NULL,
    overrides json NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT schedules_availability_check CHECK ((json_array_length(availability) <= 100)),
    CONSTRAINT schedules_command_digest_check CHECK ((length(command_digest) = 16)),
    CONSTRAINT schedules_id_check CHECK ((id > 0)),
    CONSTRAINT schedules_name_check CHECK ((char_length(name) <= 255)),
    CONSTRAINT schedules_org_id_check CHECK ((org_id > 0)),
    CONSTRAINT schedules_overrides_check CHECK ((json_array_length(overrides) <= 1000)),
    CONSTRAINT schedules_owner_id_check CHECK ((owner_id > 0)),
    CONSTRAINT schedules_time_zone_check CHECK ((time_zone <> ''::text)),
    CONSTRAINT schedules_version_check CHECK ((version > 0))
);

CREATE FUNCTION public.emit_schedule(p_type text, p_schedule public.schedules, p_is_default boolean, p_command_id uuid, p_at timestamp with time zone, p_traceparent text) RETURNS text
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_state text := schedule_state(p_type, p_schedule, p_is_default, p_command_id, p_at, p_traceparent);
BEGIN
    PERFORM pg_logical_emit_message(true, 'schedule-service.state', convert_to(v_state, 'UTF8'));
    RETURN v_state;
END;
$$;

CREATE FUNCTION public.emit_schedules(p_owner_id bigint, p_id bigint, p_max integer, OUT owner_id bigint, OUT id bigint, OUT emitted bigint) RETURNS record
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    v_nil       CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    v_owner_ids bigint[];
    v_ids       bigint[];
BEGIN
    SELECT coalesce(array_agg(s.owner_id), '{}'), coalesce(array_agg(s.id), '{}') INTO v_owner_ids, v_ids
      FROM (SELECT owner_id, id FROM schedules
             WHERE (owner_id, id) > (p_owner_id, p_id)
             ORDER BY owner_id, id LIMIT p_max) AS s;
    emitted := cardinality(v_ids);
    owner_id := v_owner_ids[emitted];
    id := v_ids[emitted];

    -- Who changes a schedule holds its owner's row: what is read now is followed by no older version, and by no change unseen.
    PERFORM FROM users WHERE id = ANY (v_owner_ids) ORDER BY id FOR NO KEY UPDATE;
    PERFORM emit_schedule(CASE WHEN s.version = 1 THEN 'ScheduleCreated' ELSE 'ScheduleUpdated' END, s,
                          d.schedule_id IS NOT NULL, CASE WHEN s.version = 1 THEN s.command_id ELSE v_nil END, s.updated_at, NULL)
       FROM schedules s LEFT JOIN default_schedules d ON d.schedule_id = s.id
      WHERE s.id = ANY (v_ids)
      ORDER BY s.owner_id, s.id;
END;
$$;

CREATE FUNCTION public.ensure_role(p_name text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF to_regrole(p_name) IS NULL THEN
        EXECUTE format('CREATE ROLE %I', p_name);
    END IF;
    RETURN true;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        RETURN true;
    WHEN insufficient_privilege THEN
        RAISE WARNING 'the role % is missing, and % may not make it: let an administrator CREATE ROLE %, then migrate again',
            p_name, current_user, p_name;
        RETURN false;
END;
$$;

CREATE FUNCTION public.grant_roles() RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_owns_schema boolean := pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = current_schema()), 'USAGE');
    v_role        text;
    v_grant       role_grants;
BEGIN
    PERFORM seal_functions();
    IF v_owns_schema THEN -- before PostgreSQL 15 everybody may put functions beside ours
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    END IF;
    FOREACH v_role IN ARRAY ARRAY['schedule_service', 'schedule_relay', 'schedule_admin'] LOOP
        CONTINUE WHEN NOT ensure_role(v_role);
        IF pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') THEN
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), v_role);
        END IF;
        IF v_owns_schema THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), v_role);
        END IF;
        FOR v_grant IN SELECT * FROM role_grants WHERE role_name = v_role LOOP
            EXECUTE format('GRANT %s ON %s TO %I', v_grant.privileges, v_grant.object, v_role);
        END LOOP;
    END LOOP;
END;
$$;

CREATE FUNCTION public.lock_entries(p_entries public.directory_entry[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_orgs          bigint[] := named_ids(p_entries, 'organization', false);
    v_users         bigint[] := named_ids(p_entries, 'user', false);
    v_teams         bigint[] := named_ids(p_entries, 'team', false);
    v_removed_orgs  bigint[] := named_ids(p_entries, 'organization', true);
    v_removed_users bigint[] := named_ids(p_entries, 'user', true);
BEGIN
    -- Who waited for a lock may find that the row was removed meanwhile: once more.
    WHILE (SELECT count(*) FROM (SELECT FROM organizations WHERE id = ANY (v_orgs) ORDER BY id FOR NO KEY UPDATE) AS l)
          < cardinality(v_orgs) LOOP
        INSERT INTO organizations (id, name) SELECT u.id, '' FROM unnest(v_orgs) AS u (id) ON CONFLICT DO NOTHING;
    END LOOP;
    WHILE (SELECT count(*) FROM (SELECT FROM users WHERE id = ANY (v_users) ORDER BY id FOR NO KEY UPDATE) AS l)
          < cardinality(v_users) LOOP
        INSERT INTO users (id, name) SELECT u.id, '' FROM unnest(v_users) AS u (id) ON CONFLICT DO NOTHING;
    END LOOP;
    WHILE (SELECT count(*) FROM (SELECT FROM teams WHERE id = ANY (v_teams) ORDER BY id FOR NO KEY UPDATE) AS l)
          < cardinality(v_teams) LOOP
        INSERT INTO teams (id, name) SELECT u.id, '' FROM unnest(v_teams) AS u (id) ON CONFLICT DO NOTHING;
    END LOOP;
    IF EXISTS (SELECT FROM removals WHERE type = 'organization' AND id = ANY (v_orgs))
       OR EXISTS (SELECT FROM removals WHERE type = 'user' AND id = ANY (v_users)) THEN
        RAISE EXCEPTION 'what the entry names is being removed' USING ERRCODE = 'SS003';
    END IF;
    IF cardinality(v_removed_orgs) + cardinality(v_removed_users) > 0 THEN
        PERFORM FROM organizations WHERE id = ANY (v_removed_orgs) ORDER BY id FOR UPDATE;
        PERFORM FROM users WHERE id = ANY (v_removed_users) ORDER BY id FOR UPDATE;
        PERFORM FROM memberships WHERE user_id = ANY (v_removed_users) ORDER BY user_id, org_id FOR UPDATE;
    END IF;
    PERFORM reserve_ids('organizations_id_seq', v_orgs), reserve_ids('users_id_seq', v_users), reserve_ids('teams_id_seq', v_teams);
END;
$$;

CREATE FUNCTION public.move_offsets(p_topics text[], p_partitions integer[], p_expected bigint[], p_next bigint[]) RETURNS void
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

CREATE FUNCTION public.move_schedule_ids(p_id bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_block   CONSTANT bigint := 1000;
    v_highest bigint;
BEGIN
    SELECT CASE WHEN is_called THEN last_value + v_block - 1 ELSE 0 END INTO v_highest FROM schedule_id_blocks;
    IF p_id > v_highest THEN
        v_highest := setval('schedule_id_blocks', (p_id - 1) / v_block * v_block + 1) + v_block - 1;
    END IF;
    RETURN v_highest;
END;
$$;

CREATE FUNCTION public.named_ids(p_entries public.directory_entry[], p_kind text, p_removed boolean) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT ARRAY(
        SELECT DISTINCT i.id
          FROM unnest(p_entries) AS e,
               unnest(ARRAY[CASE WHEN e.type = p_kind THEN e.id END,
                            CASE WHEN NOT p_removed THEN
                                CASE p_kind WHEN 'organization' THEN e."orgId" WHEN 'user' THEN e."userId" ELSE e."teamId" END
                            END]) AS i (id)
         WHERE coalesce(e.remove, false) = p_removed AND i.id IS NOT NULL
         ORDER BY i.id)
$$;

CREATE FUNCTION public.position_state(p_slot text) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    v_position relay_positions;
    v_pid      integer;
    v_holders  integer[];
BEGIN
    SELECT * INTO v_position FROM relay_positions WHERE slot = p_slot;
    IF v_position.refusal IS NOT NULL THEN
        RETURN 'refused';
    END IF;
    SELECT active_pid INTO v_pid FROM pg_replication_slots WHERE slot_name = p_slot;
    IF v_pid IS NULL THEN
        RETURN 'waits';
    END IF;
    v_holders := ARRAY(SELECT relay_holders(v_pid));
    IF cardinality(v_holders) = 0 OR v_position.holder = ANY (v_holders) THEN
        RETURN 'accepted';
    END IF;
    RETURN 'waits';
END;
$$;

CREATE FUNCTION public.put_entry(p_entry public.directory_entry, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    CASE p_entry.type
    WHEN 'organization' THEN
        UPDATE organizations SET name = p_entry.name WHERE id = p_entry.id AND name <> p_entry.name;
    WHEN 'user' THEN
        RETURN put_user(p_entry.id, p_entry.name, p_entry."timeZone", p_at);
    WHEN 'membership' THEN
        INSERT INTO memberships AS m (org_id, user_id, role) VALUES (p_entry."orgId", p_entry."userId", p_entry.role)
            ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role WHERE m.role <> excluded.role;
    WHEN 'team' THEN
        UPDATE teams SET org_id = p_entry."orgId", name = p_entry.name
         WHERE id = p_entry.id AND (org_id, name) IS DISTINCT FROM (p_entry."orgId", p_entry.name);
    WHEN 'team-membership' THEN
        INSERT INTO team_memberships AS m (team_id, user_id, role) VALUES (p_entry."teamId", p_entry."userId", p_entry.role)
            ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role WHERE m.role <> excluded.role;
    END CASE;
    RETURN FOUND;
END;
$$;

CREATE FUNCTION public.put_user(p_id bigint, p_name text, p_time_zone text, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_former_zone text := (SELECT time_zone FROM users WHERE id = p_id);
BEGIN
    UPDATE users SET name = p_name, time_zone = coalesce(p_time_zone, time_zone)
     WHERE id = p_id AND (name, time_zone) IS DISTINCT FROM (p_name, coalesce(p_time_zone, time_zone));
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF v_former_zone IS NULL AND p_time_zone IS NOT NULL
       AND NOT EXISTS (SELECT FROM schedules s WHERE s.owner_id = p_id) THEN
        PERFORM create_default_schedule(p_id, p_time_zone, p_at);
    END IF;
    RETURN true;
END;
$$;

CREATE FUNCTION public.refuse_position(p_slot text, p_reason text) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO relay_positions (slot, refusal) VALUES (p_slot, p_reason)
    ON CONFLICT (slot) DO UPDATE SET holder = NULL, holder_pid = NULL, accepted_at = NULL, refusal = excluded.refusal
$$;

CREATE FUNCTION public.relay_holders(p_pid integer) RETURNS SETOF integer
    LANGUAGE sql STABLE
    AS $$
    SELECT objid::bigint::integer FROM pg_locks
     WHERE pid = p_pid AND locktype = 'advisory' AND objsubid = 2 AND granted AND classid = relay_lock_class()::oid
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
$$;

CREATE FUNCTION public.relay_lock_class() RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT 721583012 $$;

CREATE FUNCTION public.remove_entry(p_entry public.directory_entry, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    CASE p_entry.type
    WHEN 'organization', 'user' THEN RETURN remove_object(p_entry.type, p_entry.id, p_at);
    WHEN 'membership' THEN DELETE FROM memberships WHERE org_id = p_entry."orgId" AND user_id = p_entry."userId";
    WHEN 'team' THEN DELETE FROM teams WHERE id = p_entry.id;
    WHEN 'team-membership' THEN DELETE FROM team_memberships WHERE team_id = p_entry."teamId" AND user_id = p_entry."userId";
    END CASE;
    RETURN FOUND;
END;
$$;

CREATE FUNCTION public.remove_hangers(p_type text, p_id bigint, p_max bigint) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF p_type <> 'organization' THEN
        RETURN true; -- the rest went with the user
    END IF;
    DELETE FROM team_memberships
     WHERE (team_id, user_id) IN (SELECT m.team_id, m.user_id FROM teams t JOIN team_memberships m ON m.team_id = t.id
                                   WHERE t.org_id = p_id LIMIT p_max FOR UPDATE OF m SKIP LOCKED);
    DELETE FROM teams
     WHERE id IN (SELECT t.id FROM teams t
                   WHERE t.org_id = p_id AND NOT EXISTS (SELECT FROM team_memberships m WHERE m.team_id = t.id)
                   LIMIT p_max FOR UPDATE OF t SKIP LOCKED);
    DELETE FROM memberships
     WHERE org_id = p_id AND user_id IN (SELECT m.user_id FROM memberships m
                                          WHERE m.org_id = p_id LIMIT p_max FOR UPDATE SKIP LOCKED);
    RETURN NOT EXISTS (SELECT FROM teams t WHERE t.org_id = p_id)
       AND NOT EXISTS (SELECT FROM memberships m WHERE m.org_id = p_id)
       AND NOT EXISTS (SELECT FROM schedules s WHERE s.org_id = p_id);
END;
$$;

CREATE FUNCTION public.remove_object(p_type text, p_id bigint, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_small CONSTANT bigint := 10;
BEGIN
    IF p_type = 'organization' THEN
        DELETE FROM organizations WHERE id = p_id;
    ELSE
        DELETE FROM users WHERE id = p_id;
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM step_removal(p_type, p_id, v_small, p_at);
    RETURN true;
END;
$$;

CREATE FUNCTION public.reserve_ids(p_sequence regclass, p_ids bigint[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_id bigint := (SELECT max(u.id) FROM unnest(p_ids) AS u (id) WHERE u.id <= automatic_id_max());
BEGIN
    IF v_id > coalesce(pg_sequence_last_value(p_sequence), 0) THEN
        PERFORM pg_advisory_xact_lock(p_sequence::oid::integer, 0);
        PERFORM setval(p_sequence, greatest(coalesce(pg_sequence_last_value(p_sequence), 0), v_id));
    END IF;
END;
$$;

CREATE FUNCTION public.run_removals(p_max bigint, OUT deleted bigint, OUT ended bigint, OUT pending bigint, OUT oldest_seconds bigint) RETURNS record
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    v_next removals;
    v_step record;
    v_left bigint := p_max;
BEGIN
    ended := 0;
    IF pg_try_advisory_xact_lock(7215830125520) THEN -- any number that nobody else locks
        deleted := 0;
        WHILE v_left > 0 LOOP
            SELECT * INTO v_next FROM removals WHERE stepped_at <= now() ORDER BY stepped_at LIMIT 1 FOR UPDATE SKIP LOCKED;
            EXIT WHEN NOT FOUND;
            v_step := step_removal(v_next.type, v_next.id, v_left, now());
            deleted := deleted + v_step.deleted;
            ended := ended + v_step.ended::integer;
            v_left := v_left - v_step.deleted - 1;
        END LOOP;
    END IF;
    SELECT count(*), coalesce(extract(epoch FROM now() - min(r.begun_at)), 0) INTO pending, oldest_seconds
      FROM (SELECT begun_at FROM removals LIMIT 100000) AS r;
END;
$$;

CREATE FUNCTION public.schedule_standing(p_org bigint, p_user bigint, p_schedule_org bigint, p_schedule_owner bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN CASE
        WHEN EXISTS (SELECT FROM removals r WHERE r.type = 'organization' AND r.id = p_schedule_org)
          OR EXISTS (SELECT FROM removals r WHERE r.type = 'user' AND r.id = p_schedule_owner) THEN NULL
        WHEN p_org IS NULL AND p_schedule_owner = p_user THEN 'own'
        WHEN p_org IS NULL THEN
            (SELECT 'other' FROM memberships mine JOIN memberships theirs USING (org_id)
              WHERE mine.user_id = p_user AND theirs.user_id = p_schedule_owner
                AND (p_schedule_org IS NULL OR p_schedule_org = mine.org_id)
                AND NOT EXISTS (SELECT FROM removals r WHERE r.type = 'organization' AND r.id = mine.org_id)
              LIMIT 1)
        WHEN p_schedule_org = p_org
          OR p_schedule_org IS NULL AND EXISTS (SELECT FROM memberships m
                                                 WHERE m.org_id = p_org AND m.user_id = p_schedule_owner)
        THEN CASE WHEN p_schedule_owner = p_user THEN 'own' ELSE 'other' END
    END;
END;
$$;

CREATE FUNCTION public.schedule_state(p_type text, p_schedule public.schedules, p_is_default boolean, p_command_id uuid, p_at timestamp with time zone, p_traceparent text) RETURNS text
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

CREATE FUNCTION public.schedules_that_fit(p_ids bigint[], p_bytes bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    v_id    bigint;
    v_total bigint := 0;
    v_fits  bigint := 0;
BEGIN
    FOREACH v_id IN ARRAY p_ids LOOP
        -- About what one takes in an answer; 200 at least.
        v_total := v_total + (SELECT octet_length(availability::text) + octet_length(overrides::text) + octet_length(name) + 200
                                FROM schedules WHERE id = v_id);
        EXIT WHEN v_total > p_bytes;
        v_fits := v_fits + 1;
    END LOOP;
    RETURN v_fits;
END;
$$;

CREATE FUNCTION public.seal_functions() RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_function text;
BEGIN
    FOR v_function IN SELECT DISTINCT object FROM role_grants WHERE privileges = 'EXECUTE' LOOP
        EXECUTE format('ALTER %s SECURITY DEFINER SET search_path = %I, pg_temp', v_function, current_schema());
        EXECUTE format('REVOKE EXECUTE ON %s FROM PUBLIC', v_function);
    END LOOP;
END;
$$;

CREATE FUNCTION public.settle_command(p_id uuid, p_digest bytea, p_schedule_id bigint, p_state text, p_keep interval) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO settled_commands (id, digest, schedule_id, state, expires_at)
    VALUES (p_id, p_digest, p_schedule_id, p_state, now() + p_keep)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the command was settled meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END;
$$;

CREATE FUNCTION public.step_removal(p_type text, p_id bigint, p_max bigint, p_at timestamp with time zone, OUT deleted bigint, OUT ended boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_after  bigint := (SELECT r.after_id FROM removals r WHERE r.type = p_type AND r.id = p_id);
    v_ids    bigint[];
    v_owners bigint[];
    v_busy   bigint[];
BEGIN
    IF p_type = 'user' THEN
        v_ids := ARRAY(SELECT s.id FROM schedules s WHERE (s.owner_id, s.id) > (p_id, v_after) AND s.owner_id <= p_id
                        ORDER BY s.owner_id, s.id LIMIT p_max FOR UPDATE SKIP LOCKED);
    ELSE
        SELECT coalesce(array_agg(c.id), '{}'), array_agg(DISTINCT c.owner_id) INTO v_ids, v_owners
          FROM (SELECT s.id, s.owner_id FROM schedules s WHERE (s.org_id, s.id) > (p_id, v_after) AND s.org_id <= p_id
                 ORDER BY s.org_id, s.id LIMIT p_max FOR UPDATE SKIP LOCKED) AS c;
        -- Who changes a schedule, or makes another one the default, holds its owner's row.
        v_owners := ARRAY(SELECT u.id FROM unnest(v_owners) AS u (id) WHERE u.id <> ALL (
                              ARRAY(SELECT l.id FROM users l WHERE l.id = ANY (v_owners) ORDER BY l.id FOR NO KEY UPDATE SKIP LOCKED)));
        v_busy := ARRAY(SELECT u.id FROM users u WHERE u.id = ANY (v_owners)); -- the others are removed themselves
    END IF;
    deleted := coalesce(cardinality(delete_schedules(
        ARRAY(SELECT s.id FROM schedules s WHERE s.id = ANY (v_ids) AND s.owner_id <> ALL (coalesce(v_busy, '{}'))),
        NULL, p_at, NULL)), 0);

    v_after := CASE WHEN cardinality(v_ids) < p_max THEN 0 ELSE v_ids[cardinality(v_ids)] END; -- 0: from the start, if any is left
    ended := v_after = 0 AND remove_hangers(p_type, p_id, p_max)
             AND NOT EXISTS (SELECT FROM schedules s WHERE s.owner_id = p_id AND p_type = 'user')
             AND NOT EXISTS (SELECT FROM schedules s WHERE s.org_id = p_id AND p_type = 'organization');
    IF ended THEN
        DELETE FROM removals WHERE type = p_type AND id = p_id;
    ELSE
        UPDATE removals SET after_id = v_after, schedules = schedules + deleted, stepped_at = clock_timestamp()
         WHERE type = p_type AND id = p_id;
    END IF;
END;
$$;

CREATE FUNCTION public.sweep_settled_commands(p_after timestamp with time zone, p_max bigint, OUT swept bigint, OUT up_to timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
    WITH gone AS (
        DELETE FROM settled_commands
         WHERE id = ANY (ARRAY(SELECT s.id FROM settled_commands s
                                WHERE s.expires_at >= coalesce(p_after, '-infinity') AND s.expires_at <= now()
                                ORDER BY s.expires_at LIMIT p_max FOR UPDATE SKIP LOCKED))
        RETURNING expires_at)
    SELECT count(*), coalesce(max(g.expires_at), p_after) INTO swept, up_to FROM gone g;
END;
$$;

CREATE FUNCTION public.take_defaults(p_owner_ids bigint[], p_schedule_ids bigint[], p_command_ids uuid[], p_traceparents text[], p_at timestamp with time zone) RETURNS TABLE(ordinal integer, state text)
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

CREATE FUNCTION public.unknown_owners(p_org_ids bigint[], p_owner_ids bigint[]) RETURNS SETOF bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_owners bigint := cardinality(p_owner_ids) - cardinality(array_positions(p_owner_ids, NULL));
    v_in_org bigint := cardinality(p_org_ids) - cardinality(array_positions(p_org_ids, NULL));
    v_known  bigint[] := '{}';
BEGIN
    IF v_owners > v_in_org THEN
        v_known := ARRAY(SELECT o.ordinal
                           FROM unnest(p_org_ids, p_owner_ids) WITH ORDINALITY AS o (org_id, owner_id, ordinal)
                           JOIN users u ON u.id = o.owner_id
                          WHERE o.org_id IS NULL
                          ORDER BY u.id FOR KEY SHARE OF u);
    END IF;
    IF v_in_org > 0 THEN
        v_known := v_known || ARRAY(
            SELECT o.ordinal
              FROM unnest(p_org_ids, p_owner_ids) WITH ORDINALITY AS o (org_id, owner_id, ordinal)
              JOIN memberships m ON m.org_id = o.org_id AND m.user_id = o.owner_id
             WHERE m.org_id <> ALL (ARRAY(SELECT r.id FROM removals r WHERE r.type = 'organization' AND r.id = ANY (p_org_ids)))
             ORDER BY m.user_id, m.org_id FOR KEY SHARE OF m);
    END IF;
    IF cardinality(v_known) < v_owners THEN
        RETURN QUERY
        SELECT o.ordinal FROM unnest(p_owner_ids) WITH ORDINALITY AS o (owner_id, ordinal)
         WHERE o.owner_id IS NOT NULL AND o.ordinal <> ALL (v_known);
    END IF;
END;
$$;

CREATE FUNCTION public.write_batch(p_topics text[], p_partitions integer[], p_expected bigint[], p_next bigint[], p_kinds integer[], p_ids bigint[], p_command_ids uuid[], p_digests bytea[], p_org_ids bigint[], p_owner_ids bigint[], p_names text[], p_time_zones text[], p_availability json[], p_overrides json[], p_defaults boolean[], p_versions bigint[], p_keys uuid[], p_entries json[], p_traceparents text[], p_records bytea[], p_at timestamp with time zone, p_keep interval) RETURNS SETOF public.write_outcome
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
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

    -- What concerns an owner's default, or changes an owner's schedule, happens one after the other.
    IF true = ANY (p_defaults) OR p_kinds && '{2,3}' THEN
        PERFORM FROM users
          WHERE id IN (SELECT u.owner_id FROM unnest(p_kinds, p_owner_ids, p_defaults) AS u (kind, owner_id, is_default)
                        WHERE u.is_default OR u.kind IN (2, 3))
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

CREATE TABLE public.api_key_limits (
    api_key_id bigint NOT NULL,
    name text NOT NULL,
    requests integer NOT NULL,
    window_ms bigint NOT NULL,
    block_ms bigint NOT NULL,
    CONSTRAINT api_key_limits_block_ms_check CHECK ((block_ms > 0)),
    CONSTRAINT api_key_limits_block_ms_check1 CHECK ((block_ms <= '31536000000'::bigint)),
    CONSTRAINT api_key_limits_name_check CHECK ((name ~ '^[A-Za-z][A-Za-z0-9]{0,31}$'::text)),
    CONSTRAINT api_key_limits_requests_check CHECK ((requests > 0)),
    CONSTRAINT api_key_limits_window_ms_check CHECK ((window_ms > 0)),
    CONSTRAINT api_key_limits_window_ms_check1 CHECK ((window_ms <= '31536000000'::bigint))
);

CREATE TABLE public.api_keys (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    key_hash bytea NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_key_hash_check CHECK ((length(key_hash) = 32))
);

ALTER TABLE public.api_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.api_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.command_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    CONSTRAINT command_offsets_next_offset_check CHECK ((next_offset >= 0))
);

CREATE TABLE public.default_schedules (
    owner_id bigint NOT NULL,
    schedule_id bigint NOT NULL
);

CREATE TABLE public.memberships (
    org_id bigint NOT NULL,
    user_id bigint NOT NULL,
    role public.membership_role DEFAULT 'MEMBER'::public.membership_role NOT NULL
);

CREATE TABLE public.oauth_clients (
    id text NOT NULL,
    org_id bigint NOT NULL,
    secret_hash bytea NOT NULL,
    permissions integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    CONSTRAINT oauth_clients_secret_hash_check CHECK ((length(secret_hash) = 32))
);

CREATE TABLE public.organizations (
    id bigint NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.organizations ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.organizations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.relay_positions (
    slot text NOT NULL,
    holder integer,
    holder_pid integer,
    accepted_at timestamp with time zone,
    refusal text
);

CREATE TABLE public.removals (
    type text NOT NULL,
    id bigint NOT NULL,
    begun_at timestamp with time zone DEFAULT now() NOT NULL,
    stepped_at timestamp with time zone DEFAULT now() NOT NULL,
    after_id bigint DEFAULT 0 NOT NULL,
    schedules bigint DEFAULT 0 NOT NULL,
    CONSTRAINT removals_type_check CHECK ((type = ANY (ARRAY['organization'::text, 'user'::text])))
);

CREATE TABLE public.role_grants (
    role_name text NOT NULL,
    privileges text NOT NULL,
    object text NOT NULL
);

CREATE VIEW public.schedule_hours AS
 SELECT s.id AS schedule_id,
    s.owner_id,
    s.org_id,
    s.time_zone,
    'window'::text AS kind,
    d.weekday,
    NULL::date AS on_date,
    ((w.item ->> 'startTime'::text))::time without time zone AS start_time,
    ((w.item ->> 'endTime'::text))::time without time zone AS end_time
   FROM public.schedules s,
    LATERAL json_array_elements(s.availability) w(item),
    LATERAL json_array_elements_text((w.item -> 'days'::text)) d(weekday)
UNION ALL
 SELECT s.id AS schedule_id,
    s.owner_id,
    s.org_id,
    s.time_zone,
    'override'::text AS kind,
    NULL::text AS weekday,
    ((o.item ->> 'date'::text))::date AS on_date,
    ((o.item ->> 'startTime'::text))::time without time zone AS start_time,
    ((o.item ->> 'endTime'::text))::time without time zone AS end_time
   FROM public.schedules s,
    LATERAL json_array_elements(s.overrides) o(item);

CREATE SEQUENCE public.schedule_id_blocks
    START WITH 1
    INCREMENT BY 1000
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.schema_migrations (
    version bigint NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.settled_commands (
    id uuid NOT NULL,
    digest bytea NOT NULL,
    schedule_id bigint NOT NULL,
    state text,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT settled_commands_digest_check CHECK ((length(digest) = 16))
);

CREATE TABLE public.slot_generations (
    slot text NOT NULL,
    generation uuid NOT NULL
);

CREATE TABLE public.team_memberships (
    team_id bigint NOT NULL,
    user_id bigint NOT NULL,
    role public.membership_role DEFAULT 'MEMBER'::public.membership_role NOT NULL
);

CREATE TABLE public.teams (
    id bigint NOT NULL,
    org_id bigint,
    name text NOT NULL
);

ALTER TABLE public.teams ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.teams_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.users (
    id bigint NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    time_zone text,
    is_system_admin boolean DEFAULT false NOT NULL,
    CONSTRAINT users_time_zone_check CHECK ((time_zone <> ''::text))
);

ALTER TABLE public.users ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.users_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

COPY public.api_key_limits (api_key_id, name, requests, window_ms, block_ms) FROM stdin;
1	burst	20	1000	5000
\.

COPY public.api_keys (id, user_id, key_hash, note, created_at, expires_at, revoked_at) FROM stdin;
1	1	\\xca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb	ci	2026-11-28 17:08:58.507827+00	\N	\N
\.

COPY public.command_offsets (topic, partition, next_offset) FROM stdin;
schedules.commands.v1	0	21
\.

COPY public.default_schedules (owner_id, schedule_id) FROM stdin;
1	2
2	1
\.

COPY public.memberships (org_id, user_id, role) FROM stdin;
1	1	OWNER
1	2	MEMBER
2	2	ADMIN
\.

COPY public.oauth_clients (id, org_id, secret_hash, permissions, created_at, name) FROM stdin;
c1	1	\\x043a718774c572bd8a25adbeb1bfcd5c0256ae11cecf9f9c3f925d0e52beaf89	48	2026-11-28 17:08:58.5104+00	web
\.

COPY public.organizations (id, name, created_at) FROM stdin;
1	Acme	2026-11-28 17:08:58.501584+00
2	Other	2026-11-28 17:08:58.501584+00
\.

COPY public.relay_positions (slot, holder, holder_pid, accepted_at, refusal) FROM stdin;
\.

COPY public.removals (type, id, begun_at, stepped_at, after_id, schedules) FROM stdin;
\.

COPY public.role_grants (role_name, privileges, object) FROM stdin;
schedule_service	EXECUTE	FUNCTION write_batch
schedule_service	USAGE	SEQUENCE schedule_id_blocks
schedule_service	SELECT, INSERT	TABLE command_offsets
schedule_service	SELECT (version)	TABLE schema_migrations
schedule_service	SELECT	TABLE schedules
schedule_service	SELECT	TABLE default_schedules
schedule_service	SELECT (id)	TABLE organizations
schedule_service	SELECT (id, is_system_admin)	TABLE users
schedule_service	SELECT	TABLE memberships
schedule_service	SELECT (id, org_id)	TABLE teams
schedule_service	SELECT	TABLE team_memberships
schedule_service	SELECT (id, user_id, key_hash, expires_at, revoked_at)	TABLE api_keys
schedule_service	SELECT	TABLE api_key_limits
schedule_service	SELECT (id, org_id, secret_hash, permissions)	TABLE oauth_clients
schedule_admin	EXECUTE	FUNCTION apply_directory
schedule_admin	USAGE	SEQUENCE organizations_id_seq, users_id_seq, teams_id_seq
schedule_admin	SELECT	TABLE organizations, users, memberships, teams, team_memberships
schedule_admin	UPDATE (is_system_admin)	TABLE users
schedule_admin	SELECT (id, user_id, note, created_at, expires_at, revoked_at)	TABLE api_keys
schedule_admin	INSERT (user_id, key_hash, note, expires_at), UPDATE (revoked_at)	TABLE api_keys
schedule_admin	SELECT, INSERT, UPDATE, DELETE	TABLE api_key_limits
schedule_admin	SELECT (id, org_id, name, permissions, created_at), INSERT, DELETE	TABLE oauth_clients
schedule_admin	SELECT, INSERT, UPDATE (next_offset)	TABLE command_offsets
schedule_relay	SELECT	TABLE slot_generations
schedule_service	SELECT	TABLE removals
schedule_service	EXECUTE	FUNCTION run_removals
schedule_admin	SELECT	TABLE removals
schedule_admin	EXECUTE	FUNCTION apply_entries
schedule_admin	EXECUTE	FUNCTION run_removals
schedule_service	EXECUTE	FUNCTION sweep_settled_commands
schedule_service	EXECUTE	FUNCTION position_state
schedule_relay	EXECUTE	FUNCTION accept_position
schedule_relay	EXECUTE	FUNCTION refuse_position
schedule_relay	SELECT	TABLE relay_positions
\.

COPY public.schedules (id, command_id, command_digest, org_id, owner_id, name, time_zone, availability, overrides, version, created_at, updated_at) FROM stdin;
1	00000000-0000-4000-8000-000000000001	\\xc4ca4238a0b923820dcc509a6f75849b	\N	2	Schedule 1	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	2	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
2	00000000-0000-4000-8000-000000000002	\\xc81e728d9d4c2f636f067f89cc14862c	1	1	Schedule 2	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	3	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
3	00000000-0000-4000-8000-000000000003	\\xeccbc87e4b5ce2fe28308fd9f2a7baf3	\N	2	Schedule 3	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	1	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
4	00000000-0000-4000-8000-000000000004	\\xa87ff679a2f3e71d9181a67b7542122c	1	1	Schedule 4	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	2	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
5	00000000-0000-4000-8000-000000000005	\\xe4da3b7fbbce2345d7772b0674a318d5	\N	2	Schedule 5	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	3	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
6	00000000-0000-4000-8000-000000000006	\\x1679091c5a880faf6fb5e6087eb1b2dc	1	1	Schedule 6	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	1	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
7	00000000-0000-4000-8000-000000000007	\\x8f14e45fceea167a5a36dedd4bea2543	\N	2	Schedule 7	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	2	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
8	00000000-0000-4000-8000-000000000008	\\xc9f0f895fb98ab9159f51fd0297e236d	1	1	Schedule 8	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	3	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
9	00000000-0000-4000-8000-000000000009	\\x45c48cce2e2d7fbdea1afc51c7c6ad26	\N	2	Schedule 9	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	1	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
10	00000000-0000-4000-8000-000000000010	\\xd3d9446802a44259755d38e6d163e820	1	1	Schedule 10	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	2	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
11	00000000-0000-4000-8000-000000000011	\\x6512bd43d9caa6e02c990b0a82652dca	\N	2	Schedule 11	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	3	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
12	00000000-0000-4000-8000-000000000012	\\xc20ad4d76fe97759aa27a0c99bff6710	1	1	Schedule 12	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	1	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
13	00000000-0000-4000-8000-000000000013	\\xc51ce410c124a10e0db5e4b97fc2af39	\N	2	Schedule 13	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	2	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
14	00000000-0000-4000-8000-000000000014	\\xaab3238922bcc25a6f606eb525ffdc56	1	1	Schedule 14	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	3	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
15	00000000-0000-4000-8000-000000000015	\\x9bf31c7ff062936a96d3c8bd1f8f2ff3	\N	2	Schedule 15	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	1	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
16	00000000-0000-4000-8000-000000000016	\\xc74d97b01eae257e44aa9d5bade97baf	1	1	Schedule 16	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	2	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
17	00000000-0000-4000-8000-000000000017	\\x70efdf2ec9b086079795c442636b55fb	\N	2	Schedule 17	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	3	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
18	00000000-0000-4000-8000-000000000018	\\x6f4922f45568161a8cdf4ad2299f6d23	1	1	Schedule 18	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	1	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
19	00000000-0000-4000-8000-000000000019	\\x1f0e3dad99908345f7439f8ffabdffc4	\N	2	Schedule 19	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	2	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
20	00000000-0000-4000-8000-000000000020	\\x98f13708210194c475687be6106a3b84	1	1	Schedule 20	Europe/Rome	[{"days":["Monday","Friday"],"startTime":"09:00","endTime":"17:00"}]	[{"date":"2027-01-01","startTime":"10:00","endTime":"12:00"}]	3	2026-11-01 00:00:00+00	2026-11-02 00:00:00+00
21	e6848027-e283-471f-9175-2e5c58688f77	\\x9dd4e461268c8034f5c8564e155c67a6	\N	77	left behind	UTC	[]	[]	1	2026-11-01 00:00:00+00	2026-11-01 00:00:00+00
\.

COPY public.schema_migrations (version, name, checksum, applied_at) FROM stdin;
1	0001_schedules	cc9cb2756e2f846019ee35b1ba326cd58ba75c11660c3b3332c1379e2611f196	2026-11-28 17:08:56.528307+00
2	0002_write_schedules	54a1786e137b8249f42f661f187f22564e6d6c822b1d183c28ab377eb13b3a79	2026-11-28 17:08:56.619479+00
3	0003_credentials	292b1fd919578c5546f8b0d4721dec9716f9bd467ad357e349580c68e0742c17	2026-11-28 17:08:56.715959+00
4	0004_standing	c9afa1af2088f308f5010e9b00e15336be11f37a2ef794c9b367603955fd4ac4	2026-11-28 17:08:56.8212+00
5	0005_changes	57ded6265ae9ad307d80430ae4a9e400823a210c9eb4e9fd79dce80d44622a6a	2026-11-28 17:08:56.95171+00
6	0006_directory	2b7184fe130355cde2b6b215686af0a95cfd60b45b1280a500a035f77dcf0654	2026-11-28 17:08:57.07239+00
7	0007_key_limits	8c892a57ec44d374bd0c45c6bb7901731fd62ff3430d059c6832e0423468da8c	2026-11-28 17:08:57.16344+00
8	0008_roles	7cc8c823be029eaee49ada20c7858fc4689612d139bc3bf0356bfc238c852ea9	2026-11-28 17:08:57.250135+00
9	0009_rebuild	b19015527b83bfaff07af40c80fca0816ea9984cbc206e2693b247830983f343	2026-11-28 17:08:57.372764+00
10	0010_fewer_steps	412dab40900028da8b0f10e1db94a4cb1c7c37b7ca5be07b6382a120cdcc13a2	2026-11-28 17:08:57.477481+00
11	0011_no_resurrection	539629e0594d7cda9c578a943650e9943bdb6ad447133f6dc30c307140003717	2026-11-28 17:08:57.590343+00
12	0012_removals	c93042b23c43c7ac6cb7539a0cc9e0496592795cc5c2d815033698772c41766b	2026-11-28 17:08:57.695281+00
13	0013_sweep	e8a83b516d6533e5bdface329149970f1e16f030fe93afdf10543e3d8e01be30	2026-11-28 17:08:57.810888+00
14	0014_steps_along_their_index	42095e62aaa9a9cb99f4965709e4b16547e2a104632f486a05b42f3d8e8e8444	2026-11-28 17:08:57.925022+00
15	0015_accepted_positions	e2cf8c7a82fa4b8a8217089606357d8bcf07ec21a51caed1109674faba53be63	2026-11-28 17:08:58.044865+00
17	0017_lists_stop_early	373a96e51a14b65abc009323a6c058ba2cc487999b16173ccc668d9785a3fb83	2026-11-28 17:08:58.165485+00
22	0022_tell_one_schedule	bcf39389826454d982cbe0ba19a7850d8cf360b5454a2bfb537ca945c7f8261e	2026-11-28 17:08:58.29595+00
24	0024_removals_end_behind_their_members	11e24a67754783b2e5af67e2125bae52a3ad1c39d358e83925bb284c054d56e5	2026-11-28 17:08:58.427806+00
\.

COPY public.settled_commands (id, digest, schedule_id, state, expires_at) FROM stdin;
dc18e24b-f748-4e2d-ba33-51ae216f199b	\\x415290769594460e2e485922904f345d	2	\N	2100-01-01 00:00:00+00
\.

COPY public.slot_generations (slot, generation) FROM stdin;
\.

COPY public.team_memberships (team_id, user_id, role) FROM stdin;
1	1	ADMIN
1	2	MEMBER
\.

COPY public.teams (id, org_id, name) FROM stdin;
1	1	Sales
2	\N	
\.

COPY public.users (id, name, created_at, time_zone, is_system_admin) FROM stdin;
1	Ada	2026-11-28 17:08:58.50298+00	Europe/Rome	f
2	Grace	2026-11-28 17:08:58.50298+00	\N	t
999999999999999999	Large	2026-11-28 17:08:58.50298+00	\N	f
\.

SELECT pg_catalog.setval('public.api_keys_id_seq', 1, true);

SELECT pg_catalog.setval('public.organizations_id_seq', 1, false);

SELECT pg_catalog.setval('public.schedule_id_blocks', 1, true);

SELECT pg_catalog.setval('public.teams_id_seq', 1, false);

SELECT pg_catalog.setval('public.users_id_seq', 999999999999999999, true);

ALTER TABLE ONLY public.api_key_limits
    ADD CONSTRAINT api_key_limits_pkey PRIMARY KEY (api_key_id, name);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.command_offsets
    ADD CONSTRAINT command_offsets_pkey PRIMARY KEY (topic, partition);

ALTER TABLE ONLY public.default_schedules
    ADD CONSTRAINT default_schedules_pkey PRIMARY KEY (owner_id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (org_id, user_id);

ALTER TABLE ONLY public.oauth_clients
    ADD CONSTRAINT oauth_clients_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT organizations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.relay_positions
    ADD CONSTRAINT relay_positions_pkey PRIMARY KEY (slot);

ALTER TABLE ONLY public.removals
    ADD CONSTRAINT removals_pkey PRIMARY KEY (type, id);

ALTER TABLE ONLY public.role_grants
    ADD CONSTRAINT role_grants_pkey PRIMARY KEY (role_name, privileges, object);

ALTER TABLE ONLY public.schedules
    ADD CONSTRAINT schedules_command_id_key UNIQUE (command_id);

ALTER TABLE ONLY public.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.settled_commands
    ADD CONSTRAINT settled_commands_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.slot_generations
    ADD CONSTRAINT slot_generations_pkey PRIMARY KEY (slot);

ALTER TABLE ONLY public.team_memberships
    ADD CONSTRAINT team_memberships_pkey PRIMARY KEY (team_id, user_id);

ALTER TABLE ONLY public.teams
    ADD CONSTRAINT teams_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

CREATE INDEX default_schedules_schedule ON public.default_schedules USING btree (schedule_id);

CREATE INDEX memberships_user ON public.memberships USING btree (user_id);

CREATE INDEX removals_turn ON public.removals USING btree (stepped_at);

CREATE INDEX schedules_org ON public.schedules USING btree (org_id, id) WHERE (org_id IS NOT NULL);

CREATE INDEX schedules_owner ON public.schedules USING btree (owner_id, id);

CREATE INDEX settled_commands_expiry ON public.settled_commands USING btree (expires_at);

CREATE INDEX team_memberships_user ON public.team_memberships USING btree (user_id);

CREATE INDEX teams_org ON public.teams USING btree (org_id);

CREATE TRIGGER organizations_removed AFTER DELETE ON public.organizations FOR EACH ROW EXECUTE FUNCTION public.begin_removal('organization');

CREATE TRIGGER users_removed AFTER DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION public.begin_removal('user');

ALTER TABLE ONLY public.api_key_limits
    ADD CONSTRAINT api_key_limits_api_key_id_fkey FOREIGN KEY (api_key_id) REFERENCES public.api_keys(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.default_schedules
    ADD CONSTRAINT default_schedules_schedule_id_fkey FOREIGN KEY (schedule_id) REFERENCES public.schedules(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_clients
    ADD CONSTRAINT oauth_clients_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_memberships
    ADD CONSTRAINT team_memberships_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_memberships
    ADD CONSTRAINT team_memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

CREATE PUBLICATION schedule_service WITH (publish = 'insert, update, delete, truncate');

