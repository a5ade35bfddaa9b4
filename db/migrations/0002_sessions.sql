-- What a person needs to know their own sessions by: a name that is no secret, where from, with what, and whose audit log
-- their end belongs in.  Expand only: a service of the previous release goes on to write rows without these columns.

SET LOCAL ROLE pulse_owner;

-- session_id is shown and may stand in a URL; session_hash finds a session and never leaves the service.  Its default
-- rewrites the table, which holds the sessions of twelve hours.
--
-- home_tenant_id is not tenant_id: that would make this a tenant table, and a session is found before its tenant is
-- known.  NULL is an operator's session, or one that began before this migration.
ALTER TABLE web_sessions
    ADD COLUMN session_id     uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN home_tenant_id uuid,
    ADD COLUMN address        text CHECK (length(address) <= 60),
    ADD COLUMN user_agent     text CHECK (length(user_agent) <= 300);

CREATE UNIQUE INDEX web_sessions_by_id ON web_sessions (session_id);
CREATE INDEX web_sessions_by_subject ON web_sessions (subject, last_used_at DESC);
-- Keycloak names the session that ended.
CREATE INDEX web_sessions_by_oidc_session ON web_sessions (oidc_session_id);

RESET ROLE;
