
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

CREATE FUNCTION public.apply_directory(p_entry json, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_entry directory_entry := json_populate_record(NULL::directory_entry, p_entry);
BEGIN
    RETURN CASE WHEN v_entry.remove THEN remove_entry(v_entry, p_at) ELSE put_entry(v_entry, p_at) END;
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

CREATE FUNCTION public.delete_schedule(p_schedule public.schedules, p_command_id uuid, p_at timestamp with time zone, p_traceparent text) RETURNS text
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_is_default boolean := EXISTS (SELECT FROM default_schedules d WHERE d.schedule_id = p_schedule.id);
    v_create_id  uuid := p_schedule.command_id;
    v_state      text;
BEGIN
    DELETE FROM schedules WHERE id = p_schedule.id;
    p_schedule.version := p_schedule.version + 1;
    v_state := emit_schedule('ScheduleDeleted', p_schedule, v_is_default, p_command_id, p_at, p_traceparent);
    PERFORM settle_command(v_create_id, p_schedule.command_digest, p_schedule.id, v_state, command_memory());
    RETURN v_state;
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

CREATE FUNCTION public.ensure_organization(p_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO organizations (id, name) VALUES (p_id, '') ON CONFLICT DO NOTHING;
    PERFORM reserve_id('organizations_id_seq', p_id);
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

CREATE FUNCTION public.ensure_team(p_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO teams (id, name) VALUES (p_id, '') ON CONFLICT DO NOTHING;
    PERFORM reserve_id('teams_id_seq', p_id);
END;
$$;

CREATE FUNCTION public.ensure_user(p_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO users (id, name) VALUES (p_id, '') ON CONFLICT DO NOTHING;
    PERFORM reserve_id('users_id_seq', p_id);
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

CREATE FUNCTION public.put_entry(p_entry public.directory_entry, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    CASE p_entry.type
    WHEN 'organization' THEN
        PERFORM ensure_organization(p_entry.id);
        UPDATE organizations SET name = p_entry.name WHERE id = p_entry.id AND name <> p_entry.name;
    WHEN 'user' THEN
        RETURN put_user(p_entry.id, p_entry.name, p_entry."timeZone", p_at);
    WHEN 'membership' THEN
        PERFORM ensure_organization(p_entry."orgId"), ensure_user(p_entry."userId");
        INSERT INTO memberships AS m (org_id, user_id, role) VALUES (p_entry."orgId", p_entry."userId", p_entry.role)
            ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role WHERE m.role <> excluded.role;
    WHEN 'team' THEN
        PERFORM ensure_organization(p_entry."orgId"), ensure_team(p_entry.id);
        UPDATE teams SET org_id = p_entry."orgId", name = p_entry.name
         WHERE id = p_entry.id AND (org_id, name) IS DISTINCT FROM (p_entry."orgId", p_entry.name);
    WHEN 'team-membership' THEN
        PERFORM ensure_team(p_entry."teamId"), ensure_user(p_entry."userId");
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
    v_was users;
BEGIN
    PERFORM ensure_user(p_id);
    SELECT * INTO v_was FROM users WHERE id = p_id FOR NO KEY UPDATE;
    UPDATE users SET name = p_name, time_zone = coalesce(p_time_zone, time_zone)
     WHERE id = p_id AND (name, time_zone) IS DISTINCT FROM (p_name, coalesce(p_time_zone, time_zone));
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF v_was.time_zone IS NULL AND p_time_zone IS NOT NULL
       AND NOT EXISTS (SELECT FROM schedules s WHERE s.owner_id = p_id) THEN
        PERFORM create_default_schedule(p_id, p_time_zone, p_at);
    END IF;
    RETURN true;
END;
$$;

CREATE FUNCTION public.remove_entry(p_entry public.directory_entry, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    CASE p_entry.type
    WHEN 'organization' THEN RETURN remove_organization(p_entry.id, p_at);
    WHEN 'user' THEN RETURN remove_user(p_entry.id, p_at);
    WHEN 'membership' THEN DELETE FROM memberships WHERE org_id = p_entry."orgId" AND user_id = p_entry."userId";
    WHEN 'team' THEN DELETE FROM teams WHERE id = p_entry.id;
    WHEN 'team-membership' THEN DELETE FROM team_memberships WHERE team_id = p_entry."teamId" AND user_id = p_entry."userId";
    END CASE;
    RETURN FOUND;
END;
$$;

CREATE FUNCTION public.remove_organization(p_id bigint, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_schedule schedules;
BEGIN
    -- Who is no member makes no schedule in it, and whoever is making one holds this lock.
    PERFORM FROM users
      WHERE id IN (SELECT user_id FROM memberships WHERE org_id = p_id UNION SELECT owner_id FROM schedules WHERE org_id = p_id)
      ORDER BY id FOR NO KEY UPDATE;
    FOR v_schedule IN SELECT * FROM schedules WHERE org_id = p_id ORDER BY owner_id, id LOOP
        PERFORM delete_schedule(v_schedule, gen_random_uuid(), p_at, NULL);
    END LOOP;
    DELETE FROM organizations WHERE id = p_id;
    RETURN FOUND;
END;
$$;

CREATE FUNCTION public.remove_user(p_id bigint, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_schedule schedules;
BEGIN
    PERFORM FROM users WHERE id = p_id FOR UPDATE;
    FOR v_schedule IN SELECT * FROM schedules WHERE owner_id = p_id ORDER BY id LOOP
        PERFORM delete_schedule(v_schedule, gen_random_uuid(), p_at, NULL);
    END LOOP;
    DELETE FROM users WHERE id = p_id;
    RETURN FOUND;
END;
$$;

CREATE FUNCTION public.reserve_id(p_sequence regclass, p_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF p_id > coalesce(pg_sequence_last_value(p_sequence), 0) THEN
        PERFORM pg_advisory_xact_lock(p_sequence::oid::integer, 0);
        PERFORM setval(p_sequence, greatest(coalesce(pg_sequence_last_value(p_sequence), 0), p_id));
    END IF;
END;
$$;

CREATE FUNCTION public.schedule_standing(p_org bigint, p_user bigint, p_schedule_org bigint, p_schedule_owner bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN CASE
        WHEN p_org IS NULL AND p_schedule_owner = p_user THEN 'own'
        WHEN p_org IS NULL THEN
            (SELECT 'other' FROM memberships mine JOIN memberships theirs USING (org_id)
              WHERE mine.user_id = p_user AND theirs.user_id = p_schedule_owner
                AND (p_schedule_org IS NULL OR p_schedule_org = mine.org_id)
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
    DELETE FROM settled_commands
     WHERE id IN (SELECT id FROM settled_commands WHERE expires_at <= now()
                   ORDER BY expires_at LIMIT 2 FOR UPDATE SKIP LOCKED);
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
1	1	\\xca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb	ci	2026-11-28 14:47:10.273033+00	\N	\N
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
c1	1	\\x043a718774c572bd8a25adbeb1bfcd5c0256ae11cecf9f9c3f925d0e52beaf89	48	2026-11-28 14:47:10.284758+00	web
\.

COPY public.organizations (id, name, created_at) FROM stdin;
1	Acme	2026-11-28 14:47:10.243992+00
2	Other	2026-11-28 14:47:10.243992+00
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
21	e4ad28e8-298d-4aab-8152-2182118fd3f9	\\x9dd4e461268c8034f5c8564e155c67a6	\N	77	left behind	UTC	[]	[]	1	2026-11-01 00:00:00+00	2026-11-01 00:00:00+00
\.

COPY public.schema_migrations (version, name, checksum, applied_at) FROM stdin;
1	0001_schedules	cc9cb2756e2f846019ee35b1ba326cd58ba75c11660c3b3332c1379e2611f196	2026-11-28 14:47:05.206232+00
2	0002_write_schedules	54a1786e137b8249f42f661f187f22564e6d6c822b1d183c28ab377eb13b3a79	2026-11-28 14:47:05.880341+00
3	0003_credentials	292b1fd919578c5546f8b0d4721dec9716f9bd467ad357e349580c68e0742c17	2026-11-28 14:47:06.314976+00
4	0004_standing	c9afa1af2088f308f5010e9b00e15336be11f37a2ef794c9b367603955fd4ac4	2026-11-28 14:47:06.86469+00
5	0005_changes	57ded6265ae9ad307d80430ae4a9e400823a210c9eb4e9fd79dce80d44622a6a	2026-11-28 14:47:07.518932+00
6	0006_directory	2b7184fe130355cde2b6b215686af0a95cfd60b45b1280a500a035f77dcf0654	2026-11-28 14:47:07.966409+00
7	0007_key_limits	8c892a57ec44d374bd0c45c6bb7901731fd62ff3430d059c6832e0423468da8c	2026-11-28 14:47:08.348386+00
8	0008_roles	7cc8c823be029eaee49ada20c7858fc4689612d139bc3bf0356bfc238c852ea9	2026-11-28 14:47:08.765802+00
9	0009_rebuild	b19015527b83bfaff07af40c80fca0816ea9984cbc206e2693b247830983f343	2026-11-28 14:47:09.246493+00
10	0010_fewer_steps	412dab40900028da8b0f10e1db94a4cb1c7c37b7ca5be07b6382a120cdcc13a2	2026-11-28 14:47:09.718686+00
\.

COPY public.settled_commands (id, digest, schedule_id, state, expires_at) FROM stdin;
8ed85208-fd65-4150-a6b0-b20b601bfe29	\\x415290769594460e2e485922904f345d	2	\N	2100-01-01 00:00:00+00
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
1	Ada	2026-11-28 14:47:10.248752+00	Europe/Rome	f
2	Grace	2026-11-28 14:47:10.248752+00	\N	t
999999999999999999	Large	2026-11-28 14:47:10.248752+00	\N	f
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

CREATE INDEX schedules_owner ON public.schedules USING btree (owner_id, id);

CREATE INDEX settled_commands_expiry ON public.settled_commands USING btree (expires_at);

CREATE INDEX team_memberships_user ON public.team_memberships USING btree (user_id);

CREATE INDEX teams_org ON public.teams USING btree (org_id);

ALTER TABLE ONLY public.api_key_limits
    ADD CONSTRAINT api_key_limits_api_key_id_fkey FOREIGN KEY (api_key_id) REFERENCES public.api_keys(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.default_schedules
    ADD CONSTRAINT default_schedules_schedule_id_fkey FOREIGN KEY (schedule_id) REFERENCES public.schedules(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_clients
    ADD CONSTRAINT oauth_clients_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_memberships
    ADD CONSTRAINT team_memberships_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_memberships
    ADD CONSTRAINT team_memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.teams
    ADD CONSTRAINT teams_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

CREATE PUBLICATION schedule_service WITH (publish = 'insert, update, delete, truncate');

