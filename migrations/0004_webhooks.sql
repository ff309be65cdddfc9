-- Webhooks: endpoints that events are sent to over HTTP, how far each is, and what failed. docs/adr/0031 tells how the tables work
-- together. Endpoints are changed by functions alone (functions/webhooks.sql); state is the senders'.

-- Whoever changes endpoints holds one lock until its commit (webhook_lock()), so that revisions become visible in their order: a reader
-- that has seen revision 5 has seen all below it.
CREATE SEQUENCE webhook_revisions AS bigint;

-- Of a user, of an organization, or of an OAuth client, whose organization is in org_id too.
CREATE TABLE webhooks (
    id                     uuid PRIMARY KEY,
    scope                  text NOT NULL CHECK (scope IN ('user', 'organization', 'client')),
    user_id                bigint CHECK (user_id > 0),
    org_id                 bigint CHECK (org_id > 0),
    client_id              text,
    subscriber_url         text NOT NULL CHECK (octet_length(subscriber_url) BETWEEN 1 AND 2048),
    triggers               text[] NOT NULL CHECK (cardinality(triggers) <= 64),
    active                 boolean NOT NULL,
    secret                 bytea CHECK (octet_length(secret) <= 512),  -- sealed: service/webhook/secret.h. null: none
    previous_secret        bytea CHECK (octet_length(previous_secret) <= 512),  -- signs too until then
    previous_secret_until  timestamptz,
    format                 text NOT NULL DEFAULT 'cal' CHECK (format IN ('cal', 'standard')),
    version                text NOT NULL DEFAULT '2021-10-20',
    revision               bigint NOT NULL,
    created_at             timestamptz NOT NULL DEFAULT now(),
    disabled_at            timestamptz,  -- by a sender, which has set active to false; null: it was not
    disabled_reason        text CHECK (disabled_reason IN ('gone', 'failing')),
    -- Where it starts: with the first event whose commit-position is not below this one (wal_position()). starts counts: a cursor of a lower
    -- number is of an earlier start and means nothing any more.
    start_position         text NOT NULL,
    started_at             timestamptz NOT NULL DEFAULT now(),
    starts                 integer NOT NULL DEFAULT 1,
    -- Its owner is gone since: nobody sees it any more. It gets events below end_position, which is set by a later transaction than the one
    -- that removed the owner, so that it is above all that one committed; then a sender deletes it.
    removed_at             timestamptz,
    end_position           text,
    CHECK ((user_id IS NOT NULL) = (scope = 'user')),
    CHECK ((org_id IS NOT NULL) = (scope <> 'user')),
    CHECK ((client_id IS NOT NULL) = (scope = 'client')),
    CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL)),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL) AND (disabled_at IS NULL OR NOT active))
);
CREATE UNIQUE INDEX webhooks_user ON webhooks (user_id, subscriber_url) WHERE scope = 'user' AND removed_at IS NULL;
CREATE UNIQUE INDEX webhooks_organization ON webhooks (org_id, subscriber_url) WHERE scope = 'organization' AND removed_at IS NULL;
CREATE UNIQUE INDEX webhooks_client ON webhooks (client_id, subscriber_url) WHERE scope = 'client' AND removed_at IS NULL;
CREATE INDEX webhooks_revision ON webhooks (revision);
-- For removals, and for what organizations have endpoints at all.
CREATE INDEX webhooks_of_user ON webhooks (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX webhooks_of_org ON webhooks (org_id) WHERE org_id IS NOT NULL;
CREATE INDEX webhooks_of_client ON webhooks (client_id) WHERE client_id IS NOT NULL;
CREATE INDEX webhooks_removed ON webhooks (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX webhooks_rotated ON webhooks (previous_secret_until) WHERE previous_secret_until IS NOT NULL;

-- Endpoints that are gone, for those who read changes; kept for a day.
CREATE TABLE webhook_deletions (
    revision    bigint PRIMARY KEY,
    webhook_id  uuid NOT NULL,
    deleted_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_deletions_age ON webhook_deletions (deleted_at);

-- ---- how far -----------------------------------------------------------------------------------------------------------------

-- The head: the next offset to take of each partition of the events topic. All endpoints without a cursor are here.
CREATE TABLE webhook_offsets (
    topic        text NOT NULL,
    partition    integer NOT NULL,
    next_offset  bigint NOT NULL CHECK (next_offset >= 0),
    taken_until  timestamptz NOT NULL DEFAULT now(),  -- events of before have been taken
    PRIMARY KEY (topic, partition)
);

-- Endpoints that are behind the head in a partition, or inactive.
CREATE TABLE webhook_cursors (
    webhook_id   uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    starts       integer NOT NULL,  -- of webhooks, when it was made
    next_offset  bigint NOT NULL CHECK (next_offset >= 0),
    taken_until  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (webhook_id, topic, partition)
);
CREATE INDEX webhook_cursors_partition ON webhook_cursors (topic, partition, next_offset);

-- ---- what became of deliveries ---------------------------------------------------------------------------------------------------

-- How an endpoint fares. A success has no row of its own.
CREATE TABLE webhook_states (
    webhook_id        uuid PRIMARY KEY REFERENCES webhooks ON DELETE CASCADE,
    recent            jsonb NOT NULL DEFAULT '[]',  -- the last 20 successes, the latest first: {"at": <Unix ms>, "status": 200}
    last_success_at   timestamptz,
    failures          bigint NOT NULL DEFAULT 0,    -- failed attempts since the last success
    first_failure_at  timestamptz,                  -- the first of those
    last_failure_at   timestamptz,
    last_status       smallint,                     -- of the last failed attempt; null: it got no answer
    last_error        text,                         -- its class, never a word of the answer
    lost_from         timestamptz,                  -- events from then to then are out of the topic and were not sent
    lost_to           timestamptz
);

-- Deliveries that failed, and those of the same schedule that wait behind one. The event is what the request is made of again.
CREATE TABLE webhook_deliveries (
    webhook_id       uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    topic            text NOT NULL,
    partition        integer NOT NULL,
    event_offset     bigint NOT NULL CHECK (event_offset >= 0),
    event_id         text NOT NULL,
    trigger          text NOT NULL,
    schedule_id      bigint NOT NULL,
    schedule_version bigint NOT NULL,
    event            bytea NOT NULL,
    state            text NOT NULL CHECK (state IN ('waiting', 'retrying', 'failed')),
    attempts         integer NOT NULL DEFAULT 0,
    first_failed_at  timestamptz,
    last_failed_at   timestamptz,
    next_attempt_at  timestamptz,  -- of one that is retried
    status           smallint,     -- of the last attempt; null: it got no answer
    error            text,         -- its class
    failed_at        timestamptz,  -- given up then; kept for 7 days
    PRIMARY KEY (webhook_id, topic, partition, event_offset),
    CHECK ((next_attempt_at IS NOT NULL) = (state = 'retrying')),
    CHECK ((failed_at IS NOT NULL) = (state = 'failed'))
);
CREATE INDEX webhook_deliveries_next ON webhook_deliveries (next_attempt_at) WHERE state = 'retrying';
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (failed_at) WHERE state = 'failed';
CREATE INDEX webhook_deliveries_schedule ON webhook_deliveries (topic, partition, webhook_id, schedule_id) WHERE state <> 'failed';

-- What was asked for besides: a test request, or events once more.
CREATE TABLE webhook_jobs (
    id           uuid PRIMARY KEY,
    webhook_id   uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind IN ('ping', 'replay')),
    from_time    timestamptz,  -- of a replay: either of these two
    from_event   text,
    to_time      timestamptz NOT NULL DEFAULT now(),
    triggers     text[],       -- null: those of the endpoint
    state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    delivered    bigint NOT NULL DEFAULT 0,
    failed       bigint NOT NULL DEFAULT 0,
    status       smallint,     -- of the last attempt; null: it got no answer, or there was none
    error        text,         -- its class, or why the job failed
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    ended_at     timestamptz,
    CHECK ((from_time IS NULL) <> (from_event IS NULL) OR kind = 'ping'),
    CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'failed')))
);
CREATE INDEX webhook_jobs_open ON webhook_jobs (created_at) WHERE state IN ('queued', 'running');
CREATE INDEX webhook_jobs_webhook ON webhook_jobs (webhook_id, created_at);
CREATE INDEX webhook_jobs_ended ON webhook_jobs (ended_at) WHERE ended_at IS NOT NULL;

-- How far a replay is in each partition. It ends where end_offset is reached in all.
CREATE TABLE webhook_job_positions (
    job_id       uuid NOT NULL REFERENCES webhook_jobs ON DELETE CASCADE,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    next_offset  bigint NOT NULL,
    end_offset   bigint NOT NULL,
    PRIMARY KEY (job_id, topic, partition)
);
