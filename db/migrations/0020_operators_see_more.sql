-- What operators see of what later migrations brought: imports that run, deliveries that found no room, and a tenant's
-- new tables when it lets them in.
--
-- Expand only.

SET LOCAL ROLE pulse_owner;

-- How far imports are: no name, hardware id or line of them.
GRANT SELECT (tenant_id, import_id, state, received_bytes, read_bytes, created_devices, refused_rows, created_at, finished_at)
   ON device_imports TO pulse_operator_read;
GRANT SELECT (dropped, dropped_at) ON routes TO pulse_operator_read;
GRANT SELECT (group_ids, dropped, dropped_at) ON routes TO pulse_operator_data;

-- What the prober last met at a list's address.
ALTER TABLE crl_shards
    ADD COLUMN probed_at     timestamptz,
    ADD COLUMN probe_outcome text CHECK (probe_outcome IN ('good', 'unreachable', 'unusable'));
GRANT UPDATE (probed_at, probe_outcome) ON crl_shards TO pulse_ca;
GRANT SELECT (probed_at, probe_outcome) ON crl_shards TO pulse_operator_read;

-- How far behind the mails are, not what they say or to whom; and how far each roll-over is.
GRANT SELECT (tenant_id, notice_id, patience_seconds, raised_at, told_at) ON notices TO pulse_operator_read;
GRANT SELECT (rollover_id, profile, state, drain_days, draining_at, changed_at) ON rollovers TO pulse_operator_read;

-- What a tenant brought since, under its demands and grants as all else: what tells of readings (alerts, and the mails
-- about them) as telemetry, the rest as metadata.
DO $$
DECLARE
    t text;
    readings text[] := ARRAY['alert_states', 'alerts', 'notices'];
BEGIN
    FOREACH t IN ARRAY readings || ARRAY[
        'enrolment_profiles', 'claim_certificates', 'hardware_ids', 'device_imports', 'device_import_rows',
        'device_rescues', 'device_transfers', 'device_arrivals', 'device_trust', 'expiry_warnings',
        'alert_rules', 'notice_refusals']
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
        $policy$, t,
        CASE WHEN t = ANY (readings)
             THEN 'tenant_id IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE NOT p.telemetry_needs_approval)'
             ELSE 'tenant_id NOT IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE p.metadata_needs_approval)'
        END,
        CASE WHEN t = ANY (readings) THEN 'telemetry' ELSE 'metadata' END);
    END LOOP;
END
$$;
GRANT SELECT ON enrolment_profiles, claim_certificates, device_imports, device_import_rows, device_rescues,
                device_transfers, device_arrivals, device_trust, expiry_warnings, alert_rules, alert_states, alerts,
                notices, notice_refusals TO pulse_operator_data;
-- Never the hash of a secret.
GRANT SELECT (tenant_id, hardware_id, enrolment_profile_id, device_id, name, state, maker_key_sha256, asked_key_sha256,
              asked_at, asked_from, decided_at, decided_by, enrolled_at, certificates, created_at)
   ON hardware_ids TO pulse_operator_data;

-- Which login wrote a row of the audit log, and in which transaction, are the database's to say: sealing goes by the
-- transaction, and nobody's code names either.
DO $$
DECLARE
    writer  text;
    columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                      WHERE attrelid = 'audit_log'::regclass AND attnum > 0 AND NOT attisdropped
                        AND attname NOT IN ('service', 'xid'));
BEGIN
    FOR writer IN SELECT DISTINCT grantee::regrole::text
                    FROM pg_class, aclexplode(relacl)
                   WHERE oid = 'audit_log'::regclass AND privilege_type = 'INSERT' AND grantee <> relowner
    LOOP
        EXECUTE format('REVOKE INSERT ON audit_log FROM %s', writer);
        EXECUTE format('GRANT INSERT (%s) ON audit_log TO %s', columns, writer);
    END LOOP;
END
$$;

RESET ROLE;
