CREATE FUNCTION public.carry_transfer(wanted uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    here    uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    offer   record;
    arrival record;
    carried boolean;
BEGIN
    -- provision_api has judged who asks; no other service's login has any business here.
    IF session_user <> 'svc_provision_api' OR here IS NULL THEN
        RAISE EXCEPTION 'only provision_api carries a transfer, for a tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- pulse_owner is held by FORCE like anybody else, and is a member of pulse_app: it sees one tenant at a time.
    SELECT d.*, v.name AS device_name, t.name AS from_name INTO offer
      FROM public.device_transfers d
      JOIN public.devices v ON v.tenant_id = d.tenant_id AND v.device_id = d.device_id
      JOIN public.tenants t ON t.tenant_id = d.tenant_id
     WHERE d.tenant_id = here AND d.transfer_id = wanted;
    IF FOUND THEN
        IF offer.status NOT IN ('offered', 'withdrawn', 'expired') THEN
            RAISE EXCEPTION 'the taker decides that' USING ERRCODE = 'insufficient_privilege';
        END IF;
        PERFORM set_config('app.tenant_id', offer.offered_to::text, true);
        INSERT INTO public.device_arrivals (tenant_id, transfer_id, from_tenant, from_name, device_name, status, offered_at,
                                            expires_at, decided_at)
        SELECT t.tenant_id, wanted, here, offer.from_name, offer.device_name, offer.status, offer.offered_at,
               offer.expires_at, offer.decided_at
          FROM public.tenants t
         WHERE t.tenant_id = offer.offered_to AND t.status = 'active'
        ON CONFLICT (tenant_id, transfer_id) DO UPDATE
           SET status = excluded.status, decided_at = excluded.decided_at
         WHERE device_arrivals.status = 'offered' AND device_arrivals.from_tenant = here;
        carried := FOUND;
    ELSE
        SELECT a.* INTO arrival FROM public.device_arrivals a
         WHERE a.tenant_id = here AND a.transfer_id = wanted AND a.status IN ('accepted', 'declined');
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is nothing to carry' USING ERRCODE = 'insufficient_privilege';
        END IF;
        PERFORM set_config('app.tenant_id', arrival.from_tenant::text, true);
        UPDATE public.device_transfers d
           SET status = arrival.status, decided_at = arrival.decided_at
         WHERE d.tenant_id = arrival.from_tenant AND d.transfer_id = wanted AND d.offered_to = here
           AND d.status = 'offered' AND d.expires_at > now()
           AND EXISTS (SELECT FROM public.devices v
                        WHERE v.tenant_id = d.tenant_id AND v.device_id = d.device_id AND v.status = 'active')
        RETURNING d.* INTO offer;
        carried := FOUND;
        IF carried AND arrival.status = 'accepted' THEN
            UPDATE public.devices SET status = 'disabled', given_away = true, version = version + 1
             WHERE tenant_id = offer.tenant_id AND device_id = offer.device_id;
            UPDATE public.enrolment_tokens SET expires_at = least(expires_at, now())
             WHERE tenant_id = offer.tenant_id AND device_id = offer.device_id AND used_at IS NULL;
            UPDATE public.device_tokens SET revoked_at = now()
             WHERE tenant_id = offer.tenant_id AND device_id = offer.device_id AND revoked_at IS NULL;
            UPDATE public.device_rescues SET status = 'closed'
             WHERE tenant_id = offer.tenant_id AND device_id = offer.device_id AND status = 'open';
            INSERT INTO public.outbox (tenant_id, event_id, subject, payload)
            SELECT offer.tenant_id, gen_random_uuid(), subject,
                   jsonb_build_object('tenant_id', offer.tenant_id, 'device_id', offer.device_id, 'at', now())
              FROM unnest(ARRAY['pulse.events.device.disabled', 'pulse.events.device.transferred']) AS subject;
        END IF;
        IF carried THEN
            INSERT INTO public.audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id,
                                          outcome, details)
            VALUES (offer.tenant_id, gen_random_uuid(), 'service', 'provision_api',
                    CASE arrival.status WHEN 'accepted' THEN 'device.transfer_accept' ELSE 'device.transfer_decline' END,
                    'device', offer.device_id::text, 'success',
                    jsonb_build_object('transfer_id', wanted, 'device_id', offer.device_id, 'offered_to', here));
        END IF;
    END IF;
    PERFORM set_config('app.tenant_id', here::text, true);
    RETURN carried;
END
$$;

ALTER FUNCTION public.carry_transfer(wanted uuid) OWNER TO pulse_owner;

CREATE FUNCTION public.claim_stripe_event(event_id text, event_type text, livemode boolean, created_at timestamp with time zone, object_id text, customer_id text, tenant_id uuid, source text, subscription_id text) RETURNS TABLE(customer text, status text, price_ids text[], plan_id text, quantity bigint, cancel_at_period_end boolean, current_period_end timestamp with time zone, trial_end timestamp with time zone, unpaid_since timestamp with time zone)
    LANGUAGE plpgsql
    AS $_$
BEGIN
    INSERT INTO public.stripe_events (event_id, event_type, livemode, created_at, object_id, customer_id,
                                      home_tenant_id, source)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('pulse.billing.' || $7::text, 0));
    RETURN QUERY
        SELECT c.customer_id, s.status, s.price_ids, s.plan_id, s.quantity, s.cancel_at_period_end,
               s.current_period_end, s.trial_end, s.unpaid_since
          FROM (SELECT $7 AS tenant_id) t
          LEFT JOIN public.billing_customers c ON c.tenant_id = t.tenant_id
          LEFT JOIN public.billing_subscriptions s ON s.tenant_id = t.tenant_id AND s.subscription_id = $9;
END
$_$;

ALTER FUNCTION public.claim_stripe_event(event_id text, event_type text, livemode boolean, created_at timestamp with time zone, object_id text, customer_id text, tenant_id uuid, source text, subscription_id text) OWNER TO pulse_owner;

CREATE FUNCTION public.drop_audit_month(month date) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    part        text := 'audit_log_' || to_char(month, 'YYYYMM');
    end_at      timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
    sealed_to   xid8;
    unsealed    bigint;
    dropped     bigint;
BEGIN
    IF end_at > now() - interval '90 days' THEN
        RAISE EXCEPTION 'the audit log of % is younger than 90 days', to_char(month, 'YYYY-MM');
    END IF;
    IF to_regclass('public.' || part) IS NULL THEN
        RAISE EXCEPTION 'there is no audit log of %', to_char(month, 'YYYY-MM');
    END IF;
    -- Nobody adds to it from here on.
    EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', part);
    SELECT max(r.xid_to) INTO sealed_to FROM public.audit_seal_runs r;
    EXECUTE format('SELECT count(*) FILTER (WHERE $1 IS NULL OR xid >= $1), count(*) FROM public.%I', part)
        INTO unsealed, dropped USING sealed_to;
    IF unsealed > 0 THEN
        RAISE EXCEPTION '% rows of % are not sealed yet', unsealed, to_char(month, 'YYYY-MM');
    END IF;
    EXECUTE format($bury$
        WITH gone AS (
            SELECT p.tenant_id, s.first_position + u.number - 1 AS position
              FROM public.%1$I p
              JOIN public.audit_seals s ON s.tenant_id = p.tenant_id AND s.xid_from <= p.xid AND p.xid < s.xid_to
              CROSS JOIN LATERAL unnest(s.audit_ids) WITH ORDINALITY u (audit_id, number)
             WHERE u.audit_id = p.audit_id
        ), runs AS (
            SELECT g.tenant_id, min(g.position) AS first, max(g.position) AS last, count(*) AS rows
              FROM (SELECT tenant_id, position,
                           position - row_number() OVER (PARTITION BY tenant_id ORDER BY position) AS island
                      FROM gone) g
             GROUP BY g.tenant_id, g.island
        )
        INSERT INTO public.audit_log (tenant_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id,
                                      outcome, reason, details)
        SELECT tenant_id, gen_random_uuid(), clock_timestamp(), 'service', session_user, 'audit.expire', 'audit_log',
               %2$L, 'success', 'retention',
               jsonb_build_object('rows', sum(rows), 'before', %3$L::text,
                                  'positions', jsonb_agg(jsonb_build_array(first, last) ORDER BY first))
          FROM runs
         GROUP BY tenant_id
    $bury$, part, to_char(month, 'YYYY-MM'), end_at);
    EXECUTE format('ALTER TABLE public.audit_log DETACH PARTITION public.%I', part);
    EXECUTE format('DROP TABLE public.%I', part);
    RETURN dropped;
END
$_$;

ALTER FUNCTION public.drop_audit_month(month date) OWNER TO pulse_owner;

CREATE FUNCTION public.drop_empty_telemetry_day(day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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

ALTER FUNCTION public.drop_empty_telemetry_day(day date) OWNER TO pulse_owner;

CREATE FUNCTION public.ensure_audit_partitions(months_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month      timestamp;
    first_at   text;
    end_at     text;
    part       text;
    made       integer := 0;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'months_ahead must be from 0 to 24, got %', months_ahead;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('pulse.audit_partitions'));
    FOR month IN SELECT generate_series(this_month, this_month + make_interval(months => months_ahead), interval '1 month') LOOP
        part := 'audit_log_' || to_char(month, 'YYYYMM');
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        first_at := to_char(month, 'YYYY-MM-DD') || 'Z';
        end_at := to_char(month + interval '1 month', 'YYYY-MM-DD') || 'Z';
        EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_log INCLUDING ALL)', part);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', part);
        EXECUTE format($policy$
            CREATE POLICY tenant_isolation ON public.%I TO pulse_app
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, part);
        EXECUTE format('CREATE POLICY owner_moves ON public.%I TO pulse_owner USING (true) WITH CHECK (true)', part);
        EXECUTE format(
            'WITH early AS (DELETE FROM public.audit_log_default WHERE at >= %L AND at < %L RETURNING *)
             INSERT INTO public.%I SELECT * FROM early', first_at, end_at, part);
        EXECUTE format('DROP POLICY owner_moves ON public.%I', part);
        EXECUTE format('CREATE POLICY owner_counts ON public.%I FOR SELECT TO pulse_owner USING (true)', part);
        EXECUTE format('ALTER TABLE public.audit_log ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       part, first_at, end_at);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$_$;

ALTER FUNCTION public.ensure_audit_partitions(months_ahead integer) OWNER TO pulse_owner;

CREATE FUNCTION public.ensure_telemetry_partitions(days_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    first_day date := (now() AT TIME ZONE 'UTC')::date - 1;
    day       date;
    part      text;
    made      integer := 0;
BEGIN
    IF days_ahead NOT BETWEEN 0 AND 60 THEN
        RAISE EXCEPTION 'days_ahead must be from 0 to 60, got %', days_ahead;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('pulse.telemetry_partitions'));
    FOR day IN SELECT generate_series(first_day, first_day + 1 + days_ahead, interval '1 day')::date LOOP
        part := 'telemetry_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.telemetry INCLUDING ALL)', part);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', part);
        EXECUTE format($policy$
            CREATE POLICY tenant_isolation ON public.%I TO pulse_app
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, part);
        -- Rows that came too early sit in the default partition and would forbid the new one: move them first.  The
        -- owner is held by FORCE like anybody else, hence the passing policy.
        EXECUTE format('CREATE POLICY owner_moves ON public.%I TO pulse_owner USING (true) WITH CHECK (true)', part);
        EXECUTE format(
            'WITH early AS (DELETE FROM public.telemetry_default WHERE ts >= %L AND ts < %L RETURNING *)
             INSERT INTO public.%I SELECT * FROM early', day::text || 'Z', (day + 1)::text || 'Z', part);
        EXECUTE format('DROP POLICY owner_moves ON public.%I', part);
        EXECUTE format('ALTER TABLE public.telemetry ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       part, day::text || 'Z', (day + 1)::text || 'Z');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$_$;

ALTER FUNCTION public.ensure_telemetry_partitions(days_ahead integer) OWNER TO pulse_owner;

CREATE FUNCTION public.purge_tenant(target uuid) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

ALTER FUNCTION public.purge_tenant(target uuid) OWNER TO pulse_owner;

CREATE TABLE public.alert_rules (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    device_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    group_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    metric text,
    direction text,
    raise_at double precision,
    clear_at double precision,
    hold_seconds integer DEFAULT 0 NOT NULL,
    silent_seconds integer,
    by_mail boolean DEFAULT false NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    watching_since timestamp with time zone NOT NULL,
    mailed_at timestamp with time zone,
    CONSTRAINT alert_rules_check CHECK (((kind = 'absence'::text) = (silent_seconds IS NOT NULL))),
    CONSTRAINT alert_rules_check1 CHECK (((kind = 'absence'::text) = (num_nonnulls(metric, direction, raise_at, clear_at) = 0))),
    CONSTRAINT alert_rules_check2 CHECK (((kind = 'absence'::text) OR (num_nonnulls(metric, direction, raise_at, clear_at) = 4))),
    CONSTRAINT alert_rules_check3 CHECK (((direction IS DISTINCT FROM 'above'::text) OR (clear_at <= raise_at))),
    CONSTRAINT alert_rules_check4 CHECK (((direction IS DISTINCT FROM 'below'::text) OR (clear_at >= raise_at))),
    CONSTRAINT alert_rules_device_ids_check CHECK ((cardinality(device_ids) <= 500)),
    CONSTRAINT alert_rules_direction_check CHECK ((direction = ANY (ARRAY['above'::text, 'below'::text]))),
    CONSTRAINT alert_rules_group_ids_check CHECK ((cardinality(group_ids) <= 50)),
    CONSTRAINT alert_rules_hold_seconds_check CHECK (((hold_seconds >= 0) AND (hold_seconds <= 86400))),
    CONSTRAINT alert_rules_kind_check CHECK ((kind = ANY (ARRAY['threshold'::text, 'rate'::text, 'absence'::text]))),
    CONSTRAINT alert_rules_metric_check CHECK (((length(metric) >= 1) AND (length(metric) <= 64))),
    CONSTRAINT alert_rules_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT alert_rules_silent_seconds_check CHECK (((silent_seconds >= 60) AND (silent_seconds <= 2592000)))
);

ALTER TABLE ONLY public.alert_rules FORCE ROW LEVEL SECURITY;

ALTER TABLE public.alert_rules OWNER TO pulse_owner;

CREATE TABLE public.alert_states (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    device_id uuid NOT NULL,
    pending_since timestamp with time zone,
    changed_ts timestamp with time zone,
    last_ts timestamp with time zone,
    last_value double precision
);

ALTER TABLE ONLY public.alert_states FORCE ROW LEVEL SECURITY;

ALTER TABLE public.alert_states OWNER TO pulse_owner;

CREATE TABLE public.alert_watch (
    name text NOT NULL,
    looked_at timestamp with time zone NOT NULL,
    seeing_since timestamp with time zone NOT NULL,
    CONSTRAINT alert_watch_name_check CHECK ((name = 'absence'::text))
);

ALTER TABLE ONLY public.alert_watch FORCE ROW LEVEL SECURITY;

ALTER TABLE public.alert_watch OWNER TO pulse_owner;

CREATE TABLE public.alerts (
    tenant_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_name text NOT NULL,
    kind text NOT NULL,
    device_id uuid NOT NULL,
    metric text,
    value double precision,
    raised_at timestamp with time zone NOT NULL,
    cleared_at timestamp with time zone,
    clear_reason text,
    acknowledged_at timestamp with time zone,
    acknowledged_by text,
    told_at timestamp with time zone,
    CONSTRAINT alerts_check CHECK (((cleared_at IS NULL) = (clear_reason IS NULL))),
    CONSTRAINT alerts_check1 CHECK (((acknowledged_at IS NULL) = (acknowledged_by IS NULL))),
    CONSTRAINT alerts_clear_reason_check CHECK ((clear_reason = ANY (ARRAY['recovered'::text, 'rule_changed'::text, 'device_gone'::text]))),
    CONSTRAINT alerts_kind_check CHECK ((kind = ANY (ARRAY['threshold'::text, 'rate'::text, 'absence'::text])))
);

ALTER TABLE ONLY public.alerts FORCE ROW LEVEL SECURITY;

ALTER TABLE public.alerts OWNER TO pulse_owner;

CREATE TABLE public.audit_cursors (
    place text NOT NULL,
    seal_id bigint NOT NULL
);

ALTER TABLE ONLY public.audit_cursors FORCE ROW LEVEL SECURITY;

ALTER TABLE public.audit_cursors OWNER TO pulse_owner;

CREATE TABLE public.audit_log (
    tenant_id uuid NOT NULL,
    audit_id uuid NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    service name DEFAULT SESSION_USER NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    action text NOT NULL,
    object_kind text NOT NULL,
    object_id text NOT NULL,
    outcome text NOT NULL,
    reason text,
    address text,
    user_agent text,
    request_id text,
    before jsonb,
    after jsonb,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT audit_log_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['user'::text, 'service'::text, 'device'::text, 'operator'::text, 'anonymous'::text]))),
    CONSTRAINT audit_log_outcome_check CHECK ((outcome = ANY (ARRAY['success'::text, 'failure'::text, 'denied'::text])))
)
PARTITION BY RANGE (at);

ALTER TABLE ONLY public.audit_log FORCE ROW LEVEL SECURITY;

ALTER TABLE public.audit_log OWNER TO pulse_owner;

CREATE TABLE public.audit_log_default (
    tenant_id uuid CONSTRAINT audit_log_tenant_id_not_null NOT NULL,
    audit_id uuid CONSTRAINT audit_log_audit_id_not_null NOT NULL,
    at timestamp with time zone DEFAULT now() CONSTRAINT audit_log_at_not_null NOT NULL,
    service name DEFAULT SESSION_USER CONSTRAINT audit_log_service_not_null NOT NULL,
    actor_kind text CONSTRAINT audit_log_actor_kind_not_null NOT NULL,
    actor_id text CONSTRAINT audit_log_actor_id_not_null NOT NULL,
    action text CONSTRAINT audit_log_action_not_null NOT NULL,
    object_kind text CONSTRAINT audit_log_object_kind_not_null NOT NULL,
    object_id text CONSTRAINT audit_log_object_id_not_null NOT NULL,
    outcome text CONSTRAINT audit_log_outcome_not_null NOT NULL,
    reason text,
    address text,
    user_agent text,
    request_id text,
    before jsonb,
    after jsonb,
    details jsonb DEFAULT '{}'::jsonb CONSTRAINT audit_log_details_not_null NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() CONSTRAINT audit_log_xid_not_null NOT NULL,
    CONSTRAINT audit_log_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['user'::text, 'service'::text, 'device'::text, 'operator'::text, 'anonymous'::text]))),
    CONSTRAINT audit_log_outcome_check CHECK ((outcome = ANY (ARRAY['success'::text, 'failure'::text, 'denied'::text])))
);

