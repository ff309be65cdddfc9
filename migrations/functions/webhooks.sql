-- Endpoints of webhooks: who may change them, and how. Deliveries and positions are the senders' (tables of 0004), which read endpoints by
-- revision and change them by functions alone.
--
-- Locks, and their one order: the owner (FOR KEY SHARE), webhook_lock(), rows of webhooks, rows of state.

-- Held by whoever changes endpoints, until its commit: so revisions become visible in their order, and of an owner's endpoints two are
-- never made at once. Any number that nobody else locks.
CREATE OR REPLACE FUNCTION webhook_lock() RETURNS void
LANGUAGE sql
AS $$ SELECT pg_advisory_xact_lock(7215830125521) $$;

-- Where the WAL is, in the form of the header commit-position: all that has committed and is visible is below it, and what commits later
-- is not.
CREATE OR REPLACE FUNCTION wal_position() RETURNS text
LANGUAGE sql VOLATILE
AS $$
    SELECT ('x' || left(pg_walfile_name(p.lsn), 8))::bit(32)::bigint || ':' || p.lsn
      FROM (SELECT pg_current_wal_insert_lsn() AS lsn) AS p
$$;

CREATE OR REPLACE FUNCTION revise_webhook() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM webhook_lock();
    NEW.revision := nextval('webhook_revisions');
    RETURN NEW;
END;
$$;
CREATE OR REPLACE TRIGGER webhooks_revised BEFORE INSERT OR UPDATE ON webhooks FOR EACH ROW EXECUTE FUNCTION revise_webhook();

CREATE OR REPLACE FUNCTION remember_deletion() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM webhook_lock();
    INSERT INTO webhook_deletions (revision, webhook_id) VALUES (nextval('webhook_revisions'), OLD.id);
    RETURN NULL;
END;
$$;
CREATE OR REPLACE TRIGGER webhooks_deleted AFTER DELETE ON webhooks FOR EACH ROW EXECUTE FUNCTION remember_deletion();

-- What senders read: all behind the last revision that they have seen, in its order. Once an hour was missed, all again.
CREATE OR REPLACE VIEW webhook_changes AS
    SELECT w.revision, w.id, false AS is_deleted, w.scope, w.user_id, w.org_id, w.client_id, w.subscriber_url, w.triggers, w.active, w.secret,
           w.previous_secret, w.previous_secret_until, w.format, w.version, w.created_at, w.start_position, w.started_at, w.starts,
           w.removed_at, w.end_position
      FROM webhooks w
    UNION ALL
    SELECT d.revision, d.webhook_id, true, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL
      FROM webhook_deletions d;

-- ---- by those who own them ---------------------------------------------------------------------------------------------------

-- Whether the owner is there. Locks it until the transaction's end, so that its removal sees what is made.
CREATE OR REPLACE FUNCTION lock_webhook_owner(p_user bigint, p_org bigint, p_client text) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_user IS NOT NULL THEN
        PERFORM FROM users WHERE id = p_user FOR KEY SHARE;
    ELSIF p_client IS NOT NULL THEN
        PERFORM FROM oauth_clients WHERE id = p_client AND org_id = p_org FOR KEY SHARE;
    ELSE
        PERFORM FROM organizations WHERE id = p_org FOR KEY SHARE;
    END IF;
    RETURN FOUND;
END;
$$;

-- The endpoints of one owner: of p_user, else of p_client, else of p_org.
CREATE OR REPLACE FUNCTION webhooks_of(p_user bigint, p_org bigint, p_client text) RETURNS SETOF webhooks
LANGUAGE sql STABLE
AS $$
    SELECT * FROM webhooks WHERE p_user IS NOT NULL AND scope = 'user' AND user_id = p_user AND removed_at IS NULL
    UNION ALL
    SELECT * FROM webhooks
     WHERE p_user IS NULL AND p_client IS NOT NULL AND scope = 'client' AND client_id = p_client AND removed_at IS NULL
    UNION ALL
    SELECT * FROM webhooks
     WHERE p_user IS NULL AND p_client IS NULL AND scope = 'organization' AND org_id = p_org AND removed_at IS NULL
$$;

