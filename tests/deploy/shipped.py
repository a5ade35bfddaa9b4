"""What the shipped files say, read once: compose services, Kubernetes manifests, and the settings of each service."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose"
BASE = ROOT / "deploy" / "k8s" / "base"
Document = dict[str, Any]

_COMMON = frozenset(
    {
        "PULSE_ENV",
        "LOG_LEVEL",
        "HTTP_HOST",
        "HTTP_PORT",
        "DATABASE_URL",
        "NATS_URL",
        "NATS_REPLICAS",
        "NATS_USER",
        "NATS_PASSWORD",
    }
)
_SIGN_IN = frozenset({"OIDC_ISSUER", "OIDC_INTERNAL_URL", "OIDC_AUDIENCE", "OIDC_ALLOWED_CLIENTS"})
# The names of each service's settings class.
SETTINGS = {
    "ui_iot": _COMMON
    | _SIGN_IN
    | {
        "PUBLIC_URL",
        "OPERATOR_DATABASE_URL",
        "SMTP_HOST",
        "SMTP_PORT",
        "SMTP_FROM",
        "SMTP_STARTTLS",
        "SMTP_USER",
        "SMTP_PASSWORD",
        "OPERATOR_NOTICE_EMAILS",
        "OIDC_CLIENT_ID",
        "OIDC_CLIENT_SECRET",
        "OIDC_ADMIN_CLIENT_SECRET",
        "SESSION_ENCRYPTION_KEY",
        "AUDIT_SPOOL_DIRECTORY",
        "STEP_UP_MAX_AGE_SECONDS",
        "STEP_UP_ACR",
        "AUTH_ATTEMPTS_PER_MINUTE",
        "API_REQUESTS_PER_MINUTE",
        "PAGE_REQUESTS_PER_MINUTE",
        "TENANT_REQUESTS_PER_MINUTE",
        "LIVE_CONNECTIONS_PER_MINUTE",
        "INVITATIONS_PER_HOUR",
        "RATE_LIMIT_STORE_URL",
        "TRUSTED_PROXIES",
    },
    "provision_api": _COMMON
    | _SIGN_IN
    | {
        "PROVISION_ADMIN_KEY",
        "MQTT_PUBLIC_HOST",
        "MQTT_PUBLIC_PORT",
        "MQTT_CA_FILE",
        "CLIENT_CERTIFICATE_HEADER",
        "TRUSTED_PROXIES",
        "PROVISION_ADMIN_PER_MINUTE",
        "PROVISION_ENROL_PER_MINUTE",
        "CANARY_EVERY_SECONDS",
        "RATE_LIMIT_STORE_URL",
    },
    "cert_worker": _COMMON
    | {
        "CA_DIRECTORY",
        "CA_KEY_PASSPHRASE",
        "CRL_BASE_URL",
        "CERTIFICATE_LIFETIME_DAYS",
        "WATCHED_SERVERS",
        "AUDIT_HEADS_DIRECTORY",
        "AUDIT_RETENTION_MONTHS",
        "AUDIT_SYSLOG_HOST",
        "AUDIT_SYSLOG_PORT",
        "AUDIT_SYSLOG_CA_FILE",
    },
    "mqtt_authz": _COMMON
    | {
        "MQTT_AUTH_SECRET",
        "MQTT_AUTH_SECRET_PREVIOUS",
        "MQTT_ADMIN_PASSWORD",
        "EMQX_API_URL",
        "EMQX_API_KEY",
        "EMQX_API_SECRET",
    },
    "billing_webhooks": _COMMON
    | {
        "STRIPE_API_KEY",
        "STRIPE_WEBHOOK_SECRETS",
        "STRIPE_PRICES",
        "BILLING_DEFAULT_PLAN",
        "PUBLIC_URL",
    },
    "ingest_worker": _COMMON
    | {"MQTT_HOST", "MQTT_PORT", "MQTT_USERNAME", "MQTT_PASSWORD", "MQTT_CLIENT_ID"},
    "delivery_worker": _COMMON
    | {
        "DELIVERY_SECRET_KEY",
        "DELIVERY_SECRET_KEY_PREVIOUS",
        "DELIVERY_ALLOWED_NETWORKS",
        "DELIVERY_ALLOWED_PORTS",
        "DELIVERY_ALLOW_HTTP",
        "DELIVERY_LOG_DAYS",
    },
}


@cache
def compose() -> Document:
    """Give everything that compose.yaml includes as one document; a name that two files define is an error."""
    whole: Document = {"services": {}, "networks": {}, "volumes": {}, "secrets": {}}
    for name in yaml.safe_load((COMPOSE / "compose.yaml").read_text())["include"]:
        document = yaml.safe_load((COMPOSE / name).read_text())
        for section, found in whole.items():
            new = document.get(section) or {}
            assert not found.keys() & new.keys(), f"{name} repeats {found.keys() & new.keys()}"
            found |= {key: _extended(value) for key, value in new.items()}
    return whole


def _extended(service: Document) -> Document:
    """Apply `extends`, which here is always one step and never overrides a list that hardens."""
    if "extends" not in service:
        return service
    wanted = service["extends"]
    parent = yaml.safe_load((COMPOSE / wanted["file"]).read_text())["services"][wanted["service"]]
    return {**parent, **service}


@cache
def manifests() -> list[Document]:
    """Give every manifest that the base's kustomization names, in its namespace."""
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    found = [
        document
        for name in kustomization["resources"]
        for document in yaml.safe_load_all((BASE / name).read_text())
    ]
    for document in found:
        if document["kind"] != "Namespace":
            document["metadata"]["namespace"] = kustomization["namespace"]
    return found
