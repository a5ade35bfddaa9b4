-- Tenants, devices, certificates, telemetry, sessions, the outbox and the audit log.
--
-- Row-level security, the same on every tenant table: enabled and forced; `tenant_isolation` for pulse_app by the
-- transaction's app.tenant_id.  Services that serve all tenants (the broker's gate, the CA, the ingest writer) have roles
-- of their own with policies named after them, and grants no wider than their work.

SET LOCAL ROLE pulse_owner;

-- The tenant of the current transaction; NULL (no rows) without one.  Written out in each policy rather than wrapped in
-- a function: an IMMUTABLE wrapper in a prepared statement once showed one tenant's row to another.

CREATE TABLE tenants (
    tenant_id  uuid        NOT NULL PRIMARY KEY CHECK (tenant_id <> '00000000-0000-0000-0000-000000000000'),
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status     text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE devices (
    tenant_id  uuid        NOT NULL REFERENCES tenants,
    device_id  uuid        NOT NULL PRIMARY KEY,
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status     text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, device_id)
);
CREATE INDEX devices_by_tenant ON devices (tenant_id, created_at DESC, device_id);

CREATE TABLE enrolment_tokens (
    tenant_id  uuid        NOT NULL,
    token_id   uuid        NOT NULL PRIMARY KEY,
    device_id  uuid        NOT NULL,
    token_hash bytea       NOT NULL CHECK (length(token_hash) = 32),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text        NOT NULL,
    UNIQUE (tenant_id, token_hash),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);
CREATE INDEX enrolment_tokens_by_device ON enrolment_tokens (tenant_id, device_id);

-- Certificate authorities belong to the platform: no tenant, and only the CA's role and the broker's gate may read them.
CREATE TABLE issuers (
    issuer_id          uuid        NOT NULL PRIMARY KEY,
    kind               text        NOT NULL CHECK (kind IN ('root', 'issuing')),
    subject            text        NOT NULL,
    certificate_der    bytea       NOT NULL,
    fingerprint_sha256 bytea       NOT NULL UNIQUE CHECK (length(fingerprint_sha256) = 32),
    not_before         timestamptz NOT NULL,
    not_after          timestamptz NOT NULL,
    status             text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'retired', 'revoked')),
    -- The list that every replica of the CA serves.  Written under this row's lock, so that the number only ever grows.
    crl_number         bigint      NOT NULL DEFAULT 0,
    crl_this_update    timestamptz,
    crl_der            bytea,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CHECK ((crl_number > 0) = (crl_this_update IS NOT NULL AND crl_der IS NOT NULL))
);

CREATE TABLE certificates (
    tenant_id          uuid        NOT NULL,
    certificate_id     uuid        NOT NULL PRIMARY KEY,
    device_id          uuid        NOT NULL,
    issuer_id          uuid        NOT NULL REFERENCES issuers,
    serial_number      text        NOT NULL CHECK (serial_number ~ '^[0-9a-f]{1,40}$'),
    fingerprint_sha256 bytea       NOT NULL CHECK (length(fingerprint_sha256) = 32),
    public_key_sha256  bytea       NOT NULL CHECK (length(public_key_sha256) = 32),
    certificate_der    bytea       NOT NULL,
    not_before         timestamptz NOT NULL,
    not_after          timestamptz NOT NULL,
    status             text        NOT NULL DEFAULT 'valid' CHECK (status IN ('valid', 'revoked')),
    revoked_at         timestamptz,
    revocation_reason  text,
    session_cut_at     timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (issuer_id, serial_number),
    UNIQUE (fingerprint_sha256),
    CHECK ((status = 'revoked') = (revoked_at IS NOT NULL AND revocation_reason IS NOT NULL)),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);
CREATE INDEX certificates_by_device ON certificates (tenant_id, device_id, created_at DESC);
CREATE INDEX certificates_by_key ON certificates (public_key_sha256);
CREATE INDEX certificates_revoked ON certificates (issuer_id, serial_number) WHERE status = 'revoked';

