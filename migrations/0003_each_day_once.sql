-- Earlier builds stored the days of a window with their repeats, as many as fit into a command: such a schedule was megabytes to read and
-- to change. Each day stays where it came first, as days are stored by now. The hours are the same, and readers of events had each day
-- once, so neither a version nor an event tells it.

-- In one pass for each of the seven, whatever the length.
CREATE FUNCTION pg_temp.each_once(p_days json) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg(d.name ORDER BY strpos(p_days::text, d.name))
      FROM unnest('{Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday}'::text[]) AS d (name)
     WHERE strpos(p_days::text, d.name) > 0
$$;

CREATE TEMPORARY TABLE repeating ON COMMIT DROP AS
SELECT s.id, s.owner_id
  FROM schedules s
 WHERE EXISTS (SELECT FROM json_array_elements(s.availability) AS w (item)
                WHERE json_array_length(w.item -> 'days') > cardinality(pg_temp.each_once(w.item -> 'days')));

SELECT FROM users WHERE id IN (SELECT r.owner_id FROM repeating r) ORDER BY id FOR NO KEY UPDATE; -- as write_batch() locks

UPDATE schedules s
   SET availability = (SELECT '[' || string_agg(format('{"days":%s,"startTime":"%s","endTime":"%s"}',
                                                       to_json(pg_temp.each_once(w.item -> 'days')), w.item ->> 'startTime',
                                                       w.item ->> 'endTime'), ',' ORDER BY w.place) || ']'
                         FROM json_array_elements(s.availability) WITH ORDINALITY AS w (item, place))::json
 WHERE s.id IN (SELECT r.id FROM repeating r);

DROP FUNCTION pg_temp.each_once;
