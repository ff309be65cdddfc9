-- A step of a removal goes along the index of owners or of organizations. With equality and the order of ids the planner may
-- take the primary key, and reads all schedules.

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
