-- The broker's gate: whether an issuer still counts, and why devices were refused.

SET LOCAL ROLE pulse_owner;

-- A certificate under an issuer that is revoked or retired is worth nothing: the broker itself looks at leaves only.
GRANT SELECT (issuer_id, status) ON issuers TO pulse_authz;
CREATE POLICY authz_read ON issuers FOR SELECT TO pulse_authz USING (true);

-- A device's refusals, sampled: one row stands for `times` equal ones within a minute.  The gate writes those of every
-- tenant, many in one statement and never while a device waits; a tenant reads its own.
CREATE TABLE broker_denials (
    tenant_id     uuid        NOT NULL,
    denial_id     uuid        NOT NULL PRIMARY KEY,
    device_id     uuid        NOT NULL,
    at            timestamptz NOT NULL,
    action        text        NOT NULL CHECK (action IN ('connect', 'publish', 'subscribe')),
    reason        text        NOT NULL CHECK (length(reason) <= 64),
    rule          text        CHECK (length(rule) <= 200),
    topic         text        CHECK (length(topic) <= 300),
    serial_number text        CHECK (length(serial_number) <= 40),
    address       text        CHECK (length(address) <= 60),
    times         integer     NOT NULL CHECK (times > 0),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);
CREATE INDEX broker_denials_by_device ON broker_denials (tenant_id, device_id, at DESC, denial_id DESC);
CREATE INDEX broker_denials_by_time ON broker_denials (at);

ALTER TABLE broker_denials ENABLE ROW LEVEL SECURITY;
ALTER TABLE broker_denials FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON broker_denials TO pulse_app
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
GRANT SELECT ON broker_denials TO pulse_app, pulse_operator_read;
GRANT INSERT ON broker_denials TO pulse_authz;
-- What it deletes it finds by time alone; what a row says is not the gate's to read.
GRANT SELECT (at), DELETE ON broker_denials TO pulse_authz;
CREATE POLICY authz_note ON broker_denials FOR INSERT TO pulse_authz WITH CHECK (true);
CREATE POLICY authz_forget ON broker_denials FOR DELETE TO pulse_authz USING (true);
CREATE POLICY authz_age ON broker_denials FOR SELECT TO pulse_authz USING (true);

-- Device tokens: a way in for devices that can hold no key.  Off for every device until its tenant's administrator says
-- otherwise; what is kept is the SHA-256 of 256 random bits, which needs no slow hash.
ALTER TABLE devices ADD COLUMN tokens_allowed boolean NOT NULL DEFAULT false;
GRANT SELECT (tokens_allowed) ON devices TO pulse_authz;

CREATE TABLE device_tokens (
    tenant_id      uuid        NOT NULL,
    token_id       uuid        NOT NULL PRIMARY KEY,
    device_id      uuid        NOT NULL,
    token_hash     bytea       NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_at     timestamptz NOT NULL,
    created_by     text        NOT NULL,
    expires_at     timestamptz NOT NULL,
    revoked_at     timestamptz,
    -- When the broker confirmed that nothing of the device was left after the revocation.
    session_cut_at timestamptz,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);
COMMENT ON TABLE device_tokens IS 'tokens that devices show the broker instead of a certificate, hashed';
CREATE INDEX device_tokens_by_device ON device_tokens (tenant_id, device_id, created_at DESC, token_id);

ALTER TABLE device_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE device_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON device_tokens TO pulse_app
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
GRANT SELECT, INSERT, UPDATE (revoked_at) ON device_tokens TO pulse_app;
GRANT SELECT (tenant_id, token_id, device_id, token_hash, expires_at, revoked_at, session_cut_at),
      UPDATE (session_cut_at) ON device_tokens TO pulse_authz;
CREATE POLICY authz_read ON device_tokens FOR SELECT TO pulse_authz USING (true);
CREATE POLICY authz_confirm ON device_tokens FOR UPDATE TO pulse_authz
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);

RESET ROLE;
