-- The roll-over from one issuing CA to the next, and the root's own revocation list.
--
-- Expand only: whoever knows nothing of roll-overs sees issuers that are active, draining or standing by, as before.

SET LOCAL ROLE pulse_owner;

-- One row for each roll-over that there ever was.  What the two issuers may do is in their own `status`, which changes in
-- the same transaction; this says why, and what comes next.
CREATE TABLE rollovers (
    rollover_id   uuid        NOT NULL PRIMARY KEY,
    profile       text        NOT NULL CHECK (profile ~ '^[a-z][a-z0-9-]{0,31}$'),
    old_issuer_id uuid        NOT NULL REFERENCES issuers,
    new_issuer_id uuid        NOT NULL REFERENCES issuers,
    state         text        NOT NULL CHECK (state IN ('planned', 'distributing', 'dual_trust', 'issuing_from_new',
                                                        'draining', 'retired', 'cancelled')),
    -- How much of the fleet must have confirmed the new authority before it issues.
    least_share   real        NOT NULL CHECK (least_share BETWEEN 0 AND 1),
    -- Over how long a time devices are asked to renew early.
    drain_days    smallint    NOT NULL CHECK (drain_days BETWEEN 0 AND 366),
    draining_at   timestamptz,
    created_at    timestamptz NOT NULL,
    changed_at    timestamptz NOT NULL,
    CHECK (old_issuer_id <> new_issuer_id),
    CHECK (state <> 'draining' OR draining_at IS NOT NULL)
);
CREATE UNIQUE INDEX rollovers_one_open ON rollovers (profile) WHERE state NOT IN ('retired', 'cancelled');

-- Until when the lists of a retired issuer are made: what it issued and was revoked must not look good meanwhile.
ALTER TABLE issuers ADD COLUMN lists_until timestamptz;

-- When a device last asked again for a renewed certificate that it has not used: it may have lost the answer.
ALTER TABLE certificates ADD COLUMN asked_again_at timestamptz;
CREATE INDEX certificates_unused ON certificates (created_at) WHERE renewal AND first_used_at IS NULL AND status = 'valid';

-- Which authorities a device says that it has: SHA-256 of their certificates, in hex.
CREATE TABLE device_trust (
    tenant_id   uuid        NOT NULL,
    device_id   uuid        NOT NULL,
    authorities text[]      NOT NULL CHECK (cardinality(authorities) <= 64),
    told_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
);

-- What a root says of its issuing CAs.  It is made where the root is and brought here; the number only ever grows.
CREATE TABLE root_lists (
    issuer_id   uuid        NOT NULL PRIMARY KEY REFERENCES issuers,
    number      bigint      NOT NULL CHECK (number > 0),
    this_update timestamptz NOT NULL,
    next_update timestamptz NOT NULL,
    der         bytea       NOT NULL,
    imported_at timestamptz NOT NULL
);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['rollovers', 'device_trust', 'root_lists']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    END LOOP;
END
$$;
CREATE POLICY tenant_isolation ON device_trust TO pulse_app
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY ca_own ON rollovers TO pulse_ca USING (true) WITH CHECK (true);
CREATE POLICY ca_own ON root_lists TO pulse_ca USING (true) WITH CHECK (true);
CREATE POLICY ca_read ON device_trust FOR SELECT TO pulse_ca USING (true);
CREATE POLICY ca_note ON device_trust FOR INSERT TO pulse_ca
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY ca_change ON device_trust FOR UPDATE TO pulse_ca
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
GRANT SELECT ON device_trust TO pulse_app;
GRANT SELECT, INSERT, UPDATE ON rollovers, root_lists, device_trust TO pulse_ca;

RESET ROLE;
