"""A session's tokens at rest: sealed in its row, opened by this service alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.errors import Unauthenticated
from ui_iot.oidc import Tokens
from ui_iot.sealing import NotSealedHereError

if TYPE_CHECKING:
    from ui_iot.sealing import Sealer

SIGNED_OUT = "you are signed out"
_PURPOSE = "session tokens"


@dataclass(frozen=True, slots=True)
class Vault:
    sealer: Sealer

    def seal(self, tokens: Tokens) -> bytes:
        return self.sealer.seal(tokens.model_dump_json().encode(), _PURPOSE)

    def open(self, sealed: bytes) -> Tokens:
        """Return the tokens.

        Raises:
            Unauthenticated: the key that sealed them is gone, so the session cannot go on.
        """
        try:
            return Tokens.model_validate_json(self.sealer.open(sealed, _PURPOSE))
        except NotSealedHereError:
            raise Unauthenticated(SIGNED_OUT) from None
