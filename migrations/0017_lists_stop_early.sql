-- How many of these schedules, in ascending order of their ids, fit into an answer of so many bytes. It reads them one by one and stops at the
-- first that does not, so that a list costs no more than an answer may be large. A query of all of them would read them all to sort them.
CREATE FUNCTION schedules_that_fit(p_ids bigint[], p_bytes bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
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
