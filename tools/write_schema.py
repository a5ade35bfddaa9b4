"""Write db/schema.sql and db/access.txt: what all migrations add up to, for a reviewer to read (`make schema`)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.parts import ROOT, running_postgres

from pulse_common.migrations import access
from pulse_local.postgres_binaries import binary

# What differs from one run, or one version of pg_dump, to the next.
_PASSING = ("--", "SET ", "SELECT pg_catalog.", "\\restrict", "\\unrestrict")


def schema(url: str) -> str:
    """Return the schema of a freshly migrated database."""
    dump = subprocess.run(  # noqa: S603 -- the arguments are this module's own
        [str(binary("pg_dump")), "--schema-only", "--no-comments", f"--dbname={url}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = [line.rstrip() for line in dump.splitlines() if not line.startswith(_PASSING)]
    text = "\n".join(lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.strip() + "\n"


def facts(url: str) -> str:
    with psycopg.connect(url) as connection:
        return "\n".join(access(connection)) + "\n"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="pulse-schema-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when this one is root
    try:
        with running_postgres(folder) as cluster:
            (ROOT / "db" / "schema.sql").write_text(schema(cluster.superuser))
            (ROOT / "db" / "access.txt").write_text(facts(cluster.superuser))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
