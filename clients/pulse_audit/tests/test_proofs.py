"""A proof of one event convinces with the key alone, and only of that event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from clients.pulse_audit.tests.sealed_log import (
    PUBLIC,
    TENANT,
    audit_id,
    row,
    three_batches,
)
from cryptography.hazmat.primitives import serialization

from pulse_audit.__main__ import main
from pulse_audit.errors import Tampered, Unreadable
from pulse_audit.heads import open_head
from pulse_audit.proofs import check, prove

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("number", range(12))
def test_every_event_can_be_proven(number: int) -> None:
    proven = check(prove(three_batches().lines(), PUBLIC, audit_id(number)), PUBLIC)

    assert (proven.position, proven.row) == (number, row(number))


@pytest.mark.parametrize("batch", range(3))
def test_a_proof_shows_that_the_log_only_grew(batch: int) -> None:
    log = three_batches()
    older = open_head(log.batches[batch].note, PUBLIC)

    proof = prove(log.lines(), PUBLIC, audit_id(1), older)

    assert check(proof, PUBLIC, older).head.tree_size == 12


def test_an_event_that_is_not_there_cannot_be_proven() -> None:
    with pytest.raises(Unreadable, match="no sealed batch"):
        prove(three_batches().lines(), PUBLIC, audit_id(500))


def test_an_altered_event_cannot_be_proven() -> None:
    log = three_batches()
    log.batches[0].rows[1]["actor_id"] = "mallory"

    with pytest.raises(Tampered, match="not what was sealed"):
        prove(log.lines(), PUBLIC, audit_id(1))


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "row": lambda proof: proof["row"].update(actor_id="mallory"),
    "position": lambda proof: proof.update(position=4),
    "path": lambda proof: proof["inclusion"].pop(),
    "another head": lambda proof: proof.update(note=three_batches().batches[0].note),
    "growth": lambda proof: proof["consistency"]["path"].pop(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_proof_convinces_nobody(what: str) -> None:
    log = three_batches()
    older = open_head(log.batches[1].note, PUBLIC)
    proof = json.loads(prove(log.lines(), PUBLIC, audit_id(5), older))
    CHANGES[what](proof)

    with pytest.raises(Tampered):
        check(json.dumps(proof), PUBLIC, older)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    log = three_batches()
    (tmp_path / "log").write_text("".join(log.lines()), encoding="utf-8")
    pem = PUBLIC.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key").write_bytes(pem)
    heads = [json.dumps({"tenant_id": TENANT, "note": batch.note}) for batch in log.batches]
    (tmp_path / "heads").write_text("\n".join(heads) + "\n", encoding="utf-8")
    return tmp_path


def run(files: Path, command: str, name: str, *more: str) -> int:
    return main([command, str(files / name), "--key", str(files / "key"), *more])


def test_commands_from_export_to_proof(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heads = ["--head", str(files / "heads")]

    assert run(files, "verify", "log", *heads) == 0
    assert "12 rows are as they were sealed" in capsys.readouterr().out
    assert run(files, "prove", "log", "--event", audit_id(3), *heads) == 0
    (files / "proof").write_text(capsys.readouterr().out, encoding="utf-8")
    assert run(files, "check-proof", "proof", *heads) == 0
    assert "is row 3 of 12" in capsys.readouterr().out


def test_commands_end_with_1_when_tampered_with_and_2_when_unreadable(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (files / "log").read_text(encoding="utf-8")
    (files / "bad").write_text(text.replace("device-5", "device-6", 1), encoding="utf-8")
    (files / "cut").write_text(text[: len(text) // 2], encoding="utf-8")

    assert run(files, "verify", "bad") == 1
    assert audit_id(5) in capsys.readouterr().err
    assert run(files, "verify", "cut") == 2
    assert run(files, "verify", "nothing") == 2


@pytest.mark.parametrize("last", ['{"tenant_id": "', '{"tenant_id": "t"}', "[" * 100_000, "7"])
def test_file_of_heads_that_is_not_whole_is_no_sign_of_tampering(
    files: Path, capsys: pytest.CaptureFixture[str], last: str
) -> None:
    with (files / "heads").open("a", encoding="utf-8") as heads:
        heads.write(last)

    assert run(files, "verify", "log", "--head", str(files / "heads")) == 2
    assert "copy it again" in capsys.readouterr().err
