-- Who may do what, before any table exists.  Run by the migration runner, as often as wanted: everything here is
-- idempotent.  Logins have no password here; the deployment sets them.
--
-- A login is never an owner, never a superuser, never BYPASSRLS, and inherits nothing: it must SET LOCAL ROLE to one of
-- the roles it was granted, so that a statement outside `pulse_common.tenancy` can read no table at all.

DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN SELECT * FROM (VALUES
        ('pulse_owner',          'NOLOGIN NOBYPASSRLS'),
        ('pulse_app',            'NOLOGIN NOBYPASSRLS'),
        ('pulse_operator_read',  'NOLOGIN BYPASSRLS'),
        ('pulse_operator_data',  'NOLOGIN NOBYPASSRLS'),
        ('pulse_operator_write', 'NOLOGIN NOBYPASSRLS'),
        ('pulse_authz',          'NOLOGIN NOBYPASSRLS'),
        ('pulse_ingest',         'NOLOGIN NOBYPASSRLS'),
        ('pulse_audit',          'NOLOGIN NOBYPASSRLS'),
        ('pulse_ca',             'NOLOGIN NOBYPASSRLS'),
        ('pulse_provision',      'NOLOGIN NOBYPASSRLS'),
        ('pulse_outbox',         'NOLOGIN NOBYPASSRLS'),
        ('pulse_sessions',       'NOLOGIN NOBYPASSRLS'),
        ('pulse_billing',        'NOLOGIN NOBYPASSRLS'),
        ('pulse_seal',           'NOLOGIN NOBYPASSRLS'),
        ('pulse_delivery',       'NOLOGIN NOBYPASSRLS'),
        ('pulse_notices',        'NOLOGIN NOBYPASSRLS'),
        ('svc_ui_iot',           'LOGIN NOINHERIT NOBYPASSRLS'),
        ('svc_ui_iot_operator',  'LOGIN NOINHERIT NOBYPASSRLS'),
        ('svc_provision_api',    'LOGIN NOINHERIT NOBYPASSRLS'),
        ('svc_cert_worker',      'LOGIN NOINHERIT NOBYPASSRLS'),
        ('svc_mqtt_authz',       'LOGIN NOINHERIT NOBYPASSRLS'),
        ('svc_billing_webhooks', 'LOGIN NOINHERIT NOBYPASSRLS'),
        ('svc_ingest_worker',    'LOGIN NOINHERIT NOBYPASSRLS'),
        ('svc_delivery_worker',  'LOGIN NOINHERIT NOBYPASSRLS')
    ) AS r (name, attributes)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
            EXECUTE format('CREATE ROLE %I', wanted.name);
        END IF;
        EXECUTE format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION %s', wanted.name, wanted.attributes);
    END LOOP;
END
$$;

-- Which login may become which role.  The operators' roles have a login of their own: an injection in a tenant's request
-- runs as svc_ui_iot, which cannot switch to them.
GRANT pulse_app, pulse_outbox, pulse_sessions, pulse_audit, pulse_notices
   TO svc_ui_iot           WITH INHERIT FALSE, SET TRUE;
GRANT pulse_operator_read, pulse_operator_data, pulse_operator_write, pulse_outbox
   TO svc_ui_iot_operator  WITH INHERIT FALSE, SET TRUE;
GRANT pulse_app, pulse_outbox, pulse_provision, pulse_audit
   TO svc_provision_api    WITH INHERIT FALSE, SET TRUE;
GRANT pulse_ca, pulse_outbox, pulse_audit, pulse_seal
   TO svc_cert_worker      WITH INHERIT FALSE, SET TRUE;
GRANT pulse_authz, pulse_outbox, pulse_audit
   TO svc_mqtt_authz       WITH INHERIT FALSE, SET TRUE;
GRANT pulse_billing, pulse_outbox, pulse_audit
   TO svc_billing_webhooks WITH INHERIT FALSE, SET TRUE;
GRANT pulse_ingest, pulse_audit, pulse_outbox
   TO svc_ingest_worker    WITH INHERIT FALSE, SET TRUE;
GRANT pulse_app, pulse_outbox, pulse_audit, pulse_delivery
   TO svc_delivery_worker  WITH INHERIT FALSE, SET TRUE;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO
    pulse_owner, pulse_app, pulse_operator_read, pulse_operator_data, pulse_operator_write, pulse_authz, pulse_ingest,
    pulse_audit, pulse_ca,
    pulse_provision, pulse_outbox, pulse_sessions, pulse_seal, pulse_billing, pulse_delivery, pulse_notices;
GRANT CREATE ON SCHEMA public TO pulse_owner;
-- So that the owner's own procedures see one tenant's rows, as pulse_app does: FORCE holds it back otherwise.
GRANT pulse_app TO pulse_owner WITH INHERIT TRUE, SET FALSE;
-- Logins need to see the schema's catalogue entries for the start-up check, never its rows.
GRANT USAGE ON SCHEMA public TO
    svc_ui_iot, svc_ui_iot_operator, svc_provision_api, svc_cert_worker, svc_mqtt_authz, svc_billing_webhooks,
    svc_ingest_worker, svc_delivery_worker;
