-- What operators may do, and what a tenant holds against it: states of a tenant, access to a tenant's data by grant, and
-- the end of a tenant.  Expand only, but for two rights of pulse_operator_read that are taken away: what it may no longer
-- read, no released service reads.  docs/decisions/0008-tenant-held-access.md says why.

SET LOCAL ROLE pulse_owner;

-- Nobody but those of an `active` tenant gets in: whoever asks "is it active?" refuses the new states too.
ALTER TABLE tenants
    DROP CONSTRAINT tenants_status_check,
    ADD CONSTRAINT tenants_status_check CHECK (status IN ('active', 'suspended', 'deleting', 'deleted')),
    ADD COLUMN status_reason     text CHECK (length(status_reason) <= 500),
    ADD COLUMN status_changed_at timestamptz,
    ADD COLUMN exported_at       timestamptz,
    ADD COLUMN purge_after       timestamptz,
    ADD CONSTRAINT tenants_purge_check CHECK (
        CASE status WHEN 'deleting' THEN purge_after IS NOT NULL WHEN 'deleted' THEN true ELSE purge_after IS NULL END);

-- What a tenant demands of operators.  No row is the default: telemetry and secrets by approval, the rest without.
CREATE TABLE tenant_access_policies (
    tenant_id                uuid        NOT NULL PRIMARY KEY REFERENCES tenants,
    telemetry_needs_approval boolean     NOT NULL DEFAULT true,
    secrets_need_approval    boolean     NOT NULL DEFAULT true,
    metadata_needs_approval  boolean     NOT NULL DEFAULT false,
    notice_emails            text[]      NOT NULL DEFAULT '{}' CHECK (cardinality(notice_emails) <= 10),
    updated_at               timestamptz NOT NULL DEFAULT now(),
    updated_by               text        NOT NULL
);

-- One row a request.  An operator asks; an administrator of the tenant approves for a time, or a second operator breaks
-- the glass.  Nothing is deleted: it is part of the record of who looked.
CREATE TABLE operator_grants (
    tenant_id            uuid        NOT NULL REFERENCES tenants,
    grant_id             uuid        NOT NULL PRIMARY KEY,
    kind                 text        NOT NULL CHECK (kind IN ('approval', 'break_glass')),
    operator_id          text        NOT NULL CHECK (length(operator_id) BETWEEN 1 AND 255),
    operator_name        text        NOT NULL CHECK (length(operator_name) BETWEEN 1 AND 255),
    scopes               text[]      NOT NULL CHECK (cardinality(scopes) > 0
                                                     AND scopes <@ ARRAY['telemetry', 'secrets', 'metadata']),
    reason               text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    ticket               text        NOT NULL CHECK (length(ticket) BETWEEN 1 AND 100),
    seconds              integer     NOT NULL CHECK (seconds BETWEEN 300 AND 604800),
    status               text        NOT NULL DEFAULT 'requested'
                                     CHECK (status IN ('requested', 'active', 'denied', 'revoked')),
    requested_at         timestamptz NOT NULL DEFAULT now(),
    decided_at           timestamptz,
    decided_by           text,
    second_operator_name text,
    begins_at            timestamptz,
    ends_at              timestamptz,
    CHECK ((status = 'requested') = (decided_at IS NULL)),
    CHECK ((decided_at IS NULL) = (decided_by IS NULL)),
    CHECK ((begins_at IS NULL) = (ends_at IS NULL)),
    CHECK (status <> 'active' OR ends_at > begins_at),
    CHECK (ends_at - begins_at <= CASE kind WHEN 'break_glass' THEN interval '4 hours' ELSE interval '7 days' END),
    -- Four eyes: whoever asked cannot be the one who breaks the glass.
    CHECK (kind <> 'break_glass' OR decided_by IS DISTINCT FROM operator_id)
);
CREATE INDEX operator_grants_by_tenant ON operator_grants (tenant_id, requested_at DESC);
CREATE INDEX operator_grants_live ON operator_grants (operator_id, ends_at) WHERE status = 'active';

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['tenant_access_policies', 'operator_grants'] LOOP
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

