-- Billing: what Stripe said, what follows from it, and what each tenant used.
--
-- Stripe's events and the plans belong to the platform; everything else is a tenant's.  billing_webhooks alone writes here
-- (as pulse_billing); the other services read the entitlements that result.  No payload is kept: ids, states and dates.

SET LOCAL ROLE pulse_owner;

-- A row is a claim and, once committed, the proof that the event was handled: both happen in one transaction.
-- home_tenant_id is not tenant_id: an event comes before its tenant is known.
CREATE TABLE stripe_events (
    event_id       text        NOT NULL PRIMARY KEY CHECK (event_id ~ '^evt_[A-Za-z0-9_]{1,250}$'),
    event_type     text        NOT NULL CHECK (length(event_type) BETWEEN 1 AND 200),
    livemode       boolean     NOT NULL,
    created_at     timestamptz NOT NULL,
    object_id      text        CHECK (length(object_id) <= 255),
    customer_id    text        CHECK (length(customer_id) <= 255),
    home_tenant_id uuid,
    outcome        text        NOT NULL DEFAULT 'handled',
    source         text        NOT NULL CHECK (source IN ('webhook', 'backfill')),
    handled_at     timestamptz NOT NULL DEFAULT now(),
    replays        integer     NOT NULL DEFAULT 0,
    replayed_at    timestamptz
);
CREATE INDEX stripe_events_by_tenant ON stripe_events (home_tenant_id, created_at DESC);
CREATE INDEX stripe_events_by_time ON stripe_events (created_at DESC);

-- Limits are data.  NULL is no limit.
CREATE TABLE billing_plans (
    plan_id             text    NOT NULL PRIMARY KEY CHECK (plan_id ~ '^[a-z0-9_]{1,40}$'),
    name                text    NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    rank                integer NOT NULL,
    devices             bigint  CHECK (devices >= 0),
    messages_per_second bigint  CHECK (messages_per_second >= 0),
    messages_per_month  bigint  CHECK (messages_per_month >= 0),
    retention_days      bigint  CHECK (retention_days >= 1),
    routes              bigint  CHECK (routes >= 0),
    seats               bigint  CHECK (seats >= 1),
    hard_limits         boolean NOT NULL DEFAULT false,
    features            text[]  NOT NULL DEFAULT '{}'
);
INSERT INTO billing_plans (plan_id, name, rank, devices, messages_per_second, messages_per_month, retention_days, routes,
                           seats, hard_limits, features)
VALUES ('free',      'Free',       0,    5,    5,     100000,   7,    1,    2, true,  '{}'),
       ('starter',   'Starter',   10,   50,   50,    5000000,  30,    5,    5, true,  '{webhooks}'),
       ('business',  'Business',  20, 1000, 1000,  200000000, 180,   50,   50, false, '{webhooks,audit_export,sso}'),
       ('unlimited', 'Unlimited', 30, NULL, NULL,       NULL, NULL, NULL, NULL, false, '{webhooks,audit_export,sso}');

-- One customer a tenant; it is never handed to another one, and an id is never a second tenant's.
CREATE TABLE billing_customers (
    tenant_id   uuid        NOT NULL PRIMARY KEY REFERENCES tenants,
    customer_id text        NOT NULL UNIQUE CHECK (customer_id ~ '^cus_[A-Za-z0-9_]{1,250}$'),
    livemode    boolean     NOT NULL,
    features    text[]      NOT NULL DEFAULT '{}',
    deleted_at  timestamptz,
    linked_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE billing_subscriptions (
    tenant_id            uuid        NOT NULL REFERENCES tenants,
    subscription_id      text        NOT NULL PRIMARY KEY CHECK (subscription_id ~ '^sub_[A-Za-z0-9_]{1,250}$'),
    customer_id          text        NOT NULL,
    status               text        NOT NULL CHECK (length(status) <= 40),
    price_ids            text[]      NOT NULL,
    plan_id              text        REFERENCES billing_plans,
    quantity             bigint      NOT NULL DEFAULT 1,
    cancel_at_period_end boolean     NOT NULL DEFAULT false,
    current_period_end   timestamptz,
    trial_end            timestamptz,
    stripe_created_at    timestamptz NOT NULL,
    -- When we first saw it unpaid; cleared when it is paid.  Dunning counts from here.
    unpaid_since         timestamptz,
    event_id             text,
    updated_at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX billing_subscriptions_by_tenant ON billing_subscriptions (tenant_id, stripe_created_at DESC);

-- What an operator granted beside the plan, until it ends.
CREATE TABLE billing_overrides (
    tenant_id   uuid        NOT NULL REFERENCES tenants,
    override_id uuid        NOT NULL PRIMARY KEY,
    limit_name  text        NOT NULL CHECK (limit_name IN ('devices', 'messages_per_second', 'messages_per_month',
                                                           'retention_days', 'routes', 'seats')),
    amount      bigint      CHECK (amount >= 0),
    reason      text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    created_by  text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz
);
CREATE INDEX billing_overrides_by_tenant ON billing_overrides (tenant_id, limit_name);

-- What holds now; the row that every limiter reads.
CREATE TABLE billing_entitlements (
    tenant_id           uuid        NOT NULL PRIMARY KEY REFERENCES tenants,
    version             bigint      NOT NULL,
    plan_id             text        NOT NULL REFERENCES billing_plans,
    access              text        NOT NULL CHECK (access IN ('full', 'no_new_devices', 'read_only')),
    devices             bigint,
    messages_per_second bigint,
    messages_per_month  bigint,
    retention_days      bigint,
    routes              bigint,
    seats               bigint,
    hard_limits         boolean     NOT NULL,
    features            text[]      NOT NULL,
    cause               text        NOT NULL,
    event_id            text,
    applied_at          timestamptz NOT NULL
);

-- Every version that ever held, and why: the way from an applied limit back to its Stripe event.
CREATE TABLE billing_changes (
    tenant_id  uuid        NOT NULL REFERENCES tenants,
    version    bigint      NOT NULL,
    plan_id    text        NOT NULL,
    access     text        NOT NULL,
    limits     jsonb       NOT NULL,
    cause      text        NOT NULL,
    event_id   text,
    applied_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, version)
);

-- Counted anew from the readings, never added to: a repeat counts nothing twice.
CREATE TABLE billing_usage (
    tenant_id uuid   NOT NULL REFERENCES tenants,
    metric    text   NOT NULL CHECK (metric IN ('messages', 'device_months')),
    day       date   NOT NULL,
    amount    bigint NOT NULL CHECK (amount >= 0),
    metered   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, metric, day)
);

