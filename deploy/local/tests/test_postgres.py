"""The embedded PostgreSQL, for real: it starts, keeps its data, asks for passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from pulse_local.database import create_database, database_url, set_login_passwords
from pulse_local.environments import minimal
from pulse_local.leftovers import Registry
from pulse_local.postgres import postgres_command, superuser_url
from pulse_local.processes import Part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pulse_local.ports import Ports

PASSWORD = "s0123456789abcdef"


@pytest.fixture
def postgres(folder: Path, ports: Ports) -> Iterator[Part]:
    command = postgres_command(
        cluster=folder / "postgres",
        port=ports.postgres,
        password=PASSWORD,
        environment=minimal(),
    )
    part = Part(command, logs=folder / "logs", registry=Registry(folder / "run" / "parts.json"))
    part.start()
    yield part
    part.stop()


def test_data_survives_stop_kill_and_restart(postgres: Part, ports: Ports) -> None:
    url = superuser_url(PASSWORD, ports.postgres)
    create_database(url)
    with psycopg.connect(superuser_url(PASSWORD, ports.postgres, "pulse")) as connection:
        connection.execute("create table kept as select 7 as number")

    postgres.kill()
    postgres.start()
    postgres.restart()
    create_database(url)

    with psycopg.connect(superuser_url(PASSWORD, ports.postgres, "pulse")) as connection:
        assert connection.execute("select number from kept").fetchone() == (7,)
        # No socket file, and nothing but the loopback.
        assert connection.execute("show unix_socket_directories").fetchone() == ("",)
        assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)


def test_nobody_enters_without_the_right_password(postgres: Part, ports: Ports) -> None:
    for password in ("", "wrong"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(superuser_url(password, ports.postgres))


def test_login_gets_its_password_and_it_stays_out_of_the_log(postgres: Part, ports: Ports) -> None:
    url = superuser_url(PASSWORD, ports.postgres)
    hostile = "it's; drop role svc_test; --"
    with psycopg.connect(url) as connection:
        connection.execute("create role svc_test")

    set_login_passwords(url, {"svc_test": hostile})
    set_login_passwords(url, {"svc_test": "sfeed"})

    with psycopg.connect(database_url("svc_test", "sfeed", ports.postgres, "postgres")) as found:
        assert found.execute("select current_user").fetchone() == ("svc_test",)
    assert "sfeed" not in postgres.log.read_text()