-- Makes an endpoint of one owner: p_user, or p_org, or p_client of p_org. verdict: 'stored'; else there is none, and why: 'owner' (it is
-- gone), 'url' (one of the owner's has it), 'limit' (it has p_max).
CREATE OR REPLACE FUNCTION create_webhook(p_id uuid, p_user bigint, p_org bigint, p_client text, p_url text, p_triggers text[],
                                          p_active boolean, p_secret bytea, p_format text, p_max bigint,
                                          OUT verdict text, OUT webhook webhooks)
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT lock_webhook_owner(p_user, p_org, p_client) THEN
        verdict := 'owner';
        RETURN;
    END IF;
    PERFORM webhook_lock();
    SELECT CASE WHEN bool_or(w.subscriber_url = p_url) THEN 'url' WHEN count(*) >= p_max THEN 'limit' ELSE 'stored' END INTO verdict
      FROM webhooks_of(p_user, p_org, p_client) w;
    IF verdict = 'stored' THEN
        INSERT INTO webhooks (id, scope, user_id, org_id, client_id, subscriber_url, triggers, active, secret, format, start_position)
        VALUES (p_id, CASE WHEN p_user IS NOT NULL THEN 'user' WHEN p_client IS NOT NULL THEN 'client' ELSE 'organization' END,
                p_user, p_org, p_client, p_url, p_triggers, p_active, p_secret, p_format, wal_position())
        RETURNING * INTO webhook;
    END IF;
END;
$$;

-- Changes an endpoint; null leaves a field as it is. p_has_secret: the secret becomes p_secret, which may be null for none, and the former
-- one signs too for 24 hours. p_restart: it starts again with what commits from now on. verdict: as of create_webhook, or 'missing', or
-- 'revision', it is not of p_revision (null: of any).
CREATE OR REPLACE FUNCTION update_webhook(p_id uuid, p_revision bigint, p_url text, p_triggers text[], p_active boolean,
                                          p_has_secret boolean, p_secret bytea,
                                          p_format text, p_restart boolean, OUT verdict text, OUT webhook webhooks)
LANGUAGE plpgsql
AS $$
DECLARE
    v_resumes boolean;
BEGIN
    PERFORM webhook_lock();
    SELECT * INTO webhook FROM webhooks WHERE id = p_id AND removed_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        verdict := 'missing';
        RETURN;
    END IF;
    IF webhook.revision <> p_revision THEN
        verdict := 'revision';
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM webhooks_of(webhook.user_id, webhook.org_id, webhook.client_id) w
                WHERE w.subscriber_url = p_url AND w.id <> p_id) THEN
        verdict := 'url';
        RETURN;
    END IF;
    verdict := 'stored';
    v_resumes := p_active AND NOT webhook.active;
    UPDATE webhooks w
       SET subscriber_url = coalesce(p_url, w.subscriber_url),
           triggers = coalesce(p_triggers, w.triggers),
           active = coalesce(p_active, w.active),
           format = coalesce(p_format, w.format),
           secret = CASE WHEN p_has_secret THEN p_secret ELSE w.secret END,
           previous_secret = CASE WHEN NOT p_has_secret THEN w.previous_secret WHEN p_secret IS NOT NULL THEN w.secret END,
           previous_secret_until = CASE WHEN NOT p_has_secret THEN w.previous_secret_until
                                        WHEN p_secret IS NOT NULL AND w.secret IS NOT NULL THEN now() + interval '24 hours' END,
           disabled_at = CASE WHEN p_active THEN NULL ELSE w.disabled_at END,
           disabled_reason = CASE WHEN p_active THEN NULL ELSE w.disabled_reason END,
           start_position = CASE WHEN p_restart THEN wal_position() ELSE w.start_position END,
           started_at = CASE WHEN p_restart THEN now() ELSE w.started_at END,
           starts = w.starts + p_restart::integer
     WHERE w.id = p_id
    RETURNING * INTO webhook;
    IF v_resumes THEN -- it has 72 hours again
        UPDATE webhook_states SET failures = 0, first_failure_at = NULL WHERE webhook_id = p_id;
    END IF;
    IF p_restart THEN -- the rows of an earlier start: what it skips
        DELETE FROM webhook_deliveries WHERE webhook_id = p_id AND state <> 'failed';
        UPDATE webhook_states SET lost_from = NULL, lost_to = NULL WHERE webhook_id = p_id;
    END IF;
