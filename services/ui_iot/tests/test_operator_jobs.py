"""Operators see whether deliveries get through and whether the platform's own work is on time, and no content."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.operator import Person

from pulse_common import events
from pulse_common.delivery_events import delivery_subject
from ui_iot.operator_jobs import PAGE_SIZE

if TYPE_CHECKING:
    from services.ui_iot.tests.rig import Rig

pytestmark = pytest.mark.anyio
URL = "https://hooks.example/secret-path"
BODY = "what the endpoint answered"


def add_route(rig: Rig, tenant: UUID, **given: object) -> UUID:
    values = {"status": "active", "failing_since": None, "event_types": ["telemetry"], **given}
    route = uuid4()
    rig.superuser.execute(
        "INSERT INTO routes (tenant_id, route_id, name, url, event_types, status, failing_since, template,"
        " secret_sealed) VALUES (%s, %s, 'secret name', %s, %s, %s, %s, 'secret template', 'sealed')",
        [tenant, route, URL, values["event_types"], values["status"], values["failing_since"]],
    )
    return route


def add_attempts(rig: Rig, tenant: UUID, route: UUID, *statuses: int) -> None:
    for minute, status in enumerate(statuses):
        rig.superuser.execute(
            "INSERT INTO delivery_attempts (tenant_id, attempt_id, route_id, delivery_id, event_type, attempt,"
            " attempted_at, stage, delivered, status, error, latency_ms, response_body)"
            " VALUES (%s, gen_random_uuid(), %s, 'd', 'telemetry', 1, now() + %s, 'after', %s, %s, 'secret error', 7,"
            " %s)",
            [tenant, route, timedelta(minutes=minute), status == 200, status, BODY],
        )


def add_dead(rig: Rig, tenant: UUID, route: UUID) -> None:
    rig.superuser.execute(
        "INSERT INTO delivery_dead_letters (tenant_id, delivery_id, route_id, event_type, died_at, attempts, reason,"
        " message) VALUES (%s, 'd', %s, 'telemetry', now(), 9, 'secret reason', 'secret message')",
        [tenant, route],
    )


async def deliveries(who: Person, **query: str) -> list[dict[str, Any]]:
    answer = await who.get("/deliveries", **query)
    assert answer.status_code == 200, answer.text
    routes: list[dict[str, Any]] = answer.json()["routes"]
    return routes


async def jobs(rig: Rig) -> dict[str, Any]:
    answer = await Person(rig, "operator").get("/jobs")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def job(rig: Rig, name: str) -> dict[str, Any]:
    (found,) = [one for one in (await jobs(rig))["jobs"] if one["name"] == name]
    return dict(found)


def add_issuer(rig: Rig) -> UUID:
    issuer = uuid4()
    rig.superuser.execute(
        "INSERT INTO issuers (issuer_id, kind, subject, certificate_der, fingerprint_sha256, not_before, not_after)"
        " VALUES (%s, 'root', 'CA', '', sha256(%s), now(), now() + interval '1 day')",
        [issuer, issuer.bytes],
    )
    return issuer


async def test_route_shows_its_state_backlog_and_newest_attempts(rig: Rig, acme: UUID) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    route = add_route(rig, acme, failing_since=since)
    add_attempts(rig, acme, route, *[500] * 11, 200)
    add_dead(rig, acme, route)
    await rig.bus.ensure_stream(events.STREAM_DELIVERY)
    for number in range(3):
        await rig.bus.publish_stored(delivery_subject(acme, route), b"{}", message_id=str(number))

    (shown,) = await deliveries(Person(rig, "operator"), tenant_id=str(acme))

    assert shown["id"] == str(route)
    assert (shown["tenant_name"], shown["status"], shown["waiting"]) == ("Acme", "active", 3)
    assert (shown["failing_since"], shown["dead"]) == ("2026-01-01T00:00:00Z", 1)
    assert [one["status"] for one in shown["recent"]] == [200, *[500] * 9]


async def test_neither_address_name_template_nor_answer_is_shown(rig: Rig, acme: UUID) -> None:
    route = add_route(rig, acme)
    add_attempts(rig, acme, route, 500)
    add_dead(rig, acme, route)
    olivia = Person(rig, "operator")

    answer = (await olivia.get("/deliveries", tenant_id=str(acme))).text

    assert str(route) in answer
    for hidden in ("secret", "hooks.example", BODY, "sealed"):
        assert hidden not in answer


@pytest.mark.parametrize(
    "column", ["url", "name", "template", "secret_sealed", "previous_secret_sealed", "metrics"]
)
async def test_role_of_this_page_cannot_read_what_a_route_says(rig: Rig, column: str) -> None:
    found = rig.superuser.execute(
        "SELECT has_column_privilege('pulse_operator_read', 'routes', %s, 'SELECT')", [column]
    ).fetchone()

    assert found == (False,)


async def test_each_tenant_on_the_page_is_told(rig: Rig, acme: UUID) -> None:
    globex = rig.tenant("Globex")
    add_route(rig, acme, status="disabled")
    add_route(rig, globex, status="disabled")
    olivia = Person(rig, "operator")

    shown = await deliveries(olivia, state="disabled")
    rig.superuser.execute("DELETE FROM routes WHERE status = 'disabled'")

    assert {route["tenant_id"] for route in shown} == {str(acme), str(globex)}
    told = rig.superuser.execute(
        "SELECT tenant_id, reason, details ->> 'purpose' FROM audit_log"
        " WHERE tenant_id = ANY (%s) AND actor_id = %s",
        [[acme, globex], olivia.subject],
    ).fetchall()
    assert {row[0] for row in told} == {acme, globex}
    assert {row[1:] for row in told} == {("ticket 12", "look after deliveries")}


async def test_pages_meet_every_route_once_and_states_narrow_them(rig: Rig, acme: UUID) -> None:
    made = {str(add_route(rig, acme)) for _ in range(PAGE_SIZE)}
    broken = add_route(rig, acme, failing_since=datetime(2026, 1, 1, tzinfo=UTC))
    paused = add_route(rig, acme, status="paused")
    olivia, seen, query = Person(rig, "operator"), [], {"tenant_id": str(acme)}

    while True:
        page = (await olivia.get("/deliveries", **query)).json()
        seen += [route["id"] for route in page["routes"]]
        if page["next_after"] is None:
            break
        query["after"] = page["next_after"]
    failing = await deliveries(olivia, tenant_id=str(acme), state="failing")
    resting = await deliveries(olivia, tenant_id=str(acme), state="paused")

    assert len(seen) == len(set(seen)) == PAGE_SIZE + 2
    assert set(seen) >= made
    assert [route["id"] for route in failing] == [str(broken)]
    assert [route["id"] for route in resting] == [str(paused)]


async def test_cursor_that_is_not_ours_is_refused(rig: Rig) -> None:
    for after in ("x", "x_y", str(uuid4())):
        assert (await Person(rig, "operator").get("/deliveries", after=after)).status_code == 400


async def test_jobs_name_all_that_runs_by_itself(rig: Rig) -> None:
    names = {one["name"] for one in (await jobs(rig))["jobs"]}

    assert names >= {
        *("audit sealing", "revocation lists", "billing reconciliation", "Stripe events"),
        *("usage for Stripe", "purges", "imports", "telemetry partitions", "audit partitions"),
        *("mails", "revocation lists at their addresses"),
    }


async def test_unsealed_rows_an_old_event_and_a_due_purge_are_late(rig: Rig, acme: UUID) -> None:
    rig.superuser.execute(
        "INSERT INTO audit_log (tenant_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id, outcome)"
        " VALUES (%s, gen_random_uuid(), now() - interval '1 hour', 'user', 'a', 'page.view', 'page', '/', 'success')",
        [acme],
    )
    rig.superuser.execute(
        "INSERT INTO outbox (tenant_id, event_id, producer, subject, payload, created_at)"
        " VALUES (%s, gen_random_uuid(), 'svc_late', 'pulse.events.x.y', '{}', now() - interval '1 hour')",
        [acme],
    )
    rig.superuser.execute(
        "UPDATE tenants SET status = 'deleting', purge_after = now() - interval '1 day' WHERE tenant_id = %s",
        [acme],
    )

    found = {one["name"]: one for one in (await jobs(rig))["jobs"]}
    rig.superuser.execute(
        "UPDATE tenants SET status = 'active', purge_after = NULL WHERE tenant_id = %s", [acme]
    )
    rig.superuser.execute("DELETE FROM outbox WHERE producer = 'svc_late'")

    for name in ("audit sealing", "outbox: svc_late", "purges"):
        assert (found[name]["late"], found[name]["waiting"] > 0) == (True, True), name


async def test_list_that_cannot_be_read_at_its_address_is_late(rig: Rig) -> None:
    issuer = add_issuer(rig)
    rig.superuser.execute(
        "INSERT INTO crl_shards (issuer_id, shard, probed_at, probe_outcome) VALUES"
        " (%(issuer)s, 0, now(), 'good'), (%(issuer)s, 1, now(), 'unreachable'),"
        " (%(issuer)s, 2, now() - interval '2 days', 'unusable')",
        {"issuer": issuer},
    )

    broken = await job(rig, "revocation lists at their addresses")
    rig.superuser.execute("UPDATE crl_shards SET probe_outcome = 'good'")
    mended = await job(rig, "revocation lists at their addresses")
    rig.superuser.execute("UPDATE crl_shards SET probed_at = now() - interval '3 hours'")
    silent = await job(rig, "revocation lists at their addresses")
    rig.superuser.execute("DELETE FROM crl_shards WHERE issuer_id = %s", [issuer])

    assert (broken["waiting"], broken["late"]) == (1, True)
    assert (mended["waiting"], mended["late"]) == (0, False)
    assert silent["late"] is True


async def test_mails_are_late_by_each_ones_own_patience(rig: Rig, acme: UUID) -> None:
    rig.superuser.execute("UPDATE notices SET told_at = now() WHERE told_at IS NULL")
    for key, patience in (("a", 0), ("b", 86400)):
        rig.superuser.execute(
            "INSERT INTO notices (tenant_id, notice_id, topic, notice_key, title, body, path, patience_seconds,"
            " raised_at) VALUES (%s, gen_random_uuid(), 'alert', %s, 'secret title', '', '/', %s, now() - interval"
            " '4 hours')",
            [acme, key, patience],
        )

    overdue = await job(rig, "mails")
    rig.superuser.execute("UPDATE notices SET told_at = now() WHERE notice_key = 'a'")
    patient = await job(rig, "mails")

    assert (overdue["waiting"], overdue["late"]) == (2, True)
    assert (patient["waiting"], patient["late"]) == (1, False)
    assert "secret" not in json.dumps(await jobs(rig))


async def test_roll_over_under_way_is_shown_and_late_when_its_fleet_should_have_moved(
    rig: Rig,
) -> None:
    old, new = add_issuer(rig), add_issuer(rig)
    rig.superuser.execute(
        "INSERT INTO rollovers (rollover_id, profile, old_issuer_id, new_issuer_id, state, least_share, drain_days,"
        " draining_at, created_at, changed_at) VALUES (gen_random_uuid(), 'shown', %s, %s, 'draining', 1, 5,"
        " now() - interval '4 days', now(), now())",
        [old, new],
    )

    draining = await job(rig, "roll-over: shown")
    rig.superuser.execute("UPDATE rollovers SET draining_at = now() - interval '6 days'")
    overdue = await job(rig, "roll-over: shown")
    rig.superuser.execute("UPDATE rollovers SET state = 'retired'")
    names = {one["name"] for one in (await jobs(rig))["jobs"]}
    rig.superuser.execute("DELETE FROM rollovers")

    assert (draining["about"], draining["late"]) == ("draining; since when", False)
    assert overdue["late"] is True
    assert "roll-over: shown" not in names


async def test_heads_that_a_place_lacks_lists_and_reconciliations_are_shown(rig: Rig) -> None:
    rig.superuser.execute(
        "INSERT INTO audit_cursors (place, seal_id) VALUES ('elsewhere', 0) ON CONFLICT DO NOTHING"
    )
    rig.superuser.execute(
        "INSERT INTO billing_reconciliations (run_id, started_at, finished_at, events_through, checked, findings)"
        " VALUES (gen_random_uuid(), now(), now() + interval '1 second', now(), 5, %s)",
        [json.dumps([{"kind": "a"}, {"kind": "b"}])],
    )

    rig.superuser.execute("SELECT ensure_telemetry_partitions(7)")

    found = {one["name"]: one for one in (await jobs(rig))["jobs"]}

    assert found["audit heads: elsewhere"]["late"] in {True, False}
    reconciled = found["billing reconciliation"]
    assert (reconciled["waiting"], reconciled["late"]) == (2, False)
    assert found["telemetry partitions"]["last_at"] is not None
    assert found["telemetry partitions"]["late"] is False


async def test_streams_and_parked_messages_are_counted_without_their_ids(rig: Rig) -> None:
    await rig.bus.ensure_stream(events.STREAM_PARKED)
    device, tenant = uuid4(), uuid4()
    for number in range(2):
        subject = f"pulse.parked.storing.pulse.telemetry.{tenant}.{device}"
        await rig.bus.publish_stored(subject, b"x", message_id=f"p{number}")

    found = await jobs(rig)

    assert {"consumer": "storing", "subject": "pulse.telemetry.*.*", "messages": 2} in found[
        "parked"
    ]
    assert str(tenant) not in json.dumps(found)
    (parked,) = [one for one in found["streams"] if one["name"] == "PARKED"]
    assert parked["messages"] >= 2


async def test_jobs_are_shown_while_the_bus_is_away(rig: Rig, acme: UUID) -> None:
    add_route(rig, acme)
    await rig.bus.close()

    found = await jobs(rig)
    (route,) = await deliveries(Person(rig, "operator"), tenant_id=str(acme))

    assert (found["streams"], found["parked"], route["waiting"]) == (None, None, None)
    assert found["jobs"]


async def test_pages_show_the_same_to_operators_only(rig: Rig, acme: UUID) -> None:
    route = add_route(rig, acme)
    add_attempts(rig, acme, route, 503)
    claims = {"sub": str(uuid4()), "tenant_id": ..., "realm_access": {"roles": ["operator"]}}
    browser = await rig.log_in(rig.browser(), **claims)
    await browser.page("/operator/reason")
    await browser.submit("/operator/reason", reason="ticket 12", next="/operator/jobs")

    listed = await browser.page(f"/operator/deliveries?tenant_id={acme}&state=")
    shown = await browser.page("/operator/jobs")
    stranger = await rig.person(acme)

    assert str(route) in listed.text
    assert ">503<" in listed.text
    assert "hooks.example" not in listed.text
    assert shown.text.count('data-testid="job-row"') >= 9
    assert (await stranger.page("/operator/jobs")).status_code == 403
    assert (await stranger.page("/operator/deliveries")).status_code == 403
