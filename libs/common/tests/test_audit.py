"""What the audit log takes, and what it never shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from pulse_common import audit
from pulse_common.audit_actions import ACTIONS, Action, UnknownAction
from pulse_common.audit_redaction import REDACTED, clean, to_json
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.parts import Postgres

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    yield database
    await database.close()


def test_an_action_that_is_not_in_the_catalogue_is_refused() -> None:
    with pytest.raises(UnknownAction, match=r"device\.explode"):
        audit.Act(
            actor_kind="user",
            actor_id="alice",
            action=cast("Action", "device.explode"),
            object_kind="device",
            object_id="1",
        )


def test_every_action_reads_noun_verb() -> None:
    assert [action for action in ACTIONS if not re.fullmatch(r"[a-z_]+\.[a-z_]+", action)] == []


def test_rows_are_written_in_the_shared_library_alone() -> None:
    writers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("libs", "services")
        for path in (ROOT / folder).glob("*/src/**/*.py")
        if "INSERT INTO audit_log" in path.read_text()
    }

    assert writers <= {
        "libs/common/src/pulse_common/audit.py",
        "libs/common/src/pulse_common/audit_observe.py",
        "libs/common/src/pulse_common/tenancy.py",
    }


def test_secrets_do_not_enter_the_log_at_any_depth() -> None:
    shown = json.loads(
        to_json(
            {
                "name": "Lamp",
                "client_secret": "s1",
                "nested": {"api_key": "s2", "inner": [{"password": "s3"}, {"token": "s4"}]},
                "token_id": "harmless",
                "tokens": 3,
                "public_key": "harmless",
            }
        )
    )

    assert shown == {
        "name": "Lamp",
        "client_secret": REDACTED,
        "nested": {
            "api_key": REDACTED,
            "inner": [{"password": REDACTED}, {"token": REDACTED}],
        },
        "token_id": "harmless",
        "tokens": 3,
        "public_key": "harmless",
    }


def test_what_no_text_column_holds_is_replaced() -> None:
    assert clean("a\x00b\udc80c") == "a\ufffdb?c"
    assert json.loads(to_json({"n\x00": ["\x00", uuid4()]}))["n\ufffd"][0] == "\ufffd"


async def test_a_change_tells_before_and_after_without_its_secrets(
    database: Database, superuser: psycopg.Connection
) -> None:
    tenant, device = TenantId(uuid4()), str(uuid4())
    act = audit.Act(
        actor_kind="user",
        actor_id="alice",
        action="device.rename",
        object_kind="device",
        object_id=device,
        reason="a\x00b",
        user_agent="curl/8",
        before={"name": "Lamp", "password": "old"},
        after={"name": "Lantern", "password": "new"},
    )

    async with database.tenant_connection(tenant) as tx:
        await audit.record(tx, act)

    assert superuser.execute(
        "SELECT tenant_id, reason, user_agent, before, after, details FROM audit_log WHERE object_id = %s",
        [device],
    ).fetchone() == (
        tenant,
        "a\ufffdb",
        "curl/8",
        {"name": "Lamp", "password": REDACTED},
        {"name": "Lantern", "password": REDACTED},
        {},
    )


@pytest.mark.parametrize(("column", "value"), [("xid", "5"), ("service", "svc_cert_worker")])
def test_no_role_says_which_transaction_or_login_wrote_a_row(
    superuser: psycopg.Connection, column: str, value: str
) -> None:
    writers = superuser.execute(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'pulse\\_%' AND rolname <> 'pulse_owner'"
        "   AND has_column_privilege(oid, 'audit_log', 'action', 'INSERT')"
    ).fetchall()
    statement = sql.SQL(
        "INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id, outcome,"
        " {column}) VALUES (gen_random_uuid(), gen_random_uuid(), 'user', 'a', 'page.view', 'page', '/', 'success',"
        " {value})"
    ).format(column=sql.Identifier(column), value=value)

    for (writer,) in writers:
        with superuser.transaction(force_rollback=True):
            superuser.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(writer)))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                superuser.execute(statement)
    assert len(writers) >= 10
