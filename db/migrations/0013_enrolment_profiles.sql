-- Fleet enrolment: claims, hardware ids, holds for approval, and bulk imports.
--
-- provision_api writes all of it under pulse_app; everybody else reads.  Expand only.

SET LOCAL ROLE pulse_owner;

-- Which of cert_worker's profiles decides what the certificates of these devices say.
ALTER TABLE device_profiles ADD COLUMN certificate_profile text NOT NULL DEFAULT 'device'
    CHECK (certificate_profile ~ '^[a-z][a-z0-9-]{0,31}$');

-- An import's events leave when nothing else waits: 100,000 of them must not hold back the word of one device cut off.
ALTER TABLE outbox ADD COLUMN bulk boolean NOT NULL DEFAULT false;
DROP INDEX outbox_unsent;
CREATE INDEX outbox_unsent ON outbox (producer, bulk, position) WHERE sent_at IS NULL;

-- How a fleet gets in: by a claim certificate that its devices share, or by hardware ids that were registered before.
CREATE TABLE enrolment_profiles (
    tenant_id            uuid        NOT NULL REFERENCES tenants,
    enrolment_profile_id uuid        NOT NULL,
    name                 text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- EST's label is '{tenant_id}.{label}': no two tenants can want the same one.
    label                text        NOT NULL CHECK (label ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    method               text        NOT NULL CHECK (method IN ('claim', 'hardware')),
    approval             text        NOT NULL DEFAULT 'auto' CHECK (approval IN ('auto', 'hold')),
    -- A claim certificate alone says that a device is of the fleet, not which one it is.
    known_only           boolean     NOT NULL DEFAULT false,
    device_profile_id    uuid,
    status               text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'closed')),
    most_devices         integer     CHECK (most_devices > 0),
    most_per_hour        integer     CHECK (most_per_hour > 0),
    -- Counted under the row's lock, so that two claims cannot both take the last place.
    devices              integer     NOT NULL DEFAULT 0,
    hour_began_at        timestamptz,
    devices_this_hour    integer     NOT NULL DEFAULT 0,
    version              integer     NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, enrolment_profile_id),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, label),
    FOREIGN KEY (tenant_id, device_profile_id) REFERENCES device_profiles
);

CREATE TABLE claim_certificates (
    tenant_id            uuid        NOT NULL,
    claim_certificate_id uuid        NOT NULL,
    enrolment_profile_id uuid        NOT NULL,
    serial_number        text        NOT NULL,
    fingerprint_sha256   bytea       NOT NULL CHECK (length(fingerprint_sha256) = 32),
    not_before           timestamptz NOT NULL,
    not_after            timestamptz NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT now(),
    created_by           text        NOT NULL,
    revoked_at           timestamptz,
    uses                 bigint      NOT NULL DEFAULT 0,
    last_used_at         timestamptz,
    PRIMARY KEY (tenant_id, claim_certificate_id),
    UNIQUE (tenant_id, fingerprint_sha256),
    FOREIGN KEY (tenant_id, enrolment_profile_id) REFERENCES enrolment_profiles ON DELETE CASCADE
);
COMMENT ON TABLE claim_certificates IS
    'certificates whose only right is to ask for a device certificate; the broker''s gate never reads this table';

-- What a tenant knows of one piece of hardware: which device it is, how it proves itself, how far its enrolment got.
CREATE TABLE hardware_ids (
    tenant_id            uuid        NOT NULL REFERENCES tenants,
    hardware_id          text        NOT NULL CHECK (hardware_id ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$'),
    enrolment_profile_id uuid,
    device_id            uuid,
    name                 text        CHECK (length(name) BETWEEN 1 AND 100),
    state                text        NOT NULL
                         CHECK (state IN ('registered', 'pending', 'approved', 'rejected', 'enrolled')),
    -- The proof: the SHA-256 of a secret that was shown once, or of the public key that the maker put in.
    secret_sha256        bytea       CHECK (length(secret_sha256) = 32),
    maker_key_sha256     bytea       CHECK (length(maker_key_sha256) = 32),
    -- Whose request it is that waits, or was granted: a certificate goes to this public key and no other.
    asked_key_sha256     bytea       CHECK (length(asked_key_sha256) = 32),
    asked_at             timestamptz,
    asked_from           text,
    decided_at           timestamptz,
    decided_by           text,
    enrolled_at          timestamptz,
    certificates         smallint    NOT NULL DEFAULT 0,
    created_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, hardware_id),
    FOREIGN KEY (tenant_id, enrolment_profile_id) REFERENCES enrolment_profiles,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
);
CREATE INDEX hardware_ids_by_profile ON hardware_ids (tenant_id, enrolment_profile_id, state, asked_at);
CREATE INDEX hardware_ids_by_device ON hardware_ids (tenant_id, device_id);
CREATE UNIQUE INDEX hardware_ids_by_secret ON hardware_ids (tenant_id, secret_sha256) WHERE secret_sha256 IS NOT NULL;

