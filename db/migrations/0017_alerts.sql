-- Alerts on readings: rules, what is raised, who acknowledged it; and what else ingest_worker needs to judge readings by.
--
-- ingest_worker alone writes these tables: what a tenant decides, and what follows from its readings.
-- Expand only.

SET LOCAL ROLE pulse_owner;

CREATE TABLE alert_rules (
    tenant_id       uuid             NOT NULL REFERENCES tenants,
    rule_id         uuid             NOT NULL,
    name            text             NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    kind            text             NOT NULL CHECK (kind IN ('threshold', 'rate', 'absence')),
    -- Without devices and groups: every device.  No foreign keys: a deleted group must not turn "this group" into "all".
    device_ids      uuid[]           NOT NULL DEFAULT '{}' CHECK (cardinality(device_ids) <= 500),
    group_ids       uuid[]           NOT NULL DEFAULT '{}' CHECK (cardinality(group_ids) <= 50),
    metric          text             CHECK (length(metric) BETWEEN 1 AND 64),
    direction       text             CHECK (direction IN ('above', 'below')),
    raise_at        double precision,
    clear_at        double precision,
    hold_seconds    integer          NOT NULL DEFAULT 0 CHECK (hold_seconds BETWEEN 0 AND 86400),
    silent_seconds  integer          CHECK (silent_seconds BETWEEN 60 AND 2592000),
    by_mail         boolean          NOT NULL DEFAULT false,
    enabled         boolean          NOT NULL DEFAULT true,
    version         integer          NOT NULL DEFAULT 1,
    created_at      timestamptz      NOT NULL,
    -- Since when it judges as it does now.
    watching_since  timestamptz      NOT NULL,
    mailed_at       timestamptz,
    PRIMARY KEY (tenant_id, rule_id),
    CHECK ((kind = 'absence') = (silent_seconds IS NOT NULL)),
    CHECK ((kind = 'absence') = (num_nonnulls(metric, direction, raise_at, clear_at) = 0)),
    CHECK (kind = 'absence' OR num_nonnulls(metric, direction, raise_at, clear_at) = 4),
    CHECK (direction IS DISTINCT FROM 'above' OR clear_at <= raise_at),
    CHECK (direction IS DISTINCT FROM 'below' OR clear_at >= raise_at)
);
CREATE INDEX alert_rules_absence ON alert_rules (tenant_id, rule_id) WHERE kind = 'absence' AND enabled;

-- Where a device stands with a rule, in the device's own time; no row: nothing is under way.  What was evaluated before
-- changes nothing when it comes again.
CREATE TABLE alert_states (
    tenant_id     uuid             NOT NULL,
    rule_id       uuid             NOT NULL,
    device_id     uuid             NOT NULL,
    -- Since when the next change is due, for rules that want it to hold.
    pending_since timestamptz,
    changed_ts    timestamptz,
    -- Of rules on the rate: what the next reading is compared with.
    last_ts       timestamptz,
    last_value    double precision,
    PRIMARY KEY (tenant_id, rule_id, device_id),
    FOREIGN KEY (tenant_id, rule_id) REFERENCES alert_rules ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
);
CREATE INDEX alert_states_by_device ON alert_states (tenant_id, device_id);

-- Raised, and cleared since or not.  History: outlives its rule and its device.
CREATE TABLE alerts (
    tenant_id       uuid             NOT NULL REFERENCES tenants,
    alert_id        uuid             NOT NULL,
    rule_id         uuid             NOT NULL,
    rule_name       text             NOT NULL,
    kind            text             NOT NULL CHECK (kind IN ('threshold', 'rate', 'absence')),
    device_id       uuid             NOT NULL,
    metric          text,
    value           double precision,
    raised_at       timestamptz      NOT NULL,
    cleared_at      timestamptz,
    clear_reason    text             CHECK (clear_reason IN ('recovered', 'rule_changed', 'device_gone')),
    acknowledged_at timestamptz,
    acknowledged_by text,
    told_at         timestamptz,
    PRIMARY KEY (tenant_id, alert_id),
    CHECK ((cleared_at IS NULL) = (clear_reason IS NULL)),
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);
-- One at a time of a rule and a device, whichever replica is first.
CREATE UNIQUE INDEX alerts_open ON alerts (tenant_id, rule_id, device_id) WHERE cleared_at IS NULL;
CREATE INDEX alerts_untold ON alerts (tenant_id, rule_id) WHERE told_at IS NULL;
CREATE INDEX alerts_by_time ON alerts (tenant_id, raised_at DESC, alert_id DESC);

