"""Wanting no more mails about a topic: by the link in a mail, with one click (RFC 8058), without a log-in.

The link is sealed: it names the tenant, the address and the topics, and nobody can make one for somebody else.  Reading
it changes nothing, since mail programs and scanners do that by themselves; a POST does.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from pulse_common.errors import NotFound
from pulse_common.http import Endpoint, Open
from pulse_common.identity import TenantId
from pulse_common.ratelimit import Limit
from ui_iot import mail_store, rendering
from ui_iot.sealing import NotSealedHereError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.tenancy import Database
    from ui_iot.sealing import Sealer

PURPOSE = "unsubscribe"
PATH = "/unsubscribe/{link}"
LONGEST_LINK = 2000
_LIMIT = Limit(name="unsubscribe", amount=60, seconds=60, per="address", when_store_is_down="allow")


class _Meant(BaseModel):
    model_config = ConfigDict(frozen=True)

    tenant_id: UUID
    address: str
    topics: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribing:
    db: Database
    sealer: Sealer
    public_url: str

    def url_for(self, tenant: UUID, address: str, topics: Sequence[str]) -> str:
        meant = _Meant(tenant_id=tenant, address=address, topics=list(topics))
        sealed = self.sealer.seal(meant.model_dump_json().encode(), PURPOSE)
        return f"{self.public_url}/unsubscribe/{base64.urlsafe_b64encode(sealed).decode()}"

    async def show(self, request: Request) -> Response:
        """Ask; no link is followed by people alone."""
        meant = self._read(request)
        return rendering.page(request, "unsubscribe.html", _shown(meant, done=False))

    async def refuse(self, request: Request) -> Response:
        """Note it; again is harmless."""
        meant = self._read(request)
        async with self.db.tenant_connection(TenantId(meant.tenant_id)) as tx:
            await mail_store.refuse(tx, meant.address, meant.topics)
        return rendering.page(request, "unsubscribe.html", _shown(meant, done=True))

    def endpoints(self) -> list[Endpoint]:
        why = "the sealed link from a mail is the credential (RFC 8058: no log-in, no cookie)"
        return [
            Open(method="GET", path=PATH, why=why, handler=self.show, limits=(_LIMIT,)),
            Open(method="POST", path=PATH, why=why, handler=self.refuse, limits=(_LIMIT,)),
        ]

    def _read(self, request: Request) -> _Meant:
        link = request.path_params["link"][:LONGEST_LINK]
        try:
            sealed = base64.b64decode(link.encode(), altchars=b"-_", validate=True)
            return _Meant.model_validate_json(self.sealer.open(sealed, PURPOSE))
        except (NotSealedHereError, binascii.Error, UnicodeError):
            raise NotFound("this link is not one of ours, or too old") from None


def _shown(meant: _Meant, *, done: bool) -> dict[str, object]:
    return {"address": meant.address, "topics": ", ".join(meant.topics), "done": done}