-- One bulk import.  `read_bytes` and `line` say how far it got, and grow in the transaction that makes the devices.
CREATE TABLE device_imports (
    tenant_id            uuid        NOT NULL REFERENCES tenants,
    import_id            uuid        NOT NULL,
    format               text        NOT NULL CHECK (format IN ('csv', 'jsonl')),
    state                text        NOT NULL DEFAULT 'uploading'
                         CHECK (state IN ('uploading', 'running', 'done', 'failed', 'cancelled')),
    enrolment_profile_id uuid,
    with_tokens          boolean     NOT NULL DEFAULT false,
    received_bytes       bigint      NOT NULL DEFAULT 0,
    read_bytes           bigint      NOT NULL DEFAULT 0,
    line                 integer     NOT NULL DEFAULT 0,
    columns              text[],
    created_devices      integer     NOT NULL DEFAULT 0,
    unchanged_rows       integer     NOT NULL DEFAULT 0,
    refused_rows         integer     NOT NULL DEFAULT 0,
    reason               text,
    created_by           text        NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT now(),
    finished_at          timestamptz,
    tokens_begun_at      timestamptz,
    tokens_taken_at      timestamptz,
    PRIMARY KEY (tenant_id, import_id),
    FOREIGN KEY (tenant_id, enrolment_profile_id) REFERENCES enrolment_profiles
);
CREATE INDEX device_imports_running ON device_imports (created_at) WHERE state = 'running';

-- What was sent and is not read yet.
CREATE TABLE device_import_parts (
    tenant_id uuid   NOT NULL,
    import_id uuid   NOT NULL,
    at_byte   bigint NOT NULL CHECK (at_byte >= 0),
    data      bytea  NOT NULL CHECK (length(data) BETWEEN 1 AND 1048576),
    PRIMARY KEY (tenant_id, import_id, at_byte),
    FOREIGN KEY (tenant_id, import_id) REFERENCES device_imports ON DELETE CASCADE
);
ALTER TABLE device_import_parts ALTER COLUMN data SET STORAGE EXTERNAL;

-- What became of a line: a device, or a reason why not.  Lines that changed nothing are only counted.
CREATE TABLE device_import_rows (
    tenant_id   uuid    NOT NULL,
    import_id   uuid    NOT NULL,
    line        integer NOT NULL CHECK (line > 0),
    hardware_id text,
    device_id   uuid,
    problem     text    CHECK (length(problem) <= 200),
    PRIMARY KEY (tenant_id, import_id, line),
    FOREIGN KEY (tenant_id, import_id) REFERENCES device_imports ON DELETE CASCADE
);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['enrolment_profiles', 'claim_certificates', 'hardware_ids', 'device_imports',
                             'device_import_parts', 'device_import_rows']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format($policy$
            CREATE POLICY tenant_isolation ON %I TO pulse_app
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, t);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON enrolment_profiles, hardware_ids TO pulse_app;
GRANT SELECT, INSERT, UPDATE (revoked_at, uses, last_used_at) ON claim_certificates TO pulse_app;
GRANT SELECT, INSERT, UPDATE ON device_imports TO pulse_app;
GRANT SELECT, INSERT, DELETE ON device_import_parts TO pulse_app;
GRANT SELECT, INSERT ON device_import_rows TO pulse_app;

-- Whoever works imports off must find them: whose there are, and nothing of what is in them.
GRANT SELECT (tenant_id, import_id, state, created_at) ON device_imports TO pulse_provision;
CREATE POLICY provision_find ON device_imports FOR SELECT TO pulse_provision USING (state = 'running');

RESET ROLE;
