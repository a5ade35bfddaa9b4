"""What we ask the broker to do, and how EMQX is asked.  No other module knows which broker it is."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import httpx2

from pulse_common.ids import parse_uuid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from uuid import UUID

CALL_SECONDS = 3.0
PAGE = 1000
KICKED_AT_ONCE = 500
NAMED_AT_ONCE = 100
"""Longer addresses than these names make are refused."""
BY = "mqtt_authz"


@dataclass(frozen=True, slots=True)
class Session:
    """A device's session; ``serial_number`` is that of the certificate it came with, empty when unknown."""

    device: UUID
    serial_number: str


class BrokerFailed(Exception):  # noqa: N818 -- reads as an outcome
    """The broker did not do it, or did not say so; asking again is harmless."""


class BrokerAdapter(Protocol):
    """Each act may be repeated, and succeeds when its end is reached already.

    Every method raises ``BrokerFailed`` unless the broker has said that it is so.
    """

    async def ban(self, device: UUID, why: str) -> None:
        """Refuse the device's CONNECTs, and keep its will from being published."""
        ...

    async def unban(self, device: UUID) -> bool:
        """Lift the ban; False when there was none."""
        ...

    async def drop_authorization_cache(self, device: UUID) -> None: ...

    async def kick(self, device: UUID) -> None:
        """End the connection and delete the session."""
        ...

    async def kick_all(self, devices: Sequence[UUID]) -> None:
        """Do as ``kick`` does, for many at once."""
        ...

    async def purge_retained(self, topics: Sequence[str]) -> None: ...

    async def has_session(self, device: UUID) -> bool:
        """Whether a session is left, connected or not."""
        ...

    async def left_of(self, devices: Sequence[UUID]) -> set[UUID]:
        """Find those of whom a session is left, connected or not."""
        ...

    def sessions(self) -> AsyncIterator[list[Session]]:
        """Every device's session, page by page; one that comes or goes meanwhile may be missed."""
        ...

    def bans(self) -> AsyncIterator[list[UUID]]:
        """Every device that we have banned, page by page."""
        ...


class EmqxAdapter:
    """EMQX's management API, version 5."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    @classmethod
    def to(cls, url: str, key: str, secret: str) -> EmqxAdapter:
        return cls(
            httpx2.AsyncClient(
                base_url=f"{url.rstrip('/')}/api/v5",
                auth=httpx2.BasicAuth(key, secret),
                timeout=CALL_SECONDS,
                follow_redirects=False,
                trust_env=False,  # a proxy of the environment must not see the key
            )
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ban(self, device: UUID, why: str) -> None:
        body = {"as": "clientid", "who": str(device), "by": BY, "reason": why}
        answer = await self._call("POST", "/banned", {**body, "until": "infinity"})
        if answer.status_code == HTTPStatus.BAD_REQUEST and _code(answer) == "ALREADY_EXISTS":
            return
        _expect(answer, HTTPStatus.OK)

    async def unban(self, device: UUID) -> bool:
        return await self._delete(f"/banned/clientid/{device}", absent="NOT_FOUND")

    async def drop_authorization_cache(self, device: UUID) -> None:
        path = f"/clients/{device}/authorization/cache"
        await self._delete(path, absent="CLIENTID_NOT_FOUND")

    async def kick(self, device: UUID) -> None:
        await self._delete(f"/clients/{device}", absent="CLIENTID_NOT_FOUND")

    async def kick_all(self, devices: Sequence[UUID]) -> None:
        for some in _chunks(devices, KICKED_AT_ONCE):
            answer = await self._call("POST", "/clients/kickout/bulk", [str(one) for one in some])
            _expect(answer, HTTPStatus.NO_CONTENT)

    async def purge_retained(self, topics: Sequence[str]) -> None:
        for topic in topics:
            path = f"/mqtt/retainer/message/{quote(topic, safe='')}"
            await self._delete(path, absent="NOT_FOUND")

    async def has_session(self, device: UUID) -> bool:
        answer = await self._call("GET", f"/clients/{device}")
        if _is_absent(answer, "CLIENTID_NOT_FOUND"):
            return False
        _expect(answer, HTTPStatus.OK)
        return True

    async def left_of(self, devices: Sequence[UUID]) -> set[UUID]:
        found: set[UUID] = set()
        for some in _chunks(devices, NAMED_AT_ONCE):
            named = "&".join(f"clientid={device}" for device in some)
            async for rows in self._pages("/clients", f"&{named}"):
                found |= {session.device for session in map(_session, rows) if session is not None}
        return found & set(devices)

    async def sessions(self) -> AsyncIterator[list[Session]]:
        async for rows in self._pages("/clients"):
            yield [session for session in map(_session, rows) if session is not None]

    async def bans(self) -> AsyncIterator[list[UUID]]:
        # Collected first: what is lifted meanwhile would shift the pages.
        found = [row async for rows in self._pages("/banned") for row in rows]
        ours = [row for row in found if row.get("as") == "clientid" and row.get("by") == BY]
        yield [device for device in (_uuid(row.get("who")) for row in ours) if device is not None]

    async def _pages(self, path: str, filters: str = "") -> AsyncIterator[list[dict[str, Any]]]:
        number, more = 1, True
        while more:
            answer = await self._call("GET", f"{path}?page={number}&limit={PAGE}{filters}")
            _expect(answer, HTTPStatus.OK)
            try:
                page = answer.json()
                rows, more = list(page["data"]), bool(page["meta"].get("hasnext"))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BrokerFailed(f"GET {path}: not a page") from error
            yield [row for row in rows if isinstance(row, dict)]
            number += 1

    async def _delete(self, path: str, *, absent: str) -> bool:
        """Delete something; False when the broker says that there is no such thing."""
        answer = await self._call("DELETE", path)
        if _is_absent(answer, absent):
            return False
        _expect(answer, HTTPStatus.NO_CONTENT)
        return True

    async def _call(self, method: str, path: str, body: object = None) -> httpx2.Response:
        try:
            try:
                return await self._client.request(method, path, json=body)
            except httpx2.RemoteProtocolError:
                # The broker closed an idle connection as we took it up; every act may be repeated.
                return await self._client.request(method, path, json=body)
        except httpx2.HTTPError as error:
            raise BrokerFailed(f"{method} {path}: {type(error).__name__}") from error


def _chunks(devices: Sequence[UUID], size: int) -> Iterator[Sequence[UUID]]:
    return (devices[start : start + size] for start in range(0, len(devices), size))


def _session(row: dict[str, Any]) -> Session | None:
    device = _uuid(row.get("clientid"))
    if device is None:
        return None
    attributes = row.get("client_attrs")
    serial = attributes.get("serial") if isinstance(attributes, dict) else None
    return Session(device, serial if isinstance(serial, str) else "")


def _uuid(text: object) -> UUID | None:
    """Read a device id; services, and whatever else is connected, have names of another form."""
    try:
        return parse_uuid(str(text))
    except ValueError:
        return None


def _is_absent(answer: httpx2.Response, code: str) -> bool:
    """Take a 404 for an answer only with the broker's own code: one of a proxy or a wrong path confirms nothing."""
    return answer.status_code == HTTPStatus.NOT_FOUND and _code(answer) == code


def _code(answer: httpx2.Response) -> str:
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return ""
    return str(body.get("code", "")) if isinstance(body, dict) else ""


def _expect(answer: httpx2.Response, status: HTTPStatus) -> None:
    if answer.status_code != status:
        request = answer.request
        what = f"{request.method} {request.url.path}: {answer.status_code} {_code(answer)}"
        raise BrokerFailed(what.rstrip())
