-- Telemetry: what was refused, limited and commanded, and how long readings are kept.
--
-- ingest_worker alone writes here (as pulse_ingest); a tenant reads its own.  Nothing refers to devices where a row must
-- outlive the device, or may name one that never was.

SET LOCAL ROLE pulse_owner;

-- Messages that could not be taken, with the reason: the newest 1,000 of each tenant (the writer keeps to that).
CREATE TABLE refused_messages (
    tenant_id   uuid        NOT NULL,
    letter_id   uuid        NOT NULL,
    device_id   uuid        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('telemetry', 'state', 'command/ack')),
    reason      text        NOT NULL CHECK (reason ~ '^[a-z_]{1,40}$'),
    received_at timestamptz NOT NULL,
    size_bytes  integer     NOT NULL CHECK (size_bytes >= 0),
    payload     bytea       NOT NULL CHECK (length(payload) <= 4096),
    PRIMARY KEY (tenant_id, letter_id)
);
CREATE INDEX refused_messages_by_tenant ON refused_messages (tenant_id, received_at DESC, letter_id DESC);
CREATE INDEX refused_messages_by_device ON refused_messages (tenant_id, device_id, received_at DESC, letter_id DESC);

-- What was over a limit: one row for each stretch of time, bucket and outcome; the newest 1,000 of each tenant.
-- Without a device: the tenant's own bucket.
CREATE TABLE limit_receipts (
    tenant_id  uuid        NOT NULL,
    receipt_id uuid        NOT NULL,
    device_id  uuid,
    bucket     text        NOT NULL CHECK (bucket IN ('device_messages', 'device_bytes', 'tenant_messages',
                                                      'tenant_bytes')),
    outcome    text        NOT NULL CHECK (outcome IN ('dropped', 'deferred')),
    since      timestamptz NOT NULL,
    until      timestamptz NOT NULL,
    refills_at timestamptz NOT NULL,
    messages   bigint      NOT NULL CHECK (messages > 0),
    bytes      bigint      NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (tenant_id, receipt_id)
);
CREATE INDEX limit_receipts_by_tenant ON limit_receipts (tenant_id, until DESC, receipt_id DESC);
CREATE INDEX limit_receipts_by_device ON limit_receipts (tenant_id, device_id, until DESC, receipt_id DESC);

-- Every command: asked for, handed to the broker, answered by the device, or none of it in time.
CREATE TABLE commands (
    tenant_id  uuid        NOT NULL,
    command_id uuid        NOT NULL,
    device_id  uuid        NOT NULL,
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    arguments  jsonb       NOT NULL,
    actor_id   text        NOT NULL,
    state      text        NOT NULL CHECK (state IN ('asked', 'sent', 'not_sent', 'acknowledged', 'failed', 'timed_out')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    settled_at timestamptz,
    result     text        CHECK (length(result) <= 1024),
    PRIMARY KEY (tenant_id, command_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);
CREATE INDEX commands_by_device ON commands (tenant_id, device_id, created_at DESC, command_id DESC);
CREATE INDEX commands_open ON commands (expires_at) WHERE state IN ('asked', 'sent');

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['refused_messages', 'limit_receipts', 'commands'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY ingest_own ON %I TO pulse_ingest USING (true) WITH CHECK (true)', t);
        EXECUTE format($policy$
            CREATE POLICY tenant_isolation ON %I TO pulse_app
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, t);
    END LOOP;
END
$$;
GRANT SELECT ON refused_messages, limit_receipts, commands TO pulse_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON refused_messages, limit_receipts TO pulse_ingest;
GRANT SELECT, INSERT, UPDATE ON commands TO pulse_ingest;

-- Retention.  Which tenant keeps how long is data, so ingest deletes what is over, tenant by tenant; a day that is empty
-- then is dropped.  The function cannot drop a row: it looks first, and days of this week it never touches.
GRANT DELETE ON telemetry TO pulse_ingest;

CREATE FUNCTION drop_empty_telemetry_day(day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part  text := 'telemetry_' || to_char(day, 'YYYYMMDD');
    holds boolean;
BEGIN
    IF day IS NULL OR day > (now() AT TIME ZONE 'UTC')::date - 7 OR to_regclass('public.' || part) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', part);
    -- The owner is held by FORCE like anybody else, hence the passing policy.
    EXECUTE format('CREATE POLICY owner_looks ON public.%I FOR SELECT TO pulse_owner USING (true)', part);
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', part) INTO holds;
    EXECUTE format('DROP POLICY owner_looks ON public.%I', part);
    IF holds THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE public.%I', part);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION drop_empty_telemetry_day(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_empty_telemetry_day(date) TO pulse_ingest;
COMMENT ON FUNCTION drop_empty_telemetry_day(date) IS
    'SECURITY DEFINER: retention drops a day of telemetry that holds no row, of at least a week ago';

RESET ROLE;
