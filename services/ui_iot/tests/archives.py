"""Reads an archive as whoever took it would: the manifest, and each table's rows, checked against it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Taken:
    manifest: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]
    parts: list[tuple[str, int]]
    """Each part's name and its size, unpacked."""


def read(content: bytes) -> Taken:
    """Unpack, and check every count and hash; an archive without a manifest is not whole."""
    unpacked: dict[str, bytes] = {}
    parts: list[tuple[str, int]] = []
    manifest: dict[str, Any] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            if member.name == "manifest.json":
                manifest = json.loads(file.read())
                continue
            table, _, part = member.name.partition("/")
            assert part.endswith(".jsonl.gz")
            lines = gzip.decompress(file.read())
            parts.append((member.name, len(lines)))
            unpacked[table] = unpacked.get(table, b"") + lines
    assert manifest, "the archive is not whole"
    tables = {name: unpacked.get(name, b"") for name in manifest["tables"]}
    assert set(unpacked) <= set(tables)
    for name, lines in tables.items():
        said = manifest["tables"][name]
        assert said["sha256"] == hashlib.sha256(lines).hexdigest(), name
        assert said["rows"] == lines.count(b"\n"), name
    return Taken(
        manifest,
        {name: [json.loads(line) for line in lines.splitlines()] for name, lines in tables.items()},
        parts,
    )
