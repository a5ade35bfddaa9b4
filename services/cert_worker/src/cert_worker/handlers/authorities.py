"""Tell which CA certificates stand behind a profile, for clients that ask before they enrol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common import events
from pulse_common.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from cert_worker.authority import Authorities


@dataclass(frozen=True, slots=True)
class Telling:
    authorities: Authorities

    async def authorities_of(self, request: events.AuthoritiesRequest) -> events.AuthoritiesReply:
        """Return the chain of the CA that issues for a profile.

        Raises:
            NotFound: none does.
        """
        try:
            authority = self.authorities.of_profile(request.profile)
        except Unavailable:
            raise NotFound("there is no such certificate profile") from None
        return events.AuthoritiesReply(chain_pem=authority.chain_pem.decode())
