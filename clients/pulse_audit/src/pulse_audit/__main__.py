"""The command line: verify an export, prove one event of it, check such a proof."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pulse_audit.errors import AuditError, Unreadable
from pulse_audit.heads import newest_head, open_head, read_key
from pulse_audit.proofs import check, prove
from pulse_audit.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from pulse_audit.heads import Head


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when all is sound, 1 when something was tampered with, 2 when nothing could be checked."""
    given = _parser().parse_args(arguments)
    try:
        sys.stdout.write(given.run(given))
    except AuditError as error:
        sys.stderr.write(f"pulse-audit: {error}\n")
        return error.exit_code
    except (OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"pulse-audit: {error}\n")
        return Unreadable.exit_code
    return 0


def _verify(given: argparse.Namespace) -> str:
    key = read_key(given.key)
    outside = _head(given, key)
    with given.export.open(encoding="utf-8", newline="\n") as lines:
        report = Verifier(key, outside).verify(lines)
    told = [
        f"tenant {report.tenant_id}: {report.sealed} rows are as they were sealed",
        f"{report.expired} of them were dropped by retention, as sealed tombstones say",
        f"{report.unsealed} newer rows are not sealed yet",
        f"{report.late} rows came more than a day after the time that they tell",
        *report.notices,
    ]
    if report.head is not None:
        told.append(f"sealed up to {report.head.sealed_at.isoformat()}")
    if outside is None:
        told.append("no outside head was given: a cut tail would not be found")
    return "\n".join(told) + "\n"


def _prove(given: argparse.Namespace) -> str:
    key = read_key(given.key)
    with given.export.open(encoding="utf-8", newline="\n") as lines:
        return prove(lines, key, given.event, _head(given, key)) + "\n"


def _check(given: argparse.Namespace) -> str:
    key = read_key(given.key)
    proven = check(given.proof.read_text(encoding="utf-8"), key, _head(given, key))
    shown = json.dumps(proven.row, ensure_ascii=False, indent=1)
    size = proven.head.tree_size
    return f"{shown}\nis row {proven.position} of {size}, sealed by {proven.head.sealed_at.isoformat()}\n"


def _head(given: argparse.Namespace, key: Ed25519PublicKey) -> Head | None:
    """Read the outside head: one signed note, or a file of heads (JSON lines), of which the tenant's last counts."""
    if given.head is None:
        return None
    text = given.head.read_text(encoding="utf-8")
    if not text.startswith("{"):
        return open_head(text, key)
    return newest_head(text.splitlines(), given.tenant, key)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pulse-audit", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    verify = commands.add_parser("verify", help="check a sealed export")
    verify.add_argument("export", type=Path)
    verify.set_defaults(run=_verify)
    make = commands.add_parser("prove", help="make the proof of one event")
    make.add_argument("export", type=Path)
    make.add_argument("--event", required=True, metavar="AUDIT_ID")
    make.set_defaults(run=_prove)
    proof = commands.add_parser("check-proof", help="check such a proof")
    proof.add_argument("proof", type=Path)
    proof.set_defaults(run=_check)
    for command in (verify, make, proof):
        command.add_argument("--key", required=True, type=Path, help="the sealer's public key, PEM")
        command.add_argument("--head", type=Path, help="a head that was kept outside the database")
        command.add_argument("--tenant", help="whose head, when the file holds several tenants'")
    return parser


if __name__ == "__main__":
    sys.exit(main())
