"""People see and end their own sessions, and nobody else's."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from services.ui_iot.tests.people import FIREFOX, is_signed_in, sessions_of, sign_in_twice
from services.ui_iot.tests.rig import HTML, PUBLIC_URL, claims_of

from ui_iot import session_store
from ui_iot.sessions import IDLE_LIFE

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio


async def id_of(browser: Browser) -> str:
    [own] = [session for session in await sessions_of(browser) if session["current"]]
    return str(own["id"])


async def ask(browser: Browser, path: str) -> int:
    """Post to the API from one of our own pages."""
    headers = {"x-csrf-token": browser.csrf, "origin": PUBLIC_URL, "sec-fetch-site": "same-origin"}
    return (await browser.post(path, headers=headers)).status_code


async def test_list_says_what_where_and_since_when(rig: Rig, acme: UUID) -> None:
    began = rig.now
    desk, _, _ = await sign_in_twice(rig, acme)
    rig.pass_time(minutes=2)
    await desk.page("/sessions")

    found: list[dict[str, Any]] = await sessions_of(desk)

    times = ("began_at", "last_used_at")
    shown = [{k: v for k, v in s.items() if k not in {"id", *times}} for s in found]
    assert shown == [
        {"browser": "Firefox on Linux", "address": "127.0.0.1", "current": True},
        {"browser": "Safari on iPhone", "address": "203.0.113.7", "current": False},
    ]
    assert [s["began_at"] for s in found] == [began.isoformat().replace("+00:00", "Z")] * 2
    assert found[0]["last_used_at"] == rig.now.isoformat().replace("+00:00", "Z")
    assert found[1]["last_used_at"] == found[1]["began_at"]


async def test_page_shows_the_sessions_and_marks_this_one(rig: Rig, acme: UUID) -> None:
    desk, phone, _ = await sign_in_twice(rig, acme)

    page = (await desk.page("/sessions")).text

    own, other = page.index("Firefox on Linux"), page.index("Safari on iPhone")
    assert page.count('data-testid="session-row"') == 2
    assert page.count('data-testid="this-session"') == 1
    assert min(own, other) < page.index("This session")
    assert f'action="/sessions/{await id_of(phone)}/end"' in page
    assert f'action="/sessions/{await id_of(desk)}/end"' not in page


async def test_nobody_sees_sessions_of_others(rig: Rig, acme: UUID, alice: Browser) -> None:
    desk, phone, _ = await sign_in_twice(rig, acme)

    seen = {session["id"] for session in await sessions_of(alice)}

    assert seen == {await id_of(alice)}
    assert not seen & {await id_of(desk), await id_of(phone)}


async def test_nobody_ends_sessions_of_others(rig: Rig, acme: UUID, alice: Browser) -> None:
    desk, _, _ = await sign_in_twice(rig, acme)
    session_id = await id_of(desk)

    page = await alice.submit(f"/sessions/{session_id}/end")

    assert page.status_code == 404
    assert await ask(alice, f"/api/v2/sessions/{session_id}/end") == 404
    assert await ask(alice, f"/api/v2/sessions/{uuid4()}/end") == 404
    await ask(alice, "/api/v2/sessions/end-others")
    assert await is_signed_in(desk)


async def test_the_role_of_sessions_finds_a_session_by_its_person_only(
    rig: Rig, acme: UUID
) -> None:
    desk, _, claims = await sign_in_twice(rig, acme)
    session_id = (await sessions_of(desk))[0]["id"]

    async with rig.db.service_connection("pulse_sessions") as tx:
        strangers = await session_store.list_sessions(
            tx, "somebody", now=rig.now, idle_since=rig.now - IDLE_LIFE, limit=10
        )
        ended = await session_store.delete_own_session(tx, "somebody", session_id)

    assert (strangers, ended) == ([], None)
    assert rig.sessions(claims["sub"]) == 2


async def test_ended_session_is_over_there_and_at_the_provider_and_in_the_audit_log(
    rig: Rig, acme: UUID
) -> None:
    desk, phone, claims = await sign_in_twice(rig, acme)
    [other] = [s for s in await sessions_of(desk) if not s["current"]]

    response = await desk.submit(f"/sessions/{other['id']}/end")

    assert response.headers["location"] == "/sessions"
    assert not await is_signed_in(phone)
    assert await is_signed_in(desk)
    # Otherwise one click at the phone would bring the session back, without a password.
    assert len(rig.provider.revoked) == 1
    row = rig.superuser.execute(
        "SELECT tenant_id, actor_kind, object_id, address, user_agent, details FROM audit_log"
        " WHERE action = 'session.end' AND actor_id = %s",
        [claims["sub"]],
    ).fetchone()
    details = {"session_id": other["id"]}
    assert row == (acme, "user", "phone", "127.0.0.1", FIREFOX, details)


async def test_session_of_the_same_log_in_at_the_provider_ends_without_ending_that(
    rig: Rig, acme: UUID
) -> None:
    claims = claims_of(acme, "customer")
    desk = await rig.log_in(rig.browser(), **claims)
    await rig.log_in(rig.browser(), **claims)
    await desk.page("/sessions")
    [other] = [s for s in await sessions_of(desk) if not s["current"]]

    await desk.submit(f"/sessions/{other['id']}/end")

    assert rig.provider.revoked == []


async def test_absent_provider_does_not_keep_a_session_alive(rig: Rig, acme: UUID) -> None:
    desk, phone, _ = await sign_in_twice(rig, acme)
    [other] = [s for s in await sessions_of(desk) if not s["current"]]
    rig.provider.mood = "away"

    assert await ask(desk, f"/api/v2/sessions/{other['id']}/end") == 200

    assert not await is_signed_in(phone)


async def test_all_others_end_and_this_one_stays(rig: Rig, acme: UUID) -> None:
    desk, phone, claims = await sign_in_twice(rig, acme)

    confirmation = await desk.page("/sessions/end-others")
    done = await desk.submit("/sessions/end-others")

    assert "1 other session ends" in confirmation.text
    assert done.headers["location"] == "/sessions"
    assert not await is_signed_in(phone)
    assert await is_signed_in(desk)
    assert rig.sessions(claims["sub"]) == 1


async def test_session_that_the_previous_release_began_is_shown_and_can_be_ended(
    rig: Rig, acme: UUID
) -> None:
    desk, _, claims = await sign_in_twice(rig, acme)
    # Its very statement: migrations run while it still serves.
    async with rig.db.service_connection("pulse_sessions") as tx:
        await tx.execute(
            """
            INSERT INTO web_sessions (session_hash, subject, oidc_session_id, tokens_sealed, csrf_secret,
                                      access_expires_at, last_used_at, expires_at)
            VALUES (%(hash)s, %(subject)s, 'old', '', %(hash)s, %(now)s, %(now)s, %(now)s + interval '1 hour')
            """,
            {"hash": b"h" * 32, "subject": claims["sub"], "now": rig.now - timedelta(minutes=1)},
        )

    old = (await sessions_of(desk))[-1]

    assert (old["browser"], old["address"]) == ("Unknown browser", None)
    assert await ask(desk, f"/api/v2/sessions/{old['id']}/end") == 200
    assert rig.sessions(claims["sub"]) == 2


async def test_sessions_that_are_over_are_not_shown(rig: Rig, acme: UUID) -> None:
    desk, _, _ = await sign_in_twice(rig, acme)
    for _ in range(2):
        rig.pass_time(minutes=20)
        await desk.page("/sessions")

    assert [session["current"] for session in await sessions_of(desk)] == [True]


@pytest.mark.parametrize(
    "path", ["/sessions/end-others", "/sessions/{id}/end", "/api/v2/sessions/{id}/end"]
)
async def test_ending_needs_proof_of_one_of_our_own_pages(rig: Rig, acme: UUID, path: str) -> None:
    desk, phone, _ = await sign_in_twice(rig, acme)

    response = await desk.post(path.format(id=await id_of(phone)), headers=HTML)

    assert response.status_code == 403
    assert await is_signed_in(phone)


async def test_mistyped_session_is_nothing_on_a_page_and_malformed_in_the_api(
    alice: Browser,
) -> None:
    assert (await alice.submit("/sessions/x/end")).status_code == 404
    assert await ask(alice, "/api/v2/sessions/x/end") == 400