-- One row a message.  `message_id` is derived from the message's own content, so a redelivery lands on the same key.
CREATE TABLE telemetry (
    tenant_id   uuid        NOT NULL,
    device_id   uuid        NOT NULL,
    ts          timestamptz NOT NULL,
    message_id  uuid        NOT NULL,
    metrics     jsonb       NOT NULL,
    received_at timestamptz NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, device_id, ts, message_id)
) PARTITION BY RANGE (ts);

-- Where a time outside the prepared days goes, so that nothing that was acknowledged is refused by the table.
CREATE TABLE telemetry_default PARTITION OF telemetry DEFAULT;

CREATE TABLE device_last_state (
    tenant_id    uuid        NOT NULL,
    device_id    uuid        NOT NULL,
    last_seen_at timestamptz NOT NULL,
    ts           timestamptz NOT NULL,
    metrics      jsonb       NOT NULL,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);

-- Found by the cookie's hash before the tenant is known, so it is not a tenant table: a role of its own reads it, and
-- pulse_app cannot.
CREATE TABLE web_sessions (
    session_hash      bytea       NOT NULL PRIMARY KEY CHECK (length(session_hash) = 32),
    subject           text        NOT NULL,
    oidc_session_id   text,
    tokens_sealed     bytea       NOT NULL,
    csrf_secret       bytea       NOT NULL CHECK (length(csrf_secret) = 32),
    access_expires_at timestamptz NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    last_used_at      timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz NOT NULL
);
CREATE INDEX web_sessions_by_expiry ON web_sessions (expires_at);

CREATE TABLE outbox (
    tenant_id  uuid        NOT NULL,
    event_id   uuid        NOT NULL PRIMARY KEY,
    position   bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    producer   name        NOT NULL DEFAULT session_user,
    subject    text        NOT NULL CHECK (subject LIKE 'pulse.events.%'),
    payload    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz
);
CREATE INDEX outbox_by_tenant ON outbox (tenant_id, position);
CREATE INDEX outbox_unsent ON outbox (producer, position) WHERE sent_at IS NULL;

-- The platform's own acts carry the nil UUID, which no tenant can have.  What is said here of sealing, partitions and
-- retention is in 0005_audit.sql.
CREATE TABLE audit_log (
    tenant_id   uuid        NOT NULL,
    audit_id    uuid        NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    service     name        NOT NULL DEFAULT session_user,
    actor_kind  text        NOT NULL CHECK (actor_kind IN ('user', 'service', 'device', 'operator', 'anonymous')),
    actor_id    text        NOT NULL,
    action      text        NOT NULL,
    object_kind text        NOT NULL,
    object_id   text        NOT NULL,
    outcome     text        NOT NULL CHECK (outcome IN ('success', 'failure', 'denied')),
    reason      text,
    address     text,
    user_agent  text,
    request_id  text,
    before      jsonb,
    after       jsonb,
    details     jsonb       NOT NULL DEFAULT '{}',
    -- Which transaction wrote the row: the sealer takes those that can no longer be joined by late-comers.
    xid         xid8        NOT NULL DEFAULT pg_current_xact_id(),
    -- The partition key must be part of it; a replayed event carries its old time, so the pair stays one.
    PRIMARY KEY (at, audit_id)
) PARTITION BY RANGE (at);

-- Where a time outside the prepared months goes, so that no act is refused because its record is.
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;
CREATE INDEX audit_log_by_tenant ON audit_log (tenant_id, at DESC);
CREATE INDEX audit_log_by_object ON audit_log (tenant_id, object_id, at DESC);
CREATE INDEX audit_log_by_device ON audit_log (tenant_id, (details ->> 'device_id'), at DESC)
    WHERE details ->> 'device_id' IS NOT NULL;
CREATE INDEX audit_log_by_transaction ON audit_log (xid, tenant_id);