ALTER TABLE ONLY public.audit_log_default FORCE ROW LEVEL SECURITY;

ALTER TABLE public.audit_log_default OWNER TO pulse_owner;

CREATE TABLE public.audit_seal_runs (
    run_id bigint NOT NULL,
    xid_from xid8 NOT NULL,
    xid_to xid8 NOT NULL,
    rows bigint NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    CONSTRAINT audit_seal_runs_check CHECK ((xid_to > xid_from))
);

ALTER TABLE ONLY public.audit_seal_runs FORCE ROW LEVEL SECURITY;

ALTER TABLE public.audit_seal_runs OWNER TO pulse_owner;

ALTER TABLE public.audit_seal_runs ALTER COLUMN run_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_seal_runs_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.audit_seals (
    tenant_id uuid NOT NULL,
    batch bigint NOT NULL,
    seal_id bigint NOT NULL,
    first_position bigint NOT NULL,
    tree_size bigint NOT NULL,
    xid_from xid8 NOT NULL,
    xid_to xid8 NOT NULL,
    note text NOT NULL,
    peaks bytea NOT NULL,
    leaf_hashes bytea NOT NULL,
    audit_ids uuid[] NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    CONSTRAINT audit_seals_batch_check CHECK ((batch >= 0)),
    CONSTRAINT audit_seals_check CHECK ((tree_size > first_position)),
    CONSTRAINT audit_seals_check1 CHECK ((length(leaf_hashes) = (32 * (tree_size - first_position)))),
    CONSTRAINT audit_seals_check2 CHECK ((cardinality(audit_ids) = (tree_size - first_position))),
    CONSTRAINT audit_seals_first_position_check CHECK ((first_position >= 0)),
    CONSTRAINT audit_seals_peaks_check CHECK (((length(peaks) % 32) = 0))
);

ALTER TABLE ONLY public.audit_seals FORCE ROW LEVEL SECURITY;

ALTER TABLE public.audit_seals OWNER TO pulse_owner;

ALTER TABLE public.audit_seals ALTER COLUMN seal_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_seals_seal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.billing_changes (
    tenant_id uuid NOT NULL,
    version bigint NOT NULL,
    plan_id text NOT NULL,
    access text NOT NULL,
    limits jsonb NOT NULL,
    cause text NOT NULL,
    event_id text,
    applied_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY public.billing_changes FORCE ROW LEVEL SECURITY;

ALTER TABLE public.billing_changes OWNER TO pulse_owner;

CREATE TABLE public.billing_customers (
    tenant_id uuid NOT NULL,
    customer_id text NOT NULL,
    livemode boolean NOT NULL,
    features text[] DEFAULT '{}'::text[] NOT NULL,
    deleted_at timestamp with time zone,
    linked_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_customers_customer_id_check CHECK ((customer_id ~ '^cus_[A-Za-z0-9_]{1,250}$'::text))
);

ALTER TABLE ONLY public.billing_customers FORCE ROW LEVEL SECURITY;

ALTER TABLE public.billing_customers OWNER TO pulse_owner;

CREATE TABLE public.billing_entitlements (
    tenant_id uuid NOT NULL,
    version bigint NOT NULL,
    plan_id text NOT NULL,
    access text NOT NULL,
    devices bigint,
    messages_per_second bigint,
    messages_per_month bigint,
    retention_days bigint,
    routes bigint,
    seats bigint,
    hard_limits boolean NOT NULL,
    features text[] NOT NULL,
    cause text NOT NULL,
    event_id text,
    applied_at timestamp with time zone NOT NULL,
    CONSTRAINT billing_entitlements_access_check CHECK ((access = ANY (ARRAY['full'::text, 'no_new_devices'::text, 'read_only'::text])))
);

ALTER TABLE ONLY public.billing_entitlements FORCE ROW LEVEL SECURITY;

ALTER TABLE public.billing_entitlements OWNER TO pulse_owner;

CREATE TABLE public.billing_meter_events (
    tenant_id uuid NOT NULL,
    identifier text NOT NULL,
    metric text NOT NULL,
    day date NOT NULL,
    amount bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    sent_at timestamp with time zone,
    refused_at timestamp with time zone,
    CONSTRAINT billing_meter_events_amount_check CHECK ((amount > 0)),
    CONSTRAINT billing_meter_events_identifier_check CHECK ((length(identifier) <= 100))
);

ALTER TABLE ONLY public.billing_meter_events FORCE ROW LEVEL SECURITY;

ALTER TABLE public.billing_meter_events OWNER TO pulse_owner;

CREATE TABLE public.billing_notices (
    tenant_id uuid NOT NULL,
    notice_key text NOT NULL,
    kind text NOT NULL,
    event_id text,
    noticed_at timestamp with time zone NOT NULL,
    CONSTRAINT billing_notices_notice_key_check CHECK ((length(notice_key) <= 300))
);

ALTER TABLE ONLY public.billing_notices FORCE ROW LEVEL SECURITY;

ALTER TABLE public.billing_notices OWNER TO pulse_owner;

CREATE TABLE public.billing_overrides (
    tenant_id uuid NOT NULL,
    override_id uuid NOT NULL,
    limit_name text NOT NULL,
    amount bigint,
    reason text NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT billing_overrides_amount_check CHECK ((amount >= 0)),
    CONSTRAINT billing_overrides_limit_name_check CHECK ((limit_name = ANY (ARRAY['devices'::text, 'messages_per_second'::text, 'messages_per_month'::text, 'retention_days'::text, 'routes'::text, 'seats'::text]))),
    CONSTRAINT billing_overrides_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY public.billing_overrides FORCE ROW LEVEL SECURITY;

ALTER TABLE public.billing_overrides OWNER TO pulse_owner;

CREATE TABLE public.billing_plans (
    plan_id text NOT NULL,
    name text NOT NULL,
    rank integer NOT NULL,
    devices bigint,
    messages_per_second bigint,
    messages_per_month bigint,
    retention_days bigint,
    routes bigint,
    seats bigint,
    hard_limits boolean DEFAULT false NOT NULL,
    features text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT billing_plans_devices_check CHECK ((devices >= 0)),
    CONSTRAINT billing_plans_messages_per_month_check CHECK ((messages_per_month >= 0)),
    CONSTRAINT billing_plans_messages_per_second_check CHECK ((messages_per_second >= 0)),
    CONSTRAINT billing_plans_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT billing_plans_plan_id_check CHECK ((plan_id ~ '^[a-z0-9_]{1,40}$'::text)),
    CONSTRAINT billing_plans_retention_days_check CHECK ((retention_days >= 1)),
    CONSTRAINT billing_plans_routes_check CHECK ((routes >= 0)),
    CONSTRAINT billing_plans_seats_check CHECK ((seats >= 1))
);

ALTER TABLE ONLY public.billing_plans FORCE ROW LEVEL SECURITY;

ALTER TABLE public.billing_plans OWNER TO pulse_owner;

CREATE TABLE public.billing_reconciliations (
    run_id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    events_through timestamp with time zone NOT NULL,
    checked bigint NOT NULL,
    findings jsonb NOT NULL
);

ALTER TABLE ONLY public.billing_reconciliations FORCE ROW LEVEL SECURITY;

ALTER TABLE public.billing_reconciliations OWNER TO pulse_owner;

CREATE TABLE public.billing_subscriptions (
    tenant_id uuid NOT NULL,
    subscription_id text NOT NULL,
    customer_id text NOT NULL,
    status text NOT NULL,
    price_ids text[] NOT NULL,
    plan_id text,
    quantity bigint DEFAULT 1 NOT NULL,
    cancel_at_period_end boolean DEFAULT false NOT NULL,
    current_period_end timestamp with time zone,
    trial_end timestamp with time zone,
    stripe_created_at timestamp with time zone NOT NULL,
    unpaid_since timestamp with time zone,
    event_id text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_subscriptions_status_check CHECK ((length(status) <= 40)),
    CONSTRAINT billing_subscriptions_subscription_id_check CHECK ((subscription_id ~ '^sub_[A-Za-z0-9_]{1,250}$'::text))
);

ALTER TABLE ONLY public.billing_subscriptions FORCE ROW LEVEL SECURITY;

ALTER TABLE public.billing_subscriptions OWNER TO pulse_owner;

CREATE TABLE public.billing_usage (
    tenant_id uuid NOT NULL,
    metric text NOT NULL,
    day date NOT NULL,
    amount bigint NOT NULL,
    metered bigint DEFAULT 0 NOT NULL,
    CONSTRAINT billing_usage_amount_check CHECK ((amount >= 0)),
    CONSTRAINT billing_usage_metric_check CHECK ((metric = ANY (ARRAY['messages'::text, 'device_months'::text])))
);

ALTER TABLE ONLY public.billing_usage FORCE ROW LEVEL SECURITY;

ALTER TABLE public.billing_usage OWNER TO pulse_owner;

CREATE TABLE public.broker_denials (
    tenant_id uuid NOT NULL,
    denial_id uuid NOT NULL,
    device_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    action text NOT NULL,
    reason text NOT NULL,
    rule text,
    topic text,
    serial_number text,
    address text,
    times integer NOT NULL,
    CONSTRAINT broker_denials_action_check CHECK ((action = ANY (ARRAY['connect'::text, 'publish'::text, 'subscribe'::text]))),
    CONSTRAINT broker_denials_address_check CHECK ((length(address) <= 60)),
    CONSTRAINT broker_denials_reason_check CHECK ((length(reason) <= 64)),
    CONSTRAINT broker_denials_rule_check CHECK ((length(rule) <= 200)),
    CONSTRAINT broker_denials_serial_number_check CHECK ((length(serial_number) <= 40)),
    CONSTRAINT broker_denials_times_check CHECK ((times > 0)),
    CONSTRAINT broker_denials_topic_check CHECK ((length(topic) <= 300))
);

ALTER TABLE ONLY public.broker_denials FORCE ROW LEVEL SECURITY;

ALTER TABLE public.broker_denials OWNER TO pulse_owner;

CREATE TABLE public.certificates (
    tenant_id uuid NOT NULL,
    certificate_id uuid NOT NULL,
    device_id uuid NOT NULL,
    issuer_id uuid NOT NULL,
    serial_number text NOT NULL,
    fingerprint_sha256 bytea NOT NULL,
    public_key_sha256 bytea NOT NULL,
    certificate_der bytea NOT NULL,
    not_before timestamp with time zone NOT NULL,
    not_after timestamp with time zone NOT NULL,
    status text DEFAULT 'valid'::text NOT NULL,
    revoked_at timestamp with time zone,
    revocation_reason text,
    session_cut_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    profile text DEFAULT 'device'::text NOT NULL,
    crl_shard smallint DEFAULT 0 NOT NULL,
    released_at timestamp with time zone,
    renewal boolean DEFAULT false NOT NULL,
    first_used_at timestamp with time zone,
    superseded boolean DEFAULT false NOT NULL,
    asked_again_at timestamp with time zone,
    key_checked_at timestamp with time zone,
    key_fault text,
    CONSTRAINT certificates_check CHECK (((NOT superseded) OR ((status = 'revoked'::text) AND (revocation_reason = 'superseded'::text)))),
    CONSTRAINT certificates_crl_shard_check CHECK ((crl_shard >= 0)),
    CONSTRAINT certificates_fingerprint_sha256_check CHECK ((length(fingerprint_sha256) = 32)),
    CONSTRAINT certificates_key_fault_check CHECK ((length(key_fault) <= 200)),
    CONSTRAINT certificates_profile_check CHECK ((profile ~ '^[a-z][a-z0-9-]{0,31}$'::text)),
    CONSTRAINT certificates_public_key_sha256_check CHECK ((length(public_key_sha256) = 32)),
    CONSTRAINT certificates_revocation_check CHECK ((((status <> 'valid'::text) = ((revoked_at IS NOT NULL) AND (revocation_reason IS NOT NULL))) AND ((status = 'held'::text) = (NOT (revocation_reason IS DISTINCT FROM 'certificateHold'::text))))),
    CONSTRAINT certificates_serial_number_check CHECK ((serial_number ~ '^[0-9a-f]{1,40}$'::text)),
    CONSTRAINT certificates_status_check CHECK ((status = ANY (ARRAY['valid'::text, 'held'::text, 'revoked'::text])))
);

ALTER TABLE ONLY public.certificates FORCE ROW LEVEL SECURITY;

ALTER TABLE public.certificates OWNER TO pulse_owner;

CREATE TABLE public.claim_certificates (
    tenant_id uuid NOT NULL,
    claim_certificate_id uuid NOT NULL,
    enrolment_profile_id uuid NOT NULL,
    serial_number text NOT NULL,
    fingerprint_sha256 bytea NOT NULL,
    not_before timestamp with time zone NOT NULL,
    not_after timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by text NOT NULL,
    revoked_at timestamp with time zone,
    uses bigint DEFAULT 0 NOT NULL,
    last_used_at timestamp with time zone,
    CONSTRAINT claim_certificates_fingerprint_sha256_check CHECK ((length(fingerprint_sha256) = 32))
);

ALTER TABLE ONLY public.claim_certificates FORCE ROW LEVEL SECURITY;

ALTER TABLE public.claim_certificates OWNER TO pulse_owner;

CREATE TABLE public.commands (
    tenant_id uuid NOT NULL,
    command_id uuid NOT NULL,
    device_id uuid NOT NULL,
    name text NOT NULL,
    arguments jsonb NOT NULL,
    actor_id text NOT NULL,
    state text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    settled_at timestamp with time zone,
    result text,
    CONSTRAINT commands_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT commands_result_check CHECK ((length(result) <= 1024)),
    CONSTRAINT commands_state_check CHECK ((state = ANY (ARRAY['asked'::text, 'sent'::text, 'not_sent'::text, 'acknowledged'::text, 'failed'::text, 'timed_out'::text])))
);

ALTER TABLE ONLY public.commands FORCE ROW LEVEL SECURITY;

ALTER TABLE public.commands OWNER TO pulse_owner;

CREATE TABLE public.crl_pending (
    pending_id bigint NOT NULL,
    issuer_id uuid NOT NULL,
    shard smallint NOT NULL
);

ALTER TABLE ONLY public.crl_pending FORCE ROW LEVEL SECURITY;

ALTER TABLE public.crl_pending OWNER TO pulse_owner;

ALTER TABLE public.crl_pending ALTER COLUMN pending_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.crl_pending_pending_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.crl_shards (
    issuer_id uuid NOT NULL,
    shard smallint NOT NULL,
    number bigint DEFAULT 0 NOT NULL,
    this_update timestamp with time zone,
    der bytea,
    probed_at timestamp with time zone,
    probe_outcome text,
    CONSTRAINT crl_shards_check CHECK (((number > 0) = ((this_update IS NOT NULL) AND (der IS NOT NULL)))),
    CONSTRAINT crl_shards_probe_outcome_check CHECK ((probe_outcome = ANY (ARRAY['good'::text, 'unreachable'::text, 'unusable'::text]))),
    CONSTRAINT crl_shards_shard_check CHECK ((shard >= 0))
);
ALTER TABLE ONLY public.crl_shards ALTER COLUMN der SET STORAGE EXTERNAL;

ALTER TABLE ONLY public.crl_shards FORCE ROW LEVEL SECURITY;

ALTER TABLE public.crl_shards OWNER TO pulse_owner;

CREATE TABLE public.delivery_attempts (
    tenant_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    route_id uuid NOT NULL,
    delivery_id text NOT NULL,
    event_type text NOT NULL,
    device_id uuid,
    attempt integer NOT NULL,
    attempted_at timestamp with time zone NOT NULL,
    stage text NOT NULL,
    delivered boolean NOT NULL,
    status integer,
    error text,
    latency_ms integer NOT NULL,
    response_body text NOT NULL,
    CONSTRAINT delivery_attempts_delivery_id_check CHECK ((length(delivery_id) <= 100)),
    CONSTRAINT delivery_attempts_error_check CHECK ((length(error) <= 300)),
    CONSTRAINT delivery_attempts_event_type_check CHECK ((length(event_type) <= 100)),
    CONSTRAINT delivery_attempts_response_body_check CHECK ((octet_length(response_body) <= 1024)),
    CONSTRAINT delivery_attempts_stage_check CHECK ((stage = ANY (ARRAY['before'::text, 'during'::text, 'after'::text])))
);

ALTER TABLE ONLY public.delivery_attempts FORCE ROW LEVEL SECURITY;

ALTER TABLE public.delivery_attempts OWNER TO pulse_owner;

CREATE TABLE public.delivery_dead_letters (
    tenant_id uuid NOT NULL,
    delivery_id text NOT NULL,
    route_id uuid NOT NULL,
    event_type text NOT NULL,
    device_id uuid,
    died_at timestamp with time zone NOT NULL,
    attempts integer NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    CONSTRAINT delivery_dead_letters_delivery_id_check CHECK ((length(delivery_id) <= 100)),
    CONSTRAINT delivery_dead_letters_event_type_check CHECK ((length(event_type) <= 100)),
    CONSTRAINT delivery_dead_letters_reason_check CHECK ((length(reason) <= 300))
);

ALTER TABLE ONLY public.delivery_dead_letters FORCE ROW LEVEL SECURITY;

ALTER TABLE public.delivery_dead_letters OWNER TO pulse_owner;

CREATE TABLE public.delivery_held (
    tenant_id uuid NOT NULL,
    route_id uuid NOT NULL,
    delivery_id text NOT NULL,
    device_id uuid,
    "position" bigint NOT NULL,
    attempts integer NOT NULL,
    due_at timestamp with time zone NOT NULL,
    claimed_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    message text NOT NULL,
    CONSTRAINT delivery_held_delivery_id_check CHECK ((length(delivery_id) <= 100))
);

ALTER TABLE ONLY public.delivery_held FORCE ROW LEVEL SECURITY;

ALTER TABLE public.delivery_held OWNER TO pulse_owner;

ALTER TABLE public.delivery_held ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.delivery_held_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.delivery_turns (
    name text NOT NULL,
    holder uuid NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT delivery_turns_name_check CHECK ((length(name) <= 50))
);

ALTER TABLE ONLY public.delivery_turns FORCE ROW LEVEL SECURITY;

ALTER TABLE public.delivery_turns OWNER TO pulse_owner;

CREATE TABLE public.device_arrivals (
    tenant_id uuid NOT NULL,
    transfer_id uuid NOT NULL,
    from_tenant uuid NOT NULL,
    from_name text NOT NULL,
    device_name text NOT NULL,
    status text DEFAULT 'offered'::text NOT NULL,
    offered_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    decided_at timestamp with time zone,
    decided_by text,
    device_id uuid,
    CONSTRAINT device_arrivals_check CHECK (((status = 'accepted'::text) = (device_id IS NOT NULL))),
    CONSTRAINT device_arrivals_status_check CHECK ((status = ANY (ARRAY['offered'::text, 'accepted'::text, 'declined'::text, 'withdrawn'::text, 'expired'::text])))
);

ALTER TABLE ONLY public.device_arrivals FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_arrivals OWNER TO pulse_owner;

CREATE TABLE public.device_group_members (
    tenant_id uuid NOT NULL,
    group_id uuid NOT NULL,
    device_id uuid NOT NULL
);

ALTER TABLE ONLY public.device_group_members FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_group_members OWNER TO pulse_owner;

CREATE TABLE public.device_groups (
    tenant_id uuid NOT NULL,
    group_id uuid NOT NULL,
    name text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT device_groups_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100)))
);

