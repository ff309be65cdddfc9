-- Removing a user or an organization: a tombstone that counts at once, and then steps.
--
-- The directory's row is deleted at once, with a row of removals in its place: from then on nobody creates, reads or changes what
-- belonged to it. run_removals() deletes its schedules in bounded transactions, each with its event, whoever calls it and as often as
-- it takes. Until its end an entry that makes the same id again waits (SS003), so that what is new sees nothing that is old.
--
-- Locks, and their one order: organizations by id, users by id, memberships by user and organization, schedules. What writes beside
-- others (FOR NO KEY UPDATE) is locked before what others depend on is locked (FOR KEY SHARE, FOR UPDATE). Steps of removals wait
-- for no lock: they pass over what is locked and come back.

-- Whoever deletes the row, by whatever statement, begins the removal.
CREATE OR REPLACE FUNCTION begin_removal() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO removals (type, id) VALUES (TG_ARGV[0], OLD.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END;
$$;
CREATE OR REPLACE TRIGGER organizations_removed AFTER DELETE ON organizations
    FOR EACH ROW EXECUTE FUNCTION begin_removal('organization');
CREATE OR REPLACE TRIGGER users_removed AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION begin_removal('user');

-- One step of a removal: deletes up to p_max schedules, and behind the last of them up to p_max memberships and teams. Returns how many
-- schedules, and whether the removal ended with it.
--
-- Locks schedules, then their owners (FOR NO KEY UPDATE), and waits for none: what another transaction holds is left to a later step.
CREATE OR REPLACE FUNCTION step_removal(p_type text, p_id bigint, p_max bigint, p_at timestamptz, OUT deleted bigint, OUT ended boolean)
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
    SELECT count(pg_logical_emit_message(true, 'schedule-service.state', convert_to(d.state, 'UTF8'))) INTO deleted
      FROM delete_schedules(ARRAY(SELECT s.id FROM schedules s WHERE s.id = ANY (v_ids) AND s.owner_id <> ALL (coalesce(v_busy, '{}'))),
                            NULL, NULL, p_at) AS d;

    v_after := CASE WHEN cardinality(v_ids) < p_max THEN 0 ELSE v_ids[cardinality(v_ids)] END; -- 0: from the start, if any is left
    ended := v_after = 0 AND remove_hangers(p_type, p_id, p_max)
             AND NOT EXISTS (SELECT FROM schedules s WHERE s.owner_id = p_id AND p_type = 'user')
             AND NOT EXISTS (SELECT FROM schedules s WHERE s.org_id = p_id AND p_type = 'organization');
    IF ended THEN
        PERFORM end_webhooks(CASE WHEN p_type = 'user' THEN p_id END, CASE WHEN p_type = 'organization' THEN p_id END, NULL);
        DELETE FROM removals WHERE type = p_type AND id = p_id;
    ELSE
        UPDATE removals SET after_id = v_after, schedules = schedules + deleted, stepped_at = clock_timestamp()
         WHERE type = p_type AND id = p_id;
    END IF;
END;
$$;

-- Deletes up to p_max each of what outlived an organization beside schedules. Returns whether nothing is left of it.
CREATE OR REPLACE FUNCTION remove_hangers(p_type text, p_id bigint, p_max bigint) RETURNS boolean
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

-- The next steps of the removals, each in its turn, up to p_max schedules or removals in this transaction. Returns how many schedules
-- were deleted, how many removals ended, how many there still are (at most 100,000 are counted), and for how many seconds the longest
-- has gone on. deleted is null while another transaction does this.
CREATE OR REPLACE FUNCTION run_removals(p_max bigint, OUT deleted bigint, OUT ended bigint, OUT pending bigint, OUT oldest_seconds bigint)
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

-- How many schedules of removed users and organizations are still there: of the first 10,000 removals, and at most a million of each.
CREATE OR REPLACE FUNCTION schedules_left_to_remove() RETURNS bigint
LANGUAGE sql STABLE
-- As run_removals(): along the index of owners or of organizations, whatever the tables held when the plan was made.
SET enable_seqscan = off
SET jit = off
AS $$
    SELECT coalesce(sum(l.schedules), 0)::bigint
      FROM (SELECT type, id FROM removals LIMIT 10000) AS r
     CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT FROM schedules s WHERE r.type = 'user' AND s.owner_id = r.id
             UNION ALL
            SELECT FROM schedules s WHERE r.type = 'organization' AND s.org_id = r.id
             LIMIT 1000000) AS c) AS l (schedules);
$$;
