-- Who may see and write what.

-- What a schedule is to somebody who names it by its id: 'own'; 'other', somebody else's that they may know of; null, as if it
-- were not there. In an organization (p_org) the schedules of p_user are meant, without one p_user asks about themselves. A schedule of
-- another organization is never there, nor one of a user or an organization that is being removed. In PL/pgSQL, which plans it once a
-- connection; SQL would plan it each call.
CREATE OR REPLACE FUNCTION schedule_access(p_org bigint, p_user bigint, p_schedule_org bigint, p_schedule_owner bigint) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF EXISTS (SELECT FROM removals r WHERE r.type = 'organization' AND r.id = p_schedule_org)
       OR EXISTS (SELECT FROM removals r WHERE r.type = 'user' AND r.id = p_schedule_owner) THEN
        RETURN NULL;
    ELSIF p_schedule_owner = p_user AND (p_org IS NULL OR p_schedule_org = p_org) THEN
        RETURN 'own'; -- what is asked most takes no query of memberships
    ELSIF p_org IS NULL THEN
        RETURN (SELECT 'other' FROM memberships mine JOIN memberships theirs USING (org_id)
                 WHERE mine.user_id = p_user AND theirs.user_id = p_schedule_owner
                   AND (p_schedule_org IS NULL OR p_schedule_org = mine.org_id)
                   AND NOT EXISTS (SELECT FROM removals r WHERE r.type = 'organization' AND r.id = mine.org_id)
                 LIMIT 1);
    ELSIF p_schedule_org = p_org
          OR p_schedule_org IS NULL AND EXISTS (SELECT FROM memberships m WHERE m.org_id = p_org AND m.user_id = p_schedule_owner) THEN
        RETURN CASE WHEN p_schedule_owner = p_user THEN 'own' ELSE 'other' END;
    END IF;
    RETURN NULL;
END;
$$;

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

-- How many of these schedules, in ascending order of their ids, fit into an answer of so many bytes. It reads them one by one and stops at the
-- first that does not, so that a list costs no more than an answer may be large. A query of all of them would read them all to sort them.
CREATE OR REPLACE FUNCTION schedules_that_fit(p_ids bigint[], p_bytes bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan -- else planned for each id where the connection plans again
SET enable_seqscan = off
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