ALTER TABLE ONLY public.device_groups FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_groups OWNER TO pulse_owner;

CREATE TABLE public.device_import_parts (
    tenant_id uuid NOT NULL,
    import_id uuid NOT NULL,
    at_byte bigint NOT NULL,
    data bytea NOT NULL,
    CONSTRAINT device_import_parts_at_byte_check CHECK ((at_byte >= 0)),
    CONSTRAINT device_import_parts_data_check CHECK (((length(data) >= 1) AND (length(data) <= 1048576)))
);
ALTER TABLE ONLY public.device_import_parts ALTER COLUMN data SET STORAGE EXTERNAL;

ALTER TABLE ONLY public.device_import_parts FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_import_parts OWNER TO pulse_owner;

CREATE TABLE public.device_import_rows (
    tenant_id uuid NOT NULL,
    import_id uuid NOT NULL,
    line integer NOT NULL,
    hardware_id text,
    device_id uuid,
    problem text,
    CONSTRAINT device_import_rows_line_check CHECK ((line > 0)),
    CONSTRAINT device_import_rows_problem_check CHECK ((length(problem) <= 200))
);

ALTER TABLE ONLY public.device_import_rows FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_import_rows OWNER TO pulse_owner;

CREATE TABLE public.device_imports (
    tenant_id uuid NOT NULL,
    import_id uuid NOT NULL,
    format text NOT NULL,
    state text DEFAULT 'uploading'::text NOT NULL,
    enrolment_profile_id uuid,
    with_tokens boolean DEFAULT false NOT NULL,
    received_bytes bigint DEFAULT 0 NOT NULL,
    read_bytes bigint DEFAULT 0 NOT NULL,
    line integer DEFAULT 0 NOT NULL,
    columns text[],
    created_devices integer DEFAULT 0 NOT NULL,
    unchanged_rows integer DEFAULT 0 NOT NULL,
    refused_rows integer DEFAULT 0 NOT NULL,
    reason text,
    created_by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    tokens_begun_at timestamp with time zone,
    tokens_taken_at timestamp with time zone,
    CONSTRAINT device_imports_format_check CHECK ((format = ANY (ARRAY['csv'::text, 'jsonl'::text]))),
    CONSTRAINT device_imports_state_check CHECK ((state = ANY (ARRAY['uploading'::text, 'running'::text, 'done'::text, 'failed'::text, 'cancelled'::text])))
);

ALTER TABLE ONLY public.device_imports FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_imports OWNER TO pulse_owner;

CREATE TABLE public.device_last_state (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    ts timestamp with time zone NOT NULL,
    metrics jsonb NOT NULL
);

ALTER TABLE ONLY public.device_last_state FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_last_state OWNER TO pulse_owner;

CREATE TABLE public.device_profiles (
    tenant_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    name text NOT NULL,
    tokens_allowed boolean DEFAULT false NOT NULL,
    telemetry_schema jsonb,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    certificate_profile text DEFAULT 'device'::text NOT NULL,
    CONSTRAINT device_profiles_certificate_profile_check CHECK ((certificate_profile ~ '^[a-z][a-z0-9-]{0,31}$'::text)),
    CONSTRAINT device_profiles_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT device_profiles_telemetry_schema_check CHECK ((octet_length((telemetry_schema)::text) <= 65536))
);

ALTER TABLE ONLY public.device_profiles FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_profiles OWNER TO pulse_owner;

CREATE TABLE public.device_rescues (
    tenant_id uuid NOT NULL,
    rescue_id uuid NOT NULL,
    device_id uuid NOT NULL,
    certificate_id uuid NOT NULL,
    status text DEFAULT 'open'::text NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    opened_by text NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    CONSTRAINT device_rescues_check CHECK (((ends_at > opened_at) AND (ends_at <= (opened_at + '7 days'::interval)))),
    CONSTRAINT device_rescues_check1 CHECK (((status = 'used'::text) = (used_at IS NOT NULL))),
    CONSTRAINT device_rescues_status_check CHECK ((status = ANY (ARRAY['open'::text, 'used'::text, 'closed'::text])))
);

ALTER TABLE ONLY public.device_rescues FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_rescues OWNER TO pulse_owner;

CREATE TABLE public.device_tokens (
    tenant_id uuid NOT NULL,
    token_id uuid NOT NULL,
    device_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    session_cut_at timestamp with time zone,
    CONSTRAINT device_tokens_token_hash_check CHECK ((length(token_hash) = 32))
);

ALTER TABLE ONLY public.device_tokens FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_tokens OWNER TO pulse_owner;

CREATE TABLE public.device_transfers (
    tenant_id uuid NOT NULL,
    transfer_id uuid NOT NULL,
    device_id uuid NOT NULL,
    offered_to uuid NOT NULL,
    status text DEFAULT 'offered'::text NOT NULL,
    offered_at timestamp with time zone NOT NULL,
    offered_by text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    decided_at timestamp with time zone,
    CONSTRAINT device_transfers_check CHECK ((offered_to <> tenant_id)),
    CONSTRAINT device_transfers_check1 CHECK (((status = 'offered'::text) = (decided_at IS NULL))),
    CONSTRAINT device_transfers_status_check CHECK ((status = ANY (ARRAY['offered'::text, 'accepted'::text, 'declined'::text, 'withdrawn'::text, 'expired'::text])))
);

ALTER TABLE ONLY public.device_transfers FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_transfers OWNER TO pulse_owner;

CREATE TABLE public.device_trust (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    authorities text[] NOT NULL,
    told_at timestamp with time zone NOT NULL,
    CONSTRAINT device_trust_authorities_check CHECK ((cardinality(authorities) <= 64))
);

ALTER TABLE ONLY public.device_trust FORCE ROW LEVEL SECURITY;

ALTER TABLE public.device_trust OWNER TO pulse_owner;

CREATE TABLE public.devices (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    name text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    tokens_allowed boolean DEFAULT false NOT NULL,
    profile_id uuid,
    given_away boolean DEFAULT false NOT NULL,
    CONSTRAINT devices_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT devices_status_check CHECK ((status = ANY (ARRAY['active'::text, 'disabled'::text])))
);

ALTER TABLE ONLY public.devices FORCE ROW LEVEL SECURITY;

ALTER TABLE public.devices OWNER TO pulse_owner;

CREATE TABLE public.enrolment_profiles (
    tenant_id uuid NOT NULL,
    enrolment_profile_id uuid NOT NULL,
    name text NOT NULL,
    label text NOT NULL,
    method text NOT NULL,
    approval text DEFAULT 'auto'::text NOT NULL,
    known_only boolean DEFAULT false NOT NULL,
    device_profile_id uuid,
    status text DEFAULT 'active'::text NOT NULL,
    most_devices integer,
    most_per_hour integer,
    devices integer DEFAULT 0 NOT NULL,
    hour_began_at timestamp with time zone,
    devices_this_hour integer DEFAULT 0 NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT enrolment_profiles_approval_check CHECK ((approval = ANY (ARRAY['auto'::text, 'hold'::text]))),
    CONSTRAINT enrolment_profiles_label_check CHECK ((label ~ '^[a-z0-9][a-z0-9-]{0,39}$'::text)),
    CONSTRAINT enrolment_profiles_method_check CHECK ((method = ANY (ARRAY['claim'::text, 'hardware'::text]))),
    CONSTRAINT enrolment_profiles_most_devices_check CHECK ((most_devices > 0)),
    CONSTRAINT enrolment_profiles_most_per_hour_check CHECK ((most_per_hour > 0)),
    CONSTRAINT enrolment_profiles_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT enrolment_profiles_status_check CHECK ((status = ANY (ARRAY['active'::text, 'closed'::text])))
);

ALTER TABLE ONLY public.enrolment_profiles FORCE ROW LEVEL SECURITY;

ALTER TABLE public.enrolment_profiles OWNER TO pulse_owner;

CREATE TABLE public.enrolment_tokens (
    tenant_id uuid NOT NULL,
    token_id uuid NOT NULL,
    device_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT enrolment_tokens_token_hash_check CHECK ((length(token_hash) = 32))
);

ALTER TABLE ONLY public.enrolment_tokens FORCE ROW LEVEL SECURITY;

ALTER TABLE public.enrolment_tokens OWNER TO pulse_owner;

CREATE TABLE public.expiry_warnings (
    tenant_id uuid NOT NULL,
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    days smallint NOT NULL,
    not_after timestamp with time zone NOT NULL,
    warned_at timestamp with time zone DEFAULT now() NOT NULL,
    subject_name text,
    CONSTRAINT expiry_warnings_days_check CHECK ((days >= 0)),
    CONSTRAINT expiry_warnings_kind_check CHECK ((kind = ANY (ARRAY['device'::text, 'issuer'::text, 'list'::text, 'server'::text]))),
    CONSTRAINT expiry_warnings_subject_name_check CHECK (((length(subject_name) >= 1) AND (length(subject_name) <= 300)))
);

ALTER TABLE ONLY public.expiry_warnings FORCE ROW LEVEL SECURITY;

ALTER TABLE public.expiry_warnings OWNER TO pulse_owner;

CREATE TABLE public.hardware_ids (
    tenant_id uuid NOT NULL,
    hardware_id text NOT NULL,
    enrolment_profile_id uuid,
    device_id uuid,
    name text,
    state text NOT NULL,
    secret_sha256 bytea,
    maker_key_sha256 bytea,
    asked_key_sha256 bytea,
    asked_at timestamp with time zone,
    asked_from text,
    decided_at timestamp with time zone,
    decided_by text,
    enrolled_at timestamp with time zone,
    certificates smallint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT hardware_ids_asked_key_sha256_check CHECK ((length(asked_key_sha256) = 32)),
    CONSTRAINT hardware_ids_hardware_id_check CHECK ((hardware_id ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$'::text)),
    CONSTRAINT hardware_ids_maker_key_sha256_check CHECK ((length(maker_key_sha256) = 32)),
    CONSTRAINT hardware_ids_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT hardware_ids_secret_sha256_check CHECK ((length(secret_sha256) = 32)),
    CONSTRAINT hardware_ids_state_check CHECK ((state = ANY (ARRAY['registered'::text, 'pending'::text, 'approved'::text, 'rejected'::text, 'enrolled'::text])))
);

ALTER TABLE ONLY public.hardware_ids FORCE ROW LEVEL SECURITY;

ALTER TABLE public.hardware_ids OWNER TO pulse_owner;

CREATE TABLE public.idempotency_keys (
    tenant_id uuid NOT NULL,
    actor_id text NOT NULL,
    key_hash bytea NOT NULL,
    request_hash bytea NOT NULL,
    device_id uuid NOT NULL,
    leased_until timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    answer_sealed bytea,
    CONSTRAINT idempotency_keys_key_hash_check CHECK ((length(key_hash) = 32)),
    CONSTRAINT idempotency_keys_request_hash_check CHECK ((length(request_hash) = 32))
);

ALTER TABLE ONLY public.idempotency_keys FORCE ROW LEVEL SECURITY;

ALTER TABLE public.idempotency_keys OWNER TO pulse_owner;

CREATE TABLE public.issuers (
    issuer_id uuid NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    certificate_der bytea NOT NULL,
    fingerprint_sha256 bytea NOT NULL,
    not_before timestamp with time zone NOT NULL,
    not_after timestamp with time zone NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    profile text,
    crl_shards smallint DEFAULT 64 NOT NULL,
    revoked_at timestamp with time zone,
    revocation_reason text,
    lists_until timestamp with time zone,
    CONSTRAINT issuers_check CHECK (((kind = 'issuing'::text) OR (profile IS NULL))),
    CONSTRAINT issuers_check1 CHECK (((status = 'revoked'::text) = ((revoked_at IS NOT NULL) AND (revocation_reason IS NOT NULL)))),
    CONSTRAINT issuers_crl_shards_check CHECK (((crl_shards >= 1) AND (crl_shards <= 1024))),
    CONSTRAINT issuers_fingerprint_sha256_check CHECK ((length(fingerprint_sha256) = 32)),
    CONSTRAINT issuers_kind_check CHECK ((kind = ANY (ARRAY['root'::text, 'issuing'::text]))),
    CONSTRAINT issuers_profile_check CHECK ((profile ~ '^[a-z][a-z0-9-]{0,31}$'::text)),
    CONSTRAINT issuers_status_check CHECK ((status = ANY (ARRAY['standby'::text, 'active'::text, 'draining'::text, 'retired'::text, 'revoked'::text])))
);

ALTER TABLE ONLY public.issuers FORCE ROW LEVEL SECURITY;

ALTER TABLE public.issuers OWNER TO pulse_owner;

CREATE TABLE public.limit_receipts (
    tenant_id uuid NOT NULL,
    receipt_id uuid NOT NULL,
    device_id uuid,
    bucket text NOT NULL,
    outcome text NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL,
    refills_at timestamp with time zone NOT NULL,
    messages bigint NOT NULL,
    bytes bigint NOT NULL,
    CONSTRAINT limit_receipts_bucket_check CHECK ((bucket = ANY (ARRAY['device_messages'::text, 'device_bytes'::text, 'tenant_messages'::text, 'tenant_bytes'::text, 'tenant_month'::text]))),
    CONSTRAINT limit_receipts_bytes_check CHECK ((bytes >= 0)),
    CONSTRAINT limit_receipts_messages_check CHECK ((messages > 0)),
    CONSTRAINT limit_receipts_outcome_check CHECK ((outcome = ANY (ARRAY['dropped'::text, 'deferred'::text])))
);

ALTER TABLE ONLY public.limit_receipts FORCE ROW LEVEL SECURITY;

ALTER TABLE public.limit_receipts OWNER TO pulse_owner;

CREATE TABLE public.notice_refusals (
    tenant_id uuid NOT NULL,
    address text NOT NULL,
    topic text NOT NULL,
    refused_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT notice_refusals_address_check CHECK ((((length(address) >= 3) AND (length(address) <= 320)) AND (address = lower(address)))),
    CONSTRAINT notice_refusals_topic_check CHECK ((topic ~ '^[a-z][a-z_]{0,29}$'::text))
);

ALTER TABLE ONLY public.notice_refusals FORCE ROW LEVEL SECURITY;

ALTER TABLE public.notice_refusals OWNER TO pulse_owner;

CREATE TABLE public.notices (
    tenant_id uuid NOT NULL,
    notice_id uuid NOT NULL,
    topic text NOT NULL,
    notice_key text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    path text NOT NULL,
    recipients text[] DEFAULT '{}'::text[] NOT NULL,
    patience_seconds integer NOT NULL,
    raised_at timestamp with time zone NOT NULL,
    claimed_until timestamp with time zone,
    unsure smallint DEFAULT 0 NOT NULL,
    told_to text[] DEFAULT '{}'::text[] NOT NULL,
    told_at timestamp with time zone,
    CONSTRAINT notices_body_check CHECK ((length(body) <= 4000)),
    CONSTRAINT notices_notice_key_check CHECK (((length(notice_key) >= 1) AND (length(notice_key) <= 200))),
    CONSTRAINT notices_path_check CHECK ((path ~~ '/%'::text)),
    CONSTRAINT notices_patience_seconds_check CHECK ((patience_seconds >= 0)),
    CONSTRAINT notices_recipients_check CHECK ((cardinality(recipients) <= 50)),
    CONSTRAINT notices_title_check CHECK (((length(title) >= 1) AND (length(title) <= 200))),
    CONSTRAINT notices_topic_check CHECK ((topic ~ '^[a-z][a-z_]{0,29}$'::text))
);

ALTER TABLE ONLY public.notices FORCE ROW LEVEL SECURITY;

ALTER TABLE public.notices OWNER TO pulse_owner;

CREATE TABLE public.operator_grants (
    tenant_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    kind text NOT NULL,
    operator_id text NOT NULL,
    operator_name text NOT NULL,
    scopes text[] NOT NULL,
    reason text NOT NULL,
    ticket text NOT NULL,
    seconds integer NOT NULL,
    status text DEFAULT 'requested'::text NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    decided_at timestamp with time zone,
    decided_by text,
    second_operator_name text,
    begins_at timestamp with time zone,
    ends_at timestamp with time zone,
    CONSTRAINT operator_grants_check CHECK (((status = 'requested'::text) = (decided_at IS NULL))),
    CONSTRAINT operator_grants_check1 CHECK (((decided_at IS NULL) = (decided_by IS NULL))),
    CONSTRAINT operator_grants_check2 CHECK (((begins_at IS NULL) = (ends_at IS NULL))),
    CONSTRAINT operator_grants_check3 CHECK (((status <> 'active'::text) OR (ends_at > begins_at))),
    CONSTRAINT operator_grants_check4 CHECK (((ends_at - begins_at) <=
CASE kind
    WHEN 'break_glass'::text THEN '04:00:00'::interval
    ELSE '7 days'::interval
END)),
    CONSTRAINT operator_grants_check5 CHECK (((kind <> 'break_glass'::text) OR (decided_by IS DISTINCT FROM operator_id))),
    CONSTRAINT operator_grants_kind_check CHECK ((kind = ANY (ARRAY['approval'::text, 'break_glass'::text]))),
    CONSTRAINT operator_grants_operator_id_check CHECK (((length(operator_id) >= 1) AND (length(operator_id) <= 255))),
    CONSTRAINT operator_grants_operator_name_check CHECK (((length(operator_name) >= 1) AND (length(operator_name) <= 255))),
    CONSTRAINT operator_grants_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500))),
    CONSTRAINT operator_grants_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['telemetry'::text, 'secrets'::text, 'metadata'::text]))),
    CONSTRAINT operator_grants_seconds_check CHECK (((seconds >= 300) AND (seconds <= 604800))),
    CONSTRAINT operator_grants_status_check CHECK ((status = ANY (ARRAY['requested'::text, 'active'::text, 'denied'::text, 'revoked'::text]))),
    CONSTRAINT operator_grants_ticket_check CHECK (((length(ticket) >= 1) AND (length(ticket) <= 100)))
);

