-- What the API needs: a device's version, for changes that overwrite nobody else's, and the answers of requests that came
-- with an Idempotency-Key.  Expand only: the previous release neither reads nor writes any of it.

SET LOCAL ROLE pulse_owner;

-- Grows with each change by a person.  A constant default: the table is not rewritten.
ALTER TABLE devices ADD COLUMN version integer NOT NULL DEFAULT 1;

-- One row for each key of one person, for 24 hours.  The answer holds a one-time token, so it is sealed; NULL while the
-- request is under way, or when nobody knows how it ended.  device_id is chosen with the claim, so that whoever takes
-- over a request makes the same device.
CREATE TABLE idempotency_keys (
    tenant_id     uuid        NOT NULL REFERENCES tenants,
    actor_id      text        NOT NULL,
    key_hash      bytea       NOT NULL CHECK (length(key_hash) = 32),
    request_hash  bytea       NOT NULL CHECK (length(request_hash) = 32),
    device_id     uuid        NOT NULL,
    leased_until  timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    answer_sealed bytea,
    PRIMARY KEY (tenant_id, actor_id, key_hash)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (tenant_id, expires_at);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON idempotency_keys TO pulse_app
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO pulse_app;

RESET ROLE;
