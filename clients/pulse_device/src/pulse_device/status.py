"""Say who this device is and whether its identity is still good."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_device.journal import timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from pulse_device.identity import Identity


@dataclass(frozen=True, slots=True)
class Status:
    identity: Identity
    now: datetime

    @property
    def problems(self) -> tuple[str, ...]:
        """What makes the identity unusable."""
        found = []
        if self.identity.lifetime.expired(self.now):
            found.append("the certificate has expired: enrol again with --force")
        if not self.identity.key_is_private:
            found.append(f"others can use the key: chmod 600 {self.identity.directory.key}")
        return tuple(found)

    @property
    def renewal_due(self) -> bool:
        return self.identity.lifetime.renewal_due(self.now)


def as_text(status: Status) -> str:
    identity, lifetime = status.identity, status.identity.lifetime
    config = identity.config
    lines = [
        f"device       {config.name.device_id}",
        f"tenant       {config.name.tenant_id}",
        f"server       {config.server}",
        f"broker       {config.broker.host}:{config.broker.port}",
        f"certificate  {lifetime.serial_number}",
        f"valid from   {timestamp(lifetime.not_before)}",
        f"valid until  {timestamp(lifetime.not_after)} ({lifetime.days_left(status.now)} days left)",
        f"key          {identity.directory.key} (mode {identity.key_mode:04o})",
    ]
    if status.renewal_due:
        lines.append("warning      the certificate is past two thirds of its lifetime")
    lines += [f"problem      {problem}" for problem in status.problems]
    lines.append(f"status       {'not usable' if status.problems else 'good'}")
    return "\n".join(lines)


def as_json(status: Status) -> str:
    identity, lifetime = status.identity, status.identity.lifetime
    config = identity.config
    return json.dumps(
        {
            "enrolled": True,
            "good": not status.problems,
            "problems": list(status.problems),
            "device_id": config.name.device_id,
            "tenant_id": config.name.tenant_id,
            "server": config.server,
            "mqtt": {"host": config.broker.host, "port": config.broker.port},
            "certificate": {
                "serial_number": lifetime.serial_number,
                "not_before": timestamp(lifetime.not_before),
                "not_after": timestamp(lifetime.not_after),
                "days_left": lifetime.days_left(status.now),
                "expired": lifetime.expired(status.now),
                "renewal_due": status.renewal_due,
            },
            "key": {
                "path": str(identity.directory.key),
                "mode": f"{identity.key_mode:04o}",
                "private": identity.key_is_private,
            },
        },
        indent=2,
    )
