"""One table of a tenant's archive: what is taken of it, in which order, and who may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, LiteralString

Reach = Literal["telemetry", "secrets", "metadata", "platform"]
"""What an operator needs to take it for the tenant: a grant of that scope (where the tenant demands one), or nothing
(``platform``: the platform's own record of the tenant)."""


@dataclass(frozen=True, slots=True)
class Table:
    name: LiteralString
    reach: Reach
    key: tuple[LiteralString, ...]
    columns: LiteralString
