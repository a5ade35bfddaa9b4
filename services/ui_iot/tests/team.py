"""Acme's team as tests meet it: people that the realm knows and who are signed in, and what the audit log says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.ui_iot.tests.rig import PUBLIC_URL, Browser, Rig, claims_of

if TYPE_CHECKING:
    from uuid import UUID

    import httpx2
    from services.ui_iot.tests.realm import Somebody

TEAM = "/api/v2/team"


@dataclass(frozen=True)
class Insider:
    """Somebody of the realm in a browser."""

    person: Somebody
    browser: Browser

    @property
    def id(self) -> UUID:
        return self.person.id

    async def call(
        self, method: str, path: str = "", json: object = None, **headers: str
    ) -> httpx2.Response:
        """Ask the API as one of our own pages would."""
        own = {
            "x-csrf-token": self.browser.csrf,
            "origin": PUBLIC_URL,
            "sec-fetch-site": "same-origin",
            "user-agent": "Firefox",
            "x-forwarded-for": "203.0.113.9",
        }
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.browser.request(
            method, f"{TEAM}{path}", json=json, headers={**own, **named}
        )

    async def invite(self, email: str, role: str = "customer", **headers: str) -> httpx2.Response:
        return await self.call("POST", json={"email": email, "role": role}, **headers)

    async def change_role(self, member: UUID, role: str) -> httpx2.Response:
        return await self.call("PATCH", f"/{member}", {"role": role}, if_match="*")

    async def remove(self, member: UUID) -> httpx2.Response:
        return await self.call("DELETE", f"/{member}")


async def sign_in(rig: Rig, tenant: UUID, role: str = "tenant-admin", email: str = "") -> Insider:
    person = rig.realm.person(tenant, role, email)
    browser = rig.browser()
    await rig.log_in(browser, **{**claims_of(tenant, role), "sub": str(person.id)})
    await browser.page("/devices")
    return Insider(person, browser)


def acts(rig: Rig, object_id: object) -> list[tuple[str, str, str | None]]:
    """Return what the audit log says was done to somebody, oldest first: action, outcome, reason."""
    return [(row["action"], row["outcome"], row["reason"]) for row in records(rig, object_id)]


def records(rig: Rig, object_id: object) -> list[dict[str, Any]]:
    found = rig.superuser.execute(
        "SELECT to_jsonb(a) FROM audit_log a WHERE object_kind = 'user' AND object_id = %s ORDER BY at, audit_id",
        [str(object_id)],
    ).fetchall()
    return [row[0] for row in found]
