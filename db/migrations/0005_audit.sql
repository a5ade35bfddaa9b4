-- The audit log's partitions, its seals, and the one way in which anything ever leaves it.
--
-- Append only: no role holds UPDATE, DELETE or TRUNCATE.  Two functions act as the owner: one prepares months, one drops
-- a whole month that is old enough and sealed, and leaves a tombstone row for each tenant in the log itself.

SET LOCAL ROLE pulse_owner;

-- One row a batch and tenant.  `note` is the signed head (docs/operations/audit.md); `leaf_hashes` are 32 bytes for each
-- row of the batch, in its order, and stay when the rows go: the tree can be checked without them.
CREATE TABLE audit_seals (
    tenant_id      uuid        NOT NULL,
    batch          bigint      NOT NULL CHECK (batch >= 0),
    seal_id        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    first_position bigint      NOT NULL CHECK (first_position >= 0),
    tree_size      bigint      NOT NULL CHECK (tree_size > first_position),
    xid_from       xid8        NOT NULL,
    xid_to         xid8        NOT NULL,
    note           text        NOT NULL,
    peaks          bytea       NOT NULL CHECK (length(peaks) % 32 = 0),
    leaf_hashes    bytea       NOT NULL CHECK (length(leaf_hashes) = 32 * (tree_size - first_position)),
    audit_ids      uuid[]      NOT NULL CHECK (cardinality(audit_ids) = tree_size - first_position),
    sealed_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, batch),
    UNIQUE (tenant_id, tree_size)
);
CREATE UNIQUE INDEX audit_seals_in_order ON audit_seals (seal_id);
CREATE INDEX audit_seals_by_transaction ON audit_seals (tenant_id, xid_to);

-- How far the log is sealed: every row of a transaction below the highest `xid_to`.
CREATE TABLE audit_seal_runs (
    run_id    bigint      NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    xid_from  xid8        NOT NULL,
    xid_to    xid8        NOT NULL CHECK (xid_to > xid_from),
    rows      bigint      NOT NULL,
    sealed_at timestamptz NOT NULL
);
CREATE INDEX audit_seal_runs_by_transaction ON audit_seal_runs (xid_to);

-- Up to which seal each place outside has the heads (or the rows).
CREATE TABLE audit_cursors (
    place   text   NOT NULL PRIMARY KEY,
    seal_id bigint NOT NULL
);

ALTER TABLE audit_seals ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_seals FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_seal_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_seal_runs FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_cursors FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_seals TO pulse_app
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
GRANT SELECT ON audit_seals TO pulse_app;
GRANT SELECT ON audit_seals, audit_seal_runs TO pulse_operator_read;

-- The sealer reads every tenant's rows and adds seals; it changes neither.
GRANT SELECT ON audit_log TO pulse_seal;
GRANT SELECT, INSERT ON audit_seals, audit_seal_runs TO pulse_seal;
GRANT SELECT, INSERT, UPDATE (seal_id) ON audit_cursors TO pulse_seal;
CREATE POLICY seal_read ON audit_log FOR SELECT TO pulse_seal USING (true);
CREATE POLICY seal_read ON audit_seals FOR SELECT TO pulse_seal USING (true);
CREATE POLICY seal_add ON audit_seals FOR INSERT TO pulse_seal WITH CHECK (true);
CREATE POLICY seal_read ON audit_seal_runs FOR SELECT TO pulse_seal USING (true);
CREATE POLICY seal_add ON audit_seal_runs FOR INSERT TO pulse_seal WITH CHECK (true);
CREATE POLICY seal_own ON audit_cursors TO pulse_seal USING (true) WITH CHECK (true);

-- What the two functions below need as the owner, whom FORCE holds like anybody else: rows that came too early leave the
-- default partition for their month's, a dropped month is counted, and its tombstones are written.
CREATE POLICY owner_moves ON audit_log_default TO pulse_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_buries ON audit_log FOR INSERT TO pulse_owner WITH CHECK (action = 'audit.expire');
CREATE POLICY owner_reads ON audit_seals FOR SELECT TO pulse_owner USING (true);
CREATE POLICY owner_reads ON audit_seal_runs FOR SELECT TO pulse_owner USING (true);

CREATE FUNCTION ensure_audit_partitions(months_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
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
$$;
REVOKE ALL ON FUNCTION ensure_audit_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_audit_partitions(integer) TO pulse_seal;
COMMENT ON FUNCTION ensure_audit_partitions(integer) IS
    'SECURITY DEFINER: the sealer may prepare months of the audit log, and nothing else of the owner''s';

-- Retention: the whole month, sealed to its last row, at least 90 days past; what it held of whom is written down for
-- each tenant (rows, and their positions in the tenant's tree), where the sealer seals it as any other row.
CREATE FUNCTION drop_audit_month(month date) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
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
$$;
REVOKE ALL ON FUNCTION drop_audit_month(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_audit_month(date) TO pulse_seal;
COMMENT ON FUNCTION drop_audit_month(date) IS
    'SECURITY DEFINER: retention drops a sealed month of at least 90 days ago and leaves a tombstone; nobody may DELETE';

RESET ROLE;
