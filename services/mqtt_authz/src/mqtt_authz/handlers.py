"""The broker's two questions: read, judge, answer; and whatever happens on the way, an explicit answer.

Authentication is one indexed query; authorization is none, because the list in our own answer is complete and what
reaches us is judged by the same rules.  A bounded cache of standings, emptied by the events that ``revocation`` already
hears, will go between ``_judge_connect`` and the store (issue 6); until then each CONNECT asks the database.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect

from mqtt_authz import domain, emqx, metrics, store
from mqtt_authz.acl import Allowed, decide
from mqtt_authz.domain import Admitted
from mqtt_authz.reasons import Denied, Reason
from pulse_common.errors import Malformed, TooLarge, Unavailable
from pulse_common.http import read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

DECISION_SECONDS = 3.0
"""Less than the broker waits (5 s), so that the refusal is ours, with its reason, and not a time-out."""


class Gate:
    """Behind the shared secret every answer is 200 with an explicit result: EMQX takes others for no opinion."""

    def __init__(self, *, database: Database, admin_password: bytes, clock: Clock) -> None:
        self._database = database
        self._admin_password = admin_password
        self._clock = clock

    async def connect(self, request: Request, _: Principal) -> Response:
        verdict = await _judged(request, self._judge_connect)
        if not isinstance(verdict, Admitted):
            return emqx.denied()
        return emqx.admitted(verdict)

    async def act(self, request: Request, _: Principal) -> Response:
        verdict = await _judged(request, _judge_act)
        return emqx.allowed() if isinstance(verdict, Allowed) else emqx.denied()

    async def _judge_connect(self, body: bytes) -> Admitted | Denied:
        connect = emqx.parse_connect(body)
        structlog.contextvars.bind_contextvars(client_id=connect.client_id[:64])
        if connect.certificate is None:
            return domain.admit_service(connect, self._admin_password)
        holder = domain.identify(connect, connect.certificate, self._clock())
        if isinstance(holder, Denied):
            return holder
        async with self._database.service_connection("pulse_authz") as tx:
            standing = await store.find_standing(tx, holder.fingerprint)
        return domain.admit_device(holder, standing)


async def _judge_act(body: bytes) -> Allowed | Denied:
    act = emqx.parse_act(body)
    structlog.contextvars.bind_contextvars(
        client_id=act.client_id[:64], action=act.action.value, topic=act.topic[:256]
    )
    return decide(act)


async def _judged(
    request: Request, judge: Callable[[bytes], Awaitable[Admitted | Allowed | Denied]]
) -> Admitted | Allowed | Denied:
    """Return the verdict, or a denial for whatever kept it from being found; count and log it."""
    question = request.url.path.rpartition("/")[2]
    try:
        async with asyncio.timeout(DECISION_SECONDS):
            verdict = await judge(await read_body(request, emqx.LARGEST_BYTES))
    except (Malformed, TooLarge) as error:
        verdict = Denied(Reason.MALFORMED, error.message)
    except Unavailable as error:
        verdict = Denied(Reason.DATABASE_AWAY, error.message)
    except TimeoutError:
        verdict = Denied(Reason.TOO_SLOW)
    except ClientDisconnect:
        verdict = Denied(Reason.MALFORMED, "the broker hung up before the end of the body")
    except Exception:  # fail closed: a bug must not become an answer that EMQX takes for no opinion
        log.exception("decision_crashed", question=question)
        verdict = Denied(Reason.BUG)
    _account(question, verdict)
    return verdict


def _account(question: str, verdict: Admitted | Allowed | Denied) -> None:
    reason = verdict.reason if isinstance(verdict, Denied) else Reason.ALLOWED
    metrics.DECISIONS.labels(question, reason).inc()
    detail = {"detail": verdict.detail} if isinstance(verdict, Denied) and verdict.detail else {}
    log.info("mqtt_decided", question=question, reason=reason.value, **detail)
    structlog.contextvars.unbind_contextvars("client_id", "action", "topic")