-- Written first, sent afterwards: a repeat after a crash carries the same identifier and the same value.
CREATE TABLE billing_meter_events (
    tenant_id   uuid        NOT NULL REFERENCES tenants,
    identifier  text        NOT NULL PRIMARY KEY CHECK (length(identifier) <= 100),
    metric      text        NOT NULL,
    day         date        NOT NULL,
    amount      bigint      NOT NULL CHECK (amount > 0),
    created_at  timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz
);
CREATE INDEX billing_meter_events_by_tenant ON billing_meter_events (tenant_id, day);
CREATE INDEX billing_meter_events_unsent ON billing_meter_events (created_at) WHERE sent_at IS NULL;

-- What was told, so that it is told once.
CREATE TABLE billing_notices (
    tenant_id  uuid        NOT NULL REFERENCES tenants,
    notice_key text        NOT NULL CHECK (length(notice_key) <= 300),
    kind       text        NOT NULL,
    event_id   text,
    noticed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, notice_key)
);

-- What each run of the reconciler found, and how far the events are known to be complete.
CREATE TABLE billing_reconciliations (
    run_id         uuid        NOT NULL PRIMARY KEY,
    started_at     timestamptz NOT NULL,
    finished_at    timestamptz NOT NULL,
    events_through timestamptz NOT NULL,
    checked        bigint      NOT NULL,
    findings       jsonb       NOT NULL
);
CREATE INDEX billing_reconciliations_by_time ON billing_reconciliations (finished_at DESC);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['stripe_events', 'billing_plans', 'billing_reconciliations', 'billing_customers',
                             'billing_subscriptions', 'billing_overrides', 'billing_entitlements', 'billing_changes',
                             'billing_usage', 'billing_meter_events', 'billing_notices']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY billing_own ON %I TO pulse_billing USING (true) WITH CHECK (true)', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['billing_customers', 'billing_subscriptions', 'billing_overrides', 'billing_entitlements',
                             'billing_changes', 'billing_usage', 'billing_meter_events', 'billing_notices']
    LOOP
        EXECUTE format($policy$
            CREATE POLICY tenant_isolation ON %I TO pulse_app
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, t);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON stripe_events, billing_customers, billing_subscriptions, billing_overrides,
    billing_entitlements, billing_usage, billing_meter_events TO pulse_billing;
GRANT SELECT, INSERT ON billing_changes, billing_notices, billing_reconciliations TO pulse_billing;
GRANT SELECT ON billing_plans TO pulse_billing;

-- What billing must know of the rest: which tenants there are, how many devices each has, how much was stored and when.
GRANT SELECT (tenant_id, status) ON tenants TO pulse_billing;
GRANT SELECT (tenant_id, device_id, status, created_at) ON devices TO pulse_billing;
GRANT SELECT (tenant_id, device_id, ts) ON telemetry TO pulse_billing;
GRANT INSERT ON outbox, audit_log TO pulse_billing;
CREATE POLICY billing_read ON tenants FOR SELECT TO pulse_billing USING (true);
CREATE POLICY billing_read ON devices FOR SELECT TO pulse_billing USING (true);
CREATE POLICY billing_count ON telemetry FOR SELECT TO pulse_billing USING (true);
CREATE POLICY billing_event ON outbox FOR INSERT TO pulse_billing
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
CREATE POLICY billing_record ON audit_log FOR INSERT TO pulse_billing
    WITH CHECK (tenant_id = coalesce(nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid,
                                     '00000000-0000-0000-0000-000000000000'));

-- Limiters read what holds: a tenant's own row in its own transaction, ingest's any.
GRANT SELECT ON billing_entitlements TO pulse_app, pulse_ingest;
CREATE POLICY ingest_read ON billing_entitlements FOR SELECT TO pulse_ingest USING (true);

RESET ROLE;
