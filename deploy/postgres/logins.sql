-- Gives every login the password that the deployment chose, and Keycloak its own database.  Run by psql after the
-- migrations, as often as wanted: running it again with new values is how a password is changed.
--
-- Passwords come from the environment (\getenv), so no command line and no file of ours shows one.  Nor does the
-- server's log: statements are not logged by default, and this session asks for it not to be, even where they are.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';

\getenv ui_iot POSTGRES_PASSWORD_UI_IOT
\getenv ui_iot_operator POSTGRES_PASSWORD_UI_IOT_OPERATOR
\getenv provision_api POSTGRES_PASSWORD_PROVISION_API
\getenv cert_worker POSTGRES_PASSWORD_CERT_WORKER
\getenv mqtt_authz POSTGRES_PASSWORD_MQTT_AUTHZ
\getenv billing_webhooks POSTGRES_PASSWORD_BILLING_WEBHOOKS
\getenv ingest_worker POSTGRES_PASSWORD_INGEST_WORKER
\getenv delivery_worker POSTGRES_PASSWORD_DELIVERY_WORKER
\getenv keycloak POSTGRES_PASSWORD_KEYCLOAK

-- A variable that is missing stays literal text (:'name'), which is a syntax error: nothing gets an empty password.
ALTER ROLE svc_ui_iot PASSWORD :'ui_iot';
ALTER ROLE svc_ui_iot_operator PASSWORD :'ui_iot_operator';
ALTER ROLE svc_provision_api PASSWORD :'provision_api';
ALTER ROLE svc_cert_worker PASSWORD :'cert_worker';
ALTER ROLE svc_mqtt_authz PASSWORD :'mqtt_authz';
ALTER ROLE svc_billing_webhooks PASSWORD :'billing_webhooks';
ALTER ROLE svc_ingest_worker PASSWORD :'ingest_worker';
ALTER ROLE svc_delivery_worker PASSWORD :'delivery_worker';

SELECT 'CREATE ROLE keycloak LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keycloak') \gexec
ALTER ROLE keycloak PASSWORD :'keycloak';
SELECT 'CREATE DATABASE keycloak OWNER keycloak'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'keycloak') \gexec

-- Each database is for its own logins.
REVOKE CONNECT ON DATABASE keycloak FROM PUBLIC;
REVOKE CONNECT ON DATABASE pulse FROM PUBLIC;
GRANT CONNECT ON DATABASE pulse TO
    svc_ui_iot, svc_ui_iot_operator, svc_provision_api, svc_cert_worker, svc_mqtt_authz, svc_billing_webhooks,
    svc_ingest_worker, svc_delivery_worker;
