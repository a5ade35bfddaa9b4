-- Several issuers, profiles, certificates on hold, and revocation lists in shards.

SET LOCAL ROLE pulse_owner;

-- `standby` is known and signs lists, `active` issues for its profile, `draining` issues no more and what it issued still
-- counts; of a `retired` or `revoked` one nothing counts.
ALTER TABLE issuers
    DROP CONSTRAINT issuers_status_check,
    ADD CONSTRAINT issuers_status_check CHECK (status IN ('standby', 'active', 'draining', 'retired', 'revoked')),
    ADD COLUMN profile text CHECK (profile ~ '^[a-z][a-z0-9-]{0,31}$'),
    ADD COLUMN crl_shards smallint NOT NULL DEFAULT 64 CHECK (crl_shards BETWEEN 1 AND 1024),
    ADD COLUMN revoked_at timestamptz,
    ADD COLUMN revocation_reason text,
    DROP COLUMN crl_number,
    DROP COLUMN crl_this_update,
    DROP COLUMN crl_der;
UPDATE issuers SET profile = 'device' WHERE kind = 'issuing';
ALTER TABLE issuers
    ADD CHECK (kind = 'issuing' OR profile IS NULL),
    ADD CHECK ((status = 'revoked') = (revoked_at IS NOT NULL AND revocation_reason IS NOT NULL));
CREATE UNIQUE INDEX issuers_one_active ON issuers (profile) WHERE status = 'active';

ALTER TABLE certificates
    DROP CONSTRAINT certificates_status_check,
    ADD CONSTRAINT certificates_status_check CHECK (status IN ('valid', 'held', 'revoked')),
    DROP CONSTRAINT certificates_check,
    ADD CONSTRAINT certificates_revocation_check CHECK (
        (status <> 'valid') = (revoked_at IS NOT NULL AND revocation_reason IS NOT NULL)
        AND (status = 'held') = (revocation_reason IS NOT DISTINCT FROM 'certificateHold')),
    ADD COLUMN profile text NOT NULL DEFAULT 'device' CHECK (profile ~ '^[a-z][a-z0-9-]{0,31}$'),
    -- Which list of its issuer tells of it: named in the certificate, so it never changes.
    ADD COLUMN crl_shard smallint NOT NULL DEFAULT 0 CHECK (crl_shard >= 0),
    -- Why a serial number that was once listed may be missing from the next list.
    ADD COLUMN released_at timestamptz;
DROP INDEX certificates_revoked;
CREATE INDEX certificates_listed ON certificates (issuer_id, crl_shard, serial_number)
    INCLUDE (not_after, revoked_at, revocation_reason) WHERE status <> 'valid';
CREATE INDEX certificates_by_profile ON certificates (tenant_id, profile, certificate_id);

-- The lists that every replica of the CA serves.  Written under the row's lock, so that the number only ever grows.
CREATE TABLE crl_shards (
    issuer_id   uuid        NOT NULL REFERENCES issuers,
    shard       smallint    NOT NULL CHECK (shard >= 0),
    number      bigint      NOT NULL DEFAULT 0,
    this_update timestamptz,
    der         bytea,
    PRIMARY KEY (issuer_id, shard),
    CHECK ((number > 0) = (this_update IS NOT NULL AND der IS NOT NULL))
);
-- Serial numbers are random: compressing them costs time and gains nothing.
ALTER TABLE crl_shards ALTER COLUMN der SET STORAGE EXTERNAL;

-- What changed and is on no list yet.  Rows are only added by whoever revokes, so that nobody waits for a list that is
-- being made, and taken away by the transaction that stores the list which tells of them.
CREATE TABLE crl_pending (
    pending_id bigint   NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    issuer_id  uuid     NOT NULL REFERENCES issuers,
    shard      smallint NOT NULL
);
CREATE INDEX crl_pending_by_shard ON crl_pending (issuer_id, shard);

ALTER TABLE crl_shards ENABLE ROW LEVEL SECURITY;
ALTER TABLE crl_shards FORCE ROW LEVEL SECURITY;
ALTER TABLE crl_pending ENABLE ROW LEVEL SECURITY;
ALTER TABLE crl_pending FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE (number, this_update, der) ON crl_shards TO pulse_ca;
GRANT SELECT (issuer_id, shard, number, this_update) ON crl_shards TO pulse_operator_read;
GRANT SELECT, INSERT, DELETE ON crl_pending TO pulse_ca;
CREATE POLICY ca_own ON crl_shards TO pulse_ca USING (true) WITH CHECK (true);
CREATE POLICY ca_own ON crl_pending TO pulse_ca USING (true) WITH CHECK (true);

-- Renewal.  One that renews another stands beside it until it is first used at the broker; then the older ones retire.
ALTER TABLE certificates
    ADD COLUMN renewal boolean NOT NULL DEFAULT false,
    ADD COLUMN first_used_at timestamptz,
    -- Retired by a renewal and not by anybody's decision: enrolment tokens of the device stay good.
    ADD COLUMN superseded boolean NOT NULL DEFAULT false,
    ADD CHECK (NOT superseded OR (status = 'revoked' AND revocation_reason = 'superseded'));
GRANT SELECT (renewal, first_used_at) ON certificates TO pulse_authz;

-- Which warnings of an expiry went out: the key is what makes each go out once, whichever replica is first.  An issuer's
-- tenant is the platform's.
CREATE TABLE expiry_warnings (
    tenant_id  uuid        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('device', 'issuer')),
    subject_id uuid        NOT NULL,
    days       smallint    NOT NULL CHECK (days >= 0),
    not_after  timestamptz NOT NULL,
    warned_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, kind, subject_id, days)
);
ALTER TABLE expiry_warnings ENABLE ROW LEVEL SECURITY;
ALTER TABLE expiry_warnings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON expiry_warnings TO pulse_app
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY ca_read ON expiry_warnings FOR SELECT TO pulse_ca USING (true);
CREATE POLICY ca_warn ON expiry_warnings FOR INSERT TO pulse_ca
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
GRANT SELECT ON expiry_warnings TO pulse_app;
GRANT SELECT, INSERT ON expiry_warnings TO pulse_ca;
CREATE INDEX certificates_expiring ON certificates (not_after) WHERE status = 'valid';

RESET ROLE;
