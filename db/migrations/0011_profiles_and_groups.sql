-- What devices have in common: a profile says how they enrol and what they send, a group is the tenant's own set of them.
--
-- provision_api writes profiles, groups and who is in them, under pulse_app; everybody else reads.  Expand only.

SET LOCAL ROLE pulse_owner;

CREATE TABLE device_profiles (
    tenant_id        uuid        NOT NULL REFERENCES tenants,
    profile_id       uuid        NOT NULL,
    name             text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- Devices of this profile may show the broker a token instead of a certificate.
    tokens_allowed   boolean     NOT NULL DEFAULT false,
    -- JSON Schema (2020-12) that telemetry of these devices must satisfy; NULL asks nothing beyond the platform's rules.
    telemetry_schema jsonb       CHECK (octet_length(telemetry_schema::text) <= 65536),
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, profile_id),
    UNIQUE (tenant_id, name)
);

ALTER TABLE devices ADD COLUMN profile_id uuid;
ALTER TABLE devices ADD FOREIGN KEY (tenant_id, profile_id) REFERENCES device_profiles ON DELETE SET NULL (profile_id);
CREATE INDEX devices_by_profile ON devices (tenant_id, profile_id) WHERE profile_id IS NOT NULL;

CREATE TABLE device_groups (
    tenant_id  uuid        NOT NULL REFERENCES tenants,
    group_id   uuid        NOT NULL,
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    version    integer     NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, group_id),
    UNIQUE (tenant_id, name)
);

CREATE TABLE device_group_members (
    tenant_id uuid NOT NULL,
    group_id  uuid NOT NULL,
    device_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, group_id, device_id),
    FOREIGN KEY (tenant_id, group_id) REFERENCES device_groups ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
);
CREATE INDEX device_group_members_by_device ON device_group_members (tenant_id, device_id);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['device_profiles', 'device_groups', 'device_group_members']
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

GRANT SELECT, INSERT, UPDATE, DELETE ON device_profiles, device_groups TO pulse_app;
GRANT SELECT, INSERT, DELETE ON device_group_members TO pulse_app;

RESET ROLE;
