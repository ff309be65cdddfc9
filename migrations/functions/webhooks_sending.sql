-- What senders of webhooks do with positions. A sender holds webhook_lock() whenever it makes or deletes cursors, as whoever changes
-- endpoints does: an endpoint is never without a cursor where it is not at the head.

-- An endpoint that begins, begins again, or becomes inactive stands where the head has got to: what is before is done for it or not meant
-- for it, and what a sender has taken beyond it comes again.
CREATE OR REPLACE FUNCTION place_webhook() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO webhook_cursors AS c (webhook_id, topic, partition, starts, next_offset, taken_until)
    SELECT NEW.id, o.topic, o.partition, NEW.starts, o.next_offset, o.taken_until FROM webhook_offsets o
        ON CONFLICT (webhook_id, topic, partition) DO UPDATE
       SET starts = excluded.starts, next_offset = excluded.next_offset, taken_until = excluded.taken_until
     WHERE c.starts < excluded.starts;
    RETURN NULL;
END;
$$;
CREATE OR REPLACE TRIGGER webhooks_placed AFTER INSERT ON webhooks FOR EACH ROW EXECUTE FUNCTION place_webhook();
CREATE OR REPLACE TRIGGER webhooks_placed_again AFTER UPDATE ON webhooks FOR EACH ROW
    WHEN (OLD.active AND NOT NEW.active OR NEW.starts <> OLD.starts) EXECUTE FUNCTION place_webhook();

