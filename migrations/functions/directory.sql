-- The directory as other services publish it: one function applies its updates, which are idempotent. Locks: see
-- removals.sql.

-- The schedule of a user whose time zone comes to be known, with its event. The hours are those of a schedule that is created
-- without any (core/schedule.c).
CREATE OR REPLACE FUNCTION create_default_schedule(p_owner bigint, p_time_zone text, p_at timestamptz) RETURNS void
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

-- A time zone of null leaves the one that is known. Returns whether anything changed. The user is there, and locked.
CREATE OR REPLACE FUNCTION put_user(p_id bigint, p_name text, p_time_zone text, p_at timestamptz) RETURNS boolean
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

-- Removes the entry. Returns whether it was there.
CREATE OR REPLACE FUNCTION remove_entry(p_entry directory_entry, p_at timestamptz) RETURNS boolean
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

-- Makes the entry what it says. Returns whether anything changed. What it names is there, and locked.
CREATE OR REPLACE FUNCTION put_entry(p_entry directory_entry, p_at timestamptz) RETURNS boolean
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

-- The same of one entry. Returns whether the directory is another one now.
CREATE OR REPLACE FUNCTION apply_directory(p_entry json, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN apply_entries(ARRAY[p_entry], p_at) > 0;
END;
$$;

-- Automatic ids stay behind those that were given, but for very large ones, which belong to a numbering of somebody else's: up to
-- this one, the largest that is exact in JavaScript.
CREATE OR REPLACE FUNCTION automatic_id_max() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 9007199254740991 $$;

-- Moves the sequence behind the given ids. That happens outside of transactions: the lock is for two that do it at once.
CREATE OR REPLACE FUNCTION reserve_ids(p_sequence regclass, p_ids bigint[]) RETURNS void
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

-- The ids of one kind ('organization', 'user', 'team') that entries name, in order and each once. Of those that remove it, or of those
-- that make or use it.
CREATE OR REPLACE FUNCTION named_ids(p_entries directory_entry[], p_kind text, p_removed boolean) RETURNS bigint[]
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

-- Makes what entries name and is not there yet, without a name, and locks it until the transaction's end: organizations, users and
-- teams that they make or use FOR NO KEY UPDATE, then organizations and users that they remove, with the users' memberships, FOR
-- UPDATE; each by id.
--
-- SS003: one of them is being removed. The entry is applied alone when that has ended.
CREATE OR REPLACE FUNCTION lock_entries(p_entries directory_entry[]) RETURNS void
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
    PERFORM mark_removed_webhooks(); -- those of a removed organization or user whose number is made again end before it
    IF cardinality(v_removed_orgs) + cardinality(v_removed_users) > 0 THEN
        PERFORM FROM organizations WHERE id = ANY (v_removed_orgs) ORDER BY id FOR UPDATE;
        PERFORM FROM users WHERE id = ANY (v_removed_users) ORDER BY id FOR UPDATE;
        PERFORM FROM memberships WHERE user_id = ANY (v_removed_users) ORDER BY user_id, org_id FOR UPDATE;
    END IF;
    PERFORM reserve_ids('organizations_id_seq', v_orgs), reserve_ids('users_id_seq', v_users), reserve_ids('teams_id_seq', v_teams);
END;
$$;

-- Begins the removal of what is of this type; one that is small ends with it. Returns whether it was there.
CREATE OR REPLACE FUNCTION remove_object(p_type text, p_id bigint, p_at timestamptz) RETURNS boolean
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

-- Applies entries in their order. Returns how many changed the directory. Locks and SS003: see lock_entries, which sees to all of them
-- at once, and again before each where one that came before may have removed what it made.
CREATE OR REPLACE FUNCTION apply_entries(p_entries json[], p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql
-- Plans are made once, when tables may be empty: they must be right for large ones too.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
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
