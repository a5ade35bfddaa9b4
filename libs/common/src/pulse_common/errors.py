"""The failures a caller is allowed to see.

AppError
  Malformed       400  the request cannot be read
  Unauthenticated 401  no valid credentials
  LimitReached    402  the plan does not include it, or not any more
  Forbidden       403  valid credentials, not allowed
  NotFound        404  absent, or hidden from this tenant
  Conflict        409  the state forbids it
  Stale           412  changed since the caller last read it
  TooLarge        413  the body is over the limit
  KeyReused       422  an Idempotency-Key came again with another request
  Unconditional   428  a change must say which version it is for
  TooMany         429  rate limit
  NotOffered      501  an optional part of a protocol that is not here
  Unavailable     503  a part this request needs is away; nothing was changed

Anything else that escapes a handler is a bug and becomes a bare 500.
"""

from __future__ import annotations

from typing import ClassVar


class AppError(Exception):
    """Base of the visible failures; ``message`` is safe to show to the caller."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Malformed(AppError):  # noqa: N818 -- reads as an outcome
    status = 400
    code = "malformed"
    title = "The request cannot be read"


class Unauthenticated(AppError):  # noqa: N818
    """``reason`` is for the audit log alone, and None when no credentials came that could be refused."""

    status = 401
    code = "unauthenticated"
    title = "Credentials are missing or not valid"
    reason: str | None

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class LimitReached(AppError):  # noqa: N818
    status = 402
    code = "limit_reached"
    title = "The plan does not allow this"


class Forbidden(AppError):  # noqa: N818
    status = 403
    code = "forbidden"
    title = "This is not allowed"


class NotFound(AppError):  # noqa: N818
    status = 404
    code = "not_found"
    title = "There is nothing here"


class Conflict(AppError):  # noqa: N818
    status = 409
    code = "conflict"
    title = "The state forbids it"


class Stale(AppError):  # noqa: N818
    status = 412
    code = "stale"
    title = "It has changed since you read it"


class KeyReused(AppError):  # noqa: N818
    status = 422
    code = "key_reused"
    title = "The Idempotency-Key belongs to another request"


class Unconditional(AppError):  # noqa: N818
    status = 428
    code = "unconditional"
    title = "The change must say which version it is for"


class TooLarge(AppError):  # noqa: N818
    status = 413
    code = "too_large"
    title = "The body is too large"


class TooMany(AppError):  # noqa: N818
    status = 429
    code = "too_many"
    title = "Too many requests"


class NotOffered(AppError):  # noqa: N818
    status = 501
    code = "not_offered"
    title = "This is not offered here"


class Unavailable(AppError):  # noqa: N818
    status = 503
    code = "unavailable"
    title = "A part this request needs is away"


#: What an RPC answer may carry back across NATS, by code.
BY_CODE: dict[str, type[AppError]] = {
    kind.code: kind
    for kind in (
        Malformed,
        Unauthenticated,
        LimitReached,
        Forbidden,
        NotFound,
        Conflict,
        Stale,
        TooLarge,
        TooMany,
        Unavailable,
    )
}
