-- The broker's gate: what a plan still includes, tokens allowed by profile, and what findings about the fleet rest on.
--
-- Expand only.

SET LOCAL ROLE pulse_owner;

-- A plan includes a tenant's oldest devices: the gate asks at CONNECT which is the last of them.
GRANT SELECT (created_at, profile_id) ON devices TO pulse_authz;
GRANT SELECT (tenant_id, devices, applied_at) ON billing_entitlements TO pulse_authz;
CREATE POLICY authz_read ON billing_entitlements FOR SELECT TO pulse_authz USING (true);
CREATE INDEX devices_by_age ON devices (tenant_id, created_at, device_id) WHERE status = 'active';

-- Tokens count when the device's own switch or its profile's says so.
GRANT SELECT (tenant_id, profile_id, tokens_allowed) ON device_profiles TO pulse_authz;
CREATE POLICY authz_read ON device_profiles FOR SELECT TO pulse_authz USING (true);

-- What the CA found of each key since: it parses every certificate once, and again as its lists of weak keys grow.
ALTER TABLE certificates
    ADD COLUMN key_checked_at timestamptz,
    ADD COLUMN key_fault      text CHECK (length(key_fault) <= 200);
CREATE INDEX certificates_to_check ON certificates (key_checked_at NULLS FIRST) WHERE status <> 'revoked';
CREATE INDEX certificates_with_weak_keys ON certificates (tenant_id, device_id) WHERE key_fault IS NOT NULL;

-- Signs that one credential is in two places, as the gate sees them: sessions that take turns between two addresses, or
-- come back all the time from one.  A row a device and pair of addresses; the gate writes those of every tenant.
CREATE TABLE session_conflicts (
    tenant_id     uuid        NOT NULL,
    device_id     uuid        NOT NULL,
    serial_number text        NOT NULL CHECK (length(serial_number) <= 40),
    address       text        NOT NULL CHECK (length(address) <= 60),
    other_address text        NOT NULL CHECK (length(other_address) <= 60),
    first_at      timestamptz NOT NULL,
    last_at       timestamptz NOT NULL,
    times         integer     NOT NULL CHECK (times > 0),
    PRIMARY KEY (tenant_id, device_id, serial_number, address, other_address),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
);
CREATE INDEX session_conflicts_by_time ON session_conflicts (last_at);

ALTER TABLE session_conflicts ENABLE ROW LEVEL SECURITY;
ALTER TABLE session_conflicts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON session_conflicts TO pulse_app
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
GRANT SELECT ON session_conflicts TO pulse_app, pulse_operator_read;
-- ON CONFLICT reads the row that it adds to.
GRANT SELECT, INSERT, DELETE, UPDATE (last_at, times) ON session_conflicts TO pulse_authz;
CREATE POLICY authz_note ON session_conflicts TO pulse_authz USING (true) WITH CHECK (true);

RESET ROLE;
