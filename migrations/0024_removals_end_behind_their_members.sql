-- Whether schedules of a removed organization are left is looked up behind the delete of its last members, by a statement of its own: who was
-- creating one held a membership until then. In step_removal() it was asked together with that delete, by a statement that had begun
-- before it.

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