ALTER TABLE ONLY public.operator_grants FORCE ROW LEVEL SECURITY;

ALTER TABLE public.operator_grants OWNER TO pulse_owner;

CREATE TABLE public.outbox (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    "position" bigint NOT NULL,
    producer name DEFAULT SESSION_USER NOT NULL,
    subject text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    sent_at timestamp with time zone,
    bulk boolean DEFAULT false NOT NULL,
    CONSTRAINT outbox_subject_check CHECK ((subject ~~ 'pulse.events.%'::text))
);

ALTER TABLE ONLY public.outbox FORCE ROW LEVEL SECURITY;

ALTER TABLE public.outbox OWNER TO pulse_owner;

ALTER TABLE public.outbox ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.refused_messages (
    tenant_id uuid NOT NULL,
    letter_id uuid NOT NULL,
    device_id uuid NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL,
    received_at timestamp with time zone NOT NULL,
    size_bytes integer NOT NULL,
    payload bytea NOT NULL,
    detail text,
    CONSTRAINT refused_messages_detail_check CHECK ((length(detail) <= 300)),
    CONSTRAINT refused_messages_kind_check CHECK ((kind = ANY (ARRAY['telemetry'::text, 'state'::text, 'command/ack'::text]))),
    CONSTRAINT refused_messages_payload_check CHECK ((length(payload) <= 4096)),
    CONSTRAINT refused_messages_reason_check CHECK ((reason ~ '^[a-z_]{1,40}$'::text)),
    CONSTRAINT refused_messages_size_bytes_check CHECK ((size_bytes >= 0))
);

ALTER TABLE ONLY public.refused_messages FORCE ROW LEVEL SECURITY;

ALTER TABLE public.refused_messages OWNER TO pulse_owner;

CREATE TABLE public.rollovers (
    rollover_id uuid NOT NULL,
    profile text NOT NULL,
    old_issuer_id uuid NOT NULL,
    new_issuer_id uuid NOT NULL,
    state text NOT NULL,
    least_share real NOT NULL,
    drain_days smallint NOT NULL,
    draining_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT rollovers_check CHECK ((old_issuer_id <> new_issuer_id)),
    CONSTRAINT rollovers_check1 CHECK (((state <> 'draining'::text) OR (draining_at IS NOT NULL))),
    CONSTRAINT rollovers_drain_days_check CHECK (((drain_days >= 0) AND (drain_days <= 366))),
    CONSTRAINT rollovers_least_share_check CHECK (((least_share >= (0)::double precision) AND (least_share <= (1)::double precision))),
    CONSTRAINT rollovers_profile_check CHECK ((profile ~ '^[a-z][a-z0-9-]{0,31}$'::text)),
    CONSTRAINT rollovers_state_check CHECK ((state = ANY (ARRAY['planned'::text, 'distributing'::text, 'dual_trust'::text, 'issuing_from_new'::text, 'draining'::text, 'retired'::text, 'cancelled'::text])))
);

ALTER TABLE ONLY public.rollovers FORCE ROW LEVEL SECURITY;

ALTER TABLE public.rollovers OWNER TO pulse_owner;

CREATE TABLE public.root_lists (
    issuer_id uuid NOT NULL,
    number bigint NOT NULL,
    this_update timestamp with time zone NOT NULL,
    next_update timestamp with time zone NOT NULL,
    der bytea NOT NULL,
    imported_at timestamp with time zone NOT NULL,
    CONSTRAINT root_lists_number_check CHECK ((number > 0))
);

ALTER TABLE ONLY public.root_lists FORCE ROW LEVEL SECURITY;

ALTER TABLE public.root_lists OWNER TO pulse_owner;

CREATE TABLE public.route_audit_cursors (
    tenant_id uuid NOT NULL,
    route_id uuid NOT NULL,
    xid xid8 NOT NULL,
    at timestamp with time zone NOT NULL,
    audit_id uuid NOT NULL
);

ALTER TABLE ONLY public.route_audit_cursors FORCE ROW LEVEL SECURITY;

ALTER TABLE public.route_audit_cursors OWNER TO pulse_owner;

CREATE TABLE public.routes (
    tenant_id uuid NOT NULL,
    route_id uuid NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    event_types text[] NOT NULL,
    device_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    metrics text[] DEFAULT '{}'::text[] NOT NULL,
    template text,
    ordered boolean DEFAULT false NOT NULL,
    timeout_seconds integer DEFAULT 10 NOT NULL,
    concurrency integer DEFAULT 4 NOT NULL,
    status text DEFAULT 'unverified'::text NOT NULL,
    failing_since timestamp with time zone,
    failing_told_at timestamp with time zone,
    secret_sealed bytea NOT NULL,
    previous_secret_sealed bytea,
    previous_secret_until timestamp with time zone,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    group_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    dropped bigint DEFAULT 0 NOT NULL,
    dropped_at timestamp with time zone,
    dropped_told_at timestamp with time zone,
    CONSTRAINT routes_concurrency_check CHECK (((concurrency >= 1) AND (concurrency <= 16))),
    CONSTRAINT routes_device_ids_check CHECK ((cardinality(device_ids) <= 500)),
    CONSTRAINT routes_event_types_check CHECK (((cardinality(event_types) >= 1) AND (cardinality(event_types) <= 30))),
    CONSTRAINT routes_group_ids_check CHECK ((cardinality(group_ids) <= 50)),
    CONSTRAINT routes_metrics_check CHECK ((cardinality(metrics) <= 100)),
    CONSTRAINT routes_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT routes_status_check CHECK ((status = ANY (ARRAY['unverified'::text, 'active'::text, 'paused'::text, 'disabled'::text]))),
    CONSTRAINT routes_template_check CHECK ((length(template) <= 4096)),
    CONSTRAINT routes_timeout_seconds_check CHECK (((timeout_seconds >= 1) AND (timeout_seconds <= 30))),
    CONSTRAINT routes_url_check CHECK ((length(url) <= 2000))
);

ALTER TABLE ONLY public.routes FORCE ROW LEVEL SECURITY;

ALTER TABLE public.routes OWNER TO pulse_owner;

CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.schema_migrations OWNER TO postgres;

CREATE TABLE public.session_conflicts (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    serial_number text NOT NULL,
    address text NOT NULL,
    other_address text NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    times integer NOT NULL,
    CONSTRAINT session_conflicts_address_check CHECK ((length(address) <= 60)),
    CONSTRAINT session_conflicts_other_address_check CHECK ((length(other_address) <= 60)),
    CONSTRAINT session_conflicts_serial_number_check CHECK ((length(serial_number) <= 40)),
    CONSTRAINT session_conflicts_times_check CHECK ((times > 0))
);

ALTER TABLE ONLY public.session_conflicts FORCE ROW LEVEL SECURITY;

ALTER TABLE public.session_conflicts OWNER TO pulse_owner;

CREATE TABLE public.stripe_events (
    event_id text NOT NULL,
    event_type text NOT NULL,
    livemode boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    object_id text,
    customer_id text,
    home_tenant_id uuid,
    outcome text DEFAULT 'handled'::text NOT NULL,
    source text NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL,
    replays integer DEFAULT 0 NOT NULL,
    replayed_at timestamp with time zone,
    CONSTRAINT stripe_events_customer_id_check CHECK ((length(customer_id) <= 255)),
    CONSTRAINT stripe_events_event_id_check CHECK ((event_id ~ '^evt_[A-Za-z0-9_]{1,250}$'::text)),
    CONSTRAINT stripe_events_event_type_check CHECK (((length(event_type) >= 1) AND (length(event_type) <= 200))),
    CONSTRAINT stripe_events_object_id_check CHECK ((length(object_id) <= 255)),
    CONSTRAINT stripe_events_source_check CHECK ((source = ANY (ARRAY['webhook'::text, 'backfill'::text])))
);

ALTER TABLE ONLY public.stripe_events FORCE ROW LEVEL SECURITY;

ALTER TABLE public.stripe_events OWNER TO pulse_owner;

CREATE TABLE public.telemetry (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    ts timestamp with time zone NOT NULL,
    message_id uuid NOT NULL,
    metrics jsonb NOT NULL,
    received_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone DEFAULT now() NOT NULL
)
PARTITION BY RANGE (ts);

ALTER TABLE ONLY public.telemetry FORCE ROW LEVEL SECURITY;

ALTER TABLE public.telemetry OWNER TO pulse_owner;

CREATE TABLE public.telemetry_default (
    tenant_id uuid CONSTRAINT telemetry_tenant_id_not_null NOT NULL,
    device_id uuid CONSTRAINT telemetry_device_id_not_null NOT NULL,
    ts timestamp with time zone CONSTRAINT telemetry_ts_not_null NOT NULL,
    message_id uuid CONSTRAINT telemetry_message_id_not_null NOT NULL,
    metrics jsonb CONSTRAINT telemetry_metrics_not_null NOT NULL,
    received_at timestamp with time zone CONSTRAINT telemetry_received_at_not_null NOT NULL,
    stored_at timestamp with time zone DEFAULT now() CONSTRAINT telemetry_stored_at_not_null NOT NULL
);

ALTER TABLE ONLY public.telemetry_default FORCE ROW LEVEL SECURITY;

ALTER TABLE public.telemetry_default OWNER TO pulse_owner;

CREATE TABLE public.tenant_access_policies (
    tenant_id uuid NOT NULL,
    telemetry_needs_approval boolean DEFAULT true NOT NULL,
    secrets_need_approval boolean DEFAULT true NOT NULL,
    metadata_needs_approval boolean DEFAULT false NOT NULL,
    notice_emails text[] DEFAULT '{}'::text[] NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_by text NOT NULL,
    CONSTRAINT tenant_access_policies_notice_emails_check CHECK ((cardinality(notice_emails) <= 10))
);

ALTER TABLE ONLY public.tenant_access_policies FORCE ROW LEVEL SECURITY;

ALTER TABLE public.tenant_access_policies OWNER TO pulse_owner;

CREATE TABLE public.tenants (
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    status_reason text,
    status_changed_at timestamp with time zone,
    exported_at timestamp with time zone,
    purge_after timestamp with time zone,
    CONSTRAINT tenants_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT tenants_purge_check CHECK (
CASE status
    WHEN 'deleting'::text THEN (purge_after IS NOT NULL)
    WHEN 'deleted'::text THEN true
    ELSE (purge_after IS NULL)
END),
    CONSTRAINT tenants_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'deleting'::text, 'deleted'::text]))),
    CONSTRAINT tenants_status_reason_check CHECK ((length(status_reason) <= 500)),
    CONSTRAINT tenants_tenant_id_check CHECK ((tenant_id <> '00000000-0000-0000-0000-000000000000'::uuid))
);

ALTER TABLE ONLY public.tenants FORCE ROW LEVEL SECURITY;

ALTER TABLE public.tenants OWNER TO pulse_owner;

CREATE TABLE public.used_logout_tokens (
    token_hash bytea NOT NULL,
    useless_at timestamp with time zone NOT NULL,
    CONSTRAINT used_logout_tokens_token_hash_check CHECK ((length(token_hash) = 32))
);

ALTER TABLE ONLY public.used_logout_tokens FORCE ROW LEVEL SECURITY;

ALTER TABLE public.used_logout_tokens OWNER TO pulse_owner;

CREATE TABLE public.web_sessions (
    session_hash bytea NOT NULL,
    subject text NOT NULL,
    oidc_session_id text,
    tokens_sealed bytea NOT NULL,
    csrf_secret bytea NOT NULL,
    access_expires_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    session_id uuid DEFAULT gen_random_uuid() NOT NULL,
    home_tenant_id uuid,
    address text,
    user_agent text,
    CONSTRAINT web_sessions_address_check CHECK ((length(address) <= 60)),
    CONSTRAINT web_sessions_csrf_secret_check CHECK ((length(csrf_secret) = 32)),
    CONSTRAINT web_sessions_session_hash_check CHECK ((length(session_hash) = 32)),
    CONSTRAINT web_sessions_user_agent_check CHECK ((length(user_agent) <= 300))
);

ALTER TABLE ONLY public.web_sessions FORCE ROW LEVEL SECURITY;

ALTER TABLE public.web_sessions OWNER TO pulse_owner;

ALTER TABLE ONLY public.audit_log ATTACH PARTITION public.audit_log_default DEFAULT;

ALTER TABLE ONLY public.telemetry ATTACH PARTITION public.telemetry_default DEFAULT;

ALTER TABLE ONLY public.alert_rules
    ADD CONSTRAINT alert_rules_pkey PRIMARY KEY (tenant_id, rule_id);

ALTER TABLE ONLY public.alert_states
    ADD CONSTRAINT alert_states_pkey PRIMARY KEY (tenant_id, rule_id, device_id);

ALTER TABLE ONLY public.alert_watch
    ADD CONSTRAINT alert_watch_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (tenant_id, alert_id);

ALTER TABLE ONLY public.audit_cursors
    ADD CONSTRAINT audit_cursors_pkey PRIMARY KEY (place);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (at, audit_id);

ALTER TABLE ONLY public.audit_log_default
    ADD CONSTRAINT audit_log_default_pkey PRIMARY KEY (at, audit_id);

ALTER TABLE ONLY public.audit_seal_runs
    ADD CONSTRAINT audit_seal_runs_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT audit_seals_pkey PRIMARY KEY (tenant_id, batch);

ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT audit_seals_tenant_id_tree_size_key UNIQUE (tenant_id, tree_size);

ALTER TABLE ONLY public.billing_changes
    ADD CONSTRAINT billing_changes_pkey PRIMARY KEY (tenant_id, version);

ALTER TABLE ONLY public.billing_customers
    ADD CONSTRAINT billing_customers_customer_id_key UNIQUE (customer_id);

ALTER TABLE ONLY public.billing_customers
    ADD CONSTRAINT billing_customers_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY public.billing_entitlements
    ADD CONSTRAINT billing_entitlements_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY public.billing_meter_events
    ADD CONSTRAINT billing_meter_events_pkey PRIMARY KEY (identifier);

ALTER TABLE ONLY public.billing_notices
    ADD CONSTRAINT billing_notices_pkey PRIMARY KEY (tenant_id, notice_key);

ALTER TABLE ONLY public.billing_overrides
    ADD CONSTRAINT billing_overrides_pkey PRIMARY KEY (override_id);

ALTER TABLE ONLY public.billing_plans
    ADD CONSTRAINT billing_plans_pkey PRIMARY KEY (plan_id);

ALTER TABLE ONLY public.billing_reconciliations
    ADD CONSTRAINT billing_reconciliations_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.billing_subscriptions
    ADD CONSTRAINT billing_subscriptions_pkey PRIMARY KEY (subscription_id);

ALTER TABLE ONLY public.billing_usage
    ADD CONSTRAINT billing_usage_pkey PRIMARY KEY (tenant_id, metric, day);

ALTER TABLE ONLY public.broker_denials
    ADD CONSTRAINT broker_denials_pkey PRIMARY KEY (denial_id);

ALTER TABLE ONLY public.certificates
    ADD CONSTRAINT certificates_fingerprint_sha256_key UNIQUE (fingerprint_sha256);

ALTER TABLE ONLY public.certificates
    ADD CONSTRAINT certificates_issuer_id_serial_number_key UNIQUE (issuer_id, serial_number);

ALTER TABLE ONLY public.certificates
    ADD CONSTRAINT certificates_pkey PRIMARY KEY (certificate_id);

ALTER TABLE ONLY public.claim_certificates
    ADD CONSTRAINT claim_certificates_pkey PRIMARY KEY (tenant_id, claim_certificate_id);

ALTER TABLE ONLY public.claim_certificates
    ADD CONSTRAINT claim_certificates_tenant_id_fingerprint_sha256_key UNIQUE (tenant_id, fingerprint_sha256);

ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_pkey PRIMARY KEY (tenant_id, command_id);

ALTER TABLE ONLY public.crl_pending
    ADD CONSTRAINT crl_pending_pkey PRIMARY KEY (pending_id);

ALTER TABLE ONLY public.crl_shards
    ADD CONSTRAINT crl_shards_pkey PRIMARY KEY (issuer_id, shard);

ALTER TABLE ONLY public.delivery_attempts
    ADD CONSTRAINT delivery_attempts_pkey PRIMARY KEY (tenant_id, attempt_id);

ALTER TABLE ONLY public.delivery_dead_letters
    ADD CONSTRAINT delivery_dead_letters_pkey PRIMARY KEY (tenant_id, delivery_id);

ALTER TABLE ONLY public.delivery_held
    ADD CONSTRAINT delivery_held_pkey PRIMARY KEY (tenant_id, route_id, delivery_id);

ALTER TABLE ONLY public.delivery_turns
    ADD CONSTRAINT delivery_turns_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.device_arrivals
    ADD CONSTRAINT device_arrivals_pkey PRIMARY KEY (tenant_id, transfer_id);

ALTER TABLE ONLY public.device_group_members
    ADD CONSTRAINT device_group_members_pkey PRIMARY KEY (tenant_id, group_id, device_id);

ALTER TABLE ONLY public.device_groups
    ADD CONSTRAINT device_groups_pkey PRIMARY KEY (tenant_id, group_id);

ALTER TABLE ONLY public.device_groups
    ADD CONSTRAINT device_groups_tenant_id_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY public.device_import_parts
    ADD CONSTRAINT device_import_parts_pkey PRIMARY KEY (tenant_id, import_id, at_byte);

ALTER TABLE ONLY public.device_import_rows
    ADD CONSTRAINT device_import_rows_pkey PRIMARY KEY (tenant_id, import_id, line);

ALTER TABLE ONLY public.device_imports
    ADD CONSTRAINT device_imports_pkey PRIMARY KEY (tenant_id, import_id);

ALTER TABLE ONLY public.device_last_state
    ADD CONSTRAINT device_last_state_pkey PRIMARY KEY (tenant_id, device_id);

ALTER TABLE ONLY public.device_profiles
    ADD CONSTRAINT device_profiles_pkey PRIMARY KEY (tenant_id, profile_id);

ALTER TABLE ONLY public.device_profiles
    ADD CONSTRAINT device_profiles_tenant_id_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY public.device_rescues
    ADD CONSTRAINT device_rescues_pkey PRIMARY KEY (tenant_id, rescue_id);

