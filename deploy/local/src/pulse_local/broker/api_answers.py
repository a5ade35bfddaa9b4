"""The JSON of the management API, in EMQX's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from pulse_local.broker.session import QUEUE_LIMIT, WINDOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulse_local.broker.bans import Ban
    from pulse_local.broker.clients import Presence
    from pulse_local.broker.retained import Kept

NODE = "pulse-broker@127.0.0.1"
DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def refusal(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status)


def client_not_found() -> JSONResponse:
    return refusal(404, "CLIENTID_NOT_FOUND", "Client ID not found")


def no_content() -> Response:
    return Response(status_code=204)


def page(items: Sequence[object], number: int, limit: int) -> JSONResponse:
    start = (number - 1) * limit
    meta = {
        "count": len(items),
        "limit": limit,
        "page": number,
        "hasnext": start + limit < len(items),
    }
    return JSONResponse({"data": list(items[start : start + limit]), "meta": meta})


def describe_client(presence: Presence) -> dict[str, object]:
    session, client, connect = presence.session, presence.client, presence.connect
    admitted = presence.authorization.admitted
    since = session.disconnected_at
    ended = {} if since is None else {"disconnected_at": timestamp(since)}
    return {
        "node": NODE,
        "clientid": client.client_id,
        "username": client.username,
        "connected": session.connected,
        "ip_address": client.peer_host,
        "port": client.peer_port,
        "listener": "ssl:mqtts" if client.certificate.pem else "tcp:plain",
        "proto_name": "MQTT",
        "proto_ver": 4,
        "keepalive": connect.keep_alive_seconds,
        "clean_start": connect.clean,
        "is_persistent": session.persistent,
        "is_expired": False,
        "created_at": timestamp(session.created_at),
        "connected_at": timestamp(presence.connected_at),
        "auth_expire_at": admitted.expires_at,
        "client_attrs": dict(admitted.attributes),
        "subscriptions_cnt": len(session.subscriptions),
        "inflight_cnt": len(session.in_flight),
        "inflight_max": WINDOW,
        "mqueue_len": len(session.waiting),
        "mqueue_max": QUEUE_LIMIT,
        "mqueue_dropped": session.dropped,
        **ended,
    }


def describe_ban(ban: Ban) -> dict[str, object]:
    return {
        "as": ban.kind,
        "who": ban.who,
        "reason": ban.reason,
        "by": ban.by,
        "at": datetime.fromtimestamp(ban.at, UTC).isoformat(timespec="seconds"),
        "until": "infinity" if ban.until is None else timestamp(ban.until),
    }


def describe_retained(kept: Kept) -> dict[str, object]:
    return {
        "msgid": format(int(kept.at * 1_000_000), "032X"),
        "topic": kept.message.topic,
        "qos": kept.message.qos,
        "publish_at": timestamp(kept.at),
        "from_clientid": kept.message.publisher,
        "from_username": "undefined",
    }
