"""What becomes of the lines of an import, going by what is there: a device to make, nothing to do, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision_api.fleet import bulk_store
from provision_api.fleet.bulk_store import NewDevice
from provision_api.fleet.import_reading import Refused, Row
from provision_api.fleet.import_rows import Outcome
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from provision_api.fleet.bulk_store import Known
    from provision_api.fleet.import_reading import Line
    from pulse_common.tenancy import TenantTx


@dataclass(slots=True)
class Judged:
    """``outcomes`` has the refusals and the devices; what changes nothing is only counted."""

    last_line: int
    new: list[NewDevice] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    same_lines: list[int] = field(default_factory=list)

    @property
    def unchanged(self) -> int:
        return len(self.same_lines)

    @property
    def refused(self) -> int:
        return sum(one.problem is not None for one in self.outcomes)

    def upto(self, line: int) -> Judged:
        """Leave out ``line`` and what comes after it."""
        return Judged(
            line - 1,
            [one for one in self.new if one.line < line],
            [one for one in self.outcomes if one.line < line],
            [one for one in self.same_lines if one < line],
        )


@dataclass(frozen=True, slots=True)
class There:
    """What the tenant has of what the lines name."""

    known: dict[str, Known]
    profiles: dict[str, UUID]
    groups: dict[str, UUID]


async def judge(tx: TenantTx, lines: Sequence[Line]) -> Judged:
    rows = [line.content for line in lines if isinstance(line.content, Row)]
    there = There(
        known=await bulk_store.find_known(tx, {row.hardware_id for row in rows}),
        profiles=await bulk_store.find_profiles(tx, {row.profile for row in rows if row.profile}),
        groups=await bulk_store.find_groups(tx, {row.group for row in rows if row.group}),
    )
    judged = Judged(lines[-1].number)
    made: dict[str, Row] = {}
    for line in lines:
        match line.content:
            case None:
                continue
            case Refused() as refused:
                _refuse(judged, line, refused.problem, refused.hardware_id)
            case Row() as row:
                _judge_row(judged, line, row, there, made)
    return judged


def _judge_row(judged: Judged, line: Line, row: Row, there: There, made: dict[str, Row]) -> None:
    before = made.get(row.hardware_id)
    if before == row:
        judged.same_lines.append(line.number)
        return
    problem = "this hardware_id came before, with other values" if before else _problem(row, there)
    if problem is not None:
        _refuse(judged, line, problem, row.hardware_id)
        return
    if row.hardware_id in there.known:
        judged.same_lines.append(line.number)
        return
    made[row.hardware_id] = row
    new = NewDevice(
        line=line.number,
        device_id=new_id(),
        hardware_id=row.hardware_id,
        name=row.name,
        profile_id=there.profiles[row.profile] if row.profile else None,
        group_id=there.groups[row.group] if row.group else None,
        maker_key=row.maker_key,
    )
    judged.new.append(new)
    judged.outcomes.append(Outcome(line.number, row.hardware_id, new.device_id, None))


def _problem(row: Row, there: There) -> str | None:
    if row.profile and row.profile not in there.profiles:
        return "there is no device profile of this name"
    if row.group and row.group not in there.groups:
        return "there is no group of this name"
    known = there.known.get(row.hardware_id)
    if known is None:
        return None
    if known.device_id is None:
        return "this hardware_id is registered for an enrolment profile"
    wanted = there.profiles[row.profile] if row.profile else None
    if (known.name, known.profile_id) != (row.name, wanted):
        return "a device with this hardware_id is there, with other values"
    return None


def _refuse(judged: Judged, line: Line, problem: str, hardware_id: str | None) -> None:
    judged.outcomes.append(Outcome(line.number, hardware_id, None, problem))
