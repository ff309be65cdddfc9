-- What a schedule is to somebody who names it by its id: 'own'; 'other', somebody else's that they may know of; null, as if it
-- were not there. In an organization (p_org) the schedules of p_user are meant, without one p_user asks about themselves.
-- A schedule of another organization is never there. In PL/pgSQL, which plans it once a connection; SQL would plan it each call.
CREATE FUNCTION schedule_standing(p_org bigint, p_user bigint, p_schedule_org bigint, p_schedule_owner bigint) RETURNS text
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
