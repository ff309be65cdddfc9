-- How many schedules of removed users and organizations are still there: of the first 10,000 removals, and at most a million of each.
CREATE FUNCTION schedules_left_to_remove() RETURNS bigint
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

INSERT INTO role_grants (role_name, privileges, object) VALUES ('schedule_service', 'EXECUTE', 'FUNCTION schedules_left_to_remove');
