"""Who may do what, as one line a fact: read from the catalogue, kept with the schema, compared ever after.

The migration runner writes the facts down with each migration: they belong to the schema, so that services of the
previous release find no fault with what a migration granted, and a grant that anybody made by hand is named.  The
runner also refuses to go on from a database whose facts grew by hand: a wider grant is never taken for declared.
``db/access.txt`` is the same list for a reviewer (``make schema``); a test holds it against the migrations.
"""

from __future__ import annotations

from typing import LiteralString

REMEMBERED: LiteralString = (
    "SELECT obj_description(to_regclass('public.schema_migrations'), 'pg_class') AS facts"
)
"""The runner's list: a comment, which every login may read and only the table's owner may write."""

# Partitions are left out: they come and go with the days.  The rules allow no grant on them at all.
FACTS: LiteralString = """
    WITH ours AS (
        SELECT oid, nspname, nspacl, nspowner FROM pg_namespace
         WHERE nspname NOT IN ('information_schema', 'pg_catalog', 'pg_toast') AND nspname NOT LIKE 'pg\\_temp%'
           AND nspname NOT LIKE 'pg\\_toast%'
    ),
    role AS (SELECT * FROM pg_roles WHERE rolname LIKE 'svc\\_%' OR rolname LIKE 'pulse\\_%'),
    relation AS (
        SELECT c.*, CASE o.nspname WHEN 'public' THEN c.relname::text ELSE o.nspname || '.' || c.relname END AS name
          FROM pg_class c JOIN ours o ON o.oid = c.relnamespace
         WHERE NOT c.relispartition AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    ),
    routine AS (
        SELECT p.*, p.oid::regprocedure::text AS name FROM pg_proc p JOIN ours o ON o.oid = p.pronamespace
         WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                              AND d.objid = p.oid AND d.deptype = 'e')
    ),
    granted AS (
        SELECT g.*, 'on ' || name AS what FROM relation, aclexplode(relacl) g WHERE g.grantee <> relowner
        UNION ALL
        SELECT g.*, 'on ' || name || ' (' || a.attname || ')'
          FROM relation JOIN pg_attribute a ON a.attrelid = relation.oid AND NOT a.attisdropped, aclexplode(a.attacl) g
         WHERE g.grantee <> relowner
        UNION ALL
        SELECT g.*, 'function ' || name FROM routine, aclexplode(coalesce(proacl, acldefault('f', proowner))) g
         WHERE g.grantee <> proowner
        UNION ALL
        SELECT g.*, 'in schema ' || nspname FROM ours, aclexplode(nspacl) g WHERE g.grantee <> nspowner
        UNION ALL
        SELECT g.*, 'by default on new objects (' || defaclobjtype::text || ') of ' || defaclrole::regrole
          FROM pg_default_acl, aclexplode(defaclacl) g WHERE g.grantee <> defaclrole
    ),
    fact (line) AS (
        SELECT 'role ' || rolname || CASE WHEN rolcanlogin THEN ' LOGIN' ELSE '' END
               || CASE WHEN rolinherit AND rolcanlogin THEN ' INHERIT' ELSE '' END
               || CASE WHEN rolsuper THEN ' SUPERUSER' ELSE '' END
               || CASE WHEN rolbypassrls THEN ' BYPASSRLS' ELSE '' END
               || CASE WHEN rolcreaterole THEN ' CREATEROLE' ELSE '' END
               || CASE WHEN rolcreatedb THEN ' CREATEDB' ELSE '' END
               || CASE WHEN rolreplication THEN ' REPLICATION' ELSE '' END
          FROM role
        UNION ALL
        SELECT 'role ' || m.member::regrole || ' may '
               || concat_ws(' and ', CASE WHEN m.set_option THEN 'become' END,
                            CASE WHEN m.inherit_option THEN 'inherit' END, CASE WHEN m.admin_option THEN 'grant' END)
               || ' ' || m.roleid::regrole
          FROM pg_auth_members m
         WHERE m.roleid IN (SELECT oid FROM role) OR m.member IN (SELECT oid FROM role)
        UNION ALL
        SELECT 'grant ' || coalesce(nullif(grantee, 0)::regrole::text, 'PUBLIC') || ' ' || privilege_type || ' ' || what
               || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
          FROM granted
        UNION ALL
        SELECT 'policy ' || p.polname || ' on ' || r.name
               || CASE WHEN p.polpermissive THEN '' ELSE ' AS RESTRICTIVE' END
               || ' FOR ' || CASE p.polcmd WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                                           WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END
               || ' TO ' || (SELECT string_agg(coalesce(nullif(g, 0)::regrole::text, 'PUBLIC'), ', ' ORDER BY 1)
                               FROM unnest(p.polroles) g)
               || regexp_replace(coalesce(' USING ' || pg_get_expr(p.polqual, p.polrelid), '')
                                 || coalesce(' WITH CHECK ' || pg_get_expr(p.polwithcheck, p.polrelid), ''),
                                 '\\s+', ' ', 'g')
          FROM pg_policy p JOIN relation r ON r.oid = p.polrelid
        UNION ALL
        SELECT 'definer ' || name || ' as ' || proowner::regrole || ', body ' || left(md5(prosrc), 12) || ': '
               || coalesce(substr(obj_description(oid, 'pg_proc'), 19), 'no reason')
          FROM routine WHERE prosecdef
    )
    SELECT DISTINCT line COLLATE "C" AS line FROM fact ORDER BY 1
"""


def differences(*, found: list[str], declared: list[str]) -> list[str]:
    """Name what is wider than declared.

    A grant that is gone makes nothing wider and may be somebody's emergency brake; a policy that is gone may have been
    the restrictive one.
    """
    wider = [f"not declared by any migration: {line}" for line in found if line not in declared]
    gone = [
        f"declared, and gone: {line}"
        for line in declared
        if line.startswith("policy ") and line not in found
    ]
    return wider + gone