END;
$$;

-- Deletes an endpoint, which it returns as it was. verdict: 'stored', or 'missing' or 'revision' as of update_webhook.
CREATE OR REPLACE FUNCTION delete_webhook(p_id uuid, p_revision bigint, OUT verdict text, OUT webhook webhooks)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM webhook_lock();
    SELECT * INTO webhook FROM webhooks WHERE id = p_id AND removed_at IS NULL FOR UPDATE;
    verdict := CASE WHEN webhook.id IS NULL THEN 'missing' WHEN webhook.revision <> p_revision THEN 'revision' ELSE 'stored' END;
    IF verdict = 'stored' THEN
        DELETE FROM webhooks WHERE id = p_id;
    END IF;
END;
$$;

-- Deletes all of a client. Returns how many.
CREATE OR REPLACE FUNCTION delete_client_webhooks(p_client text) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_deleted bigint;
BEGIN
    PERFORM webhook_lock();
    DELETE FROM webhooks WHERE scope = 'client' AND client_id = p_client AND removed_at IS NULL;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    RETURN v_deleted;
END;
$$;

-- Stores secrets that were sealed again with another key; null leaves one as it is. Endpoints that are not of p_revisions any more stay as
-- they are. Returns how many were stored.
CREATE OR REPLACE FUNCTION reseal_webhooks(p_ids uuid[], p_revisions bigint[], p_secrets bytea[], p_previous bytea[]) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_stored bigint;
BEGIN
    PERFORM webhook_lock();
    UPDATE webhooks w SET secret = coalesce(u.secret, w.secret), previous_secret = coalesce(u.previous_secret, w.previous_secret)
      FROM unnest(p_ids, p_revisions, p_secrets, p_previous) AS u (id, revision, secret, previous_secret)
     WHERE w.id = u.id AND w.revision = u.revision;
    GET DIAGNOSTICS v_stored = ROW_COUNT;
    RETURN v_stored;
END;
$$;

-- Puts a job into the senders' queue. verdict: 'stored', 'missing' (no such endpoint), 'limit' (it has p_max that have not ended).
CREATE OR REPLACE FUNCTION create_webhook_job(p_id uuid, p_webhook uuid, p_kind text, p_from_time timestamptz, p_from_event text,
                                              p_to_time timestamptz, p_triggers text[], p_max bigint,
                                              OUT verdict text, OUT job webhook_jobs)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM webhooks WHERE id = p_webhook AND removed_at IS NULL FOR NO KEY UPDATE; -- one job after the other is counted
    IF NOT FOUND THEN
        verdict := 'missing';
    ELSIF (SELECT count(*) FROM webhook_jobs j WHERE j.webhook_id = p_webhook AND j.ended_at IS NULL) >= p_max THEN
        verdict := 'limit';
    ELSE
        verdict := 'stored';
        INSERT INTO webhook_jobs (id, webhook_id, kind, from_time, from_event, to_time, triggers)
        VALUES (p_id, p_webhook, p_kind, p_from_time, p_from_event, coalesce(p_to_time, now()), p_triggers)
        RETURNING * INTO job;
    END IF;
END;
$$;

-- ---- removals ----------------------------------------------------------------------------------------------------------------

-- The removal of their owner ends with this transaction. A sender deletes them when it has sent what was committed until then.
CREATE OR REPLACE FUNCTION end_webhooks(p_user bigint, p_org bigint, p_client text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM webhooks w WHERE (w.user_id = p_user OR w.org_id = p_org OR w.client_id = p_client) AND w.removed_at IS NULL) THEN
        PERFORM webhook_lock();
        UPDATE webhooks w SET removed_at = now()
         WHERE (w.user_id = p_user OR w.org_id = p_org OR w.client_id = p_client) AND w.removed_at IS NULL;
    END IF;
END;
$$;

-- A client that goes with its organization gets what the organization gets, until that one's removal has ended.
CREATE OR REPLACE FUNCTION end_client_webhooks() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM organizations WHERE id = OLD.org_id) THEN
        PERFORM end_webhooks(NULL, NULL, OLD.id);
    END IF;
    RETURN NULL;
