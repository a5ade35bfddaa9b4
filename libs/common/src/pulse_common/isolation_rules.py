"""What the catalogue must say for tenants to be apart, as one query that names each violation.

In SQL, so that the services, ``pulse-admin isolation check``, the tests and a psql prompt ask the very same question.
It reads the system catalogue alone, which every login may; tables of every schema but PostgreSQL's own count.
"""

from __future__ import annotations

from typing import LiteralString

TENANT: LiteralString = "(tenant_id = (NULLIF(( SELECT current_setting('app.tenant_id'::text, true) AS current_setting), ''::text))::uuid)"  # noqa: E501 -- one line in the catalogue
"""The one condition of ``tenant_isolation``, as PostgreSQL writes it out."""

DEFINER_REASON: LiteralString = "SECURITY DEFINER: "
"""How the comment of a function that runs as its owner begins; the reason follows."""

# Extensions bring relations and functions of their own, which are not ours to judge.
_OURS: LiteralString = """
    ours AS (
        SELECT oid, nspname FROM pg_namespace
         WHERE nspname NOT IN ('information_schema', 'pg_catalog', 'pg_toast') AND nspname NOT LIKE 'pg\\_temp%'
           AND nspname NOT LIKE 'pg\\_toast%'
    ),
    relation AS (
        SELECT c.*, CASE o.nspname WHEN 'public' THEN c.relname::text ELSE o.nspname || '.' || c.relname END AS name,
               tenant.attnum AS tenant, tenant.attnotnull AS tenant_not_null, tenant.atttypid AS tenant_type
          FROM pg_class c
          JOIN ours o ON o.oid = c.relnamespace
          LEFT JOIN pg_attribute tenant
            ON tenant.attrelid = c.oid AND tenant.attname = 'tenant_id' AND NOT tenant.attisdropped
         WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                              AND d.objid = c.oid AND d.deptype = 'e')
           AND c.oid IS DISTINCT FROM to_regclass('public.schema_migrations')
    ),
    held AS (SELECT * FROM relation WHERE relkind IN ('r', 'p')),
    policy AS (
        SELECT p.*, h.name, h.tenant,
               regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\\s+', ' ', 'g') AS using_,
               regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), '\\s+', ' ', 'g') AS check_
          FROM pg_policy p JOIN held h ON h.oid = p.polrelid
    ),
    isolation AS (SELECT * FROM policy WHERE polname = 'tenant_isolation'),
    routine AS (
        SELECT p.*, p.oid::regprocedure::text AS name
          FROM pg_proc p JOIN ours o ON o.oid = p.pronamespace
         WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                              AND d.objid = p.oid AND d.deptype = 'e')
    ),
    login AS (
        SELECT * FROM pg_roles WHERE rolname = session_user OR rolname LIKE 'svc\\_%'
    )
"""