-- Rows for partitions that were never taken from, and where their logs begin and end. They begin with the log where there are endpoints,
-- which may want what is there, else at its end. An endpoint that is inactive then was stored before anybody knew where the log was: it
-- stands at the beginning, too.
DROP FUNCTION IF EXISTS begin_webhook_offsets(text, integer[], bigint[]);
CREATE OR REPLACE FUNCTION begin_webhook_offsets(p_topic text, p_partitions integer[], p_ends bigint[],
                                                 p_begins bigint[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(p_partitions) AS u (partition)
                WHERE NOT EXISTS (SELECT FROM webhook_offsets o WHERE o.topic = p_topic AND o.partition = u.partition)) THEN
        PERFORM webhook_lock();
        WITH begun AS (
            INSERT INTO webhook_offsets (topic, partition, next_offset)
            SELECT p_topic, u.partition, CASE WHEN EXISTS (SELECT FROM webhooks) THEN coalesce(u.begin_offset, 0) ELSE u.end_offset END
              FROM unnest(p_partitions, p_ends, p_begins) AS u (partition, end_offset, begin_offset)
                ON CONFLICT DO NOTHING
            RETURNING topic, partition, next_offset)
        INSERT INTO webhook_cursors (webhook_id, topic, partition, starts, next_offset)
        SELECT w.id, b.topic, b.partition, w.starts, b.next_offset FROM begun b CROSS JOIN webhooks w WHERE NOT w.active
            ON CONFLICT DO NOTHING;
    END IF;
END;
$$;

-- Logs begin at p_begins now. What is gone before an endpoint has taken it is lost for it, which is said: for one that is inactive, and for
-- all that are at the head where that has not come so far. A cursor of one that is active is its sender's. Returns how many offsets those
-- that are inactive lost.
CREATE OR REPLACE FUNCTION lose_webhook_events(p_topic text, p_partitions integer[], p_begins bigint[]) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_lost bigint := 0;
BEGIN
    IF EXISTS (SELECT FROM unnest(p_partitions, p_begins) AS b (partition, begin_offset)
                WHERE EXISTS (SELECT FROM webhook_cursors c
                               WHERE c.topic = p_topic AND c.partition = b.partition AND c.next_offset < b.begin_offset)
                   OR EXISTS (SELECT FROM webhook_offsets o
                               WHERE o.topic = p_topic AND o.partition = b.partition AND o.next_offset < b.begin_offset)) THEN
        PERFORM webhook_lock();
        WITH begins AS (
            SELECT * FROM unnest(p_partitions, p_begins) AS b (partition, begin_offset)),
        behind AS (
            SELECT c.webhook_id, c.partition, c.next_offset, c.taken_until, b.begin_offset FROM begins b
              JOIN webhook_cursors c ON c.topic = p_topic AND c.partition = b.partition AND c.next_offset < b.begin_offset
              JOIN webhooks w ON w.id = c.webhook_id AND NOT w.active AND w.starts = c.starts),
        ahead AS (
            SELECT w.id AS webhook_id, o.taken_until FROM begins b
              JOIN webhook_offsets o ON o.topic = p_topic AND o.partition = b.partition AND o.next_offset < b.begin_offset
              JOIN webhooks w ON w.active AND NOT EXISTS (
                   SELECT FROM webhook_cursors c
                    WHERE c.webhook_id = w.id AND c.topic = p_topic AND c.partition = b.partition AND c.starts = w.starts)),
        told AS (
            INSERT INTO webhook_states AS s (webhook_id, lost_from, lost_to)
            SELECT l.webhook_id, min(l.taken_until), now()
              FROM (SELECT webhook_id, taken_until FROM behind UNION ALL SELECT webhook_id, taken_until FROM ahead) AS l
             GROUP BY l.webhook_id
                ON CONFLICT (webhook_id) DO UPDATE SET lost_from = least(s.lost_from, excluded.lost_from), lost_to = excluded.lost_to),
        moved AS (
            UPDATE webhook_cursors c SET next_offset = b.begin_offset, taken_until = now()
              FROM behind b WHERE c.webhook_id = b.webhook_id AND c.topic = p_topic AND c.partition = b.partition)
        SELECT coalesce(sum(begin_offset - next_offset), 0) INTO v_lost FROM behind;
    END IF;
    RETURN v_lost;
END;
$$;

-- The logs of these partitions are others, which begin at p_begins: the topic was deleted and made again. All endpoints begin there. What they had
-- not got of the former ones is lost for them, which is said; but deliveries that were kept are still made, before those of the new log. Nothing
-- happens where the head is not at its p_formers: another sender has the partition.
CREATE OR REPLACE FUNCTION replace_webhook_logs(p_topic text, p_partitions integer[], p_formers bigint[], p_begins bigint[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM webhook_lock();
    WITH logs AS (
        SELECT l.partition, l.begin_offset, o.taken_until FROM unnest(p_partitions, p_formers, p_begins) AS l (partition, former, begin_offset)
          JOIN webhook_offsets o ON o.topic = p_topic AND o.partition = l.partition AND o.next_offset = l.former FOR UPDATE OF o),
    told AS (
        INSERT INTO webhook_states AS s (webhook_id, lost_from, lost_to)
        SELECT w.id, min(coalesce(c.taken_until, l.taken_until)), now() FROM logs l CROSS JOIN webhooks w
          LEFT JOIN webhook_cursors c ON c.webhook_id = w.id AND c.topic = p_topic AND c.partition = l.partition AND c.starts = w.starts
         GROUP BY w.id
            ON CONFLICT (webhook_id) DO UPDATE SET lost_from = least(s.lost_from, excluded.lost_from), lost_to = excluded.lost_to),
    cursors AS (
        UPDATE webhook_cursors c SET next_offset = l.begin_offset, taken_until = now()
          FROM logs l WHERE c.topic = p_topic AND c.partition = l.partition),
    kept AS (
        UPDATE webhook_deliveries d SET event_offset = d.event_offset - f.len
          FROM (SELECT k.partition, max(k.event_offset) - least(min(k.event_offset), min(l.begin_offset)) + 1 AS len
                  FROM webhook_deliveries k JOIN logs l ON l.partition = k.partition WHERE k.topic = p_topic GROUP BY k.partition) AS f
         WHERE d.topic = p_topic AND d.partition = f.partition)
    UPDATE webhook_offsets o SET next_offset = l.begin_offset, taken_until = now()
      FROM logs l WHERE o.topic = p_topic AND o.partition = l.partition;
END;
$$;

-- Moves the head, as a compare-and-set; moving it to where it is already is none. SS001: it is elsewhere, another sender has the partition.
CREATE OR REPLACE FUNCTION move_webhook_offsets(p_topic text, p_partitions integer[], p_expected bigint[], p_next bigint[],
                                                p_taken_until timestamptz[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_moved bigint;
BEGIN
    UPDATE webhook_offsets o SET next_offset = u.next_offset, taken_until = u.taken_until
      FROM unnest(p_partitions, p_expected, p_next, p_taken_until) AS u (partition, expected, next_offset, taken_until)
     WHERE o.topic = p_topic AND o.partition = u.partition AND o.next_offset IN (u.expected, u.next_offset);
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    IF v_moved <> cardinality(p_partitions) THEN
        RAISE EXCEPTION 'the offset of a partition has moved' USING ERRCODE = 'SS001';
    END IF;
END;
$$;

-- Cursors of endpoints that are active and have begun no other time since: made, moved on, or deleted where next_offset is null, as the
-- endpoint has reached the head. p_lost: events between the former cursor and this one are out of the topic.
CREATE OR REPLACE FUNCTION store_webhook_cursors(p_topic text, p_webhooks uuid[], p_partitions integer[], p_starts integer[], p_next bigint[],
                                                 p_lost boolean[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM webhook_lock();
    INSERT INTO webhook_states AS s (webhook_id, lost_from, lost_to)
    SELECT c.webhook_id, min(c.taken_until), now()
      FROM unnest(p_webhooks, p_partitions, p_lost) AS u (webhook_id, partition, is_lost)
      JOIN webhook_cursors c ON c.webhook_id = u.webhook_id AND c.topic = p_topic AND c.partition = u.partition
     WHERE u.is_lost GROUP BY c.webhook_id
        ON CONFLICT (webhook_id) DO UPDATE SET lost_from = least(s.lost_from, excluded.lost_from), lost_to = excluded.lost_to;
    WITH given AS (
        SELECT u.* FROM unnest(p_webhooks, p_partitions, p_starts, p_next) AS u (webhook_id, partition, starts, next_offset)
          JOIN webhooks w ON w.id = u.webhook_id AND w.active AND w.starts = u.starts),
    ended AS (
        DELETE FROM webhook_cursors c USING given g
         WHERE g.next_offset IS NULL AND c.webhook_id = g.webhook_id AND c.topic = p_topic AND c.partition = g.partition)
    INSERT INTO webhook_cursors (webhook_id, topic, partition, starts, next_offset)
    SELECT g.webhook_id, p_topic, g.partition, g.starts, g.next_offset FROM given g WHERE g.next_offset IS NOT NULL
        ON CONFLICT (webhook_id, topic, partition) DO UPDATE
       SET starts = excluded.starts, next_offset = excluded.next_offset, taken_until = now();
END;
$$;

-- Of these schedules, lets the first delivery that waits be tried where nothing stands before it.
CREATE OR REPLACE FUNCTION advance_webhook_deliveries(p_topic text, p_webhooks uuid[], p_partitions integer[], p_schedules bigint[],
                                                      p_at timestamptz) RETURNS void
LANGUAGE sql
AS $$
    UPDATE webhook_deliveries d SET state = 'retrying', next_attempt_at = p_at
      FROM (SELECT DISTINCT u.webhook_id, u.partition, u.schedule_id
              FROM unnest(p_webhooks, p_partitions, p_schedules) AS u (webhook_id, partition, schedule_id)) AS e
     CROSS JOIN LATERAL (
            SELECT n.event_offset, n.state FROM webhook_deliveries n
             WHERE n.topic = p_topic AND n.partition = e.partition AND n.webhook_id = e.webhook_id AND n.schedule_id = e.schedule_id
               AND n.state <> 'failed'
             ORDER BY n.event_offset LIMIT 1) AS n
     WHERE n.state = 'waiting'
       AND d.webhook_id = e.webhook_id AND d.topic = p_topic AND d.partition = e.partition AND d.event_offset = n.event_offset
$$;

-- Keeps deliveries that failed, or wait behind one. Keeping the same again changes nothing.
CREATE OR REPLACE FUNCTION store_webhook_deliveries(p_topic text, p_webhooks uuid[], p_partitions integer[], p_offsets bigint[],
    p_event_ids text[], p_triggers text[], p_schedules bigint[], p_versions bigint[], p_events bytea[], p_next timestamptz[],
    p_failed timestamptz[], p_statuses integer[], p_errors text[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO webhook_deliveries (webhook_id, topic, partition, event_offset, event_id, trigger, schedule_id, schedule_version, event,
                                    state, attempts, first_failed_at, last_failed_at, next_attempt_at, status, error)
    SELECT u.webhook_id, p_topic, u.partition, u.event_offset, u.event_id, u.trigger, u.schedule_id, u.version, u.event,
           CASE WHEN u.next_at IS NULL THEN 'waiting' ELSE 'retrying' END, CASE WHEN u.failed_at IS NULL THEN 0 ELSE 1 END, u.failed_at,
           u.failed_at, u.next_at, u.status, u.error
      FROM unnest(p_webhooks, p_partitions, p_offsets, p_event_ids, p_triggers, p_schedules, p_versions, p_events, p_next, p_failed, p_statuses,
                  p_errors) AS u (webhook_id, partition, event_offset, event_id, trigger, schedule_id, version, event, next_at, failed_at, status,
                                  error)
      JOIN webhooks w ON w.id = u.webhook_id
        ON CONFLICT DO NOTHING;
    PERFORM advance_webhook_deliveries(p_topic, p_webhooks, p_partitions, p_schedules, p_at);
END;
$$;

-- What came of deliveries that were tried again: p_next is when to try once more; null: it was acknowledged, or, where p_failed is given, it
-- is given up. What ends makes room for the one that waits behind it.
CREATE OR REPLACE FUNCTION store_webhook_retries(p_topic text, p_webhooks uuid[], p_partitions integer[], p_offsets bigint[],
                                                 p_schedules bigint[], p_attempts integer[], p_next timestamptz[], p_failed timestamptz[],
                                                 p_statuses integer[], p_errors text[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM webhook_deliveries d
     USING unnest(p_webhooks, p_partitions, p_offsets, p_failed) AS u (webhook_id, partition, event_offset, failed_at)
     WHERE u.failed_at IS NULL
       AND d.webhook_id = u.webhook_id AND d.topic = p_topic AND d.partition = u.partition AND d.event_offset = u.event_offset;
    UPDATE webhook_deliveries d
       SET state = CASE WHEN u.next_at IS NULL THEN 'failed' ELSE 'retrying' END, attempts = u.attempts, last_failed_at = u.failed_at,
           first_failed_at = coalesce(d.first_failed_at, u.failed_at), next_attempt_at = u.next_at, status = u.status, error = u.error,
           failed_at = CASE WHEN u.next_at IS NULL THEN u.failed_at END
      FROM unnest(p_webhooks, p_partitions, p_offsets, p_attempts, p_next, p_failed, p_statuses, p_errors)
           AS u (webhook_id, partition, event_offset, attempts, next_at, failed_at, status, error)
     WHERE u.failed_at IS NOT NULL
       AND d.webhook_id = u.webhook_id AND d.topic = p_topic AND d.partition = u.partition AND d.event_offset = u.event_offset;
    PERFORM advance_webhook_deliveries(p_topic, p_webhooks, p_partitions, p_schedules, p_at);
END;
$$;

-- How endpoints fared since that was stored last. p_recent: successes as in webhook_states. p_failures: failed attempts since the last
-- success, where there was one in between; else those to be added.
CREATE OR REPLACE FUNCTION store_webhook_states(p_webhooks uuid[], p_recent text[], p_successes timestamptz[], p_failures bigint[],
                                                p_first_failures timestamptz[], p_last_failures timestamptz[], p_statuses integer[],
                                                p_errors text[]) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO webhook_states AS s (webhook_id, recent, last_success_at, failures, first_failure_at, last_failure_at, last_status, last_error)
    SELECT u.webhook_id, u.recent::jsonb, u.success_at, u.failures, u.first_failure_at, u.last_failure_at, u.status, u.error
      FROM unnest(p_webhooks, p_recent, p_successes, p_failures, p_first_failures, p_last_failures, p_statuses, p_errors)
           AS u (webhook_id, recent, success_at, failures, first_failure_at, last_failure_at, status, error)
      JOIN webhooks w ON w.id = u.webhook_id
        ON CONFLICT (webhook_id) DO UPDATE
       SET recent = (SELECT coalesce(jsonb_agg(r.item ORDER BY r.place), '[]')
                       FROM jsonb_array_elements(excluded.recent || s.recent) WITH ORDINALITY AS r (item, place) WHERE r.place <= 20),
           last_success_at = coalesce(excluded.last_success_at, s.last_success_at),
           failures = excluded.failures + CASE WHEN excluded.last_success_at IS NULL THEN s.failures ELSE 0 END,
           first_failure_at = CASE WHEN excluded.last_success_at IS NULL THEN coalesce(s.first_failure_at, excluded.first_failure_at)
                                   ELSE excluded.first_failure_at END,
           last_failure_at = coalesce(excluded.last_failure_at, s.last_failure_at),
           last_status = CASE WHEN excluded.last_failure_at IS NULL THEN s.last_status ELSE excluded.last_status END,
           last_error = CASE WHEN excluded.last_failure_at IS NULL THEN s.last_error ELSE excluded.last_error END
$$;

-- Deletes endpoints whose owners are gone and that have got everything below their end. `published` is up to where the slot's events were
-- published at `swept_at`; with what the last call returned, it is known that all of that has been taken since.
CREATE OR REPLACE FUNCTION sweep_removed_webhooks(p_topic text, p_slot text, p_published pg_lsn, p_at timestamptz,
                                                  OUT published pg_lsn, OUT swept_at timestamptz)
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM webhooks w WHERE w.end_position IS NOT NULL)
        AND p_at < (SELECT min(o.taken_until) FROM webhook_offsets o WHERE o.topic = p_topic) THEN
        PERFORM webhook_lock();
        DELETE FROM webhooks w
         WHERE w.end_position IS NOT NULL AND split_part(w.end_position, ':', 2)::pg_lsn <= p_published
           AND NOT (w.active AND EXISTS (SELECT FROM webhook_cursors c WHERE c.webhook_id = w.id))
           AND NOT (w.active AND EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.state <> 'failed'));
    END IF;
    SELECT s.confirmed_flush_lsn INTO published FROM pg_replication_slots s WHERE s.slot_name = p_slot;
    swept_at := clock_timestamp();
END;
$$;