ALTER TABLE ONLY public.device_tokens
    ADD CONSTRAINT device_tokens_pkey PRIMARY KEY (token_id);

ALTER TABLE ONLY public.device_tokens
    ADD CONSTRAINT device_tokens_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.device_transfers
    ADD CONSTRAINT device_transfers_pkey PRIMARY KEY (tenant_id, transfer_id);

ALTER TABLE ONLY public.device_trust
    ADD CONSTRAINT device_trust_pkey PRIMARY KEY (tenant_id, device_id);

ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_pkey PRIMARY KEY (device_id);

ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_tenant_id_device_id_key UNIQUE (tenant_id, device_id);

ALTER TABLE ONLY public.enrolment_profiles
    ADD CONSTRAINT enrolment_profiles_pkey PRIMARY KEY (tenant_id, enrolment_profile_id);

ALTER TABLE ONLY public.enrolment_profiles
    ADD CONSTRAINT enrolment_profiles_tenant_id_label_key UNIQUE (tenant_id, label);

ALTER TABLE ONLY public.enrolment_profiles
    ADD CONSTRAINT enrolment_profiles_tenant_id_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY public.enrolment_tokens
    ADD CONSTRAINT enrolment_tokens_pkey PRIMARY KEY (token_id);

ALTER TABLE ONLY public.enrolment_tokens
    ADD CONSTRAINT enrolment_tokens_tenant_id_token_hash_key UNIQUE (tenant_id, token_hash);

ALTER TABLE ONLY public.expiry_warnings
    ADD CONSTRAINT expiry_warnings_pkey PRIMARY KEY (tenant_id, kind, subject_id, days);

ALTER TABLE ONLY public.hardware_ids
    ADD CONSTRAINT hardware_ids_pkey PRIMARY KEY (tenant_id, hardware_id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, actor_id, key_hash);

ALTER TABLE ONLY public.issuers
    ADD CONSTRAINT issuers_fingerprint_sha256_key UNIQUE (fingerprint_sha256);

ALTER TABLE ONLY public.issuers
    ADD CONSTRAINT issuers_pkey PRIMARY KEY (issuer_id);

ALTER TABLE ONLY public.limit_receipts
    ADD CONSTRAINT limit_receipts_pkey PRIMARY KEY (tenant_id, receipt_id);

ALTER TABLE ONLY public.notice_refusals
    ADD CONSTRAINT notice_refusals_pkey PRIMARY KEY (tenant_id, address, topic);

ALTER TABLE ONLY public.notices
    ADD CONSTRAINT notices_pkey PRIMARY KEY (tenant_id, notice_id);

ALTER TABLE ONLY public.notices
    ADD CONSTRAINT notices_tenant_id_topic_notice_key_key UNIQUE (tenant_id, topic, notice_key);

ALTER TABLE ONLY public.operator_grants
    ADD CONSTRAINT operator_grants_pkey PRIMARY KEY (grant_id);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY public.refused_messages
    ADD CONSTRAINT refused_messages_pkey PRIMARY KEY (tenant_id, letter_id);

ALTER TABLE ONLY public.rollovers
    ADD CONSTRAINT rollovers_pkey PRIMARY KEY (rollover_id);

ALTER TABLE ONLY public.root_lists
    ADD CONSTRAINT root_lists_pkey PRIMARY KEY (issuer_id);

ALTER TABLE ONLY public.route_audit_cursors
    ADD CONSTRAINT route_audit_cursors_pkey PRIMARY KEY (tenant_id, route_id);

ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_pkey PRIMARY KEY (tenant_id, route_id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.session_conflicts
    ADD CONSTRAINT session_conflicts_pkey PRIMARY KEY (tenant_id, device_id, serial_number, address, other_address);

ALTER TABLE ONLY public.stripe_events
    ADD CONSTRAINT stripe_events_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY public.telemetry
    ADD CONSTRAINT telemetry_pkey PRIMARY KEY (tenant_id, device_id, ts, message_id);

ALTER TABLE ONLY public.telemetry_default
    ADD CONSTRAINT telemetry_default_pkey PRIMARY KEY (tenant_id, device_id, ts, message_id);

ALTER TABLE ONLY public.tenant_access_policies
    ADD CONSTRAINT tenant_access_policies_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY public.used_logout_tokens
    ADD CONSTRAINT used_logout_tokens_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.web_sessions
    ADD CONSTRAINT web_sessions_pkey PRIMARY KEY (session_hash);

CREATE INDEX alert_rules_absence ON public.alert_rules USING btree (tenant_id, rule_id) WHERE ((kind = 'absence'::text) AND enabled);

CREATE INDEX alert_states_by_device ON public.alert_states USING btree (tenant_id, device_id);

CREATE INDEX alerts_by_time ON public.alerts USING btree (tenant_id, raised_at DESC, alert_id DESC);

CREATE UNIQUE INDEX alerts_open ON public.alerts USING btree (tenant_id, rule_id, device_id) WHERE (cleared_at IS NULL);

CREATE INDEX alerts_untold ON public.alerts USING btree (tenant_id, rule_id) WHERE (told_at IS NULL);

CREATE INDEX audit_log_by_device ON ONLY public.audit_log USING btree (tenant_id, ((details ->> 'device_id'::text)), at DESC) WHERE ((details ->> 'device_id'::text) IS NOT NULL);

CREATE INDEX audit_log_by_object ON ONLY public.audit_log USING btree (tenant_id, object_id, at DESC);

CREATE INDEX audit_log_by_tenant ON ONLY public.audit_log USING btree (tenant_id, at DESC);

CREATE INDEX audit_log_by_transaction ON ONLY public.audit_log USING btree (xid, tenant_id);

CREATE INDEX audit_log_default_tenant_id_at_idx ON public.audit_log_default USING btree (tenant_id, at DESC);

CREATE INDEX audit_log_default_tenant_id_expr_at_idx ON public.audit_log_default USING btree (tenant_id, ((details ->> 'device_id'::text)), at DESC) WHERE ((details ->> 'device_id'::text) IS NOT NULL);

CREATE INDEX audit_log_default_tenant_id_object_id_at_idx ON public.audit_log_default USING btree (tenant_id, object_id, at DESC);

CREATE INDEX audit_log_default_xid_tenant_id_idx ON public.audit_log_default USING btree (xid, tenant_id);

CREATE INDEX audit_seal_runs_by_transaction ON public.audit_seal_runs USING btree (xid_to);

CREATE INDEX audit_seals_by_transaction ON public.audit_seals USING btree (tenant_id, xid_to);

CREATE UNIQUE INDEX audit_seals_in_order ON public.audit_seals USING btree (seal_id);

CREATE INDEX billing_meter_events_by_tenant ON public.billing_meter_events USING btree (tenant_id, day);

CREATE INDEX billing_meter_events_unsent ON public.billing_meter_events USING btree (created_at) WHERE (sent_at IS NULL);

CREATE INDEX billing_overrides_by_tenant ON public.billing_overrides USING btree (tenant_id, limit_name);

CREATE INDEX billing_reconciliations_by_time ON public.billing_reconciliations USING btree (finished_at DESC);

CREATE INDEX billing_subscriptions_by_tenant ON public.billing_subscriptions USING btree (tenant_id, stripe_created_at DESC);

CREATE INDEX broker_denials_by_device ON public.broker_denials USING btree (tenant_id, device_id, at DESC, denial_id DESC);

CREATE INDEX broker_denials_by_time ON public.broker_denials USING btree (at);

CREATE INDEX certificates_by_device ON public.certificates USING btree (tenant_id, device_id, created_at DESC);

CREATE INDEX certificates_by_key ON public.certificates USING btree (public_key_sha256);

CREATE INDEX certificates_by_profile ON public.certificates USING btree (tenant_id, profile, certificate_id);

CREATE INDEX certificates_expiring ON public.certificates USING btree (not_after) WHERE (status = 'valid'::text);

CREATE INDEX certificates_listed ON public.certificates USING btree (issuer_id, crl_shard, serial_number) INCLUDE (not_after, revoked_at, revocation_reason) WHERE (status <> 'valid'::text);

CREATE INDEX certificates_to_check ON public.certificates USING btree (key_checked_at NULLS FIRST) WHERE (status <> 'revoked'::text);

CREATE INDEX certificates_unused ON public.certificates USING btree (created_at) WHERE (renewal AND (first_used_at IS NULL) AND (status = 'valid'::text));

CREATE INDEX certificates_with_weak_keys ON public.certificates USING btree (tenant_id, device_id) WHERE (key_fault IS NOT NULL);

CREATE INDEX commands_by_device ON public.commands USING btree (tenant_id, device_id, created_at DESC, command_id DESC);

CREATE INDEX commands_open ON public.commands USING btree (expires_at) WHERE (state = ANY (ARRAY['asked'::text, 'sent'::text]));

CREATE INDEX crl_pending_by_shard ON public.crl_pending USING btree (issuer_id, shard);

CREATE INDEX delivery_attempts_by_route ON public.delivery_attempts USING btree (tenant_id, route_id, attempted_at DESC, attempt_id DESC);

CREATE INDEX delivery_attempts_by_time ON public.delivery_attempts USING btree (tenant_id, attempted_at DESC, attempt_id DESC);

CREATE INDEX delivery_dead_letters_by_route ON public.delivery_dead_letters USING btree (tenant_id, route_id, died_at);

CREATE INDEX device_arrivals_by_device ON public.device_arrivals USING btree (tenant_id, device_id);

CREATE INDEX device_group_members_by_device ON public.device_group_members USING btree (tenant_id, device_id);

CREATE INDEX device_imports_running ON public.device_imports USING btree (created_at) WHERE (state = 'running'::text);

CREATE UNIQUE INDEX device_rescues_open ON public.device_rescues USING btree (tenant_id, device_id) WHERE (status = 'open'::text);

CREATE INDEX device_tokens_by_device ON public.device_tokens USING btree (tenant_id, device_id, created_at DESC, token_id);

CREATE UNIQUE INDEX device_transfers_open ON public.device_transfers USING btree (tenant_id, device_id) WHERE (status = 'offered'::text);

CREATE INDEX devices_by_age ON public.devices USING btree (tenant_id, created_at, device_id) WHERE (status = 'active'::text);

CREATE INDEX devices_by_profile ON public.devices USING btree (tenant_id, profile_id) WHERE (profile_id IS NOT NULL);

CREATE INDEX devices_by_tenant ON public.devices USING btree (tenant_id, created_at DESC, device_id);

CREATE INDEX enrolment_tokens_by_device ON public.enrolment_tokens USING btree (tenant_id, device_id);

CREATE INDEX hardware_ids_by_device ON public.hardware_ids USING btree (tenant_id, device_id);

CREATE INDEX hardware_ids_by_profile ON public.hardware_ids USING btree (tenant_id, enrolment_profile_id, state, asked_at);

CREATE UNIQUE INDEX hardware_ids_by_secret ON public.hardware_ids USING btree (tenant_id, secret_sha256) WHERE (secret_sha256 IS NOT NULL);

CREATE INDEX idempotency_keys_by_expiry ON public.idempotency_keys USING btree (tenant_id, expires_at);

CREATE UNIQUE INDEX issuers_one_active ON public.issuers USING btree (profile) WHERE (status = 'active'::text);

CREATE INDEX limit_receipts_by_device ON public.limit_receipts USING btree (tenant_id, device_id, until DESC, receipt_id DESC);

CREATE INDEX limit_receipts_by_tenant ON public.limit_receipts USING btree (tenant_id, until DESC, receipt_id DESC);

CREATE INDEX notices_told ON public.notices USING btree (tenant_id, told_at) WHERE (told_at IS NOT NULL);

CREATE INDEX notices_waiting ON public.notices USING btree (tenant_id, raised_at) WHERE (told_at IS NULL);

CREATE INDEX operator_grants_by_tenant ON public.operator_grants USING btree (tenant_id, requested_at DESC);

CREATE INDEX operator_grants_live ON public.operator_grants USING btree (operator_id, ends_at) WHERE (status = 'active'::text);

CREATE INDEX outbox_by_tenant ON public.outbox USING btree (tenant_id, "position");

CREATE INDEX outbox_unsent ON public.outbox USING btree (producer, bulk, "position") WHERE (sent_at IS NULL);

CREATE INDEX refused_messages_by_device ON public.refused_messages USING btree (tenant_id, device_id, received_at DESC, letter_id DESC);

CREATE INDEX refused_messages_by_tenant ON public.refused_messages USING btree (tenant_id, received_at DESC, letter_id DESC);

CREATE UNIQUE INDEX rollovers_one_open ON public.rollovers USING btree (profile) WHERE (state <> ALL (ARRAY['retired'::text, 'cancelled'::text]));

CREATE INDEX session_conflicts_by_time ON public.session_conflicts USING btree (last_at);

CREATE INDEX stripe_events_by_tenant ON public.stripe_events USING btree (home_tenant_id, created_at DESC);

CREATE INDEX stripe_events_by_time ON public.stripe_events USING btree (created_at DESC);

CREATE INDEX used_logout_tokens_by_end ON public.used_logout_tokens USING btree (useless_at);

CREATE INDEX web_sessions_by_expiry ON public.web_sessions USING btree (expires_at);

CREATE UNIQUE INDEX web_sessions_by_id ON public.web_sessions USING btree (session_id);

CREATE INDEX web_sessions_by_oidc_session ON public.web_sessions USING btree (oidc_session_id);

CREATE INDEX web_sessions_by_subject ON public.web_sessions USING btree (subject, last_used_at DESC);

ALTER INDEX public.audit_log_pkey ATTACH PARTITION public.audit_log_default_pkey;

ALTER INDEX public.audit_log_by_tenant ATTACH PARTITION public.audit_log_default_tenant_id_at_idx;

ALTER INDEX public.audit_log_by_device ATTACH PARTITION public.audit_log_default_tenant_id_expr_at_idx;

ALTER INDEX public.audit_log_by_object ATTACH PARTITION public.audit_log_default_tenant_id_object_id_at_idx;

ALTER INDEX public.audit_log_by_transaction ATTACH PARTITION public.audit_log_default_xid_tenant_id_idx;

ALTER INDEX public.telemetry_pkey ATTACH PARTITION public.telemetry_default_pkey;

ALTER TABLE ONLY public.alert_rules
    ADD CONSTRAINT alert_rules_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.alert_states
    ADD CONSTRAINT alert_states_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alert_states
    ADD CONSTRAINT alert_states_tenant_id_rule_id_fkey FOREIGN KEY (tenant_id, rule_id) REFERENCES public.alert_rules(tenant_id, rule_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.billing_changes
    ADD CONSTRAINT billing_changes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.billing_customers
    ADD CONSTRAINT billing_customers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.billing_entitlements
    ADD CONSTRAINT billing_entitlements_plan_id_fkey FOREIGN KEY (plan_id) REFERENCES public.billing_plans(plan_id);

ALTER TABLE ONLY public.billing_entitlements
    ADD CONSTRAINT billing_entitlements_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.billing_meter_events
    ADD CONSTRAINT billing_meter_events_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.billing_notices
    ADD CONSTRAINT billing_notices_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.billing_overrides
    ADD CONSTRAINT billing_overrides_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.billing_subscriptions
    ADD CONSTRAINT billing_subscriptions_plan_id_fkey FOREIGN KEY (plan_id) REFERENCES public.billing_plans(plan_id);

ALTER TABLE ONLY public.billing_subscriptions
    ADD CONSTRAINT billing_subscriptions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.billing_usage
    ADD CONSTRAINT billing_usage_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.broker_denials
    ADD CONSTRAINT broker_denials_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id);

ALTER TABLE ONLY public.certificates
    ADD CONSTRAINT certificates_issuer_id_fkey FOREIGN KEY (issuer_id) REFERENCES public.issuers(issuer_id);

ALTER TABLE ONLY public.certificates
    ADD CONSTRAINT certificates_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id);

ALTER TABLE ONLY public.claim_certificates
    ADD CONSTRAINT claim_certificates_tenant_id_enrolment_profile_id_fkey FOREIGN KEY (tenant_id, enrolment_profile_id) REFERENCES public.enrolment_profiles(tenant_id, enrolment_profile_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id);

ALTER TABLE ONLY public.crl_pending
    ADD CONSTRAINT crl_pending_issuer_id_fkey FOREIGN KEY (issuer_id) REFERENCES public.issuers(issuer_id);

ALTER TABLE ONLY public.crl_shards
    ADD CONSTRAINT crl_shards_issuer_id_fkey FOREIGN KEY (issuer_id) REFERENCES public.issuers(issuer_id);