-- Row-level security ---------------------------------------------------------------------------------------------------

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['tenants', 'devices', 'enrolment_tokens', 'certificates', 'telemetry', 'telemetry_default',
                             'device_last_state', 'outbox', 'audit_log', 'audit_log_default', 'web_sessions',
                             'issuers']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['tenants', 'devices', 'enrolment_tokens', 'certificates', 'telemetry', 'telemetry_default',
                             'device_last_state', 'outbox', 'audit_log', 'audit_log_default']
    LOOP
        EXECUTE format($policy$
            CREATE POLICY tenant_isolation ON %I TO pulse_app
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, t);
    END LOOP;
END
$$;

GRANT SELECT ON tenants, devices, enrolment_tokens, certificates, telemetry, device_last_state, audit_log TO pulse_app;
GRANT INSERT, UPDATE ON devices, enrolment_tokens TO pulse_app;
GRANT INSERT ON outbox, audit_log TO pulse_app;

-- The CA writes certificates inside a tenant's transaction, and reads every revoked one to build a CRL.
GRANT SELECT ON tenants, devices, certificates, issuers TO pulse_ca;
GRANT INSERT, UPDATE ON certificates, issuers TO pulse_ca;
GRANT UPDATE (status) ON devices TO pulse_ca;
GRANT INSERT ON outbox, audit_log TO pulse_ca;
CREATE POLICY ca_read ON tenants FOR SELECT TO pulse_ca USING (true);
CREATE POLICY ca_read ON devices FOR SELECT TO pulse_ca USING (true);
CREATE POLICY ca_disable ON devices FOR UPDATE TO pulse_ca
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY ca_read ON certificates FOR SELECT TO pulse_ca USING (true);
CREATE POLICY ca_issue ON certificates FOR INSERT TO pulse_ca
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY ca_revoke ON certificates FOR UPDATE TO pulse_ca
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY ca_own ON issuers TO pulse_ca USING (true) WITH CHECK (true);
CREATE POLICY ca_event ON outbox FOR INSERT TO pulse_ca
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY ca_record ON audit_log FOR INSERT TO pulse_ca
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);

-- The broker's gate sees what a decision needs, of every tenant, and nothing else.
GRANT SELECT (tenant_id, status) ON tenants TO pulse_authz;
GRANT SELECT (tenant_id, device_id, status) ON devices TO pulse_authz;
GRANT SELECT (tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256, not_before, not_after,
              status, revoked_at, session_cut_at) ON certificates TO pulse_authz;
GRANT UPDATE (session_cut_at) ON certificates TO pulse_authz;
GRANT INSERT ON outbox, audit_log TO pulse_authz;
CREATE POLICY authz_read ON tenants FOR SELECT TO pulse_authz USING (true);
CREATE POLICY authz_read ON devices FOR SELECT TO pulse_authz USING (true);
CREATE POLICY authz_read ON certificates FOR SELECT TO pulse_authz USING (true);
CREATE POLICY authz_confirm ON certificates FOR UPDATE TO pulse_authz
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY authz_event ON outbox FOR INSERT TO pulse_authz
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY authz_record ON audit_log FOR INSERT TO pulse_authz
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);

-- The ingest writer stores every tenant's readings.  ON CONFLICT needs SELECT on what it compares.
GRANT SELECT (tenant_id, device_id, ts, message_id), INSERT ON telemetry TO pulse_ingest;
GRANT SELECT, INSERT, UPDATE ON device_last_state TO pulse_ingest;
GRANT SELECT (tenant_id, device_id) ON devices TO pulse_ingest;
CREATE POLICY ingest_write ON telemetry TO pulse_ingest USING (true) WITH CHECK (true);
CREATE POLICY ingest_write ON device_last_state TO pulse_ingest USING (true) WITH CHECK (true);
CREATE POLICY owner_moves ON telemetry_default TO pulse_owner USING (true) WITH CHECK (true);
CREATE POLICY ingest_read ON devices FOR SELECT TO pulse_ingest USING (true);

