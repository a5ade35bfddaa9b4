"""Tell which CA certificates stand behind a profile, for clients that ask before they enrol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common import events
from pulse_common.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cert_worker.authority import Authorities
    from cert_worker.profile import DeviceProfile


@dataclass(frozen=True, slots=True)
class Telling:
    authorities: Authorities
    profiles: Mapping[str, DeviceProfile]

    async def authorities_of(self, request: events.AuthoritiesRequest) -> events.AuthoritiesReply:
        """Return the CA that issues for a profile, others that its devices are to trust, their roots, and which keys.

        Raises:
            NotFound: none does.
        """
        try:
            self.authorities.of_profile(request.profile)
        except Unavailable:
            raise NotFound("there is no such certificate profile") from None
        profile = self.profiles.get(request.profile)
        return events.AuthoritiesReply(
            chain_pem=self.authorities.trusted_by(request.profile).decode(),
            key_types=frozenset() if profile is None else profile.key_types,
        )
