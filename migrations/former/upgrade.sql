-- From any state that the former files 0010 and later left behind to 0001_tables.sql; what is so already stays.

CREATE TABLE IF NOT EXISTS removals (
    type        text NOT NULL CHECK (type IN ('organization', 'user')),
    id          bigint NOT NULL,
    begun_at    timestamptz NOT NULL DEFAULT now(),
    stepped_at  timestamptz NOT NULL DEFAULT now(),
    after_id    bigint NOT NULL DEFAULT 0,
    schedules   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (type, id)
);
CREATE INDEX IF NOT EXISTS removals_turn ON removals (stepped_at);
ALTER TABLE memberships DROP CONSTRAINT IF EXISTS memberships_org_id_fkey;
ALTER TABLE teams DROP CONSTRAINT IF EXISTS teams_org_id_fkey;
CREATE INDEX IF NOT EXISTS schedules_org ON schedules (org_id, id) WHERE org_id IS NOT NULL;

-- Schedules that were left behind by removals beside which they were created: their removal goes on.
INSERT INTO removals (type, id)
SELECT DISTINCT 'user', s.owner_id FROM schedules s WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = s.owner_id)
UNION
SELECT DISTINCT 'organization', s.org_id FROM schedules s
 WHERE s.org_id IS NOT NULL AND NOT EXISTS (SELECT FROM organizations o WHERE o.id = s.org_id)
    ON CONFLICT DO NOTHING;

-- Automatic ids that very large given ones have moved come back: see automatic_id_max().
SELECT setval('organizations_id_seq', (SELECT coalesce(max(id), 1) FROM organizations WHERE id <= 9007199254740991))
 WHERE pg_sequence_last_value('organizations_id_seq') > 9007199254740991;
SELECT setval('users_id_seq', (SELECT coalesce(max(id), 1) FROM users WHERE id <= 9007199254740991))
 WHERE pg_sequence_last_value('users_id_seq') > 9007199254740991;
SELECT setval('teams_id_seq', (SELECT coalesce(max(id), 1) FROM teams WHERE id <= 9007199254740991))
 WHERE pg_sequence_last_value('teams_id_seq') > 9007199254740991;

CREATE TABLE IF NOT EXISTS relay_positions (
    slot         text PRIMARY KEY,
    holder       integer,
    holder_pid   integer,
    accepted_at  timestamptz,
    refusal      text
);

CREATE TABLE published_versions (
    schedule_id  bigint PRIMARY KEY,
    version      bigint NOT NULL,
    deletion     bytea
);

ALTER TABLE settled_commands RENAME TO processed_commands;
ALTER INDEX settled_commands_pkey RENAME TO processed_commands_pkey;
ALTER INDEX settled_commands_expiry RENAME TO processed_commands_expiry;
ALTER TABLE processed_commands RENAME CONSTRAINT settled_commands_digest_check TO processed_commands_digest_check;

-- Functions that are no more.
DROP FUNCTION IF EXISTS delete_schedule(schedules, uuid, timestamptz, text), remove_user(bigint, timestamptz),
    settle_command(uuid, bytea, bigint, text, interval), sweep_settled_commands(timestamptz, bigint),
    schedule_standing(bigint, bigint, bigint, bigint), remove_organization(bigint, timestamptz), ensure_organization(bigint), ensure_user(bigint), ensure_team(bigint),
    reserve_id(regclass, bigint),
    write_batch(text[], integer[], bigint[], bigint[], integer[], bigint[], uuid[], bytea[], bigint[], bigint[], text[], text[], json[],
                json[], boolean[], bigint[], uuid[], json[], text[], bytea[], timestamptz, interval);

-- It is a view now.
DROP TABLE role_grants;
