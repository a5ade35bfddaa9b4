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

-- Logout tokens that were taken: each counts once, at whichever replica it comes.  Only signed tokens get in, and
-- ui_iot deletes those that their age alone would refuse.
CREATE TABLE used_logout_tokens (
    token_hash bytea       PRIMARY KEY CHECK (length(token_hash) = 32),
    useless_at timestamptz NOT NULL
);
CREATE INDEX used_logout_tokens_by_end ON used_logout_tokens (useless_at);
ALTER TABLE used_logout_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE used_logout_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY sessions_own ON used_logout_tokens TO pulse_sessions USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON used_logout_tokens TO pulse_sessions;

RESET ROLE;