_LOGINS: LiteralString = """
    SELECT 'login ' || rolname || ' is a superuser' FROM login WHERE rolsuper
    UNION ALL SELECT 'login ' || rolname || ' has BYPASSRLS' FROM login WHERE rolbypassrls
    UNION ALL SELECT 'login ' || rolname || ' inherits its roles' FROM login WHERE rolinherit
    UNION ALL SELECT 'login ' || rolname || ' may make roles' FROM login WHERE rolcreaterole
    UNION ALL SELECT 'login ' || rolname || ' may replicate' FROM login WHERE rolreplication
    UNION ALL SELECT 'login ' || rolname || ' owns relations' FROM login
               WHERE EXISTS (SELECT FROM pg_class WHERE relowner = login.oid)
    UNION ALL SELECT 'login ' || l.rolname || ' inherits ' || m.roleid::regrole FROM login l
               JOIN pg_auth_members m ON m.member = l.oid WHERE m.inherit_option
    UNION ALL SELECT 'login ' || l.rolname || ' may become ' || owner.rolname || ', which owns tables'
                FROM login l
                JOIN (SELECT DISTINCT r.oid, r.rolname FROM held JOIN pg_roles r ON r.oid = held.relowner) owner
                  ON owner.oid <> l.oid AND pg_has_role(l.oid, owner.oid, 'MEMBER')
               WHERE NOT l.rolsuper
"""
# What a session begins with counts where nothing was set: a tenant from here is a tenant without anybody having asked.
_PRESETS: LiteralString = """
    SELECT 'setting ' || preset.name || ' is preset for '
           || coalesce(nullif(d.setrole, 0)::regrole::text, 'every login') || ': sessions begin with it'
      FROM pg_db_role_setting d, unnest(d.setconfig) AS given,
           LATERAL (SELECT lower(split_part(given, '=', 1)) AS name) preset
     WHERE d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
       AND (d.setrole = 0 OR d.setrole::regrole::text ~ '^(svc|pulse)_')
       AND (preset.name IN ('role', 'session_authorization', 'row_security', 'search_path', 'session_replication_role')
            OR starts_with(preset.name, 'app.'))
    UNION ALL SELECT 'setting ' || name || ' has a value that no transaction gave it'
                FROM unnest(ARRAY['app.tenant_id', 'app.operator']) name
               WHERE nullif(current_setting(name, true), '') IS NOT NULL
"""
_TABLES: LiteralString = """
    SELECT 'there are no tables: have the migrations run?' WHERE NOT EXISTS (SELECT FROM held)
    UNION ALL SELECT 'table ' || name || ' has row-level security off' FROM held WHERE NOT relrowsecurity
    UNION ALL SELECT 'table ' || name || ' does not FORCE it' FROM held WHERE NOT relforcerowsecurity
    UNION ALL SELECT 'table ' || name || ' belongs to ' || relowner::regrole || ', not to pulse_owner' FROM held
               WHERE relowner <> coalesce(to_regrole('pulse_owner')::oid, 0)
    UNION ALL SELECT 'table ' || name || ' has a rewrite rule, which runs with its owner''s rights' FROM held
               WHERE relhasrules
    UNION ALL SELECT name || '.tenant_id may be null' FROM held WHERE NOT tenant_not_null
    UNION ALL SELECT name || '.tenant_id is not a uuid' FROM held WHERE tenant_type <> 'uuid'::regtype
    UNION ALL SELECT 'table ' || name || ' has no index that leads with tenant_id' FROM held
               WHERE tenant IS NOT NULL
                 AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = held.oid AND i.indisvalid
                                    AND i.indpred IS NULL AND i.indkey[0] = held.tenant)
    UNION ALL SELECT 'partition ' || name || ' is reached by '
                     || coalesce(nullif(g.grantee, 0)::regrole::text, 'PUBLIC')
                     || ' without its table (' || g.privilege_type || ')'
                FROM held, aclexplode(relacl) g WHERE relispartition AND g.grantee <> relowner
    UNION ALL SELECT 'partition ' || name || ' is reached by '
                     || coalesce(nullif(g.grantee, 0)::regrole::text, 'PUBLIC')
                     || ' without its table (' || g.privilege_type || ' of ' || a.attname || ')'
                FROM held JOIN pg_attribute a ON a.attrelid = held.oid, aclexplode(a.attacl) g
               WHERE relispartition AND g.grantee <> relowner
    UNION ALL SELECT 'table ' || name || ': ' || g.privilege_type || ' for '
                     || coalesce(nullif(g.grantee, 0)::regrole::text, 'PUBLIC') || ' goes round row-level security'
                FROM held, aclexplode(relacl) g
               WHERE g.grantee <> relowner AND g.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
    UNION ALL SELECT 'table ' || name || ' is open to PUBLIC (' || g.privilege_type || ')'
                FROM held, aclexplode(relacl) g WHERE g.grantee = 0
    UNION ALL SELECT 'foreign key ' || f.conname || ' of ' || h.name || ' tells one tenant of another''s rows: '
                     || 'it compares no tenant_id'
                FROM pg_constraint f JOIN held h ON h.oid = f.conrelid JOIN held t ON t.oid = f.confrelid
               WHERE f.contype = 'f' AND h.tenant IS NOT NULL AND t.tenant IS NOT NULL
                 AND NOT EXISTS (SELECT FROM unnest(f.conkey, f.confkey) k (here, there)
                                  WHERE k.here = h.tenant AND k.there = t.tenant)
"""
_POLICIES: LiteralString = """
    SELECT 'table ' || name || ' lacks tenant_isolation' FROM held
     WHERE tenant IS NOT NULL AND NOT EXISTS (SELECT FROM isolation i WHERE i.polrelid = held.oid)
    UNION ALL SELECT 'tenant_isolation of ' || name || ' is not for ALL commands' FROM isolation WHERE polcmd <> '*'
    UNION ALL SELECT 'tenant_isolation of ' || name || ' is not permissive' FROM isolation WHERE NOT polpermissive
    UNION ALL SELECT 'tenant_isolation of ' || name || ' is not for pulse_app alone' FROM isolation
               WHERE polroles <> ARRAY[coalesce(to_regrole('pulse_app')::oid, 0)]
    UNION ALL SELECT 'tenant_isolation of ' || name || ' has no WITH CHECK' FROM isolation WHERE check_ IS NULL
    UNION ALL SELECT 'tenant_isolation of ' || name || ' reads by another condition: USING ' || coalesce(using_, 'none')
                FROM isolation, canonical WHERE using_ IS DISTINCT FROM condition
    UNION ALL SELECT 'tenant_isolation of ' || name || ' writes by another condition: WITH CHECK ' || check_
                FROM isolation, canonical WHERE check_ <> condition
    UNION ALL SELECT 'table ' || name || ' has a second permissive policy for '
                     || CASE WHEN 0 = ANY (polroles) THEN 'PUBLIC' ELSE 'pulse_app' END || ': ' || polname
                FROM policy
               WHERE polpermissive AND polname <> 'tenant_isolation'
                 AND (0 = ANY (polroles) OR coalesce(to_regrole('pulse_app')::oid, 0) = ANY (polroles))
"""
_ROUND_THE_POLICIES: LiteralString = """
    SELECT 'view ' || name || ' reads with its owner''s rights (no security_invoker)' FROM relation
     WHERE relkind = 'v'
       AND NOT EXISTS (SELECT FROM pg_options_to_table(reloptions) WHERE option_name = 'security_invoker'
                          AND lower(option_value) IN ('true', 'on', 'yes', '1'))
    UNION ALL SELECT 'materialized view ' || name || ' has no row-level security' FROM relation WHERE relkind = 'm'
    UNION ALL SELECT 'foreign table ' || name || ' has no row-level security' FROM relation WHERE relkind = 'f'
    UNION ALL SELECT 'function ' || name || ' is SECURITY DEFINER without a reason in its comment' FROM routine
               WHERE prosecdef AND NOT starts_with(coalesce(obj_description(oid, 'pg_proc'), ''), 'SECURITY DEFINER: ')
    UNION ALL SELECT 'function ' || name || ' is SECURITY DEFINER without a search_path of its own' FROM routine
               WHERE prosecdef AND NOT EXISTS (SELECT FROM unnest(proconfig) c WHERE starts_with(c, 'search_path='))
    UNION ALL SELECT 'function ' || name || ' is SECURITY DEFINER and PUBLIC may run it' FROM routine
               WHERE prosecdef AND EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) g
                                            WHERE g.grantee = 0)
    UNION ALL SELECT 'function ' || name || ' is LEAKPROOF, so it sees rows before the policy does' FROM routine
               WHERE proleakproof
    UNION ALL SELECT 'function ' || name || ' is IMMUTABLE but reads a setting: plans keep another tenant''s'
                FROM routine WHERE provolatile = 'i' AND prosrc ILIKE '%current_setting%'
    UNION ALL SELECT 'schema ' || nspname || ' lets ' || coalesce(nullif(g.grantee, 0)::regrole::text, 'PUBLIC')
                     || ' make objects in it'
                FROM pg_namespace n JOIN ours USING (oid, nspname), aclexplode(n.nspacl) g
               WHERE g.privilege_type = 'CREATE' AND g.grantee <> n.nspowner
                 AND g.grantee <> coalesce(to_regrole('pulse_owner')::oid, 0)
"""

VIOLATIONS: LiteralString = f"""
    WITH {_OURS},
    canonical AS (SELECT $tenant${TENANT}$tenant$ AS condition),
    violation (fault) AS (
        {_LOGINS} UNION ALL {_PRESETS} UNION ALL {_TABLES} UNION ALL {_POLICIES} UNION ALL {_ROUND_THE_POLICIES}
    )
    SELECT DISTINCT fault COLLATE "C" AS fault FROM violation WHERE fault IS NOT NULL ORDER BY 1
"""  # noqa: S608 -- put together from the literals above
"""One row for each way in which the catalogue falls short; no row when there is none."""
