"""Strings and JSON that broke other people's software, as names and as bodies (../shared/corpora/fuzz-strings)."""

from __future__ import annotations

import base64
import json
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.neighbours import Neighbours
    from services.ui_iot.tests.rig import Rig

pytestmark = pytest.mark.anyio

CORPUS = Path(__file__).parents[4] / "shared/corpora/fuzz-strings"
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"{CORPUS.name} is not here")


def naughty_strings() -> list[str]:
    found: list[str] = json.loads((CORPUS / "blns.json").read_text())
    return found


@needs_corpus
async def test_stored_names_come_back_as_they_are(rig: Rig, acme: UUID) -> None:
    browser, headers = rig.browser(), rig.bearer(acme)
    for name in (text for text in naughty_strings() if 1 <= len(text) <= 100):
        if "\x00" in name:
            continue
        device = rig.device(acme, name)

        response = await browser.get(f"/api/v2/devices/{device}", headers=headers)

        assert (response.status_code, response.json()["name"]) == (200, name)


@needs_corpus
async def test_names_are_handed_on_as_they_are_or_refused(
    rig: Rig, acme: UUID, neighbours: Neighbours
) -> None:
    browser, headers = rig.browser(), rig.bearer(acme)
    for name in naughty_strings():
        neighbours.asked.clear()

        response = await browser.post("/api/v2/devices", json={"name": name}, headers=headers)

        assert response.status_code in {201, 400}, name
        if response.status_code == 201:
            assert response.json()["device"]["name"] == name


@needs_corpus
async def test_json_of_every_kind_is_read_or_refused(
    rig: Rig, acme: UUID, neighbours: Neighbours
) -> None:
    browser, headers = rig.browser(), rig.bearer(acme)
    device = rig.device(acme)
    lines = (CORPUS / "json_parsing.jsonl").read_text().splitlines()
    for case in map(json.loads, lines):
        body = base64.b64decode(case["b64"])
        for path in ("", f"/{device}/commands", f"/{device}/revoke"):
            response = await browser.post(f"/api/v2/devices{path}", content=body, headers=headers)

            assert response.status_code in {400, 413}, (case["name"], path)
            assert response.headers["content-type"] == "application/problem+json"
    assert neighbours.asked == []


@needs_corpus
def test_corpus_holds_what_the_name_rules_are_for() -> None:
    kinds = {unicodedata.category(letter) for text in naughty_strings() for letter in text}

    assert {"Cc", "Cf", "Zs", "So", "Mn"} <= kinds
