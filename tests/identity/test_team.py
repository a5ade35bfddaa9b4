"""What ui_iot's own client of the admin API makes of a provider: the calls behind the team page."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import anyio
import httpx2
import pytest
from pydantic import SecretStr
from tests.identity.provider import ACME, ADMIN_SECRET, ALICE, GLOBEX, PASSWORD
from tests.identity.visitor import Application, Browser, claims_of

from pulse_common.clock import system_clock
from pulse_common.errors import Malformed, Unavailable
from pulse_common.identity import TenantId
from ui_iot.directory import AddressTaken, Directory, open_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.identity.provider import Provider

    from ui_iot.members import Account

pytestmark = pytest.mark.anyio

_ACME = TenantId(UUID(ACME))


@asynccontextmanager
async def directory_of(provider: Provider, secret: str = ADMIN_SECRET) -> AsyncIterator[Directory]:
    async with httpx2.AsyncClient(timeout=30) as http:
        yield open_directory(
            http=http,
            internal_url=provider.issuer,
            client_id="pulse-ui-admin",
            secret=SecretStr(secret),
            invite_to="pulse-ui",
            clock=system_clock,
        )


def new_address() -> str:
    return f"{secrets.token_hex(6)}@acme.example"


async def test_people_of_a_tenant_are_found_page_by_page_with_all_their_roles(
    provider: Provider,
) -> None:
    async with directory_of(provider) as directory:
        found = await directory.search(_ACME, 0, 500)
        page = await directory.search(_ACME, 1, 1)
        alice = await directory.find_address(ALICE)
        assert alice is not None
        roles = await directory.roles_of(alice.id)

    assert {person.tenant for person in found} == {ACME}
    assert [person.email for person in page] == [found[1].email]
    assert alice == await _found(provider, alice.id)
    assert (alice.enabled, alice.awaits_password) == (True, False)
    assert "tenant-admin" in roles
    assert not {"customer", "operator", "operator-admin"} & roles


async def test_nobody_is_found_where_nobody_is(provider: Provider) -> None:
    async with directory_of(provider) as directory:
        assert await directory.find(uuid4()) is None
        assert await directory.find_address(new_address()) is None
        assert await directory.search(TenantId(uuid4()), 0, 10) == []
        await directory.remove(uuid4())  # is gone already


async def test_role_is_replaced_and_never_more_than_one(provider: Provider) -> None:
    async with directory_of(provider) as directory:
        member = await directory.add(new_address(), _ACME)
        before = await directory.roles_of(member)
        await directory.set_role(member, "customer")
        first = await directory.roles_of(member)
        await directory.set_role(member, "tenant-admin")
        await directory.set_role(member, "tenant-admin")
        second = await directory.roles_of(member)

    assert [set(roles - before) for roles in (first, second)] == [{"customer"}, {"tenant-admin"}]


async def test_invited_person_chooses_a_password_is_pending_no_more_and_logs_in(
    provider: Provider, browser: Browser, application: Application
) -> None:
    address = new_address()
    async with directory_of(provider) as directory:
        member = await directory.add(address, _ACME)
        await directory.set_role(member, "tenant-admin")
        await directory.invite(member)
        pending = await directory.find(member)

    link = await _link_in_mail(provider.mail, address)
    page = browser.settle(browser.get(link))
    if 'id="kc-passwd-update-form"' not in page.text:  # Keycloak first says what will be asked
        page = browser.settle(browser.get(_link(page.text)))
    chosen = {"password-new": PASSWORD, "password-confirm": PASSWORD}
    browser.submit(page, "kc-passwd-update-form", chosen)

    assert pending is not None
    assert (pending.awaits_password, pending.tenant) == (True, ACME)
    taken_up = await _found(provider, member)
    assert taken_up is not None
    assert not taken_up.awaits_password
    claims = claims_of(application.tokens(Browser(provider.http), address)["access_token"])
    assert claims["tenant_id"] == ACME
    assert "tenant-admin" in claims["realm_access"]["roles"]


async def test_address_is_taken_in_any_tenant_and_any_case(provider: Provider) -> None:
    async with directory_of(provider) as directory:
        for address in (ALICE, ALICE.upper()):
            with pytest.raises(AddressTaken):
                await directory.add(address, TenantId(UUID(GLOBEX)))


@pytest.mark.parametrize("local", ["o'neill{}", "a+b{}", "a_b-c.d{}", "{}"])
async def test_address_that_the_api_lets_through_is_one_for_the_provider(
    provider: Provider, local: str
) -> None:
    address = f"{local.format(secrets.token_hex(4))}@sub.xn--bcher-kva.example"
    async with directory_of(provider) as directory:
        await directory.add(address, _ACME)
        found = await directory.find_address(address)

    assert found is not None
    assert found.email == address


async def test_what_is_no_address_is_refused(provider: Provider) -> None:
    async with directory_of(provider) as directory:
        with pytest.raises(Malformed):
            await directory.add("no address", _ACME)


async def test_removed_person_is_told_of_first_and_logs_in_no_more(
    provider: Provider, browser: Browser, application: Application
) -> None:
    async with directory_of(provider) as directory:
        address = new_address()
        member = await directory.add(address, _ACME)
        await directory.set_role(member, "customer")
        await _set_password(directory, member)
        tokens = application.tokens(browser, address)
        provider.receiver.forget()

        await directory.log_out(member)
        told = provider.receiver.next()
        await directory.remove(member)

    assert claims_of(told.token)["sub"] == str(member)
    assert application.refresh(tokens["refresh_token"]).status_code == 400


async def test_wrong_secret_is_our_fault_and_nobody_elses(provider: Provider) -> None:
    async with directory_of(provider, "x" * 32) as directory:
        with pytest.raises(Unavailable):
            await directory.search(_ACME, 0, 1)


async def _found(provider: Provider, member: UUID) -> Account | None:
    async with directory_of(provider) as directory:
        return await directory.find(member)


async def _set_password(directory: Directory, member: UUID) -> None:
    """As the link in the mail would, without the mail."""
    headers = {"authorization": f"Bearer {await directory.token.get()}"}
    url = f"{directory.admin_url}/users/{member}"
    body = {"type": "password", "value": PASSWORD, "temporary": False}
    answer = await directory.http.put(f"{url}/reset-password", json=body, headers=headers)
    assert answer.status_code == 204, answer.text
    done = {"requiredActions": [], "emailVerified": True}
    answer = await directory.http.put(url, json=done, headers=headers)
    assert answer.status_code == 204, answer.text


async def _link_in_mail(folder: Path, address: str) -> str:
    with anyio.fail_after(10):
        while True:
            for path in sorted(folder.glob("*.eml")):
                message = message_from_bytes(path.read_bytes(), policy=policy.default)
                part = message.get_body(("plain",))
                if address in str(message["to"]) and part is not None:
                    return _link(str(part.get_content()))
            await anyio.sleep(0.1)


def _link(text: str) -> str:
    words = text.replace("&amp;", "&").replace('"', " ").split()
    return next(word for word in words if "/login-actions/action-token" in word)
