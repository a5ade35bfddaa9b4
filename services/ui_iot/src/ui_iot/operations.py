"""What one operation of /api/v2 takes and answers: the route and its description are made from the same value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from pulse_common.errors import Malformed
from pulse_common.http import Guarded
from ui_iot import unpaid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.api_models import Query

Header = Literal["If-Match", "If-None-Match", "Idempotency-Key"]
Q = TypeVar("Q", bound="Query")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """``answers`` are the good ones; ``refusals`` those beyond what every operation of its kind may say."""

    name: str
    summary: str
    method: str
    path: str
    roles: frozenset[str]
    handler: Callable[[Request, Principal], Awaitable[Response]]
    answers: Mapping[int, type[BaseModel] | None]
    query: type[Query] | None = None
    body: type[BaseModel] | None = None
    headers: tuple[Header, ...] = ()
    answer_headers: tuple[str, ...] = ()
    refusals: frozenset[int] = field(default_factory=frozenset)

    def endpoint(self) -> Guarded:
        return Guarded(method=self.method, path=self.path, roles=self.roles, handler=self.handler)

    def all_refusals(self) -> frozenset[int]:
        """Every status that a problem document may come with."""
        common = {400, 401, 403, 429, 503}
        named = {404} if "{" in self.path else set()
        read = {413} if self.body else set()
        unpaid_bill = {402} if unpaid.may_refuse(self.endpoint()) else set()
        return frozenset(common | named | read | unpaid_bill | self.refusals)


def read_query(request: Request, model: type[Q]) -> Q:
    """Parse the query string into ``model``.

    Raises:
        Malformed: a parameter is given twice, or is not what the model says.
    """
    given = request.query_params
    for name in model.model_fields:
        if len(given.getlist(name)) > 1:
            raise Malformed(f"{name} is given twice")
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise Malformed(f"{error.errors()[0]['loc'][0]} cannot be read") from None