-- The tenant's administrators set the demands and decide; they never invent a request, nor rewrite one.
GRANT SELECT, INSERT, UPDATE ON tenant_access_policies TO pulse_app;
GRANT SELECT, UPDATE (status, decided_at, decided_by, begins_at, ends_at) ON operator_grants TO pulse_app;

-- Operators who read the platform: counts and states of every tenant, its audit log, the issuers.  Names, serial numbers
-- and everything that a tenant holds go through pulse_operator_data.
REVOKE SELECT ON telemetry, device_last_state, devices, certificates FROM pulse_operator_read;
GRANT SELECT (tenant_id, device_id, status, created_at) ON devices TO pulse_operator_read;
GRANT SELECT (tenant_id, certificate_id, device_id, issuer_id, not_before, not_after, status, revoked_at, session_cut_at,
              created_at) ON certificates TO pulse_operator_read;
GRANT SELECT ON operator_grants, tenant_access_policies TO pulse_operator_read;
GRANT SELECT (tenant_id, event_id, producer, subject, created_at, sent_at) ON outbox TO pulse_operator_read;

-- Operators who read a tenant's data: no BYPASSRLS, and only what a live grant or the tenant's own demands let through.
-- The operator is whom the transaction says (app.operator), as the tenant is for pulse_app.
CREATE POLICY operator_own ON operator_grants FOR SELECT TO pulse_operator_data
    USING (operator_id = nullif((SELECT current_setting('app.operator', true)), ''));
CREATE POLICY operator_ask ON tenant_access_policies FOR SELECT TO pulse_operator_data USING (true);
GRANT SELECT ON tenant_access_policies TO pulse_operator_data;
GRANT SELECT ON operator_grants TO pulse_operator_data;

DO $$
DECLARE
    held record;
