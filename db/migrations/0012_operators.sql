-- What operators see of deliveries and jobs, and everything that a tenant takes with it before it is deleted.
--
-- Expand only: more may be read, by columns, and a tenant may note that it has taken everything.

SET LOCAL ROLE pulse_owner;

-- Whether deliveries get through, of every tenant: no address, template, secret or body, nor a word of a response.
GRANT SELECT (tenant_id, route_id, event_types, ordered, status, failing_since, created_at) ON routes TO pulse_operator_read;
GRANT SELECT (tenant_id, attempt_id, route_id, attempt, attempted_at, stage, delivered, status, latency_ms)
   ON delivery_attempts TO pulse_operator_read;
GRANT SELECT (tenant_id, delivery_id, route_id, died_at, attempts) ON delivery_dead_letters TO pulse_operator_read;

-- What runs by itself, and how far it is behind.
GRANT SELECT ON audit_cursors, crl_pending, billing_reconciliations TO pulse_operator_read;
GRANT SELECT (event_id, handled_at, outcome) ON stripe_events TO pulse_operator_read;
GRANT SELECT (tenant_id, identifier, created_at, sent_at) ON billing_meter_events TO pulse_operator_read;

-- A tenant takes everything with it: its own rows about money, too, and the note that it has done so.
GRANT SELECT ON billing_customers, billing_subscriptions, billing_overrides, billing_changes, billing_usage,
                billing_notices TO pulse_app;
GRANT UPDATE (exported_at) ON tenants TO pulse_app;

-- An operator who takes it for the tenant: money is the platform's own record, the rest is by the tenant's grants.
GRANT SELECT ON billing_customers, billing_subscriptions, billing_overrides, billing_changes, billing_usage,
                billing_notices, billing_entitlements TO pulse_operator_read;
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN SELECT * FROM (VALUES
        ('commands',              'telemetry', 'tenant_id IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE NOT p.telemetry_needs_approval)'),
        ('refused_messages',      'telemetry', 'tenant_id IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE NOT p.telemetry_needs_approval)'),
        ('limit_receipts',        'telemetry', 'tenant_id IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE NOT p.telemetry_needs_approval)'),
        ('delivery_dead_letters', 'telemetry', 'tenant_id IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE NOT p.telemetry_needs_approval)'),
        ('device_tokens',         'secrets',   'tenant_id IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE NOT p.secrets_need_approval)'),
        ('routes',                'metadata',  'tenant_id NOT IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE p.metadata_needs_approval)'),
        ('delivery_attempts',     'metadata',  'tenant_id NOT IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE p.metadata_needs_approval)'),
        ('device_profiles',       'metadata',  'tenant_id NOT IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE p.metadata_needs_approval)'),
        ('device_groups',         'metadata',  'tenant_id NOT IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE p.metadata_needs_approval)'),
        ('device_group_members',  'metadata',  'tenant_id NOT IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE p.metadata_needs_approval)')
    ) AS h (table_name, scope, undemanded)
    LOOP
        EXECUTE format($policy$
            CREATE POLICY operator_granted ON %I FOR SELECT TO pulse_operator_data
                USING (
                    nullif((SELECT current_setting('app.operator', true)), '') IS NOT NULL
                    AND (%s
                         OR tenant_id IN (SELECT g.tenant_id FROM operator_grants g
                                           WHERE g.operator_id = (SELECT current_setting('app.operator', true))
                                             AND g.status = 'active' AND %L = ANY (g.scopes)
                                             AND now() >= g.begins_at AND now() < g.ends_at)))
        $policy$, held.table_name, held.undemanded, held.scope);
    END LOOP;
END
$$;
GRANT SELECT ON commands, refused_messages, limit_receipts, delivery_dead_letters, delivery_attempts, device_profiles,
                device_groups, device_group_members TO pulse_operator_data;
-- Never a hash, never a sealed secret.
GRANT SELECT (tenant_id, token_id, device_id, created_at, created_by, expires_at, revoked_at)
   ON device_tokens TO pulse_operator_data;
GRANT SELECT (tenant_id, route_id, name, url, event_types, device_ids, metrics, template, ordered, timeout_seconds,
              concurrency, status, failing_since, version, created_at) ON routes TO pulse_operator_data;

RESET ROLE;
