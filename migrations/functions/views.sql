-- Windows and overrides as rows, for those who ask in SQL. kind: 'window' (weekday set) or 'override' (on_date set).
CREATE OR REPLACE VIEW schedule_hours AS
    SELECT s.id AS schedule_id, s.owner_id, s.org_id, s.time_zone, 'window' AS kind, d.weekday, NULL::date AS on_date,
           (w.item ->> 'startTime')::time AS start_time, (w.item ->> 'endTime')::time AS end_time
      FROM schedules s, json_array_elements(s.availability) AS w (item),
           json_array_elements_text(w.item -> 'days') AS d (weekday)
    UNION ALL
    SELECT s.id, s.owner_id, s.org_id, s.time_zone, 'override', NULL, (o.item ->> 'date')::date,
           (o.item ->> 'startTime')::time, (o.item ->> 'endTime')::time
      FROM schedules s, json_array_elements(s.overrides) AS o (item);
