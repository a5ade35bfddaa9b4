-- Delivery: where tenants want their readings and events sent, what came of each attempt, and what could not be delivered.
--
-- delivery_worker writes, ui_iot reads; both under pulse_app, so that row-level security holds for every statement.
-- Secrets are sealed with a key that delivery_worker alone has.  Expand only.

SET LOCAL ROLE pulse_owner;

CREATE TABLE routes (
    tenant_id             uuid        NOT NULL REFERENCES tenants,
    route_id              uuid        NOT NULL,
    name                  text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    url                   text        NOT NULL CHECK (length(url) <= 2000),
    event_types           text[]      NOT NULL CHECK (cardinality(event_types) BETWEEN 1 AND 30),
    -- Empty is every device, every metric.
    device_ids            uuid[]      NOT NULL DEFAULT '{}' CHECK (cardinality(device_ids) <= 500),
    metrics               text[]      NOT NULL DEFAULT '{}' CHECK (cardinality(metrics) <= 100),
    template              text        CHECK (length(template) <= 4096),
    ordered               boolean     NOT NULL DEFAULT false,
    timeout_seconds       integer     NOT NULL DEFAULT 10 CHECK (timeout_seconds BETWEEN 1 AND 30),
    concurrency           integer     NOT NULL DEFAULT 4 CHECK (concurrency BETWEEN 1 AND 16),
    status                text        NOT NULL DEFAULT 'unverified'
                                      CHECK (status IN ('unverified', 'active', 'paused', 'disabled')),
    -- Since when nothing was delivered; NULL while it works.
    failing_since         timestamptz,
    failing_told_at       timestamptz,
    secret_sealed         bytea       NOT NULL,
    previous_secret_sealed bytea,
    previous_secret_until timestamptz,
    version               integer     NOT NULL DEFAULT 1,
    created_at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, route_id)
);

-- One row an attempt; response_body is at most 1 KiB of what the endpoint said.
CREATE TABLE delivery_attempts (
    tenant_id     uuid        NOT NULL REFERENCES tenants,
    attempt_id    uuid        NOT NULL,
    route_id      uuid        NOT NULL,
    delivery_id   text        NOT NULL CHECK (length(delivery_id) <= 100),
    event_type    text        NOT NULL CHECK (length(event_type) <= 100),
    device_id     uuid,
    attempt       integer     NOT NULL,
    attempted_at  timestamptz NOT NULL,
    stage         text        NOT NULL CHECK (stage IN ('before', 'during', 'after')),
    delivered     boolean     NOT NULL,
    status        integer,
    error         text        CHECK (length(error) <= 300),
    latency_ms    integer     NOT NULL,
    response_body text        NOT NULL CHECK (octet_length(response_body) <= 1024),
    PRIMARY KEY (tenant_id, attempt_id),
    FOREIGN KEY (tenant_id, route_id) REFERENCES routes ON DELETE CASCADE
);
CREATE INDEX delivery_attempts_by_time ON delivery_attempts (tenant_id, attempted_at DESC, attempt_id DESC);
CREATE INDEX delivery_attempts_by_route ON delivery_attempts (tenant_id, route_id, attempted_at DESC, attempt_id DESC);

-- What could not be delivered, as it would have been sent.
CREATE TABLE delivery_dead_letters (
    tenant_id   uuid        NOT NULL REFERENCES tenants,
    delivery_id text        NOT NULL CHECK (length(delivery_id) <= 100),
    route_id    uuid        NOT NULL,
    event_type  text        NOT NULL CHECK (length(event_type) <= 100),
    device_id   uuid,
    died_at     timestamptz NOT NULL,
    attempts    integer     NOT NULL,
    reason      text        NOT NULL CHECK (length(reason) <= 300),
    message     text        NOT NULL,
    PRIMARY KEY (tenant_id, delivery_id),
    FOREIGN KEY (tenant_id, route_id) REFERENCES routes ON DELETE CASCADE
);
CREATE INDEX delivery_dead_letters_by_route ON delivery_dead_letters (tenant_id, route_id, died_at);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['routes', 'delivery_attempts', 'delivery_dead_letters']
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

GRANT SELECT, INSERT, UPDATE, DELETE ON routes TO pulse_app;
GRANT SELECT, INSERT, DELETE ON delivery_attempts TO pulse_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery_dead_letters TO pulse_app;

RESET ROLE;