-- Tenants are made by the platform, through provision_api's admin key.
GRANT SELECT, INSERT ON tenants TO pulse_provision;
GRANT INSERT ON audit_log, outbox TO pulse_provision;
CREATE POLICY provision_create ON tenants TO pulse_provision USING (true) WITH CHECK (true);
CREATE POLICY provision_event ON outbox FOR INSERT TO pulse_provision
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY provision_record ON audit_log FOR INSERT TO pulse_provision
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);

-- A relay publishes what its own service wrote.
GRANT SELECT, UPDATE (sent_at), DELETE ON outbox TO pulse_outbox;
CREATE POLICY relay_own ON outbox TO pulse_outbox USING (producer = session_user) WITH CHECK (producer = session_user);

-- Append only: nobody holds UPDATE, DELETE or TRUNCATE.
GRANT INSERT ON audit_log TO pulse_audit;
CREATE POLICY audit_append ON audit_log FOR INSERT TO pulse_audit WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON web_sessions TO pulse_sessions;
-- Log-ins and log-outs are recorded with the session that they begin and end; an operator's has no tenant.
GRANT INSERT ON audit_log TO pulse_sessions;
CREATE POLICY sessions_record ON audit_log FOR INSERT TO pulse_sessions WITH CHECK (true);
CREATE POLICY sessions_own ON web_sessions TO pulse_sessions USING (true) WITH CHECK (true);

-- Operators: reading is BYPASSRLS but SELECT only, and its audit row is written in the same transaction.
GRANT SELECT ON tenants, devices, certificates, issuers, telemetry, device_last_state, audit_log TO pulse_operator_read;
GRANT INSERT ON audit_log TO pulse_operator_read, pulse_operator_write;
GRANT SELECT, UPDATE (status) ON tenants TO pulse_operator_write;
CREATE POLICY operator_write ON tenants TO pulse_operator_write USING (true) WITH CHECK (true);
CREATE POLICY operator_record ON audit_log FOR INSERT TO pulse_operator_write WITH CHECK (true);

-- The one SECURITY DEFINER function: the ingest writer may prepare days, and nothing else of the owner's.  Its
-- search_path is fixed, and its only argument is a number of days.
CREATE FUNCTION ensure_telemetry_partitions(days_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first_day date := (now() AT TIME ZONE 'UTC')::date - 1;
    day       date;
    part      text;
    made      integer := 0;
BEGIN
    IF days_ahead NOT BETWEEN 0 AND 60 THEN
        RAISE EXCEPTION 'days_ahead must be from 0 to 60, got %', days_ahead;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('pulse.telemetry_partitions'));
    FOR day IN SELECT generate_series(first_day, first_day + 1 + days_ahead, interval '1 day')::date LOOP
        part := 'telemetry_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.telemetry INCLUDING ALL)', part);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', part);
        EXECUTE format($policy$
            CREATE POLICY tenant_isolation ON public.%I TO pulse_app
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, part);
        -- Rows that came too early sit in the default partition and would forbid the new one: move them first.  The
        -- owner is held by FORCE like anybody else, hence the passing policy.
        EXECUTE format('CREATE POLICY owner_moves ON public.%I TO pulse_owner USING (true) WITH CHECK (true)', part);
        EXECUTE format(
            'WITH early AS (DELETE FROM public.telemetry_default WHERE ts >= %L AND ts < %L RETURNING *)
             INSERT INTO public.%I SELECT * FROM early', day::text || 'Z', (day + 1)::text || 'Z', part);
        EXECUTE format('DROP POLICY owner_moves ON public.%I', part);
        EXECUTE format('ALTER TABLE public.telemetry ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       part, day::text || 'Z', (day + 1)::text || 'Z');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION ensure_telemetry_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_telemetry_partitions(integer) TO pulse_ingest;
COMMENT ON FUNCTION ensure_telemetry_partitions(integer) IS
    'SECURITY DEFINER: the ingest writer may prepare days of telemetry, and nothing else of the owner''s';

RESET ROLE;
