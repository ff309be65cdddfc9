-- Who may do what in the database. The roles are groups without a login; a login is made a member of what it is for:
--   schedule_service  serves: HTTP and the consumers, which write through write_batch alone and read what answers need; and emits again
--                     what was lost, for `rebuild`
--   schedule_relay    publishes: the WAL, for which its login has REPLICATION itself, and no table of schedules; and makes its slot again
--   schedule_webhooks sends: endpoints of webhooks and their deliveries, and no table of schedules
--   schedule_admin    keeps the directory, its credentials and the stored offsets, by the commands of the binary
-- The schema belongs to whoever migrates.

-- What each role needs. privileges: as GRANT takes them.
CREATE OR REPLACE VIEW role_grants (role_name, privileges, object) AS VALUES
    ('schedule_service', 'EXECUTE', 'FUNCTION write_batch'),
    ('schedule_service', 'USAGE', 'SEQUENCE schedule_id_blocks'),
    ('schedule_service', 'SELECT, INSERT', 'TABLE command_offsets'),
    ('schedule_service', 'SELECT (version)', 'TABLE schema_migrations'),
    ('schedule_service', 'SELECT (checksum)', 'TABLE schema_functions'),
    ('schedule_service', 'SELECT', 'TABLE schedules'),
    ('schedule_service', 'SELECT', 'TABLE default_schedules'),
    ('schedule_service', 'SELECT (id)', 'TABLE organizations'),
    ('schedule_service', 'SELECT (id, is_system_admin)', 'TABLE users'),
    ('schedule_service', 'SELECT', 'TABLE memberships'),
    ('schedule_service', 'SELECT (id, org_id)', 'TABLE teams'),
    ('schedule_service', 'SELECT', 'TABLE team_memberships'),
    ('schedule_service', 'SELECT (id, user_id, key_hash, expires_at, revoked_at)', 'TABLE api_keys'),
    ('schedule_service', 'SELECT', 'TABLE api_key_limits'),
    ('schedule_service', 'SELECT (id, org_id, secret_hash, permissions)', 'TABLE oauth_clients'),
    ('schedule_service', 'SELECT', 'TABLE removals'),
    ('schedule_service', 'EXECUTE', 'FUNCTION run_removals'),
    ('schedule_service', 'EXECUTE', 'FUNCTION sweep_processed_commands'),
    ('schedule_service', 'EXECUTE', 'FUNCTION position_state'),
    ('schedule_service', 'EXECUTE', 'FUNCTION schedules_left_to_remove'),
    ('schedule_service', 'SELECT', 'TABLE webhooks, webhook_states, webhook_jobs, webhook_offsets, webhook_cursors'),
    ('schedule_service', 'SELECT (webhook_id, topic, partition, event_offset, event_id, trigger, schedule_id, schedule_version, state, '
        'attempts, first_failed_at, last_failed_at, next_attempt_at, status, error, failed_at)', 'TABLE webhook_deliveries'),
    ('schedule_service', 'EXECUTE', 'FUNCTION create_webhook'),
    ('schedule_service', 'EXECUTE', 'FUNCTION update_webhook'),
    ('schedule_service', 'EXECUTE', 'FUNCTION delete_webhook'),
    ('schedule_service', 'EXECUTE', 'FUNCTION delete_client_webhooks'),
    ('schedule_service', 'EXECUTE', 'FUNCTION reseal_webhooks'),
    ('schedule_service', 'EXECUTE', 'FUNCTION create_webhook_job'),
    ('schedule_webhooks', 'SELECT (version)', 'TABLE schema_migrations'),
    ('schedule_webhooks', 'SELECT (checksum)', 'TABLE schema_functions'),
    ('schedule_webhooks', 'SELECT', 'TABLE webhooks, webhook_changes'),
    ('schedule_webhooks', 'SELECT', 'TABLE webhook_offsets, webhook_cursors, webhook_states, webhook_deliveries'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION webhook_lock'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION begin_webhook_offsets'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION lose_webhook_events'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION replace_webhook_logs'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION move_webhook_offsets'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION store_webhook_cursors'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION store_webhook_deliveries'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION store_webhook_retries'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION store_webhook_states'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION sweep_removed_webhooks'),
    ('schedule_webhooks', 'SELECT, UPDATE', 'TABLE webhook_jobs'),
    ('schedule_webhooks', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE webhook_job_positions'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION webhook_memberships'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION disable_webhook'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION mark_removed_webhooks'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION delete_removed_webhook'),
    ('schedule_webhooks', 'EXECUTE', 'FUNCTION sweep_webhooks'),
    ('schedule_service', 'EXECUTE', 'FUNCTION move_schedule_ids'),
    ('schedule_service', 'EXECUTE', 'FUNCTION emit_schedules'),
    ('schedule_service', 'EXECUTE', 'FUNCTION emit_deletions'),
    ('schedule_service', 'EXECUTE', 'FUNCTION emit_last_event'),
    ('schedule_relay', 'SELECT', 'TABLE slot_generations'),
    ('schedule_relay', 'EXECUTE', 'FUNCTION begin_slot_generation'),
    ('schedule_relay', 'EXECUTE', 'FUNCTION accept_position'),
    ('schedule_relay', 'EXECUTE', 'FUNCTION refuse_position'),
    ('schedule_relay', 'SELECT', 'TABLE relay_positions'),
    ('schedule_relay', 'EXECUTE', 'FUNCTION note_published'),
    ('schedule_relay', 'EXECUTE', 'FUNCTION heal_published'),
    ('schedule_admin', 'EXECUTE', 'FUNCTION apply_directory'),
    ('schedule_admin', 'USAGE', 'SEQUENCE organizations_id_seq, users_id_seq, teams_id_seq'),
    ('schedule_admin', 'SELECT', 'TABLE organizations, users, memberships, teams, team_memberships'),
    ('schedule_admin', 'UPDATE (is_system_admin)', 'TABLE users'),
    ('schedule_admin', 'SELECT (id, user_id, note, created_at, expires_at, revoked_at)', 'TABLE api_keys'),
    ('schedule_admin', 'INSERT (user_id, key_hash, note, expires_at), UPDATE (revoked_at)', 'TABLE api_keys'),
    ('schedule_admin', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE api_key_limits'),
    ('schedule_admin', 'SELECT (id, org_id, name, permissions, created_at), INSERT, DELETE', 'TABLE oauth_clients'),
    ('schedule_admin', 'SELECT, INSERT, UPDATE (next_offset)', 'TABLE command_offsets'),
    ('schedule_admin', 'SELECT', 'TABLE removals'),
    ('schedule_admin', 'SELECT (id, scope, user_id, org_id, client_id, subscriber_url, triggers, active, format, version, created_at, '
        'disabled_at, disabled_reason, removed_at)', 'TABLE webhooks'),
    ('schedule_admin', 'SELECT', 'TABLE webhook_states, webhook_jobs'),
    ('schedule_admin', 'SELECT (webhook_id, state, first_failed_at, next_attempt_at)', 'TABLE webhook_deliveries'),
    ('schedule_admin', 'EXECUTE', 'FUNCTION update_webhook'),
    ('schedule_admin', 'EXECUTE', 'FUNCTION create_webhook_job'),
    ('schedule_admin', 'EXECUTE', 'FUNCTION end_client_webhooks'),
    ('schedule_admin', 'EXECUTE', 'FUNCTION apply_entries'),
    ('schedule_admin', 'EXECUTE', 'FUNCTION run_removals');

-- Roles belong to the whole cluster: they may be there already, or another database's migration may be making them right now.
CREATE OR REPLACE FUNCTION ensure_role(p_name text) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    IF to_regrole(p_name) IS NULL THEN
        EXECUTE format('CREATE ROLE %I', p_name);
    END IF;
    RETURN true;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        RETURN true;
    WHEN insufficient_privilege THEN
        RAISE WARNING 'the role % is missing, and % may not make it: let an administrator CREATE ROLE %, then migrate again',
            p_name, current_user, p_name;
        RETURN false;
END;
$$;

-- Callers of these functions act with their owner's privileges, and so can change rows in no other way than with their events. Not
-- for everybody then, and with names that mean what they mean here.
CREATE OR REPLACE FUNCTION seal_functions() RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_function text;
BEGIN
    FOR v_function IN SELECT DISTINCT object FROM role_grants WHERE privileges = 'EXECUTE' LOOP
        EXECUTE format('ALTER %s SECURITY DEFINER SET search_path = %I, pg_temp', v_function, current_schema());
        EXECUTE format('REVOKE EXECUTE ON %s FROM PUBLIC', v_function);
    END LOOP;
END;
$$;

-- Makes the roles and gives them what role_grants says, as often as one likes: each `schedule-service migrate` does it at its end.
-- Roles that cannot be made are passed over with a warning; who uses none needs none.
CREATE OR REPLACE FUNCTION grant_roles() RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_owns_schema boolean := pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = current_schema()), 'USAGE');
    v_role        text;
    v_grant       role_grants;
BEGIN
    PERFORM seal_functions();
    IF v_owns_schema THEN -- before PostgreSQL 15 everybody may put functions beside ours
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    END IF;
    FOREACH v_role IN ARRAY ARRAY['schedule_service', 'schedule_webhooks', 'schedule_relay', 'schedule_admin'] LOOP
        CONTINUE WHEN NOT ensure_role(v_role);
        IF pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') THEN
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), v_role);
        END IF;
        IF v_owns_schema THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), v_role);
        END IF;
        FOR v_grant IN SELECT * FROM role_grants WHERE role_name = v_role LOOP
            EXECUTE format('GRANT %s ON %s TO %I', v_grant.privileges, v_grant.object, v_role);
        END LOOP;
    END LOOP;
END;
$$;
