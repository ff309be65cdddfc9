-- Removing a user or an organization: a tombstone that counts at once, and then steps.
--
-- The directory's row is deleted at once, with a row of removals in its place: from then on nobody creates, reads or changes what
-- belonged to it. run_removals() deletes its schedules in bounded transactions, each with its event, whoever calls it and as often as
-- it takes. Until its end an entry that makes the same id again waits (SS003), so that what is new sees nothing that is old.
--
-- Locks, and their one order: organizations by id, users by id, memberships by user and organization, schedules. What writes beside
-- others (FOR NO KEY UPDATE) is locked before what others depend on is locked (FOR KEY SHARE, FOR UPDATE). Steps of removals wait
-- for no lock: they pass over what is locked and come back.

-- What is being removed; its row in organizations or users is gone.
CREATE TABLE removals (
    type        text NOT NULL CHECK (type IN ('organization', 'user')),
    id          bigint NOT NULL,
    begun_at    timestamptz NOT NULL DEFAULT now(),
    stepped_at  timestamptz NOT NULL DEFAULT now(),
    after_id    bigint NOT NULL DEFAULT 0,  -- the next step goes on behind this schedule
    schedules   bigint NOT NULL DEFAULT 0,  -- deleted so far
    PRIMARY KEY (type, id)
);
CREATE INDEX removals_turn ON removals (stepped_at);

-- Whoever deletes the row, by whatever statement, begins the removal.
CREATE FUNCTION begin_removal() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO removals (type, id) VALUES (TG_ARGV[0], OLD.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END;
$$;
CREATE TRIGGER organizations_removed AFTER DELETE ON organizations FOR EACH ROW EXECUTE FUNCTION begin_removal('organization');
CREATE TRIGGER users_removed AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION begin_removal('user');

-- What there can be very many of goes in the steps: memberships and teams outlive their organization until then, and nothing reads
-- them without it.
ALTER TABLE memberships DROP CONSTRAINT memberships_org_id_fkey;
ALTER TABLE teams DROP CONSTRAINT teams_org_id_fkey;

-- Schedules that were left behind by removals beside which they were created: their removal goes on.
INSERT INTO removals (type, id)
SELECT DISTINCT 'user', s.owner_id FROM schedules s WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = s.owner_id)
UNION
SELECT DISTINCT 'organization', s.org_id FROM schedules s
 WHERE s.org_id IS NOT NULL AND NOT EXISTS (SELECT FROM organizations o WHERE o.id = s.org_id);

-- For the removal of an organization, which else would read all schedules.
CREATE INDEX schedules_org ON schedules (org_id, id) WHERE org_id IS NOT NULL;

-- ---- what a create depends on --------------------------------------------------------------------------------------------