BEGIN
    FOR held IN SELECT * FROM (VALUES
        ('telemetry',         'telemetry', 'tenant_id IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE NOT p.telemetry_needs_approval)'),
        ('device_last_state', 'telemetry', 'tenant_id IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE NOT p.telemetry_needs_approval)'),
        ('enrolment_tokens',  'secrets',   'tenant_id IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE NOT p.secrets_need_approval)'),
        ('devices',           'metadata',  'tenant_id NOT IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE p.metadata_needs_approval)'),
        ('certificates',      'metadata',  'tenant_id NOT IN (SELECT p.tenant_id FROM tenant_access_policies p WHERE p.metadata_needs_approval)')
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
GRANT SELECT ON telemetry, device_last_state, devices, certificates TO pulse_operator_data;
-- Never the hash.
GRANT SELECT (tenant_id, token_id, device_id, expires_at, used_at, created_at, created_by)
   ON enrolment_tokens TO pulse_operator_data;
GRANT SELECT ON tenants TO pulse_operator_data;
CREATE POLICY operator_read ON tenants FOR SELECT TO pulse_operator_data USING (true);
GRANT INSERT ON audit_log TO pulse_operator_data;
CREATE POLICY operator_data_record ON audit_log FOR INSERT TO pulse_operator_data
    WITH CHECK (actor_kind = 'operator' AND actor_id = nullif((SELECT current_setting('app.operator', true)), ''));

-- Operators who change: tenants' states, and their own requests.
GRANT INSERT (tenant_id, name), UPDATE (status_reason, status_changed_at, exported_at, purge_after)
   ON tenants TO pulse_operator_write;
DROP POLICY operator_write ON tenants;
CREATE POLICY operator_write ON tenants TO pulse_operator_write
    USING (true) WITH CHECK (status <> 'deleted');
GRANT INSERT ON outbox TO pulse_operator_write;
CREATE POLICY operator_event ON outbox FOR INSERT TO pulse_operator_write
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
GRANT SELECT ON operator_grants, tenant_access_policies TO pulse_operator_write;
GRANT INSERT (tenant_id, grant_id, kind, operator_id, operator_name, scopes, reason, ticket, seconds)
   ON operator_grants TO pulse_operator_write;
GRANT UPDATE (status, decided_at, decided_by, second_operator_name, begins_at, ends_at)
   ON operator_grants TO pulse_operator_write;
CREATE POLICY operator_see ON operator_grants FOR SELECT TO pulse_operator_write USING (true);
CREATE POLICY operator_see ON tenant_access_policies FOR SELECT TO pulse_operator_write USING (true);
CREATE POLICY operator_ask ON operator_grants FOR INSERT TO pulse_operator_write
    WITH CHECK (status = 'requested' AND operator_id = nullif((SELECT current_setting('app.operator', true)), ''));
-- The second pair of eyes may open, for a short time from now on, what somebody else asked for; an approval never.
CREATE POLICY operator_break_glass ON operator_grants FOR UPDATE TO pulse_operator_write
    USING (kind = 'break_glass' AND status = 'requested'
           AND operator_id <> nullif((SELECT current_setting('app.operator', true)), ''))
    WITH CHECK (status = 'active' AND decided_by = nullif((SELECT current_setting('app.operator', true)), '')
                AND begins_at >= now() - interval '1 minute' AND ends_at <= now() + interval '4 hours');

-- The end of a tenant: every row of its own, once the grace is over.  What stays: the audit log, who looked, the tenant's
-- id, so that it is never given again, and its certificates until they expire, revoked: a revocation list that forgets
-- one would let it in again.  Called again then (`purge_after` says when), it takes those too.
CREATE FUNCTION purge_tenant(target uuid) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text := current_setting('app.tenant_id', true);
    left_over text[];
    t       text;
    again   text[];
    touched bigint;
    total   bigint := 0;
BEGIN
    -- pulse_owner is held by FORCE like anybody else, and is a member of pulse_app: it sees this one tenant.
    PERFORM set_config('app.tenant_id', target::text, true);
    PERFORM FROM public.tenants
      WHERE tenant_id = target AND status IN ('deleting', 'deleted') AND purge_after <= now() FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant % is not due to be purged', target USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT array_agg(c.relname) INTO left_over
      FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND c.relname NOT LIKE 'audit%' AND c.relname NOT IN ('tenants', 'operator_grants', 'outbox', 'devices', 'certificates');
    -- What is referred to goes after what refers: round again until nothing is left.
    WHILE left_over IS NOT NULL LOOP
        again := NULL;
        FOREACH t IN ARRAY left_over LOOP
            BEGIN
                EXECUTE format('DELETE FROM public.%I WHERE tenant_id = $1', t) USING target;
                GET DIAGNOSTICS touched = ROW_COUNT;
                total := total + touched;
            EXCEPTION WHEN foreign_key_violation THEN
                again := again || t;
            END;
        END LOOP;
        IF again = left_over THEN
            RAISE EXCEPTION 'rows of % refer to each other', again;
        END IF;
        left_over := again;
    END LOOP;
    DELETE FROM public.certificates WHERE tenant_id = target AND not_after <= now();
    GET DIAGNOSTICS touched = ROW_COUNT;
    total := total + touched;
    UPDATE public.certificates
       SET status = 'revoked', revoked_at = now(), revocation_reason = 'cessationOfOperation'
     WHERE tenant_id = target AND status <> 'revoked';
    DELETE FROM public.devices d
     WHERE d.tenant_id = target AND NOT EXISTS (SELECT FROM public.certificates c WHERE c.device_id = d.device_id);
    GET DIAGNOSTICS touched = ROW_COUNT;
    total := total + touched;
    UPDATE public.devices SET name = 'deleted device', status = 'disabled' WHERE tenant_id = target;
    UPDATE public.tenants
       SET status = 'deleted', name = 'deleted tenant', status_changed_at = now(),
           purge_after = (SELECT max(c.not_after) FROM public.certificates c WHERE c.tenant_id = target)
     WHERE tenant_id = target;
    PERFORM set_config('app.tenant_id', coalesce(before, ''), true);
    RETURN total;
END
$$;
REVOKE ALL ON FUNCTION purge_tenant(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_tenant(uuid) TO pulse_operator_write;
COMMENT ON FUNCTION purge_tenant(uuid) IS
    'SECURITY DEFINER: deletes one tenant''s rows from every table once its grace is over; no role may DELETE them otherwise';

RESET ROLE;
