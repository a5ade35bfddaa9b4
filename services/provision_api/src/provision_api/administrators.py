"""Whose wishes come over NATS: ui_iot hands on a person's own access token, and that token alone says who it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from provision_api.enrolment import Caller
from pulse_common.errors import Forbidden, Unauthenticated
from pulse_common.identity import Role

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pulse_common.identity import TenantId, TokenVerifier

    OnRefusedCall = Callable[[str, str | None, Unauthenticated], Awaitable[None]]
    """Told of each refused token: the call, the request that caused it, the reason; must not raise."""


class WithToken(Protocol):
    @property
    def rpc(self) -> str: ...
    @property
    def access_token(self) -> str: ...
    @property
    def request_id(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Administrators:
    verifier: TokenVerifier
    on_refused_call: OnRefusedCall

    async def of(self, request: WithToken) -> tuple[TenantId, Caller]:
        """Return the tenant whose administrator asks, and who that is.

        Raises:
            Unauthenticated, Forbidden: the token is not valid, or nobody's who administers a tenant.
        """
        try:
            principal = await self.verifier.verify(request.access_token)
        except Unauthenticated as error:
            await self.on_refused_call(request.rpc, request.request_id, error)
            raise
        if Role.TENANT_ADMIN not in principal.roles:
            raise Forbidden("only a tenant's administrator may add or change devices")
        if principal.tenant is None:
            raise Forbidden("your account belongs to no tenant")
        caller = Caller(kind="user", id=principal.subject, request_id=request.request_id)
        return principal.tenant, caller
