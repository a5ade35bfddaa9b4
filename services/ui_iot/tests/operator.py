"""One operator with a token of their own, and the API that it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from services.ui_iot.tests.rig import ISSUER, NOW

if TYPE_CHECKING:
    import httpx2
    from services.ui_iot.tests.rig import Rig

API = "/api/v2/operator"


class Person:
    """One operator with a token of their own."""

    def __init__(self, rig: Rig, role: str = "operator-admin", **claims: object) -> None:
        self.subject = str(uuid4())
        self.role = role
        self.http = rig.browser()
        token = ISSUER.token(
            sub=self.subject,
            email=f"{self.subject[:4]}@pulse.example",
            realm_access={"roles": [role]},
            **{"tenant_id": ..., "auth_time": int(NOW.timestamp()), **claims},
        )
        self.headers = {"authorization": f"Bearer {token}", "operator-reason": "ticket%2012"}

    async def get(self, path: str, **query: str) -> httpx2.Response:
        return await self.http.get(f"{API}{path}", headers=self.headers, params=query or None)

    async def post(self, path: str, body: object = None) -> httpx2.Response:
        return await self.http.post(f"{API}{path}", headers=self.headers, json=body)
