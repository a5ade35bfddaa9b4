"""A sealed log made by hand, from the specification: what a test then alters as somebody with the database could."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse_audit.heads import key_id
from pulse_audit.merkle import Tree
from pulse_audit.rows import hash_of

TENANT = "11111111-1111-4111-8111-111111111111"
BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key()

Row = dict[str, str | None]


def audit_id(number: int) -> str:
    return f"019b0000-0000-7000-8000-{number:012d}"


def row(number: int, **changed: str | None) -> Row:
    made: Row = {
        "tenant_id": TENANT,
        "audit_id": audit_id(number),
        "at": "2026-01-01T12:00:00.000000Z",
        "service": "svc_ui_iot",
        "actor_kind": "user",
        "actor_id": "alice",
        "action": "device.rename",
        "object_kind": "device",
        "object_id": f"device-{number}",
        "outcome": "success",
        "reason": None,
        "address": "192.0.2.1",
        "user_agent": 'curl/8 "é" \\ 🙂',
        "request_id": None,
        "before": '{"name": "Lamp"}',
        "after": '{"name": "Lantern"}',
        "details": "{}",
    }
    return {**made, **changed}


def sign(body: str, key: Ed25519PrivateKey = KEY) -> str:
    signature = base64.b64encode(key_id(key.public_key()) + key.sign(body.encode())).decode()
    return f"{body}\n\u2014 pulse.audit {signature}\n"


@dataclass
class Batch:
    rows: list[Row]
    hashes: list[bytes]
    ids: list[str]
    note: str


@dataclass
class Log:
    """``batches`` may be altered at will; ``reseal`` computes everything anew with a key."""

    batches: list[Batch] = field(default_factory=list)
    unsealed: list[Row] = field(default_factory=list)

    def seal(self, rows: list[Row], at: datetime | None = None) -> None:
        self.batches.append(
            Batch(rows, [hash_of(r) for r in rows], [str(r["audit_id"]) for r in rows], "")
        )
        self._sign(len(self.batches) - 1, KEY, at)

    def reseal(self, key: Ed25519PrivateKey) -> None:
        for index, batch in enumerate(self.batches):
            batch.hashes = [hash_of(r) for r in batch.rows]
            batch.ids = [str(r["audit_id"]) for r in batch.rows]
            self._sign(index, key, None)

    def _sign(self, index: int, key: Ed25519PrivateKey, at: datetime | None) -> None:
        tree = Tree()
        for batch in self.batches[: index + 1]:
            tree.extend(batch.hashes)
        previous = "0" * 64
        if index:
            body = self.batches[index - 1].note.rpartition("\n\n")[0] + "\n"
            previous = sha256(body.encode()).hexdigest()
        time = (at or BEGAN + timedelta(seconds=index)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        root = base64.b64encode(tree.root()).decode()
        self.batches[index].note = sign(
            f"pulse.audit/{TENANT}\n{tree.size}\n{root}\nbatch {index}\nprevious {previous}\ntime {time}\n",
            key,
        )

    def lines(self) -> list[str]:
        parts: list[dict[str, Any]] = [{"format": "pulse-audit-export/1", "tenant_id": TENANT}]
        for index, batch in enumerate(self.batches):
            seal = {
                "batch": index,
                "note": batch.note,
                "leaf_hashes": base64.b64encode(b"".join(batch.hashes)).decode(),
                "audit_ids": batch.ids,
            }
            parts += [{"seal": seal}, *({"row": r} for r in batch.rows)]
        parts += [{"unsealed": r} for r in self.unsealed]
        return [json.dumps(part, ensure_ascii=False) + "\n" for part in [*parts, {"end": {}}]]


def three_batches() -> Log:
    log = Log()
    for batch in range(3):
        log.seal([row(batch * 4 + number) for number in range(4)])
    return log
