-- The directory (organizations, users, memberships, teams, team memberships) as other services tell it: one function applies one
-- entry, again and again with the same result.
--
-- Entries of one identity come in order, others in any order: what an entry refers to and is not known yet is made with an empty
-- name, which its own entry fills later.

-- null: known from its memberships alone so far.
ALTER TABLE teams ALTER org_id DROP NOT NULL;

-- Keeps automatic ids behind the given one. A sequence is moved outside of transactions: the lock is for two that move it at once.
CREATE FUNCTION reserve_id(p_sequence regclass, p_id bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_id > coalesce(pg_sequence_last_value(p_sequence), 0) THEN
        PERFORM pg_advisory_xact_lock(p_sequence::oid::integer, 0);
        PERFORM setval(p_sequence, greatest(coalesce(pg_sequence_last_value(p_sequence), 0), p_id));
    END IF;
END;
$$;

CREATE FUNCTION ensure_organization(p_id bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO organizations (id, name) VALUES (p_id, '') ON CONFLICT DO NOTHING;
    PERFORM reserve_id('organizations_id_seq', p_id);
END;
$$;

CREATE FUNCTION ensure_user(p_id bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO users (id, name) VALUES (p_id, '') ON CONFLICT DO NOTHING;
    PERFORM reserve_id('users_id_seq', p_id);
END;
$$;

CREATE FUNCTION ensure_team(p_id bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO teams (id, name) VALUES (p_id, '') ON CONFLICT DO NOTHING;
    PERFORM reserve_id('teams_id_seq', p_id);
END;
$$;

-- The schedule of a user whose time zone comes to be known, with its event. The hours are those of a schedule that is created
-- without any (core/schedule.c).
CREATE FUNCTION create_default_schedule(p_owner bigint, p_time_zone text, p_at timestamptz) RETURNS void
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

-- A time zone of null leaves the one that is known. Returns whether anything changed.
CREATE FUNCTION put_user(p_id bigint, p_name text, p_time_zone text, p_at timestamptz) RETURNS boolean
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

CREATE FUNCTION remove_user(p_id bigint, p_at timestamptz) RETURNS boolean
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

-- Nothing finds schedules by their organization but this: it reads them all.
CREATE FUNCTION remove_organization(p_id bigint, p_at timestamptz) RETURNS boolean
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

-- An entry as directory_write_json() writes it (service/codec/directory_codec.h). What its type has not got is null.
CREATE TYPE directory_entry AS (
    type        text,  -- organization, user, membership, team, team-membership
    remove      boolean,
    id          bigint,
    "orgId"     bigint,
    "teamId"    bigint,
    "userId"    bigint,
    name        text,
    "timeZone"  text,
    role        membership_role
);

-- Removes the entry. Returns whether it was there.
CREATE FUNCTION remove_entry(p_entry directory_entry, p_at timestamptz) RETURNS boolean
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

-- Makes the entry what it says. Returns whether anything changed.
CREATE FUNCTION put_entry(p_entry directory_entry, p_at timestamptz) RETURNS boolean
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

-- Applies one entry. Returns whether the directory is another one now.
CREATE FUNCTION apply_directory(p_entry json, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql
-- Plans are made once, when tables may be empty: they must be right for large ones too.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_entry directory_entry := json_populate_record(NULL::directory_entry, p_entry);
BEGIN
    RETURN CASE WHEN v_entry.remove THEN remove_entry(v_entry, p_at) ELSE put_entry(v_entry, p_at) END;
END;
$$;
