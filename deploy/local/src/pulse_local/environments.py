"""The environment of every process: what it needs, and nothing of the caller's beyond that."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pulse_local.database import DATABASE, database_url
from pulse_local.postgres import superuser_url

if TYPE_CHECKING:
    from pulse_local.ports import Ports
    from pulse_local.secrets import Secrets
    from pulse_local.tls import TlsFiles

Environment = dict[str, str]

# Everything else in the caller's environment (tokens, proxies, PYTHONPATH, PG*) could change what a
# part does or end in its logs.
_PASSED_ON = ("PATH", "HOME", "LANG")


def minimal() -> Environment:
    """Give what any program needs: where programs are, a home, a language."""
    caller = os.environ  # noqa: TID251 - the one place that decides what children inherit
    environment = {name: caller[name] for name in _PASSED_ON if name in caller}
    tools = str(Path(sys.executable).parent)
    return {
        **environment,
        "PATH": f"{tools}{os.pathsep}{environment.get('PATH', os.defpath)}",
        # A part that dies with a half-filled buffer would leave a log without its last words.
        "PYTHONUNBUFFERED": "1",
    }


@dataclass(frozen=True, kw_only=True)
class Environments:
    """Makes each part's environment from the stack's ports, secrets and folders."""

    ports: Ports
    secrets: Secrets
    tls: TlsFiles
    data: Path

    @property
    def public_url(self) -> str:
        return f"https://localhost:{self.ports.edge_https}"

    @property
    def ca_directory(self) -> Path:
        return self.data / "ca"

    @property
    def trust_store(self) -> Path:
        """The CA certificates that sign devices' certificates; cert_worker writes it."""
        return self.ca_directory / "bundle.pem"

    @property
    def issuer(self) -> str:
        return f"{self.public_url}/realms/pulse"

    def of_service(self, service: str) -> Environment:
        """Everything that the service reads, under the same names as in production."""
        specific = {
            "ui_iot": self._ui_iot,
            "provision_api": self._provision_api,
            "cert_worker": self._cert_worker,
            "mqtt_authz": self._mqtt_authz,
            "billing_webhooks": self._billing_webhooks,
            "ingest_worker": self._ingest_worker,
            "delivery_worker": self._delivery_worker,
        }[service]
        return {**self._common(service), **specific()}

    def of_migrations(self, repository: Path) -> Environment:
        return {
            **minimal(),
            "PULSE_ENV": "development",
            "LOG_LEVEL": "INFO",
            "MIGRATIONS_DATABASE_URL": superuser_url(
                self.secrets.postgres_superuser, self.ports.postgres, DATABASE
            ),
            "MIGRATIONS_DIR": str(repository / "db"),
        }

    def of_identity_provider(self) -> Environment:
        return {
            **minimal(),
            "PULSE_ENV": "development",
            "IDP_PORT": str(self.ports.idp),
            "IDP_ISSUER": self.issuer,
            "IDP_DATA_DIR": str(self.data / "idp"),
            "IDP_CLIENT_SECRET": self.secrets.oidc_client,
            "IDP_ADMIN_CLIENT_SECRET": self.secrets.oidc_admin_client,
            "IDP_API_CLIENT_SECRET": self.secrets.oidc_api_client,
            "IDP_REDIRECT_URI": f"{self.public_url}/auth/callback",
            "IDP_POST_LOGOUT_URI": f"{self.public_url}/",
            # Past the edge, whose certificate is the development CA's.
            "IDP_BACKCHANNEL_LOGOUT_URI": (
                f"http://127.0.0.1:{self.ports.ui_iot}/auth/backchannel-logout"
            ),
            "IDP_SMTP_PORT": str(self.ports.smtp),
            "IDP_DEMO_PASSWORD": self.secrets.demo_password,
        }

    def of_broker(self) -> Environment:
        internal = f"http://127.0.0.1:{self.ports.mqtt_authz}/api/v1/internal"
        return {
            **minimal(),
            "PULSE_ENV": "development",
            "BROKER_TLS_PORT": str(self.ports.mqtts),
            "BROKER_TOKEN_PORT": str(self.ports.mqtts_token),
            "BROKER_PLAIN_PORT": str(self.ports.mqtt_internal),
            "BROKER_API_PORT": str(self.ports.broker_api),
            "BROKER_CERT_FILE": str(self.tls.certificate),
            "BROKER_KEY_FILE": str(self.tls.key),
            "BROKER_CLIENT_CA_FILE": str(self.trust_store),
            "BROKER_AUTH_URL": f"{internal}/mqtt-auth",
            "BROKER_ACL_URL": f"{internal}/mqtt-acl",
            "BROKER_DENIED_URL": f"{internal}/mqtt-denied",
            "BROKER_AUTH_SECRET": self.secrets.mqtt_auth,
            "BROKER_API_KEY": self.secrets.broker_api_key,
            "BROKER_API_SECRET": self.secrets.broker_api_secret,
            "BROKER_DATA_DIR": str(self.data / "broker"),
        }

    def of_nats(self) -> Environment:
        passwords = {
            f"NATS_PASSWORD_{login.removeprefix('svc_').upper()}": password
            for login, password in self.secrets.nats.items()
        }
        return {
            **minimal(),
            "NATS_SERVER_NAME": "pulse-local",
            "NATS_HOST": '"127.0.0.1"',
            "NATS_PORT": str(self.ports.nats),
            "NATS_MONITOR_PORT": str(self.ports.nats_monitor),
            # Quoted, since nats-server parses a variable's text like a value in its file.
            "NATS_STORE_DIR": f'"{self.data / "nats"}"',
            **passwords,
        }

    def of_caddy(self) -> Environment:
        def local(port: int) -> str:
            return f"127.0.0.1:{port}"

        return {
            **minimal(),
            "XDG_DATA_HOME": str(self.data / "caddy"),
            "XDG_CONFIG_HOME": str(self.data / "caddy"),
            "EDGE_SITE": self.public_url,
            "EDGE_HOST": "localhost",
            "EDGE_HTTPS_PORT": str(self.ports.edge_https),
            "EDGE_HTTP_PORT": str(self.ports.edge_http),
            "EDGE_BIND": "127.0.0.1",
            "EDGE_TLS": f'"{self.tls.certificate}" "{self.tls.key}"',
            # Browsers would carry it over to every other program on this machine's localhost.
            "EDGE_HSTS": "off",
            "EDGE_DEVICE_TLS": "on",
            "EDGE_DEVICE_CA_FILE": str(self.trust_store),
            "UI_IOT_UPSTREAM": local(self.ports.ui_iot),
            "PROVISION_API_UPSTREAM": local(self.ports.provision_api),
            "CERT_WORKER_UPSTREAM": local(self.ports.cert_worker),
            "BILLING_WEBHOOKS_UPSTREAM": local(self.ports.billing_webhooks),
            "IDENTITY_PROVIDER_UPSTREAM": local(self.ports.idp),
        }

    def _common(self, service: str) -> Environment:
        login = f"svc_{service}"
        return {
            **minimal(),
            "PULSE_ENV": "development",
            "LOG_LEVEL": "INFO",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(self.ports.by_part()[service]),
            "DATABASE_URL": self._database_url(login),
            "NATS_URL": f"nats://127.0.0.1:{self.ports.nats}",
            "NATS_USER": login,
            "NATS_PASSWORD": self.secrets.nats[login],
        }

    def _database_url(self, login: str) -> str:
        return database_url(login, self.secrets.database[login], self.ports.postgres)

    def _sign_in(self) -> Environment:
        return {
            "OIDC_ISSUER": self.issuer,
            "OIDC_INTERNAL_URL": f"http://127.0.0.1:{self.ports.idp}/realms/pulse",
            "OIDC_AUDIENCE": "pulse-api",
        }

    def _ui_iot(self) -> Environment:
        return {
            **self._sign_in(),
            "PUBLIC_URL": self.public_url,
            "OPERATOR_DATABASE_URL": self._database_url("svc_ui_iot_operator"),
            "AUDIT_SPOOL_DIRECTORY": str(self.data / "audit-spool"),
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.ports.smtp),
            "SMTP_FROM": "pulse@pulse.example",
            "SMTP_STARTTLS": "false",
            "OPERATOR_NOTICE_EMAILS": "olivia@pulse.example",
            "OIDC_CLIENT_ID": "pulse-ui",
            "OIDC_CLIENT_SECRET": self.secrets.oidc_client,
            "OIDC_ADMIN_CLIENT_SECRET": self.secrets.oidc_admin_client,
            "SESSION_ENCRYPTION_KEY": self.secrets.session_encryption_key,
            "TRUSTED_PROXIES": "127.0.0.1/32",
            # All journeys come from one address, and log in as often as they like.
            "AUTH_ATTEMPTS_PER_MINUTE": "10000",
            "API_REQUESTS_PER_MINUTE": "10000",
            "PAGE_REQUESTS_PER_MINUTE": "10000",
            "TENANT_REQUESTS_PER_MINUTE": "20000",
            "LIVE_CONNECTIONS_PER_MINUTE": "10000",
            "INVITATIONS_PER_HOUR": "10000",
        }

    def _provision_api(self) -> Environment:
        return {
            **self._sign_in(),
            "PROVISION_ADMIN_KEY": self.secrets.provision_admin_key,
            # The demo and the journeys come from one address, and make everything there is.
            "PROVISION_ADMIN_PER_MINUTE": "10000",
            "PROVISION_ENROL_PER_MINUTE": "10000",
            # In production, by the minute; here two tenants more would be in everybody's way.
            "CANARY_EVERY_SECONDS": "0",
            "CLIENT_CERTIFICATE_HEADER": "true",
            "MQTT_PUBLIC_HOST": "localhost",
            "MQTT_PUBLIC_PORT": str(self.ports.mqtts),
            "MQTT_CA_FILE": str(self.tls.ca),
            "TRUSTED_PROXIES": "127.0.0.1/32",
        }

    def _cert_worker(self) -> Environment:
        return {
            "CA_DIRECTORY": str(self.ca_directory),
            "CA_KEY_PASSPHRASE": self.secrets.ca_key_passphrase,
            "CRL_BASE_URL": f"http://localhost:{self.ports.edge_http}/pki",
            "CERTIFICATE_LIFETIME_DAYS": "90",
            "BROKER_PROBE_HOST": "localhost",
            "BROKER_PROBE_PORT": str(self.ports.mqtts),
            "BROKER_PROBE_CA_FILE": str(self.tls.ca),
            "WATCHED_SERVERS": (
                f"edge=localhost:{self.ports.edge_https},broker=localhost:{self.ports.mqtts}"
            ),
        }

    def _mqtt_authz(self) -> Environment:
        return {
            "MQTT_AUTH_SECRET": self.secrets.mqtt_auth,
            "MQTT_ADMIN_PASSWORD": self.secrets.mqtt_admin,
            "EMQX_API_URL": f"http://127.0.0.1:{self.ports.broker_api}",
            "EMQX_API_KEY": self.secrets.broker_api_key,
            "EMQX_API_SECRET": self.secrets.broker_api_secret,
        }

    def _billing_webhooks(self) -> Environment:
        # No key: nothing is billed, and every tenant has the plan without limits.
        return {
            "STRIPE_WEBHOOK_SECRETS": self.secrets.stripe_webhook,
            "PUBLIC_URL": self.public_url,
        }

    def _delivery_worker(self) -> Environment:
        return {"DELIVERY_SECRET_KEY": self.secrets.delivery_secret_key}

    def _ingest_worker(self) -> Environment:
        return {
            "MQTT_HOST": "127.0.0.1",
            "MQTT_PORT": str(self.ports.mqtt_internal),
            "MQTT_USERNAME": "svc_ingest_worker",
            "MQTT_PASSWORD": self.secrets.mqtt_admin,
            "MQTT_CLIENT_ID": "ingest-1",
        }