ALTER TABLE ONLY public.delivery_attempts
    ADD CONSTRAINT delivery_attempts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.delivery_attempts
    ADD CONSTRAINT delivery_attempts_tenant_id_route_id_fkey FOREIGN KEY (tenant_id, route_id) REFERENCES public.routes(tenant_id, route_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.delivery_dead_letters
    ADD CONSTRAINT delivery_dead_letters_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.delivery_dead_letters
    ADD CONSTRAINT delivery_dead_letters_tenant_id_route_id_fkey FOREIGN KEY (tenant_id, route_id) REFERENCES public.routes(tenant_id, route_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.delivery_held
    ADD CONSTRAINT delivery_held_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.delivery_held
    ADD CONSTRAINT delivery_held_tenant_id_route_id_fkey FOREIGN KEY (tenant_id, route_id) REFERENCES public.routes(tenant_id, route_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.device_arrivals
    ADD CONSTRAINT device_arrivals_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.device_group_members
    ADD CONSTRAINT device_group_members_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.device_group_members
    ADD CONSTRAINT device_group_members_tenant_id_group_id_fkey FOREIGN KEY (tenant_id, group_id) REFERENCES public.device_groups(tenant_id, group_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.device_groups
    ADD CONSTRAINT device_groups_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.device_import_parts
    ADD CONSTRAINT device_import_parts_tenant_id_import_id_fkey FOREIGN KEY (tenant_id, import_id) REFERENCES public.device_imports(tenant_id, import_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.device_import_rows
    ADD CONSTRAINT device_import_rows_tenant_id_import_id_fkey FOREIGN KEY (tenant_id, import_id) REFERENCES public.device_imports(tenant_id, import_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.device_imports
    ADD CONSTRAINT device_imports_tenant_id_enrolment_profile_id_fkey FOREIGN KEY (tenant_id, enrolment_profile_id) REFERENCES public.enrolment_profiles(tenant_id, enrolment_profile_id);

ALTER TABLE ONLY public.device_imports
    ADD CONSTRAINT device_imports_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.device_last_state
    ADD CONSTRAINT device_last_state_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id);

ALTER TABLE ONLY public.device_profiles
    ADD CONSTRAINT device_profiles_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.device_rescues
    ADD CONSTRAINT device_rescues_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.device_tokens
    ADD CONSTRAINT device_tokens_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id);

ALTER TABLE ONLY public.device_transfers
    ADD CONSTRAINT device_transfers_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.device_trust
    ADD CONSTRAINT device_trust_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_tenant_id_profile_id_fkey FOREIGN KEY (tenant_id, profile_id) REFERENCES public.device_profiles(tenant_id, profile_id) ON DELETE SET NULL (profile_id);

ALTER TABLE ONLY public.enrolment_profiles
    ADD CONSTRAINT enrolment_profiles_tenant_id_device_profile_id_fkey FOREIGN KEY (tenant_id, device_profile_id) REFERENCES public.device_profiles(tenant_id, profile_id);

ALTER TABLE ONLY public.enrolment_profiles
    ADD CONSTRAINT enrolment_profiles_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.enrolment_tokens
    ADD CONSTRAINT enrolment_tokens_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id);

ALTER TABLE ONLY public.hardware_ids
    ADD CONSTRAINT hardware_ids_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.hardware_ids
    ADD CONSTRAINT hardware_ids_tenant_id_enrolment_profile_id_fkey FOREIGN KEY (tenant_id, enrolment_profile_id) REFERENCES public.enrolment_profiles(tenant_id, enrolment_profile_id);

ALTER TABLE ONLY public.hardware_ids
    ADD CONSTRAINT hardware_ids_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.operator_grants
    ADD CONSTRAINT operator_grants_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.rollovers
    ADD CONSTRAINT rollovers_new_issuer_id_fkey FOREIGN KEY (new_issuer_id) REFERENCES public.issuers(issuer_id);

ALTER TABLE ONLY public.rollovers
    ADD CONSTRAINT rollovers_old_issuer_id_fkey FOREIGN KEY (old_issuer_id) REFERENCES public.issuers(issuer_id);

ALTER TABLE ONLY public.root_lists
    ADD CONSTRAINT root_lists_issuer_id_fkey FOREIGN KEY (issuer_id) REFERENCES public.issuers(issuer_id);

ALTER TABLE ONLY public.route_audit_cursors
    ADD CONSTRAINT route_audit_cursors_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.route_audit_cursors
    ADD CONSTRAINT route_audit_cursors_tenant_id_route_id_fkey FOREIGN KEY (tenant_id, route_id) REFERENCES public.routes(tenant_id, route_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE ONLY public.session_conflicts
    ADD CONSTRAINT session_conflicts_tenant_id_device_id_fkey FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices(tenant_id, device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.tenant_access_policies
    ADD CONSTRAINT tenant_access_policies_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);

ALTER TABLE public.alert_rules ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.alert_states ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.alert_watch ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.alerts ENABLE ROW LEVEL SECURITY;

CREATE POLICY audit_append ON public.audit_log FOR INSERT TO pulse_audit WITH CHECK (true);

ALTER TABLE public.audit_cursors ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.audit_log_default ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.audit_seal_runs ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.audit_seals ENABLE ROW LEVEL SECURITY;

CREATE POLICY authz_age ON public.broker_denials FOR SELECT TO pulse_authz USING (true);

CREATE POLICY authz_confirm ON public.certificates FOR UPDATE TO pulse_authz USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY authz_confirm ON public.device_tokens FOR UPDATE TO pulse_authz USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY authz_event ON public.outbox FOR INSERT TO pulse_authz WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY authz_forget ON public.broker_denials FOR DELETE TO pulse_authz USING (true);

CREATE POLICY authz_note ON public.broker_denials FOR INSERT TO pulse_authz WITH CHECK (true);

CREATE POLICY authz_note ON public.session_conflicts TO pulse_authz USING (true) WITH CHECK (true);

CREATE POLICY authz_read ON public.billing_entitlements FOR SELECT TO pulse_authz USING (true);

CREATE POLICY authz_read ON public.certificates FOR SELECT TO pulse_authz USING (true);

CREATE POLICY authz_read ON public.device_profiles FOR SELECT TO pulse_authz USING (true);

CREATE POLICY authz_read ON public.device_tokens FOR SELECT TO pulse_authz USING (true);

CREATE POLICY authz_read ON public.devices FOR SELECT TO pulse_authz USING (true);

CREATE POLICY authz_read ON public.issuers FOR SELECT TO pulse_authz USING (true);

CREATE POLICY authz_read ON public.tenants FOR SELECT TO pulse_authz USING (true);

CREATE POLICY authz_record ON public.audit_log FOR INSERT TO pulse_authz WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

ALTER TABLE public.billing_changes ENABLE ROW LEVEL SECURITY;

CREATE POLICY billing_count ON public.device_last_state FOR SELECT TO pulse_billing USING (true);

CREATE POLICY billing_count ON public.telemetry FOR SELECT TO pulse_billing USING (true);

ALTER TABLE public.billing_customers ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.billing_entitlements ENABLE ROW LEVEL SECURITY;

CREATE POLICY billing_event ON public.outbox FOR INSERT TO pulse_billing WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

ALTER TABLE public.billing_meter_events ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.billing_notices ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.billing_overrides ENABLE ROW LEVEL SECURITY;

CREATE POLICY billing_own ON public.billing_changes TO pulse_billing USING (true) WITH CHECK (true);

CREATE POLICY billing_own ON public.billing_customers TO pulse_billing USING (true) WITH CHECK (true);

CREATE POLICY billing_own ON public.billing_entitlements TO pulse_billing USING (true) WITH CHECK (true);

CREATE POLICY billing_own ON public.billing_meter_events TO pulse_billing USING (true) WITH CHECK (true);

CREATE POLICY billing_own ON public.billing_notices TO pulse_billing USING (true) WITH CHECK (true);

CREATE POLICY billing_own ON public.billing_overrides TO pulse_billing USING (true) WITH CHECK (true);

CREATE POLICY billing_own ON public.billing_plans TO pulse_billing USING (true) WITH CHECK (true);

CREATE POLICY billing_own ON public.billing_reconciliations TO pulse_billing USING (true) WITH CHECK (true);

CREATE POLICY billing_own ON public.billing_subscriptions TO pulse_billing USING (true) WITH CHECK (true);

CREATE POLICY billing_own ON public.billing_usage TO pulse_billing USING (true) WITH CHECK (true);

CREATE POLICY billing_own ON public.stripe_events TO pulse_billing USING (true) WITH CHECK (true);

ALTER TABLE public.billing_plans ENABLE ROW LEVEL SECURITY;

CREATE POLICY billing_read ON public.devices FOR SELECT TO pulse_billing USING (true);

CREATE POLICY billing_read ON public.tenants FOR SELECT TO pulse_billing USING (true);

ALTER TABLE public.billing_reconciliations ENABLE ROW LEVEL SECURITY;

CREATE POLICY billing_record ON public.audit_log FOR INSERT TO pulse_billing WITH CHECK ((tenant_id = COALESCE((NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid, '00000000-0000-0000-0000-000000000000'::uuid)));

ALTER TABLE public.billing_subscriptions ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.billing_usage ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.broker_denials ENABLE ROW LEVEL SECURITY;

CREATE POLICY ca_change ON public.device_trust FOR UPDATE TO pulse_ca USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ca_disable ON public.devices FOR UPDATE TO pulse_ca USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ca_event ON public.outbox FOR INSERT TO pulse_ca WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ca_issue ON public.certificates FOR INSERT TO pulse_ca WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ca_note ON public.device_trust FOR INSERT TO pulse_ca WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ca_own ON public.crl_pending TO pulse_ca USING (true) WITH CHECK (true);

CREATE POLICY ca_own ON public.crl_shards TO pulse_ca USING (true) WITH CHECK (true);

CREATE POLICY ca_own ON public.issuers TO pulse_ca USING (true) WITH CHECK (true);

CREATE POLICY ca_own ON public.rollovers TO pulse_ca USING (true) WITH CHECK (true);

CREATE POLICY ca_own ON public.root_lists TO pulse_ca USING (true) WITH CHECK (true);

CREATE POLICY ca_read ON public.certificates FOR SELECT TO pulse_ca USING (true);

CREATE POLICY ca_read ON public.device_trust FOR SELECT TO pulse_ca USING (true);

CREATE POLICY ca_read ON public.devices FOR SELECT TO pulse_ca USING (true);

CREATE POLICY ca_read ON public.expiry_warnings FOR SELECT TO pulse_ca USING (true);

CREATE POLICY ca_read ON public.tenants FOR SELECT TO pulse_ca USING (true);

CREATE POLICY ca_record ON public.audit_log FOR INSERT TO pulse_ca WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ca_revoke ON public.certificates FOR UPDATE TO pulse_ca USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ca_warn ON public.expiry_warnings FOR INSERT TO pulse_ca WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

ALTER TABLE public.certificates ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.claim_certificates ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.commands ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.crl_pending ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.crl_shards ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.delivery_attempts ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.delivery_dead_letters ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.delivery_held ENABLE ROW LEVEL SECURITY;

CREATE POLICY delivery_lanes ON public.delivery_held FOR SELECT TO pulse_delivery USING (true);

CREATE POLICY delivery_tenants ON public.routes FOR SELECT TO pulse_delivery USING (true);

CREATE POLICY delivery_turn ON public.delivery_turns TO pulse_delivery USING (true) WITH CHECK (true);

ALTER TABLE public.delivery_turns ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_arrivals ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_group_members ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_groups ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_import_parts ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_import_rows ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_imports ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_last_state ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_profiles ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_rescues ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_transfers ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.device_trust ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.devices ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.enrolment_profiles ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.enrolment_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.expiry_warnings ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.hardware_ids ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.idempotency_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY ingest_add ON public.billing_usage FOR UPDATE TO pulse_ingest USING ((metric = 'messages'::text)) WITH CHECK ((metric = 'messages'::text));

CREATE POLICY ingest_count ON public.billing_usage FOR INSERT TO pulse_ingest WITH CHECK ((metric = 'messages'::text));

CREATE POLICY ingest_delete ON public.alert_rules FOR DELETE TO pulse_ingest USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ingest_delete ON public.alerts FOR DELETE TO pulse_ingest USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ingest_event ON public.outbox FOR INSERT TO pulse_ingest WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ingest_insert ON public.alert_rules FOR INSERT TO pulse_ingest WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ingest_insert ON public.alerts FOR INSERT TO pulse_ingest WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ingest_own ON public.alert_states TO pulse_ingest USING (true) WITH CHECK (true);

CREATE POLICY ingest_own ON public.alert_watch TO pulse_ingest USING (true) WITH CHECK (true);

CREATE POLICY ingest_own ON public.commands TO pulse_ingest USING (true) WITH CHECK (true);

CREATE POLICY ingest_own ON public.limit_receipts TO pulse_ingest USING (true) WITH CHECK (true);

CREATE POLICY ingest_own ON public.refused_messages TO pulse_ingest USING (true) WITH CHECK (true);

CREATE POLICY ingest_read ON public.alert_rules FOR SELECT TO pulse_ingest USING (true);

CREATE POLICY ingest_read ON public.alerts FOR SELECT TO pulse_ingest USING (true);

CREATE POLICY ingest_read ON public.billing_entitlements FOR SELECT TO pulse_ingest USING (true);

CREATE POLICY ingest_read ON public.billing_usage FOR SELECT TO pulse_ingest USING (true);

CREATE POLICY ingest_read ON public.device_group_members FOR SELECT TO pulse_ingest USING (true);

CREATE POLICY ingest_read ON public.device_profiles FOR SELECT TO pulse_ingest USING (true);

CREATE POLICY ingest_read ON public.devices FOR SELECT TO pulse_ingest USING (true);

CREATE POLICY ingest_record ON public.audit_log FOR INSERT TO pulse_ingest WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ingest_update ON public.alert_rules FOR UPDATE TO pulse_ingest USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ingest_update ON public.alerts FOR UPDATE TO pulse_ingest USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY ingest_write ON public.device_last_state TO pulse_ingest USING (true) WITH CHECK (true);

CREATE POLICY ingest_write ON public.telemetry TO pulse_ingest USING (true) WITH CHECK (true);

ALTER TABLE public.issuers ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.limit_receipts ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.notice_refusals ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.notices ENABLE ROW LEVEL SECURITY;

CREATE POLICY notices_mail ON public.notices TO pulse_notices USING (true) WITH CHECK (true);

CREATE POLICY operator_ask ON public.operator_grants FOR INSERT TO pulse_operator_write WITH CHECK (((status = 'requested'::text) AND (operator_id = NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text))));

CREATE POLICY operator_ask ON public.tenant_access_policies FOR SELECT TO pulse_operator_data USING (true);

CREATE POLICY operator_break_glass ON public.operator_grants FOR UPDATE TO pulse_operator_write USING (((kind = 'break_glass'::text) AND (status = 'requested'::text) AND (operator_id <> NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text)))) WITH CHECK (((status = 'active'::text) AND (decided_by = NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text)) AND (begins_at >= (now() - '00:01:00'::interval)) AND (ends_at <= (now() + '04:00:00'::interval))));

CREATE POLICY operator_data_record ON public.audit_log FOR INSERT TO pulse_operator_data WITH CHECK (((actor_kind = 'operator'::text) AND (actor_id = NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text))));

CREATE POLICY operator_event ON public.outbox FOR INSERT TO pulse_operator_write WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY operator_granted ON public.alert_rules FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.alert_states FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.telemetry_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('telemetry'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.alerts FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.telemetry_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('telemetry'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.certificates FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.claim_certificates FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.commands FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.telemetry_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('telemetry'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.delivery_attempts FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.delivery_dead_letters FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.telemetry_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('telemetry'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_arrivals FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_group_members FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_groups FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_import_rows FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_imports FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_last_state FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.telemetry_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('telemetry'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_profiles FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_rescues FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_tokens FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.secrets_need_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('secrets'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_transfers FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.device_trust FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.devices FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.enrolment_profiles FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.enrolment_tokens FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.secrets_need_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('secrets'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.expiry_warnings FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.hardware_ids FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.limit_receipts FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.telemetry_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('telemetry'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.notice_refusals FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.notices FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.telemetry_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('telemetry'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.refused_messages FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.telemetry_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('telemetry'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.routes FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((NOT (tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE p.metadata_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('metadata'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

CREATE POLICY operator_granted ON public.telemetry FOR SELECT TO pulse_operator_data USING (((NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text) IS NOT NULL) AND ((tenant_id IN ( SELECT p.tenant_id
   FROM public.tenant_access_policies p
  WHERE (NOT p.telemetry_needs_approval))) OR (tenant_id IN ( SELECT g.tenant_id
   FROM public.operator_grants g
  WHERE ((g.operator_id = ( SELECT current_setting('app.operator'::text, true) AS current_setting)) AND (g.status = 'active'::text) AND ('telemetry'::text = ANY (g.scopes)) AND (now() >= g.begins_at) AND (now() < g.ends_at)))))));

ALTER TABLE public.operator_grants ENABLE ROW LEVEL SECURITY;

CREATE POLICY operator_own ON public.operator_grants FOR SELECT TO pulse_operator_data USING ((operator_id = NULLIF(( SELECT current_setting('app.operator'::text, true) AS current_setting), ''::text)));

CREATE POLICY operator_read ON public.tenants FOR SELECT TO pulse_operator_data USING (true);

CREATE POLICY operator_record ON public.audit_log FOR INSERT TO pulse_operator_write WITH CHECK (true);

CREATE POLICY operator_see ON public.operator_grants FOR SELECT TO pulse_operator_write USING (true);

CREATE POLICY operator_see ON public.tenant_access_policies FOR SELECT TO pulse_operator_write USING (true);

CREATE POLICY operator_write ON public.tenants TO pulse_operator_write USING (true) WITH CHECK ((status <> 'deleted'::text));

ALTER TABLE public.outbox ENABLE ROW LEVEL SECURITY;

CREATE POLICY owner_buries ON public.audit_log FOR INSERT TO pulse_owner WITH CHECK ((action = 'audit.expire'::text));

CREATE POLICY owner_moves ON public.audit_log_default TO pulse_owner USING (true) WITH CHECK (true);

CREATE POLICY owner_moves ON public.telemetry_default TO pulse_owner USING (true) WITH CHECK (true);

CREATE POLICY owner_reads ON public.audit_seal_runs FOR SELECT TO pulse_owner USING (true);

CREATE POLICY owner_reads ON public.audit_seals FOR SELECT TO pulse_owner USING (true);

CREATE POLICY provision_create ON public.tenants TO pulse_provision USING (true) WITH CHECK (true);

CREATE POLICY provision_event ON public.outbox FOR INSERT TO pulse_provision WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY provision_find ON public.device_imports FOR SELECT TO pulse_provision USING ((state = 'running'::text));

CREATE POLICY provision_record ON public.audit_log FOR INSERT TO pulse_provision WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

ALTER TABLE public.refused_messages ENABLE ROW LEVEL SECURITY;

CREATE POLICY relay_own ON public.outbox TO pulse_outbox USING ((producer = SESSION_USER)) WITH CHECK ((producer = SESSION_USER));

ALTER TABLE public.rollovers ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.root_lists ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.route_audit_cursors ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.routes ENABLE ROW LEVEL SECURITY;

CREATE POLICY seal_add ON public.audit_seal_runs FOR INSERT TO pulse_seal WITH CHECK (true);

CREATE POLICY seal_add ON public.audit_seals FOR INSERT TO pulse_seal WITH CHECK (true);

CREATE POLICY seal_own ON public.audit_cursors TO pulse_seal USING (true) WITH CHECK (true);

CREATE POLICY seal_read ON public.audit_log FOR SELECT TO pulse_seal USING (true);

CREATE POLICY seal_read ON public.audit_seal_runs FOR SELECT TO pulse_seal USING (true);

CREATE POLICY seal_read ON public.audit_seals FOR SELECT TO pulse_seal USING (true);

ALTER TABLE public.session_conflicts ENABLE ROW LEVEL SECURITY;

CREATE POLICY sessions_own ON public.used_logout_tokens TO pulse_sessions USING (true) WITH CHECK (true);

CREATE POLICY sessions_own ON public.web_sessions TO pulse_sessions USING (true) WITH CHECK (true);

CREATE POLICY sessions_record ON public.audit_log FOR INSERT TO pulse_sessions WITH CHECK (true);

ALTER TABLE public.stripe_events ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.telemetry ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.telemetry_default ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.tenant_access_policies ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON public.alert_rules TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.alert_states TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.alerts TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.audit_log TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.audit_log_default TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.audit_seals TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.billing_changes TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.billing_customers TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.billing_entitlements TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.billing_meter_events TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.billing_notices TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.billing_overrides TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.billing_subscriptions TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.billing_usage TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.broker_denials TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.certificates TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.claim_certificates TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.commands TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.delivery_attempts TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.delivery_dead_letters TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.delivery_held TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_arrivals TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_group_members TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_groups TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_import_parts TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_import_rows TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_imports TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_last_state TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_profiles TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_rescues TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_tokens TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_transfers TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.device_trust TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.devices TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.enrolment_profiles TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.enrolment_tokens TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.expiry_warnings TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.hardware_ids TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.idempotency_keys TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.limit_receipts TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.notice_refusals TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.notices TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.operator_grants TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.outbox TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.refused_messages TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.route_audit_cursors TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.routes TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.session_conflicts TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.telemetry TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.telemetry_default TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.tenant_access_policies TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

CREATE POLICY tenant_isolation ON public.tenants TO pulse_app USING ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid));

ALTER TABLE public.tenants ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.used_logout_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.web_sessions ENABLE ROW LEVEL SECURITY;

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO pulse_owner;
GRANT USAGE ON SCHEMA public TO pulse_app;
GRANT USAGE ON SCHEMA public TO pulse_operator_read;
GRANT USAGE ON SCHEMA public TO pulse_operator_data;
GRANT USAGE ON SCHEMA public TO pulse_operator_write;
GRANT USAGE ON SCHEMA public TO pulse_authz;
GRANT USAGE ON SCHEMA public TO pulse_ingest;
GRANT USAGE ON SCHEMA public TO pulse_audit;
GRANT USAGE ON SCHEMA public TO pulse_ca;
GRANT USAGE ON SCHEMA public TO pulse_provision;
GRANT USAGE ON SCHEMA public TO pulse_outbox;
GRANT USAGE ON SCHEMA public TO pulse_sessions;
GRANT USAGE ON SCHEMA public TO pulse_seal;
GRANT USAGE ON SCHEMA public TO pulse_billing;
GRANT USAGE ON SCHEMA public TO pulse_delivery;
GRANT USAGE ON SCHEMA public TO pulse_notices;
GRANT USAGE ON SCHEMA public TO svc_ui_iot;
GRANT USAGE ON SCHEMA public TO svc_ui_iot_operator;
GRANT USAGE ON SCHEMA public TO svc_provision_api;
GRANT USAGE ON SCHEMA public TO svc_cert_worker;
GRANT USAGE ON SCHEMA public TO svc_mqtt_authz;
GRANT USAGE ON SCHEMA public TO svc_billing_webhooks;
GRANT USAGE ON SCHEMA public TO svc_ingest_worker;
GRANT USAGE ON SCHEMA public TO svc_delivery_worker;

REVOKE ALL ON FUNCTION public.carry_transfer(wanted uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.carry_transfer(wanted uuid) TO pulse_app;

REVOKE ALL ON FUNCTION public.claim_stripe_event(event_id text, event_type text, livemode boolean, created_at timestamp with time zone, object_id text, customer_id text, tenant_id uuid, source text, subscription_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_stripe_event(event_id text, event_type text, livemode boolean, created_at timestamp with time zone, object_id text, customer_id text, tenant_id uuid, source text, subscription_id text) TO pulse_billing;

REVOKE ALL ON FUNCTION public.drop_audit_month(month date) FROM PUBLIC;
GRANT ALL ON FUNCTION public.drop_audit_month(month date) TO pulse_seal;

REVOKE ALL ON FUNCTION public.drop_empty_telemetry_day(day date) FROM PUBLIC;
GRANT ALL ON FUNCTION public.drop_empty_telemetry_day(day date) TO pulse_ingest;

REVOKE ALL ON FUNCTION public.ensure_audit_partitions(months_ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ensure_audit_partitions(months_ahead integer) TO pulse_seal;

REVOKE ALL ON FUNCTION public.ensure_telemetry_partitions(days_ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ensure_telemetry_partitions(days_ahead integer) TO pulse_ingest;

REVOKE ALL ON FUNCTION public.purge_tenant(target uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.purge_tenant(target uuid) TO pulse_operator_write;

GRANT SELECT ON TABLE public.alert_rules TO pulse_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alert_rules TO pulse_ingest;
GRANT SELECT ON TABLE public.alert_rules TO pulse_operator_data;

GRANT SELECT ON TABLE public.alert_states TO pulse_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alert_states TO pulse_ingest;
GRANT SELECT ON TABLE public.alert_states TO pulse_operator_data;

GRANT SELECT,INSERT,UPDATE ON TABLE public.alert_watch TO pulse_ingest;

GRANT SELECT ON TABLE public.alerts TO pulse_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alerts TO pulse_ingest;
GRANT SELECT ON TABLE public.alerts TO pulse_operator_data;

GRANT SELECT,INSERT ON TABLE public.audit_cursors TO pulse_seal;
GRANT SELECT ON TABLE public.audit_cursors TO pulse_operator_read;

GRANT UPDATE(seal_id) ON TABLE public.audit_cursors TO pulse_seal;

GRANT SELECT ON TABLE public.audit_log TO pulse_app;
GRANT SELECT ON TABLE public.audit_log TO pulse_operator_read;
GRANT SELECT ON TABLE public.audit_log TO pulse_seal;

GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(tenant_id) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(audit_id) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(at) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(at) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(at) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(at) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(at) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(at) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(at) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(at) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(at) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(at) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(at) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(actor_kind) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(actor_id) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(action) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(action) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(action) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(action) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(action) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(action) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(action) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(action) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(action) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(action) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(action) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(object_kind) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(object_id) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(outcome) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(reason) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(address) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(address) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(address) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(address) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(address) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(address) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(address) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(address) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(address) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(address) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(address) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(user_agent) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(request_id) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(before) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(before) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(before) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(before) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(before) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(before) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(before) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(before) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(before) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(before) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(before) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(after) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(after) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(after) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(after) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(after) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(after) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(after) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(after) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(after) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(after) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(after) ON TABLE public.audit_log TO pulse_sessions;

GRANT INSERT(details) ON TABLE public.audit_log TO pulse_app;
GRANT INSERT(details) ON TABLE public.audit_log TO pulse_audit;
GRANT INSERT(details) ON TABLE public.audit_log TO pulse_authz;
GRANT INSERT(details) ON TABLE public.audit_log TO pulse_billing;
GRANT INSERT(details) ON TABLE public.audit_log TO pulse_ca;
GRANT INSERT(details) ON TABLE public.audit_log TO pulse_ingest;
GRANT INSERT(details) ON TABLE public.audit_log TO pulse_operator_data;
GRANT INSERT(details) ON TABLE public.audit_log TO pulse_operator_read;
GRANT INSERT(details) ON TABLE public.audit_log TO pulse_operator_write;
GRANT INSERT(details) ON TABLE public.audit_log TO pulse_provision;
GRANT INSERT(details) ON TABLE public.audit_log TO pulse_sessions;

GRANT SELECT ON TABLE public.audit_seal_runs TO pulse_operator_read;
GRANT SELECT,INSERT ON TABLE public.audit_seal_runs TO pulse_seal;

GRANT SELECT ON TABLE public.audit_seals TO pulse_app;
GRANT SELECT ON TABLE public.audit_seals TO pulse_operator_read;
GRANT SELECT,INSERT ON TABLE public.audit_seals TO pulse_seal;

GRANT SELECT,INSERT ON TABLE public.billing_changes TO pulse_billing;
GRANT SELECT ON TABLE public.billing_changes TO pulse_app;
GRANT SELECT ON TABLE public.billing_changes TO pulse_operator_read;

GRANT SELECT,INSERT,UPDATE ON TABLE public.billing_customers TO pulse_billing;
GRANT SELECT ON TABLE public.billing_customers TO pulse_app;
GRANT SELECT ON TABLE public.billing_customers TO pulse_operator_read;

GRANT SELECT,INSERT,UPDATE ON TABLE public.billing_entitlements TO pulse_billing;
GRANT SELECT ON TABLE public.billing_entitlements TO pulse_app;
GRANT SELECT ON TABLE public.billing_entitlements TO pulse_ingest;
GRANT SELECT ON TABLE public.billing_entitlements TO pulse_operator_read;

GRANT SELECT(tenant_id) ON TABLE public.billing_entitlements TO pulse_authz;

GRANT SELECT(devices) ON TABLE public.billing_entitlements TO pulse_authz;

GRANT SELECT(applied_at) ON TABLE public.billing_entitlements TO pulse_authz;

GRANT SELECT,INSERT,UPDATE ON TABLE public.billing_meter_events TO pulse_billing;

GRANT SELECT(tenant_id) ON TABLE public.billing_meter_events TO pulse_operator_read;

GRANT SELECT(identifier) ON TABLE public.billing_meter_events TO pulse_operator_read;

GRANT SELECT(created_at) ON TABLE public.billing_meter_events TO pulse_operator_read;

GRANT SELECT(sent_at) ON TABLE public.billing_meter_events TO pulse_operator_read;

GRANT SELECT,INSERT ON TABLE public.billing_notices TO pulse_billing;
GRANT SELECT ON TABLE public.billing_notices TO pulse_app;
GRANT SELECT ON TABLE public.billing_notices TO pulse_operator_read;

GRANT SELECT,INSERT,UPDATE ON TABLE public.billing_overrides TO pulse_billing;
GRANT SELECT ON TABLE public.billing_overrides TO pulse_app;
GRANT SELECT ON TABLE public.billing_overrides TO pulse_operator_read;

GRANT SELECT ON TABLE public.billing_plans TO pulse_billing;

GRANT SELECT,INSERT ON TABLE public.billing_reconciliations TO pulse_billing;
GRANT SELECT ON TABLE public.billing_reconciliations TO pulse_operator_read;

GRANT SELECT,INSERT,UPDATE ON TABLE public.billing_subscriptions TO pulse_billing;
GRANT SELECT ON TABLE public.billing_subscriptions TO pulse_app;
GRANT SELECT ON TABLE public.billing_subscriptions TO pulse_operator_read;

GRANT SELECT,INSERT,UPDATE ON TABLE public.billing_usage TO pulse_billing;
GRANT SELECT ON TABLE public.billing_usage TO pulse_app;
GRANT SELECT ON TABLE public.billing_usage TO pulse_operator_read;

GRANT SELECT(tenant_id),INSERT(tenant_id) ON TABLE public.billing_usage TO pulse_ingest;

GRANT SELECT(metric),INSERT(metric) ON TABLE public.billing_usage TO pulse_ingest;

GRANT SELECT(day),INSERT(day) ON TABLE public.billing_usage TO pulse_ingest;

GRANT SELECT(amount),INSERT(amount),UPDATE(amount) ON TABLE public.billing_usage TO pulse_ingest;

GRANT SELECT ON TABLE public.broker_denials TO pulse_app;
GRANT SELECT ON TABLE public.broker_denials TO pulse_operator_read;
GRANT INSERT,DELETE ON TABLE public.broker_denials TO pulse_authz;

GRANT SELECT(at) ON TABLE public.broker_denials TO pulse_authz;

GRANT SELECT ON TABLE public.certificates TO pulse_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.certificates TO pulse_ca;
GRANT SELECT ON TABLE public.certificates TO pulse_operator_data;

GRANT SELECT(tenant_id) ON TABLE public.certificates TO pulse_authz;
GRANT SELECT(tenant_id) ON TABLE public.certificates TO pulse_operator_read;

GRANT SELECT(certificate_id) ON TABLE public.certificates TO pulse_authz;
GRANT SELECT(certificate_id) ON TABLE public.certificates TO pulse_operator_read;

GRANT SELECT(device_id) ON TABLE public.certificates TO pulse_authz;
GRANT SELECT(device_id) ON TABLE public.certificates TO pulse_operator_read;

GRANT SELECT(issuer_id) ON TABLE public.certificates TO pulse_authz;
GRANT SELECT(issuer_id) ON TABLE public.certificates TO pulse_operator_read;

GRANT SELECT(serial_number) ON TABLE public.certificates TO pulse_authz;

GRANT SELECT(fingerprint_sha256) ON TABLE public.certificates TO pulse_authz;

GRANT SELECT(not_before) ON TABLE public.certificates TO pulse_authz;
GRANT SELECT(not_before) ON TABLE public.certificates TO pulse_operator_read;

GRANT SELECT(not_after) ON TABLE public.certificates TO pulse_authz;
GRANT SELECT(not_after) ON TABLE public.certificates TO pulse_operator_read;

GRANT SELECT(status) ON TABLE public.certificates TO pulse_authz;
GRANT SELECT(status) ON TABLE public.certificates TO pulse_operator_read;

GRANT SELECT(revoked_at) ON TABLE public.certificates TO pulse_authz;
GRANT SELECT(revoked_at) ON TABLE public.certificates TO pulse_operator_read;

GRANT SELECT(session_cut_at),UPDATE(session_cut_at) ON TABLE public.certificates TO pulse_authz;
GRANT SELECT(session_cut_at) ON TABLE public.certificates TO pulse_operator_read;

GRANT SELECT(created_at) ON TABLE public.certificates TO pulse_operator_read;

GRANT SELECT(renewal) ON TABLE public.certificates TO pulse_authz;

GRANT SELECT(first_used_at) ON TABLE public.certificates TO pulse_authz;

GRANT SELECT,INSERT ON TABLE public.claim_certificates TO pulse_app;
GRANT SELECT ON TABLE public.claim_certificates TO pulse_operator_data;

GRANT UPDATE(revoked_at) ON TABLE public.claim_certificates TO pulse_app;

GRANT UPDATE(uses) ON TABLE public.claim_certificates TO pulse_app;

GRANT UPDATE(last_used_at) ON TABLE public.claim_certificates TO pulse_app;

GRANT SELECT ON TABLE public.commands TO pulse_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.commands TO pulse_ingest;
GRANT SELECT ON TABLE public.commands TO pulse_operator_data;

GRANT SELECT,INSERT,DELETE ON TABLE public.crl_pending TO pulse_ca;
GRANT SELECT ON TABLE public.crl_pending TO pulse_operator_read;

GRANT SELECT,INSERT ON TABLE public.crl_shards TO pulse_ca;

GRANT SELECT(issuer_id) ON TABLE public.crl_shards TO pulse_operator_read;

GRANT SELECT(shard) ON TABLE public.crl_shards TO pulse_operator_read;

GRANT UPDATE(number) ON TABLE public.crl_shards TO pulse_ca;
GRANT SELECT(number) ON TABLE public.crl_shards TO pulse_operator_read;

GRANT UPDATE(this_update) ON TABLE public.crl_shards TO pulse_ca;
GRANT SELECT(this_update) ON TABLE public.crl_shards TO pulse_operator_read;

GRANT UPDATE(der) ON TABLE public.crl_shards TO pulse_ca;

GRANT UPDATE(probed_at) ON TABLE public.crl_shards TO pulse_ca;
GRANT SELECT(probed_at) ON TABLE public.crl_shards TO pulse_operator_read;

GRANT UPDATE(probe_outcome) ON TABLE public.crl_shards TO pulse_ca;
GRANT SELECT(probe_outcome) ON TABLE public.crl_shards TO pulse_operator_read;

GRANT SELECT,INSERT,DELETE ON TABLE public.delivery_attempts TO pulse_app;
GRANT SELECT ON TABLE public.delivery_attempts TO pulse_operator_data;

GRANT SELECT(tenant_id) ON TABLE public.delivery_attempts TO pulse_operator_read;

GRANT SELECT(attempt_id) ON TABLE public.delivery_attempts TO pulse_operator_read;

GRANT SELECT(route_id) ON TABLE public.delivery_attempts TO pulse_operator_read;

GRANT SELECT(attempt) ON TABLE public.delivery_attempts TO pulse_operator_read;

GRANT SELECT(attempted_at) ON TABLE public.delivery_attempts TO pulse_operator_read;

GRANT SELECT(stage) ON TABLE public.delivery_attempts TO pulse_operator_read;

GRANT SELECT(delivered) ON TABLE public.delivery_attempts TO pulse_operator_read;

GRANT SELECT(status) ON TABLE public.delivery_attempts TO pulse_operator_read;

GRANT SELECT(latency_ms) ON TABLE public.delivery_attempts TO pulse_operator_read;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.delivery_dead_letters TO pulse_app;
GRANT SELECT ON TABLE public.delivery_dead_letters TO pulse_operator_data;

GRANT SELECT(tenant_id) ON TABLE public.delivery_dead_letters TO pulse_operator_read;

GRANT SELECT(delivery_id) ON TABLE public.delivery_dead_letters TO pulse_operator_read;

GRANT SELECT(route_id) ON TABLE public.delivery_dead_letters TO pulse_operator_read;

GRANT SELECT(died_at) ON TABLE public.delivery_dead_letters TO pulse_operator_read;

GRANT SELECT(attempts) ON TABLE public.delivery_dead_letters TO pulse_operator_read;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.delivery_held TO pulse_app;

GRANT SELECT(tenant_id) ON TABLE public.delivery_held TO pulse_delivery;

GRANT SELECT(route_id) ON TABLE public.delivery_held TO pulse_delivery;

GRANT SELECT,INSERT,UPDATE ON TABLE public.delivery_turns TO pulse_delivery;

GRANT SELECT ON TABLE public.device_arrivals TO pulse_app;
GRANT SELECT ON TABLE public.device_arrivals TO pulse_operator_data;

GRANT UPDATE(status) ON TABLE public.device_arrivals TO pulse_app;

GRANT UPDATE(decided_at) ON TABLE public.device_arrivals TO pulse_app;

GRANT UPDATE(decided_by) ON TABLE public.device_arrivals TO pulse_app;

GRANT UPDATE(device_id) ON TABLE public.device_arrivals TO pulse_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.device_group_members TO pulse_app;
GRANT SELECT ON TABLE public.device_group_members TO pulse_operator_data;
GRANT SELECT ON TABLE public.device_group_members TO pulse_ingest;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.device_groups TO pulse_app;
GRANT SELECT ON TABLE public.device_groups TO pulse_operator_data;

GRANT SELECT,INSERT,DELETE ON TABLE public.device_import_parts TO pulse_app;

GRANT SELECT,INSERT ON TABLE public.device_import_rows TO pulse_app;
GRANT SELECT ON TABLE public.device_import_rows TO pulse_operator_data;

GRANT SELECT,INSERT,UPDATE ON TABLE public.device_imports TO pulse_app;
GRANT SELECT ON TABLE public.device_imports TO pulse_operator_data;

GRANT SELECT(tenant_id) ON TABLE public.device_imports TO pulse_provision;
GRANT SELECT(tenant_id) ON TABLE public.device_imports TO pulse_operator_read;

GRANT SELECT(import_id) ON TABLE public.device_imports TO pulse_provision;
GRANT SELECT(import_id) ON TABLE public.device_imports TO pulse_operator_read;

GRANT SELECT(state) ON TABLE public.device_imports TO pulse_provision;
GRANT SELECT(state) ON TABLE public.device_imports TO pulse_operator_read;

GRANT SELECT(received_bytes) ON TABLE public.device_imports TO pulse_operator_read;

GRANT SELECT(read_bytes) ON TABLE public.device_imports TO pulse_operator_read;

GRANT SELECT(created_devices) ON TABLE public.device_imports TO pulse_operator_read;

GRANT SELECT(refused_rows) ON TABLE public.device_imports TO pulse_operator_read;

GRANT SELECT(created_at) ON TABLE public.device_imports TO pulse_provision;
GRANT SELECT(created_at) ON TABLE public.device_imports TO pulse_operator_read;

GRANT SELECT(finished_at) ON TABLE public.device_imports TO pulse_operator_read;

GRANT SELECT ON TABLE public.device_last_state TO pulse_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.device_last_state TO pulse_ingest;
GRANT SELECT ON TABLE public.device_last_state TO pulse_operator_data;

GRANT SELECT(tenant_id) ON TABLE public.device_last_state TO pulse_billing;

GRANT SELECT(device_id) ON TABLE public.device_last_state TO pulse_billing;

GRANT SELECT(ts) ON TABLE public.device_last_state TO pulse_billing;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.device_profiles TO pulse_app;
GRANT SELECT ON TABLE public.device_profiles TO pulse_operator_data;

GRANT SELECT(tenant_id) ON TABLE public.device_profiles TO pulse_authz;
GRANT SELECT(tenant_id) ON TABLE public.device_profiles TO pulse_ingest;

GRANT SELECT(profile_id) ON TABLE public.device_profiles TO pulse_authz;
GRANT SELECT(profile_id) ON TABLE public.device_profiles TO pulse_ingest;

GRANT SELECT(tokens_allowed) ON TABLE public.device_profiles TO pulse_authz;

GRANT SELECT(telemetry_schema) ON TABLE public.device_profiles TO pulse_ingest;

GRANT SELECT,INSERT ON TABLE public.device_rescues TO pulse_app;
GRANT SELECT ON TABLE public.device_rescues TO pulse_operator_data;

GRANT UPDATE(status) ON TABLE public.device_rescues TO pulse_app;

GRANT UPDATE(used_at) ON TABLE public.device_rescues TO pulse_app;

GRANT SELECT,INSERT ON TABLE public.device_tokens TO pulse_app;

GRANT SELECT(tenant_id) ON TABLE public.device_tokens TO pulse_authz;
GRANT SELECT(tenant_id) ON TABLE public.device_tokens TO pulse_operator_data;

GRANT SELECT(token_id) ON TABLE public.device_tokens TO pulse_authz;
GRANT SELECT(token_id) ON TABLE public.device_tokens TO pulse_operator_data;

GRANT SELECT(device_id) ON TABLE public.device_tokens TO pulse_authz;
GRANT SELECT(device_id) ON TABLE public.device_tokens TO pulse_operator_data;

GRANT SELECT(token_hash) ON TABLE public.device_tokens TO pulse_authz;

GRANT SELECT(created_at) ON TABLE public.device_tokens TO pulse_operator_data;

GRANT SELECT(created_by) ON TABLE public.device_tokens TO pulse_operator_data;

GRANT SELECT(expires_at) ON TABLE public.device_tokens TO pulse_authz;
GRANT SELECT(expires_at) ON TABLE public.device_tokens TO pulse_operator_data;

GRANT UPDATE(revoked_at) ON TABLE public.device_tokens TO pulse_app;
GRANT SELECT(revoked_at) ON TABLE public.device_tokens TO pulse_authz;
GRANT SELECT(revoked_at) ON TABLE public.device_tokens TO pulse_operator_data;

GRANT SELECT(session_cut_at),UPDATE(session_cut_at) ON TABLE public.device_tokens TO pulse_authz;

GRANT SELECT,INSERT ON TABLE public.device_transfers TO pulse_app;
GRANT SELECT ON TABLE public.device_transfers TO pulse_operator_data;

GRANT UPDATE(status) ON TABLE public.device_transfers TO pulse_app;

GRANT UPDATE(decided_at) ON TABLE public.device_transfers TO pulse_app;

GRANT SELECT ON TABLE public.device_trust TO pulse_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.device_trust TO pulse_ca;
GRANT SELECT ON TABLE public.device_trust TO pulse_operator_data;

GRANT SELECT,INSERT,UPDATE ON TABLE public.devices TO pulse_app;
GRANT SELECT ON TABLE public.devices TO pulse_ca;
GRANT SELECT ON TABLE public.devices TO pulse_operator_data;

GRANT SELECT(tenant_id) ON TABLE public.devices TO pulse_authz;
GRANT SELECT(tenant_id) ON TABLE public.devices TO pulse_ingest;
GRANT SELECT(tenant_id) ON TABLE public.devices TO pulse_operator_read;
GRANT SELECT(tenant_id) ON TABLE public.devices TO pulse_billing;

GRANT SELECT(device_id) ON TABLE public.devices TO pulse_authz;
GRANT SELECT(device_id) ON TABLE public.devices TO pulse_ingest;
GRANT SELECT(device_id) ON TABLE public.devices TO pulse_operator_read;
GRANT SELECT(device_id) ON TABLE public.devices TO pulse_billing;

GRANT SELECT(name) ON TABLE public.devices TO pulse_ingest;

GRANT UPDATE(status) ON TABLE public.devices TO pulse_ca;
GRANT SELECT(status) ON TABLE public.devices TO pulse_authz;
GRANT SELECT(status) ON TABLE public.devices TO pulse_operator_read;
GRANT SELECT(status) ON TABLE public.devices TO pulse_billing;
GRANT SELECT(status) ON TABLE public.devices TO pulse_ingest;

GRANT SELECT(created_at) ON TABLE public.devices TO pulse_operator_read;
GRANT SELECT(created_at) ON TABLE public.devices TO pulse_billing;
GRANT SELECT(created_at) ON TABLE public.devices TO pulse_authz;

GRANT SELECT(tokens_allowed) ON TABLE public.devices TO pulse_authz;

GRANT SELECT(profile_id) ON TABLE public.devices TO pulse_authz;
GRANT SELECT(profile_id) ON TABLE public.devices TO pulse_ingest;

GRANT SELECT(given_away) ON TABLE public.devices TO pulse_billing;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.enrolment_profiles TO pulse_app;
GRANT SELECT ON TABLE public.enrolment_profiles TO pulse_operator_data;

GRANT SELECT,INSERT,UPDATE ON TABLE public.enrolment_tokens TO pulse_app;

GRANT SELECT(tenant_id) ON TABLE public.enrolment_tokens TO pulse_operator_data;

GRANT SELECT(token_id) ON TABLE public.enrolment_tokens TO pulse_operator_data;

GRANT SELECT(device_id) ON TABLE public.enrolment_tokens TO pulse_operator_data;

GRANT SELECT(expires_at) ON TABLE public.enrolment_tokens TO pulse_operator_data;

GRANT SELECT(used_at) ON TABLE public.enrolment_tokens TO pulse_operator_data;

GRANT SELECT(created_at) ON TABLE public.enrolment_tokens TO pulse_operator_data;

GRANT SELECT(created_by) ON TABLE public.enrolment_tokens TO pulse_operator_data;

GRANT SELECT ON TABLE public.expiry_warnings TO pulse_app;
GRANT SELECT,INSERT ON TABLE public.expiry_warnings TO pulse_ca;
GRANT SELECT ON TABLE public.expiry_warnings TO pulse_operator_data;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.hardware_ids TO pulse_app;

GRANT SELECT(tenant_id) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(hardware_id) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(enrolment_profile_id) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(device_id) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(name) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(state) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(maker_key_sha256) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(asked_key_sha256) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(asked_at) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(asked_from) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(decided_at) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(decided_by) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(enrolled_at) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(certificates) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT(created_at) ON TABLE public.hardware_ids TO pulse_operator_data;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency_keys TO pulse_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.issuers TO pulse_ca;
GRANT SELECT ON TABLE public.issuers TO pulse_operator_read;

GRANT SELECT(issuer_id) ON TABLE public.issuers TO pulse_authz;

GRANT SELECT(status) ON TABLE public.issuers TO pulse_authz;

GRANT SELECT ON TABLE public.limit_receipts TO pulse_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.limit_receipts TO pulse_ingest;
GRANT SELECT ON TABLE public.limit_receipts TO pulse_operator_data;

GRANT SELECT,INSERT,DELETE ON TABLE public.notice_refusals TO pulse_app;
GRANT SELECT ON TABLE public.notice_refusals TO pulse_operator_data;

GRANT SELECT ON TABLE public.notices TO pulse_app;
GRANT SELECT,INSERT,DELETE ON TABLE public.notices TO pulse_notices;
GRANT SELECT ON TABLE public.notices TO pulse_operator_data;

GRANT SELECT(tenant_id) ON TABLE public.notices TO pulse_operator_read;

GRANT SELECT(notice_id) ON TABLE public.notices TO pulse_operator_read;

GRANT SELECT(patience_seconds) ON TABLE public.notices TO pulse_operator_read;

GRANT SELECT(raised_at) ON TABLE public.notices TO pulse_operator_read;

GRANT UPDATE(claimed_until) ON TABLE public.notices TO pulse_notices;

GRANT UPDATE(unsure) ON TABLE public.notices TO pulse_notices;

GRANT UPDATE(told_to) ON TABLE public.notices TO pulse_notices;

GRANT UPDATE(told_at) ON TABLE public.notices TO pulse_notices;
GRANT SELECT(told_at) ON TABLE public.notices TO pulse_operator_read;

GRANT SELECT ON TABLE public.operator_grants TO pulse_app;
GRANT SELECT ON TABLE public.operator_grants TO pulse_operator_read;
GRANT SELECT ON TABLE public.operator_grants TO pulse_operator_data;
GRANT SELECT ON TABLE public.operator_grants TO pulse_operator_write;

GRANT INSERT(tenant_id) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT INSERT(grant_id) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT INSERT(kind) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT INSERT(operator_id) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT INSERT(operator_name) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT INSERT(scopes) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT INSERT(reason) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT INSERT(ticket) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT INSERT(seconds) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT UPDATE(status) ON TABLE public.operator_grants TO pulse_app;
GRANT UPDATE(status) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT UPDATE(decided_at) ON TABLE public.operator_grants TO pulse_app;
GRANT UPDATE(decided_at) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT UPDATE(decided_by) ON TABLE public.operator_grants TO pulse_app;
GRANT UPDATE(decided_by) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT UPDATE(second_operator_name) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT UPDATE(begins_at) ON TABLE public.operator_grants TO pulse_app;
GRANT UPDATE(begins_at) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT UPDATE(ends_at) ON TABLE public.operator_grants TO pulse_app;
GRANT UPDATE(ends_at) ON TABLE public.operator_grants TO pulse_operator_write;

GRANT INSERT ON TABLE public.outbox TO pulse_app;
GRANT INSERT ON TABLE public.outbox TO pulse_ca;
GRANT INSERT ON TABLE public.outbox TO pulse_authz;
GRANT INSERT ON TABLE public.outbox TO pulse_provision;
GRANT SELECT,DELETE ON TABLE public.outbox TO pulse_outbox;
GRANT INSERT ON TABLE public.outbox TO pulse_operator_write;
GRANT INSERT ON TABLE public.outbox TO pulse_billing;
GRANT INSERT ON TABLE public.outbox TO pulse_ingest;

GRANT SELECT(tenant_id) ON TABLE public.outbox TO pulse_operator_read;

GRANT SELECT(event_id) ON TABLE public.outbox TO pulse_operator_read;

GRANT SELECT(producer) ON TABLE public.outbox TO pulse_operator_read;

GRANT SELECT(subject) ON TABLE public.outbox TO pulse_operator_read;

GRANT SELECT(created_at) ON TABLE public.outbox TO pulse_operator_read;

GRANT UPDATE(sent_at) ON TABLE public.outbox TO pulse_outbox;
GRANT SELECT(sent_at) ON TABLE public.outbox TO pulse_operator_read;

GRANT SELECT ON TABLE public.refused_messages TO pulse_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.refused_messages TO pulse_ingest;
GRANT SELECT ON TABLE public.refused_messages TO pulse_operator_data;

GRANT SELECT,INSERT,UPDATE ON TABLE public.rollovers TO pulse_ca;

GRANT SELECT(rollover_id) ON TABLE public.rollovers TO pulse_operator_read;

GRANT SELECT(profile) ON TABLE public.rollovers TO pulse_operator_read;

GRANT SELECT(state) ON TABLE public.rollovers TO pulse_operator_read;

GRANT SELECT(drain_days) ON TABLE public.rollovers TO pulse_operator_read;

GRANT SELECT(draining_at) ON TABLE public.rollovers TO pulse_operator_read;

GRANT SELECT(changed_at) ON TABLE public.rollovers TO pulse_operator_read;

GRANT SELECT,INSERT,UPDATE ON TABLE public.root_lists TO pulse_ca;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.route_audit_cursors TO pulse_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.routes TO pulse_app;

GRANT SELECT(tenant_id) ON TABLE public.routes TO pulse_operator_read;
GRANT SELECT(tenant_id) ON TABLE public.routes TO pulse_operator_data;
GRANT SELECT(tenant_id) ON TABLE public.routes TO pulse_delivery;

GRANT SELECT(route_id) ON TABLE public.routes TO pulse_operator_read;
GRANT SELECT(route_id) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(name) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(url) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(event_types) ON TABLE public.routes TO pulse_operator_read;
GRANT SELECT(event_types) ON TABLE public.routes TO pulse_operator_data;
GRANT SELECT(event_types) ON TABLE public.routes TO pulse_delivery;

GRANT SELECT(device_ids) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(metrics) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(template) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(ordered) ON TABLE public.routes TO pulse_operator_read;
GRANT SELECT(ordered) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(timeout_seconds) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(concurrency) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(status) ON TABLE public.routes TO pulse_operator_read;
GRANT SELECT(status) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(failing_since) ON TABLE public.routes TO pulse_operator_read;
GRANT SELECT(failing_since) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(version) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(created_at) ON TABLE public.routes TO pulse_operator_read;
GRANT SELECT(created_at) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(group_ids) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(dropped) ON TABLE public.routes TO pulse_operator_read;
GRANT SELECT(dropped) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT(dropped_at) ON TABLE public.routes TO pulse_operator_read;
GRANT SELECT(dropped_at) ON TABLE public.routes TO pulse_operator_data;

GRANT SELECT ON TABLE public.session_conflicts TO pulse_app;
GRANT SELECT ON TABLE public.session_conflicts TO pulse_operator_read;
GRANT SELECT,INSERT,DELETE ON TABLE public.session_conflicts TO pulse_authz;

GRANT UPDATE(last_at) ON TABLE public.session_conflicts TO pulse_authz;

GRANT UPDATE(times) ON TABLE public.session_conflicts TO pulse_authz;

GRANT SELECT,INSERT,UPDATE ON TABLE public.stripe_events TO pulse_billing;

GRANT SELECT(event_id) ON TABLE public.stripe_events TO pulse_operator_read;

GRANT SELECT(outcome) ON TABLE public.stripe_events TO pulse_operator_read;

GRANT SELECT(handled_at) ON TABLE public.stripe_events TO pulse_operator_read;

GRANT SELECT ON TABLE public.telemetry TO pulse_app;
GRANT INSERT,DELETE ON TABLE public.telemetry TO pulse_ingest;
GRANT SELECT ON TABLE public.telemetry TO pulse_operator_data;

GRANT SELECT(tenant_id) ON TABLE public.telemetry TO pulse_ingest;
GRANT SELECT(tenant_id) ON TABLE public.telemetry TO pulse_billing;

GRANT SELECT(device_id) ON TABLE public.telemetry TO pulse_ingest;
GRANT SELECT(device_id) ON TABLE public.telemetry TO pulse_billing;

GRANT SELECT(ts) ON TABLE public.telemetry TO pulse_ingest;
GRANT SELECT(ts) ON TABLE public.telemetry TO pulse_billing;

GRANT SELECT(message_id) ON TABLE public.telemetry TO pulse_ingest;

GRANT SELECT(metrics) ON TABLE public.telemetry TO pulse_ingest;

GRANT SELECT,INSERT,UPDATE ON TABLE public.tenant_access_policies TO pulse_app;
GRANT SELECT ON TABLE public.tenant_access_policies TO pulse_operator_read;
GRANT SELECT ON TABLE public.tenant_access_policies TO pulse_operator_data;
GRANT SELECT ON TABLE public.tenant_access_policies TO pulse_operator_write;

GRANT SELECT ON TABLE public.tenants TO pulse_app;
GRANT SELECT ON TABLE public.tenants TO pulse_ca;
GRANT SELECT,INSERT ON TABLE public.tenants TO pulse_provision;
GRANT SELECT ON TABLE public.tenants TO pulse_operator_read;
GRANT SELECT ON TABLE public.tenants TO pulse_operator_write;
GRANT SELECT ON TABLE public.tenants TO pulse_operator_data;

GRANT SELECT(tenant_id) ON TABLE public.tenants TO pulse_authz;
GRANT INSERT(tenant_id) ON TABLE public.tenants TO pulse_operator_write;
GRANT SELECT(tenant_id) ON TABLE public.tenants TO pulse_billing;

GRANT INSERT(name) ON TABLE public.tenants TO pulse_operator_write;

GRANT SELECT(status) ON TABLE public.tenants TO pulse_authz;
GRANT UPDATE(status) ON TABLE public.tenants TO pulse_operator_write;
GRANT SELECT(status) ON TABLE public.tenants TO pulse_billing;

GRANT UPDATE(status_reason) ON TABLE public.tenants TO pulse_operator_write;

GRANT UPDATE(status_changed_at) ON TABLE public.tenants TO pulse_operator_write;

GRANT UPDATE(exported_at) ON TABLE public.tenants TO pulse_operator_write;
GRANT UPDATE(exported_at) ON TABLE public.tenants TO pulse_app;

GRANT UPDATE(purge_after) ON TABLE public.tenants TO pulse_operator_write;

GRANT SELECT,INSERT,DELETE ON TABLE public.used_logout_tokens TO pulse_sessions;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.web_sessions TO pulse_sessions;
