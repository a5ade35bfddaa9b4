"""Where the database is: PULSE_ADMIN_DATABASE_URL, a login that may read the catalogue."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from pulse_common import settings

if TYPE_CHECKING:
    from collections.abc import Iterator


class AdminSettings(BaseSettings):
    """The URL is a secret, so it comes from the environment: arguments are seen by everybody on the machine."""

    pulse_admin_database_url: SecretStr


def database_url() -> str:
    """Return the URL.

    Raises:
        SettingsError: it is not set.
    """
    return settings.load(AdminSettings).pulse_admin_database_url.get_secret_value()


@contextmanager
def connected() -> Iterator[psycopg.Connection]:
    """Yield a connection in which every statement stands for itself."""
    with psycopg.connect(
        database_url(), autocommit=True, application_name="pulse-admin"
    ) as connection:
        yield connection
