"""In-memory stand-ins that several services' tests use."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pulse_common.errors import Unauthenticated

if TYPE_CHECKING:
    from pulse_common.identity import Principal


class FakeVerifier:
    """Accepts exactly the tokens it was given."""

    def __init__(self, known: dict[str, Principal]) -> None:
        self._known = known

    async def verify(self, token: str) -> Principal:
        try:
            return self._known[token]
        except KeyError:
            raise Unauthenticated("the token is not valid", "unknown") from None


class Unreachable:
    """Fails the test when a request that must be refused gets as far as this part."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"a refused request reached {name}")