-- Which of these owners may have no schedule of the organization beside them, or without one none of their own: their ordinals. A
-- null owner is passed over.
--
-- Locks what the others are allowed by FOR KEY SHARE, before it counts as there, until the transaction's end: users for schedules of
-- their own, memberships for those of an organization. A user's removal waits for both, as memberships go with their user. An
-- organization's waits for none and does not end before its last membership could be deleted: by then it sees what was created.
CREATE OR REPLACE FUNCTION unknown_owners(p_org_ids bigint[], p_owner_ids bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE
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

-- What a schedule is to somebody who names it by its id: see migrations/0004. One of a user or an organization that is being removed is
-- not there.
CREATE OR REPLACE FUNCTION schedule_standing(p_org bigint, p_user bigint, p_schedule_org bigint, p_schedule_owner bigint) RETURNS text
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

-- ---- removing ------------------------------------------------------------------------------------------------------------

-- One step of a removal: deletes up to p_max schedules, and behind the last of them up to p_max memberships and teams. Returns how many
-- schedules, and whether the removal ended with it.
--
-- Locks schedules, then their owners (FOR NO KEY UPDATE), and waits for none: what another transaction holds is left to a later step.
CREATE FUNCTION step_removal(p_type text, p_id bigint, p_max bigint, p_at timestamptz, OUT deleted bigint, OUT ended boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    v_after  bigint := (SELECT r.after_id FROM removals r WHERE r.type = p_type AND r.id = p_id);
    v_ids    bigint[];
    v_owners bigint[];
    v_busy   bigint[];
BEGIN
    IF p_type = 'user' THEN
        v_ids := ARRAY(SELECT s.id FROM schedules s WHERE s.owner_id = p_id AND s.id > v_after
                        ORDER BY s.id LIMIT p_max FOR UPDATE SKIP LOCKED);
    ELSE
        SELECT coalesce(array_agg(c.id), '{}'), array_agg(DISTINCT c.owner_id) INTO v_ids, v_owners
          FROM (SELECT s.id, s.owner_id FROM schedules s WHERE s.org_id = p_id AND s.id > v_after
                 ORDER BY s.id LIMIT p_max FOR UPDATE SKIP LOCKED) AS c;
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

-- Deletes up to p_max each of what outlived an organization beside schedules. Returns whether none is left.
CREATE FUNCTION remove_hangers(p_type text, p_id bigint, p_max bigint) RETURNS boolean
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
       AND NOT EXISTS (SELECT FROM memberships m WHERE m.org_id = p_id);
END;
$$;

-- The next steps of the removals, each in its turn, up to p_max schedules or removals in this transaction. Returns how many schedules
-- were deleted, how many removals ended, how many there still are (at most 100,000 are counted), and for how many seconds the longest
-- has gone on. deleted is null while another transaction does this.
CREATE FUNCTION run_removals(p_max bigint, OUT deleted bigint, OUT ended bigint, OUT pending bigint, OUT oldest_seconds bigint)
LANGUAGE plpgsql
-- Plans are made once, when tables may be empty: they must be right for large ones too.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
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

-- ---- the directory -------------------------------------------------------------------------------------------------------

-- Automatic ids stay behind those that were given, but for very large ones, which belong to a numbering of somebody else's: up to
-- this one, the largest that is exact in JavaScript.
CREATE FUNCTION automatic_id_max() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 9007199254740991 $$;

-- Moves the sequence behind the given ids. That happens outside of transactions: the lock is for two that do it at once.
CREATE FUNCTION reserve_ids(p_sequence regclass, p_ids bigint[]) RETURNS void
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

-- Those that very large ids have moved come back.
SELECT setval('organizations_id_seq', (SELECT coalesce(max(id), 1) FROM organizations WHERE id <= automatic_id_max()))
 WHERE pg_sequence_last_value('organizations_id_seq') > automatic_id_max();
SELECT setval('users_id_seq', (SELECT coalesce(max(id), 1) FROM users WHERE id <= automatic_id_max()))
 WHERE pg_sequence_last_value('users_id_seq') > automatic_id_max();
SELECT setval('teams_id_seq', (SELECT coalesce(max(id), 1) FROM teams WHERE id <= automatic_id_max()))
 WHERE pg_sequence_last_value('teams_id_seq') > automatic_id_max();

-- The ids of one kind ('organization', 'user', 'team') that entries name, in order and each once. Of those that remove it, or of those
-- that make or use it.
CREATE FUNCTION named_ids(p_entries directory_entry[], p_kind text, p_removed boolean) RETURNS bigint[]
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
CREATE FUNCTION lock_entries(p_entries directory_entry[]) RETURNS void
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

-- Begins the removal of what is of this type; one that is small ends with it. Returns whether it was there.
CREATE FUNCTION remove_object(p_type text, p_id bigint, p_at timestamptz) RETURNS boolean
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

-- Applies entries in their order. Returns how many changed the directory. Locks and SS003: see lock_entries, which sees to all of them
-- at once, and again before each where one that came before may have removed what it made.
CREATE FUNCTION apply_entries(p_entries json[], p_at timestamptz) RETURNS bigint
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

-- The same of one entry. Returns whether the directory is another one now.
CREATE OR REPLACE FUNCTION apply_directory(p_entry json, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN apply_entries(ARRAY[p_entry], p_at) > 0;
END;
$$;
ALTER FUNCTION apply_directory(json, timestamptz) RESET ALL;

DROP FUNCTION remove_user(bigint, timestamptz), remove_organization(bigint, timestamptz), ensure_organization(bigint),
              ensure_user(bigint), ensure_team(bigint), reserve_id(regclass, bigint);

-- ---- a batch -------------------------------------------------------------------------------------------------------------

-- One batch of writes: everything happens, or nothing and the error says what is in the way.
--
-- The arrays of the offsets run in parallel, and so do those of the writes; what a kind of write does not use is null. p_keys are
-- ids made from Idempotency-Keys, kept for p_keep. Returns the repeats, and what was changed when no offsets are moved
-- (requests wait for the answer, commands do not).
--
-- Entries come before all else of the batch: nothing in it has an order to them.
--
-- Locks, in this order: the offsets' rows; what entries name (see lock_entries); by id the users whose default is replaced or whose
-- schedules are changed, FOR NO KEY UPDATE; what creates depend on (see unknown_owners); schedules.
--
-- Errors of its own: SS001 (see move_offsets); SS002, writes are refused, detail "<ordinal>:<verdict>,...", where ordinals count from
-- 1; SS003, an entry names what is being removed: it goes on, alone, when that has ended.
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

INSERT INTO role_grants (role_name, privileges, object) VALUES
    ('schedule_service', 'SELECT', 'TABLE removals'),
    ('schedule_service', 'EXECUTE', 'FUNCTION run_removals'),
    ('schedule_admin', 'SELECT', 'TABLE removals'),
    ('schedule_admin', 'EXECUTE', 'FUNCTION apply_entries'),
    ('schedule_admin', 'EXECUTE', 'FUNCTION run_removals');
