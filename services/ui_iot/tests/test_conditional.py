from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from pydantic import BaseModel
from starlette.requests import Request

from pulse_common.errors import AppError, Malformed, Stale, Unconditional
from ui_iot.conditional import answer, check_version, tag_of

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.rig import Rig


class Shown(BaseModel):
    name: str


TAG = tag_of(b'{"name":"Lamp"}', 3)


def asking(**headers: str | list[str]) -> Request:
    raw = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, given in headers.items()
        for value in ([given] if isinstance(given, str) else given)
    ]
    return Request({"type": "http", "headers": raw})


@pytest.mark.parametrize(
    "given",
    [TAG, f"W/{TAG}", f'"other", {TAG}', f'"a,b",{TAG} ', "*", ['"other"', TAG]],
)
def test_client_that_has_it_already_is_told_so(given: str | list[str]) -> None:
    response = answer(asking(if_none_match=given), Shown(name="Lamp"), 3)

    assert (response.status_code, response.body) == (304, b"")
    assert response.headers["etag"] == TAG


@pytest.mark.parametrize("given", ['"other"', '""', f'"v3-{"0" * 32}"', TAG.replace("v3", "v4")])
def test_client_that_has_another_one_gets_this_one(given: str) -> None:
    response = answer(asking(if_none_match=given), Shown(name="Lamp"), 3)

    assert (response.status_code, response.body) == (200, b'{"name":"Lamp"}')


@pytest.mark.parametrize("given", ["", "lamp", '"open', '"a" "b"', "W/*", f"{TAG},", '*, "a"'])
def test_what_is_no_list_of_tags_is_refused(given: str) -> None:
    with pytest.raises(Malformed, match="If-None-Match"):
        answer(asking(if_none_match=given), Shown(name="Lamp"))
    with pytest.raises(Malformed, match="If-Match"):
        check_version(asking(if_match=given), 3)


@pytest.mark.parametrize("given", [TAG, f'"other", {TAG}', "*", tag_of(b"a reading later", 3)])
def test_change_of_what_was_seen_passes(given: str) -> None:
    check_version(asking(if_match=given), 3)


@pytest.mark.parametrize(
    "given", [f"W/{TAG}", tag_of(b"", 2), tag_of(b"", None), '"v3"', '"v3-"', f'"x{TAG[1:]}']
)
def test_change_of_what_was_not_seen_is_refused(given: str) -> None:
    with pytest.raises(Stale):
        check_version(asking(if_match=given), 3)


def test_change_without_a_condition_is_refused() -> None:
    with pytest.raises(Unconditional):
        check_version(asking(), 3)


@given(st.text(st.characters(max_codepoint=255)))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        check_version(asking(if_match=text), 3)
    except AppError as error:
        assert error.status in {400, 412}  # noqa: PT017 -- either refusal will do


@pytest.mark.anyio
async def test_every_answer_has_a_tag_that_spares_the_second_fetch(rig: Rig, acme: UUID) -> None:
    browser, headers = rig.browser(), rig.bearer(acme)
    device = rig.device(acme)

    for path in ("", f"/{device}", f"/{device}/telemetry"):
        first = await browser.get(f"/api/v2/devices{path}", headers=headers)
        again = {**headers, "if-none-match": first.headers["etag"]}
        second = await browser.get(f"/api/v2/devices{path}", headers=again)

        assert (first.status_code, second.status_code, second.content) == (200, 304, b"")


@pytest.mark.anyio
async def test_new_reading_is_never_hidden_by_a_tag(rig: Rig, acme: UUID) -> None:
    browser, headers = rig.browser(), rig.bearer(acme)
    device = rig.device(acme)
    path = f"/api/v2/devices/{device}"
    first = await browser.get(path, headers=headers)
    rig.superuser.execute(
        "INSERT INTO device_last_state (tenant_id, device_id, last_seen_at, ts, metrics)"
        " VALUES (%s, %s, %s, %s, %s)",
        [acme, device, rig.now, rig.now, Jsonb({"load": 0.5})],
    )

    second = await browser.get(path, headers={**headers, "if-none-match": first.headers["etag"]})

    assert second.status_code == 200
    assert second.json()["latest"] == {"load": 0.5}
