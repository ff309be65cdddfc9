-- What roles, credentials and limits need beyond the first directory.

-- Known of a user when the service that owns the users tells it; the time zone of the default schedule it gets then.
ALTER TABLE users ADD COLUMN time_zone text CHECK (time_zone <> '');
-- Passes every check of a role, as the reference's ADMIN users do.
ALTER TABLE users ADD COLUMN is_system_admin boolean NOT NULL DEFAULT false;

-- permissions: the bits 16 SCHEDULE_READ and 32 SCHEDULE_WRITE.
ALTER TABLE oauth_clients ADD COLUMN name text NOT NULL DEFAULT '';


-- Limits of a key's own, in place of the configured one. A request is refused only when all of them are used up.
CREATE TABLE api_key_limits (
    api_key_id  bigint NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    name        text NOT NULL CHECK (name ~ '^[A-Za-z][A-Za-z0-9]{0,31}$'),
    requests    integer NOT NULL CHECK (requests > 0),
    window_ms   bigint NOT NULL CHECK (window_ms > 0),
    block_ms    bigint NOT NULL CHECK (block_ms > 0),
    PRIMARY KEY (api_key_id, name)
);

CREATE INDEX team_memberships_user ON team_memberships (user_id);
