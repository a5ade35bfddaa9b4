"""What somebody with the whole database, but without the key, can do to the log: each is found and named."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from clients.pulse_audit.tests.sealed_log import (
    BEGAN,
    KEY,
    PUBLIC,
    Log,
    audit_id,
    row,
    sign,
    three_batches,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse_audit.errors import Tampered, Unreadable
from pulse_audit.heads import open_head
from pulse_audit.verify import Verifier

if TYPE_CHECKING:
    from pulse_audit.heads import Head
    from pulse_audit.verify import Report

OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
LATER = BEGAN + timedelta(days=200)


def verify(log: Log, outside: Head | None = None) -> Report:
    return Verifier(PUBLIC, outside).verify(log.lines())


def head_of(log: Log, batch: int) -> Head:
    return open_head(log.batches[batch].note, PUBLIC)


@pytest.fixture
def log() -> Log:
    return three_batches()


def test_an_untouched_log_is_sound(log: Log) -> None:
    log.unsealed = [row(99)]

    report = verify(log, head_of(log, 2))

    assert (report.sealed, report.unsealed, report.expired, report.late) == (12, 1, 0, 0)


@pytest.mark.parametrize("name", row(0))
def test_an_edited_row_is_named_whatever_was_edited(log: Log, name: str) -> None:
    if name in {"tenant_id", "audit_id"}:
        changed: str | None = audit_id(77)
    else:
        changed = "2025-01-01T00:00:00Z" if name == "at" else "edited"
    log.batches[1].rows[2][name] = changed

    with pytest.raises(Tampered, match=r"position 6 was altered") as caught:
        verify(log)

    assert str(log.batches[1].rows[2]["audit_id"]) in str(caught.value)


def test_null_is_not_the_empty_text(log: Log) -> None:
    log.batches[0].rows[0]["reason"] = ""

    with pytest.raises(Tampered, match="position 0 was altered"):
        verify(log)


@pytest.mark.parametrize(("batch", "index"), [(0, 0), (1, 1), (2, 3)])
def test_a_deleted_row_is_named(log: Log, batch: int, index: int) -> None:
    del log.batches[batch].rows[index]

    with pytest.raises(Tampered, match="is missing") as caught:
        verify(log)

    assert f"{audit_id(batch * 4 + index)} at position {batch * 4 + index}" in str(caught.value)


def test_deleting_a_row_and_its_name_in_the_index_is_found(log: Log) -> None:
    del log.batches[1].rows[1]
    del log.batches[1].ids[1]

    with pytest.raises(Tampered, match="at position 5 is missing"):
        verify(log)


@pytest.mark.parametrize("index", range(5))
def test_an_added_row_is_named(log: Log, index: int) -> None:
    log.batches[1].rows.insert(index, row(50))

    with pytest.raises(Tampered, match=rf"row {audit_id(50)} was added"):
        verify(log)


def test_swapped_rows_are_named(log: Log) -> None:
    rows = log.batches[1].rows
    rows[0], rows[2] = rows[2], rows[0]

    with pytest.raises(Tampered, match=rf"{audit_id(6)} stands at position 4 .* reordered"):
        verify(log)


def test_rows_swapped_between_batches_are_found(log: Log) -> None:
    one, other = log.batches[0].rows, log.batches[2].rows
    one[1], other[1] = other[1], one[1]

    with pytest.raises(Tampered, match="position 1"):
        verify(log)


def test_hashes_that_were_changed_with_their_row_do_not_give_the_signed_root(log: Log) -> None:
    from pulse_audit.rows import hash_of  # noqa: PLC0415 -- what the forger computes

    log.batches[1].rows[0]["actor_id"] = "mallory"
    log.batches[1].hashes[0] = hash_of(log.batches[1].rows[0])

    with pytest.raises(Tampered, match=r"batch 1 \(positions 4 to 7\)"):
        verify(log)


def test_a_whole_chain_recomputed_without_the_key_is_found(log: Log) -> None:
    log.batches[0].rows[0]["actor_id"] = "mallory"
    log.reseal(OTHER_KEY)

    with pytest.raises(Tampered, match="not signed by this key"):
        verify(log)


def test_a_whole_chain_recomputed_with_the_key_is_found_by_an_outside_head(log: Log) -> None:
    outside = head_of(log, 1)
    log.batches[0].rows[0]["actor_id"] = "mallory"
    log.reseal(KEY)

    with pytest.raises(Tampered, match="two histories"):
        verify(log, outside)


def test_a_cut_tail_is_found_by_an_outside_head(log: Log) -> None:
    outside = head_of(log, 2)
    del log.batches[2]

    assert verify(log).sealed == 8
    with pytest.raises(Tampered, match=r"tail is cut: the log ends after 8 rows.* has 12"):
        verify(log, outside)


def test_an_empty_log_is_a_cut_tail_too(log: Log) -> None:
    outside = head_of(log, 0)

    with pytest.raises(Tampered, match="tail is cut"):
        verify(Log(), outside)


def test_a_missing_batch_is_found(log: Log) -> None:
    del log.batches[1]

    with pytest.raises(Tampered, match="batch 1 is missing"):
        verify(log)


def test_a_missing_beginning_is_found(log: Log) -> None:
    del log.batches[0]

    with pytest.raises(Tampered, match="batch 0 is missing"):
        verify(log)


def test_an_older_head_put_in_place_of_a_newer_one_is_found(log: Log) -> None:
    log.batches[2].note = log.batches[1].note

    with pytest.raises(Tampered, match="batch 2 is missing"):
        verify(log)


def test_another_tenants_head_is_found(log: Log) -> None:
    body = log.batches[0].note.rpartition("\n\n")[0] + "\n"
    log.batches[0].note = sign(body.replace("pulse.audit/1111", "pulse.audit/2222"))

    with pytest.raises(Tampered, match="another tenant"):
        verify(log)


def tombstone(first: int, last: int) -> dict[str, str | None]:
    details = json.dumps({"rows": last - first + 1, "positions": [[first, last]]})
    return row(80, action="audit.expire", details=details, at=LATER.isoformat())


def test_rows_that_retention_dropped_are_told_and_not_refused(log: Log) -> None:
    log.seal([tombstone(0, 5)], LATER)
    log.batches[0].rows.clear()
    del log.batches[1].rows[:2]

    assert verify(log).expired == 6


def test_a_tombstone_covers_only_what_it_names(log: Log) -> None:
    log.seal([tombstone(0, 5)], LATER)
    del log.batches[1].rows[3]

    with pytest.raises(Tampered, match="position 7 is missing"):
        verify(log)


def test_a_tombstone_for_young_rows_is_not_believed(log: Log) -> None:
    log.seal([tombstone(4, 4)], BEGAN + timedelta(days=3))
    del log.batches[1].rows[0]

    with pytest.raises(Tampered, match="too young"):
        verify(log)


def test_a_tombstone_that_is_not_sealed_explains_nothing(log: Log) -> None:
    log.unsealed = [tombstone(4, 4)]
    del log.batches[1].rows[0]

    with pytest.raises(Tampered, match="position 4 is missing"):
        verify(log)


def test_a_row_that_tells_an_older_time_than_the_log_had_is_noticed(log: Log) -> None:
    log.seal([row(70, at="2025-06-01T00:00:00.000000Z")])

    report = verify(log)

    assert report.late == 1
    assert audit_id(70) in report.notices[0]


@pytest.mark.parametrize("cut", range(1, 17))
def test_a_file_that_ends_early_is_never_sound(log: Log, cut: int) -> None:
    with pytest.raises(Unreadable, match=r"ends early|is no pulse-audit"):
        Verifier(PUBLIC).verify(log.lines()[:-cut])


@pytest.mark.parametrize(
    "first", ["at,service,action\n", '{"action": "device.create"}\n', "[" * 100_000, ""]
)
def test_what_is_not_sealed_is_refused_and_the_sealed_form_named(first: str) -> None:
    with pytest.raises(Unreadable, match=r"format=sealed; CSV, JSON lines and OCSF carry no seal"):
        Verifier(PUBLIC).verify([first])
