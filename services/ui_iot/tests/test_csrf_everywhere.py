"""Forgery and size at every door that changes something, taken from the route table, and in every form of the pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.rig import PUBLIC_URL
from services.ui_iot.tests.test_routes import GUARDED, named, path_of

from ui_iot import forms
from ui_iot.rendering import FOLDER

if TYPE_CHECKING:
    import httpx2
    from services.ui_iot.tests.neighbours import Neighbours
    from services.ui_iot.tests.rig import Browser

    from pulse_common.http import Guarded

UNSAFE = [endpoint for endpoint in GUARDED if endpoint.method != "GET"]
PAGES = [endpoint for endpoint in UNSAFE if not endpoint.path.startswith("/api/")]
SAME = {"origin": PUBLIC_URL, "sec-fetch-site": "same-origin"}
TOO_OLD = "the page is too old: load it again"
ELSEWHERE = "the request comes from another site"
FORM = re.compile(r"<form\b(?P<tag>[^>]*)>(?P<body>.*?)</form>", re.DOTALL)


async def details(browser: Browser, headers: dict[str, str]) -> dict[tuple[int, str], list[str]]:
    """Knock at every door, and sort them by what is answered; roles are looked at after this."""
    found: dict[tuple[int, str], list[str]] = {}
    for endpoint in UNSAFE:
        answer = await browser.request(endpoint.method, path_of(endpoint), headers=headers)
        key = (answer.status_code, answer.json().get("detail", ""))
        found.setdefault(key, []).append(named(endpoint))
    return found


@pytest.mark.anyio
async def test_every_door_that_changes_something_refuses_a_session_without_its_token(
    alice: Browser, neighbours: Neighbours
) -> None:
    without = await details(alice, SAME)
    wrong = await details(alice, {**SAME, "x-csrf-token": "x" * len(alice.csrf)})

    assert set(without) == set(wrong) == {(403, TOO_OLD)}
    assert len(UNSAFE) > 100
    assert neighbours.asked == []


@pytest.mark.anyio
@pytest.mark.parametrize("signs", [{"sec-fetch-site": "cross-site"}, {"origin": "null"}], ids=str)
async def test_every_door_that_changes_something_refuses_another_site_that_knows_the_token(
    alice: Browser, neighbours: Neighbours, signs: dict[str, str]
) -> None:
    answers = await details(alice, {**signs, "x-csrf-token": alice.csrf})

    assert set(answers) == {(403, ELSEWHERE)}
    assert neighbours.asked == []


@pytest.mark.anyio
async def test_every_form_s_door_refuses_a_body_that_is_no_small_form(
    alice: Browser, neighbours: Neighbours
) -> None:
    async def send(endpoint: Guarded, **fields: str) -> httpx2.Response:
        body = {"csrf_token": alice.csrf, **fields}
        return await alice.request(endpoint.method, path_of(endpoint), data=body, headers=SAME)

    long = {named(e): (await send(e, name="x" * forms.LONGEST_FORM)).status_code for e in PAGES}
    many = {f"f{n}": "" for n in range(forms.MOST_FIELDS)}
    wide = {named(e): (await send(e, **many)).status_code for e in PAGES}

    assert set(long.values()) == {413}, long
    assert set(wide.values()) == {400}, wide
    assert neighbours.asked == []


def test_every_form_that_posts_carries_the_token() -> None:
    templates = sorted((FOLDER / "templates").glob("*.html"))

    posting = [
        (template.name, form["body"])
        for template in templates
        for form in FORM.finditer(template.read_text())
        if 'method="post"' in form["tag"]
    ]

    without = [name for name, body in posting if "csrf_field(" not in body]
    assert without == [
        "unsubscribe.html"
    ]  # for people without a session: its link is the credential
    assert len(posting) > 40
