"""Compare Stripe, the database and the limits once, repair and report: ``python -m billing_webhooks.reconcile``."""

from __future__ import annotations

import asyncio
import json
import sys

from billing_webhooks.app import NAME, build, load_plans
from billing_webhooks.settings import Settings
from pulse_common import logs
from pulse_common.errors import Unavailable
from pulse_common.settings import SettingsError, load
from pulse_common.tenancy import Database

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
EXIT_AGAIN = 75  # EX_TEMPFAIL


async def run(settings: Settings) -> int:
    database = Database(settings.database_url.get_secret_value(), name=f"{NAME} reconcile")
    await database.open()
    try:
        made = build(database, settings, await load_plans(database, settings))
        try:
            report = await made.reconciler.run_once()
        finally:
            await made.close()
    except Unavailable as error:
        print(f"not reconciled: {error.message}", file=sys.stderr)  # noqa: T201 -- a command
        return EXIT_AGAIN
    finally:
        await database.close()
    if report is None:
        print("not reconciled: a run is under way", file=sys.stderr)  # noqa: T201
        return EXIT_AGAIN
    answer = {
        "checked": report.checked,
        "backfilled": report.backfilled,
        "findings": [finding.model_dump(mode="json") for finding in report.findings],
    }
    print(json.dumps(answer, indent=2))  # noqa: T201
    return 0


def main() -> int:
    try:
        settings = load(Settings)
        logs.configure(NAME, "ERROR")
        return asyncio.run(run(settings))
    except SettingsError as error:
        print(f"{NAME} cannot reconcile: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main())
