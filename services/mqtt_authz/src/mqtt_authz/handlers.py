"""The broker's two questions: read, judge, answer; and whatever happens on the way, an explicit answer.

Authentication is a memory (``standings``) or one indexed query; authorization is neither, because the list in our own
answer is complete and what reaches us is judged by the same rules.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect

from mqtt_authz import domain, emqx, metrics, tokens
from mqtt_authz.acl import Allowed, decide, device_of
from mqtt_authz.denials import Denial
from mqtt_authz.domain import Admitted
from mqtt_authz.reasons import Denied, Reason
from pulse_common.errors import Malformed, TooLarge, Unavailable
from pulse_common.http import read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from mqtt_authz.acl import Act
    from mqtt_authz.certificate import DeviceCertificate
    from mqtt_authz.denials import Denials
    from mqtt_authz.domain import Whose
    from mqtt_authz.standings import Standings
    from mqtt_authz.token_door import TokenDoor
    from pulse_common.clock import Clock
    from pulse_common.identity import Principal

    Verdict = Admitted | Allowed | Denied

log = structlog.get_logger(__name__)

_ALLOWED = {
    question: metrics.DECISIONS.labels(question, Reason.ALLOWED)
    for question in ("mqtt-auth", "mqtt-acl")
}
DECISION_SECONDS = 3.0
"""Less than the broker waits (4 s: deploy/emqx), so that the refusal is ours, with its reason, and not a time-out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Behind the shared secret every answer is 200 with an explicit result: EMQX takes others for no opinion."""

    standings: Standings
    token_door: TokenDoor
    denials: Denials
    admin_password: bytes
    clock: Clock
    on_first_use: Callable[[DeviceCertificate], None] | None = None
    """Told of each device that is let in with a renewed certificate nobody has used; must not wait or fail."""
    on_admitted: Callable[[Whose, str], None] | None = None
    """Told of each device that is let in, and from which address; must not wait or fail."""

    async def connect(self, request: Request, _: Principal) -> Response:
        verdict = await _judged(request, self._judge_connect)
        if not isinstance(verdict, Admitted):
            return emqx.denied()
        return emqx.admitted(verdict)

    async def act(self, request: Request, _: Principal) -> Response:
        verdict = await _judged(request, self._judge_act)
        return emqx.allowed() if isinstance(verdict, Allowed) else emqx.denied()

    async def denied(self, request: Request, _: Principal) -> Response:
        """Keep what the broker itself denied, by the list that our answer gave it; nothing is decided here.

        The list is judged again, so that the reason is ours; the tenant is the one that the broker was told by us.
        """
        try:
            act = emqx.parse_act(await read_body(request, emqx.LARGEST_BYTES))
        except (Malformed, TooLarge, ClientDisconnect):
            return emqx.denied()
        verdict = decide(act)
        if isinstance(verdict, Denied):
            metrics.DECISIONS.labels("mqtt-denied", verdict.reason).inc()
            self._note_act(act, verdict)
        return emqx.denied()

    async def _judge_connect(self, body: bytes) -> Admitted | Denied:
        connect = emqx.parse_connect(body)
        verdict = await self._judge_credentials(connect)
        if (
            self.on_admitted is not None
            and isinstance(verdict, Admitted)
            and verdict.device is not None
        ):
            self.on_admitted(verdict.device, connect.address)
        return verdict

    async def _judge_credentials(self, connect: domain.Connect) -> Admitted | Denied:
        if connect.zone == tokens.ZONE:
            # Before everything else: neither a service's password nor a certificate counts at that door.
            structlog.contextvars.bind_contextvars(client_id=connect.client_id[:64])
            return await self.token_door.judge(connect)
        if connect.certificate is None:
            structlog.contextvars.bind_contextvars(client_id=connect.client_id[:64])
            return domain.admit_service(connect, self.admin_password)
        known = self.standings.recall(hashlib.sha256(connect.certificate).digest())
        if known is None:
            structlog.contextvars.bind_contextvars(client_id=connect.client_id[:64])
        holder = known.holder if known else domain.identify(connect.certificate)
        if isinstance(holder, Denied):
            return holder
        verdict: Admitted | Denied | None = domain.check_names(connect, holder, self.clock())
        if verdict is None:
            standing = known.standing if known else await self.standings.find(holder)
            verdict = domain.admit_device(holder, standing)
            if standing is not None and standing.awaits_first_use:
                self._note_first_use(holder, verdict)
        if isinstance(verdict, Denied):
            self._note_connect(connect, holder, verdict)
        return verdict

    def _note_first_use(self, holder: DeviceCertificate, verdict: Admitted | Denied) -> None:
        if self.on_first_use is not None and isinstance(verdict, Admitted):
            self.on_first_use(holder)

    async def _judge_act(self, body: bytes) -> Allowed | Denied:
        act = emqx.parse_act(body)
        structlog.contextvars.bind_contextvars(
            client_id=act.client_id[:64], action=act.action.value, topic=act.topic[:256]
        )
        verdict = decide(act)
        if isinstance(verdict, Denied):
            self._note_act(act, verdict)
        return verdict

    def _note_connect(
        self, connect: domain.Connect, holder: DeviceCertificate, denied: Denied
    ) -> None:
        """Keep it for the tenant that the certificate names: TLS has verified that our CA wrote the name."""
        self.denials.note(
            Denial(
                tenant=holder.tenant,
                device=holder.device,
                action="connect",
                reason=denied.reason,
                rule=denied.detail or None,
                serial_number=holder.serial_number,
                address=connect.address or None,
            )
        )

    def _note_act(self, act: Act, denied: Denied) -> None:
        """Keep it for the tenant that our own answer gave the session."""
        whose = device_of(act)
        if whose is None:
            return
        tenant, device = whose
        self.denials.note(
            Denial(
                tenant=tenant,
                device=device,
                action=act.action.value,
                reason=denied.reason,
                rule=denied.detail or None,
                topic=act.topic,
                address=act.address or None,
            )
        )


async def _judged(
    request: Request, judge: Callable[[bytes], Awaitable[Admitted | Allowed | Denied]]
) -> Verdict:
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


def _account(question: str, verdict: Verdict) -> None:
    """Count every verdict; a line in the log for a refusal, since a herd of good ones would drown it."""
    if not isinstance(verdict, Denied):
        _ALLOWED[question].inc()
        return
    metrics.DECISIONS.labels(question, verdict.reason).inc()
    detail = {"detail": verdict.detail} if verdict.detail else {}
    log.info("mqtt_denied", question=question, reason=verdict.reason.value, **detail)