END;
$$;
CREATE OR REPLACE TRIGGER oauth_clients_removed AFTER DELETE ON oauth_clients FOR EACH ROW EXECUTE FUNCTION end_client_webhooks();

-- Marks where those end whose removal has committed: all of it is below, and what a new owner of the same number commits is not. Senders
-- call it before they look for removed endpoints, and whoever makes such a number again before it does. Returns how many.
CREATE OR REPLACE FUNCTION mark_removed_webhooks() RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_marked bigint := 0;
BEGIN
    IF EXISTS (SELECT FROM webhooks w WHERE w.removed_at IS NOT NULL AND w.end_position IS NULL AND w.removed_at <> now()) THEN
        PERFORM webhook_lock();
        UPDATE webhooks w SET end_position = wal_position()
         WHERE w.removed_at IS NOT NULL AND w.end_position IS NULL AND w.removed_at <> now(); -- now(): by this transaction itself
        GET DIAGNOSTICS v_marked = ROW_COUNT;
    END IF;
    RETURN v_marked;
END;
$$;

-- ---- by senders ----------------------------------------------------------------------------------------------------------------

-- Which of these users are members of which organizations that have endpoints. Of an organization that is being removed nobody is.
CREATE OR REPLACE FUNCTION webhook_memberships(p_users bigint[]) RETURNS TABLE (user_id bigint, org_id bigint)
LANGUAGE sql STABLE
AS $$
    SELECT m.user_id, m.org_id FROM memberships m
     WHERE m.user_id = ANY (p_users)
       AND EXISTS (SELECT FROM organizations o WHERE o.id = m.org_id)
       AND EXISTS (SELECT FROM webhooks w WHERE w.org_id = m.org_id)
$$;

-- Disables an endpoint that is active, with the record of its event (service/codec/record.h), in one transaction. Returns whether it did.
CREATE OR REPLACE FUNCTION disable_webhook(p_id uuid, p_reason text, p_record bytea) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM webhook_lock();
    UPDATE webhooks SET active = false, disabled_at = now(), disabled_reason = p_reason
     WHERE id = p_id AND active AND removed_at IS NULL;
    IF FOUND THEN
        PERFORM pg_logical_emit_message(true, 'schedule-service', p_record);
    END IF;
    RETURN FOUND;
END;
$$;

-- Deletes a removed endpoint that has got everything below its end_position.
CREATE OR REPLACE FUNCTION delete_removed_webhook(p_id uuid) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM webhook_lock();
    DELETE FROM webhooks WHERE id = p_id AND end_position IS NOT NULL;
    RETURN FOUND;
END;
$$;

-- Deletes up to p_max each of what was kept for long enough.
CREATE OR REPLACE FUNCTION sweep_webhooks(p_max bigint) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_swept bigint;
BEGIN
    WITH deliveries AS (
        DELETE FROM webhook_deliveries WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM webhook_deliveries d WHERE d.state = 'failed' AND d.failed_at < now() - interval '7 days'
             ORDER BY d.failed_at LIMIT p_max FOR UPDATE SKIP LOCKED)) RETURNING 1),
    jobs AS (
        DELETE FROM webhook_jobs WHERE ctid = ANY (ARRAY(
            SELECT j.ctid FROM webhook_jobs j WHERE j.ended_at < now() - interval '7 days'
             ORDER BY j.ended_at LIMIT p_max FOR UPDATE SKIP LOCKED)) RETURNING 1),
    deletions AS (
        DELETE FROM webhook_deletions WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM webhook_deletions d WHERE d.deleted_at < now() - interval '1 day'
             ORDER BY d.deleted_at LIMIT p_max FOR UPDATE SKIP LOCKED)) RETURNING 1)
    SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM jobs) + (SELECT count(*) FROM deletions) INTO v_swept;
    IF EXISTS (SELECT FROM webhooks WHERE previous_secret_until < now()) THEN
        PERFORM webhook_lock();
        UPDATE webhooks SET previous_secret = NULL, previous_secret_until = NULL WHERE previous_secret_until < now();
    END IF;
    RETURN v_swept;
END;
$$;
