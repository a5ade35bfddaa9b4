"""The parts of the stack: how each is started, when it is ready and which parts it needs first."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_local.caddy import caddy_command
from pulse_local.environments import minimal
from pulse_local.nats import nats_command
from pulse_local.postgres import postgres_command
from pulse_local.processes import Command, Ready
from pulse_local.readiness import accepts_tcp, all_of, answers_http, is_written

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pulse_local.environments import Environments

MIGRATE = "migrate"
AUTHORITY = "authority"

# What a service cannot be ready without.
_SERVICE_NEEDS: Mapping[str, frozenset[str]] = {
    "cert_worker": frozenset({MIGRATE, AUTHORITY, "nats"}),
    "mqtt_authz": frozenset({MIGRATE, "nats"}),
    "ingest_worker": frozenset({MIGRATE, "nats", "broker"}),
    "provision_api": frozenset({MIGRATE, "nats", "idp"}),
    "ui_iot": frozenset({MIGRATE, "nats", "idp"}),
    "billing_webhooks": frozenset({MIGRATE, "nats"}),
    "delivery_worker": frozenset({MIGRATE, "nats"}),
}
SERVICES = tuple(_SERVICE_NEEDS)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A part with what it comes after."""

    command: Command
    after: frozenset[str] = frozenset()


def plan_parts(
    environments: Environments,
    repository: Path,
    overrides: Mapping[str, Mapping[str, str]],
) -> list[Planned]:
    """Give every part but PostgreSQL; `overrides` adds to a service's environment by its name."""
    return [
        _nats(environments, repository),
        _identity_provider(environments),
        plan_smtp(environments.ports.smtp, environments.data / "mail"),
        *(_service(environments, name, overrides.get(name, {})) for name in SERVICES),
        _broker(environments),
        _edge(environments, repository),
    ]


def plan_postgres(environments: Environments) -> Planned:
    """Give PostgreSQL; makes its cluster on the first run, which takes a second or two."""
    command = postgres_command(
        cluster=environments.data / "postgres",
        port=environments.ports.postgres,
        password=environments.secrets.postgres_superuser,
        environment=minimal(),
    )
    return Planned(command=command)


def plan_smtp(port: int, folder: Path) -> Planned:
    """Give the mail sink."""
    arguments = ("pulse_local.smtp", "--port", str(port), "--folder", str(folder))
    return Planned(command=module_command("smtp", arguments, minimal(), accepts_tcp(port)))


def module_command(
    name: str, arguments: tuple[str, ...], environment: Mapping[str, str], ready: Ready
) -> Command:
    """Run `python -m arguments…` with this virtual environment's interpreter."""
    return Command(
        name=name,
        # -P: nothing is imported from the current folder.
        arguments=(sys.executable, "-P", "-m", *arguments),
        environment=environment,
        ready=ready,
    )


def _nats(environments: Environments, repository: Path) -> Planned:
    command = nats_command(
        repository=repository,
        ports=environments.ports,
        store=environments.data / "nats",
        environment=environments.of_nats(),
    )
    return Planned(command=command)


def _identity_provider(environments: Environments) -> Planned:
    discovery = "/realms/pulse/.well-known/openid-configuration"
    command = module_command(
        "idp",
        ("pulse_local.idp",),
        environments.of_identity_provider(),
        answers_http(environments.ports.idp, discovery),
    )
    return Planned(command=command)


def _service(environments: Environments, name: str, extra: Mapping[str, str]) -> Planned:
    environment = {**environments.of_service(name), **extra}
    ready = answers_http(environments.ports.by_part()[name], "/readyz")
    if name == "cert_worker":
        ready = all_of(ready, is_written(environments.trust_store))
    return Planned(
        command=module_command(name, (name,), environment, ready),
        after=_SERVICE_NEEDS[name],
    )


def _broker(environments: Environments) -> Planned:
    # cert_worker writes the broker's trust store, mqtt_authz answers its questions.
    ports = environments.ports
    ready = accepts_tcp(ports.mqtts, ports.mqtts_token, ports.mqtt_internal, ports.broker_api)
    command = module_command("broker", ("pulse_local.broker",), environments.of_broker(), ready)
    return Planned(command=command, after=frozenset({"cert_worker", "mqtt_authz"}))


def _edge(environments: Environments, repository: Path) -> Planned:
    # Last, so that the door opens when somebody is at home; cert_worker writes the names of the devices' CAs.
    command = caddy_command(
        repository=repository,
        ports=environments.ports,
        storage=environments.data / "caddy",
        environment=environments.of_caddy(),
    )
    return Planned(
        command=command, after=frozenset({"ui_iot", "provision_api", "cert_worker", "idp"})
    )
