"""Opens the sealer's parts and sets them to work; ``app.py`` calls this once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from cert_worker.sealing.keeping import Keeper
from cert_worker.sealing.places import FilePlace, StreamPlace, Teller
from cert_worker.sealing.sealer import Sealer
from cert_worker.sealing.signer import FileHeadSigner
from cert_worker.sealing.syslog import Siem
from pulse_common import events
from pulse_common.clock import system_clock
from pulse_common.http import Open

if TYPE_CHECKING:
    from starlette.requests import Request

    from cert_worker.sealing.signer import HeadSigner
    from cert_worker.settings import Settings
    from pulse_common.bus import Bus
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database

KEY_FILE = "audit-seal.key"
HEADS_FOLDER = "audit-heads"


async def start_sealing(
    settings: Settings, runtime: Runtime, database: Database, bus: Bus
) -> list[Open]:
    """Seal from now on; returns the endpoint that gives the public key.

    Raises:
        SealKeyRefused, OSError: the service must not start.
    """
    passphrase = settings.ca_key_passphrase.get_secret_value().encode()
    signer = FileHeadSigner.open(settings.ca_directory / KEY_FILE, passphrase)
    heads = settings.audit_heads_directory or settings.ca_directory / HEADS_FOLDER
    await bus.ensure_stream(events.STREAM_AUDIT_HEADS)
    keeper = Keeper(database, system_clock, settings.audit_retention_months)
    await keeper.keep_once()
    sealer = Sealer(database=database, signer=signer, clock=system_clock)
    runtime.spawn("audit months", keeper.run())
    runtime.spawn("audit sealer", sealer.run())
    runtime.spawn("audit heads to the stream", Teller(database, StreamPlace(bus)).run())
    runtime.spawn("audit heads to a file", Teller(database, FilePlace(heads, system_clock)).run())
    if settings.audit_syslog_host:
        siem = Siem(
            database,
            host=settings.audit_syslog_host,
            port=settings.audit_syslog_port,
            ca_file=settings.audit_syslog_ca_file,
        )
        runtime.spawn("audit rows to the SIEM", siem.run())
    return [endpoint(signer)]


def endpoint(signer: HeadSigner) -> Open:
    async def public_key(_: Request) -> Response:
        return Response(signer.public_pem, media_type="application/x-pem-file")

    return Open(
        method="GET",
        path="/pki/audit-seal.pub",
        why="public by nature: whoever checks the audit log checks its heads by it",
        handler=public_key,
    )
