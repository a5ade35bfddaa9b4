"""localstripe on loopback (by itself it listens on every interface), with what it lacks: ``stripe_server.py PORT``.

It knows no Checkout, portal, meters or entitlements; those are answered here with Stripe's own examples of them.
Under ``/_config/test`` a test changes what the account holds, or makes Stripe fail.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from localstripe import resources, server, webhooks  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FIXTURES = json.loads(Path(__file__).with_name("stripe_openapi.json").read_text())["fixtures"]
state: dict[str, Any] = {
    "delay": 0.0,
    "late": 0.0,
    "fail": 0,
    "asked": [],
    "meters": {},
    "late_meter": 0.0,
    # Customers whose meter events are refused.
    "unmetered": [],
    # What each idempotency key came with.
    "keys": {},
    "sessions": {},
    "features": {},
    # Objects by their path, to be answered as they are.
    "objects": {},
    # What was sent: method and path, and the names of the parameters.
    "sent": [],
}


def quiet(_: object) -> None:
    """Let the tests deliver events themselves, in whatever order."""


@web.middleware
async def trouble(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if request.path.startswith("/_config/test"):
        return await handler(request)
    state["asked"].append(f"{request.method} {request.path}")
    names = sorted(await form(request) if request.method == "POST" else request.query)
    state["sent"].append([f"{request.method.lower()} {request.path}", names])
    await asyncio.sleep(state["delay"])
    if state["fail"]:
        return web.json_response({"error": {"type": "api_error"}}, status=state["fail"])
    if request.path in state["objects"]:
        return web.json_response(state["objects"][request.path])
    late = state["late"] if request.method == "GET" else 0.0
    answer = await handler(request)
    # What was true when it was asked arrives when it may be true no more.
    await asyncio.sleep(late)
    return answer


async def form(request: web.Request) -> dict[str, Any]:
    return dict(await server.get_post_data(request) or {})


async def make_session(request: web.Request) -> web.Response:
    data = await form(request)
    kept = ("mode", "customer", "client_reference_id", "success_url", "cancel_url")
    session = {
        **FIXTURES["checkout.session"],
        "id": f"cs_test_{len(state['sessions'])}",
        "subscription": None,
        **{name: data[name] for name in kept},
    }
    session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
    state["sessions"][session["id"]] = session
    return web.json_response(session)


async def get_session(request: web.Request) -> web.Response:
    found = state["sessions"].get(request.match_info["id"])
    return web.json_response(found or {"error": {"type": "x"}}, status=200 if found else 404)


async def make_portal(request: web.Request) -> web.Response:
    data = await form(request)
    session = {
        **FIXTURES["billing_portal.session"],
        "url": "https://billing.stripe.com/p/session/1",
    }
    kept = {name: data[name] for name in ("customer", "return_url")}
    return web.json_response({**session, **kept})


async def make_meter_event(request: web.Request) -> web.Response:
    data = await form(request)
    key = request.headers.get("idempotency-key", data["identifier"])
    if data["payload"]["stripe_customer_id"] in state["unmetered"]:
        return web.json_response({"error": {"type": "invalid_request_error"}}, status=400)
    if state["keys"].setdefault(key, data) != data:  # as Stripe does, for a day
        return web.json_response({"error": {"type": "idempotency_error"}}, status=400)
    state["meters"].setdefault(data["identifier"], data)
    # Taken, and the answer may be lost.
    await asyncio.sleep(state["late_meter"])
    made = {"timestamp": int(data["timestamp"]), "identifier": data["identifier"]}
    named = {"event_name": data["event_name"], "payload": data["payload"]}
    return web.json_response({**FIXTURES["billing.meter_event"], **named, **made})


async def active_entitlements(request: web.Request) -> web.Response:
    keys = state["features"].get(request.query["customer"], [])
    one = FIXTURES["entitlements.active_entitlement"]
    data = [{**one, "id": f"ent_{key}", "lookup_key": key} for key in keys]
    return web.json_response({"object": "list", "data": data, "has_more": False})


async def get_state(_: web.Request) -> web.Response:
    return web.json_response(state)


async def set_state(request: web.Request) -> web.Response:
    state.update(await request.json())
    return web.json_response({})


async def change(request: web.Request) -> web.Response:
    """Set fields of a stored object, as time or a person at Stripe would."""
    found = resources.store[request.match_info["key"]]
    for name, value in (await request.json()).items():
        setattr(found, name, value)
    return web.json_response({})


async def forget(request: web.Request) -> web.Response:
    del resources.store[request.match_info["key"]]
    return web.json_response({})


def main(port: int) -> None:
    for module in (resources, webhooks):
        module.schedule_webhook = quiet
    resources.Store.dump_to_disk = lambda _: None
    app = server.app
    app.middlewares.insert(0, trouble)
    add = app.router.add_route
    add("POST", "/v1/checkout/sessions", make_session)
    add("GET", "/v1/checkout/sessions/{id}", get_session)
    add("POST", "/v1/billing_portal/sessions", make_portal)
    add("POST", "/v1/billing/meter_events", make_meter_event)
    add("GET", "/v1/entitlements/active_entitlements", active_entitlements)
    # Past its own check of keys.
    test = web.Application()
    test.router.add_get("/state", get_state)
    test.router.add_post("/state", set_state)
    test.router.add_post("/change/{key}", change)
    test.router.add_post("/forget/{key}", forget)
    app.add_subapp("/_config/test", test)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