-- The one clock that absence is measured by: when somebody last looked, and since when nobody was blind.
CREATE TABLE alert_watch (
    name          text        NOT NULL PRIMARY KEY CHECK (name = 'absence'),
    looked_at     timestamptz NOT NULL,
    seeing_since  timestamptz NOT NULL
);

-- Reading goes across tenants, since a batch of readings does; what is written of a tenant names it first.
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['alert_rules', 'alert_states', 'alerts', 'alert_watch'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['alert_rules', 'alert_states', 'alerts'] LOOP
        EXECUTE format($policy$
            CREATE POLICY tenant_isolation ON %I TO pulse_app
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['alert_rules', 'alerts'] LOOP
        EXECUTE format('CREATE POLICY ingest_read ON %I FOR SELECT TO pulse_ingest USING (true)', t);
        EXECUTE format($policy$
            CREATE POLICY ingest_insert ON %I FOR INSERT TO pulse_ingest
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, t);
        EXECUTE format($policy$
            CREATE POLICY ingest_update ON %I FOR UPDATE TO pulse_ingest
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, t);
        EXECUTE format($policy$
            CREATE POLICY ingest_delete ON %I FOR DELETE TO pulse_ingest
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, t);
    END LOOP;
END
$$;
CREATE POLICY ingest_own ON alert_states TO pulse_ingest USING (true) WITH CHECK (true);
CREATE POLICY ingest_own ON alert_watch TO pulse_ingest USING (true) WITH CHECK (true);
GRANT SELECT ON alert_rules, alert_states, alerts TO pulse_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON alert_rules, alert_states, alerts TO pulse_ingest;
GRANT SELECT, INSERT, UPDATE ON alert_watch TO pulse_ingest;

-- What ingest_worker judges readings by: which devices count, who is in which group, which schema a profile asks for.
-- What was stored after a late reading is judged with it.
GRANT SELECT (metrics) ON telemetry TO pulse_ingest;
GRANT SELECT (status, profile_id, name) ON devices TO pulse_ingest;
GRANT SELECT ON device_group_members TO pulse_ingest;
GRANT SELECT (tenant_id, profile_id, telemetry_schema) ON device_profiles TO pulse_ingest;
CREATE POLICY ingest_read ON device_group_members FOR SELECT TO pulse_ingest USING (true);
CREATE POLICY ingest_read ON device_profiles FOR SELECT TO pulse_ingest USING (true);
-- What a plan says of a month is counted by billing.
GRANT SELECT (tenant_id, metric, day, amount) ON billing_usage TO pulse_ingest;
CREATE POLICY ingest_read ON billing_usage FOR SELECT TO pulse_ingest USING (true);
GRANT INSERT ON outbox, audit_log TO pulse_ingest;
CREATE POLICY ingest_event ON outbox FOR INSERT TO pulse_ingest
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY ingest_record ON audit_log FOR INSERT TO pulse_ingest
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);

ALTER TABLE refused_messages
    -- Where in the message the trouble is.
    ADD COLUMN detail text CHECK (length(detail) <= 300);
ALTER TABLE limit_receipts
    DROP CONSTRAINT limit_receipts_bucket_check,
    ADD CONSTRAINT limit_receipts_bucket_check CHECK (
        bucket IN ('device_messages', 'device_bytes', 'tenant_messages', 'tenant_bytes', 'tenant_month'));

RESET ROLE;
