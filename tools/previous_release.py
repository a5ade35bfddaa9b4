"""Run the previous release's database tests on this schema: what expands leaves them green, what contracts does not.

`python tools/previous_release.py [REF] [--repository PATH]`; REF is the newest tag unless it is given, and without a
tag there is nothing to prove.  The release's tree is unpacked below a temporary folder, `db/` is replaced by
ours, and its own tests run against its own code, also what they start as programs.  Tests about that release's schema
itself are left out: it is not that one any more.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
#: Where the old code meets the database; what is not there in a release is left out.
TESTS = ("services", "libs/common/tests", "tests/database")
ABOUT_ITS_OWN_SCHEMA = (
    "libs/common/tests/test_schema_files.py",
    "libs/common/tests/test_isolation_of_tables.py",
    "libs/common/tests/test_isolation_mutations.py",
    "libs/common/tests/test_migrations.py",
)


def git(repository: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603 -- git, and a ref of the person's


def newest_tag(repository: Path) -> str | None:
    tags = git(repository, "tag", "--sort=-version:refname", "--merged", "HEAD").decode().split()
    return tags[0] if tags else None


def unpack(repository: Path, ref: str, into: Path) -> None:
    """Put the tree of ``ref`` below ``into``, with our ``db/`` in the place of its own."""
    with tarfile.open(fileobj=BytesIO(git(repository, "archive", ref))) as archive:
        archive.extractall(into, filter="data")
    shutil.rmtree(into / "db", ignore_errors=True)
    shutil.copytree(repository / "db", into / "db")


def make_python(tree: Path) -> Path:
    """Make an interpreter that finds the release's folders before whatever is installed here.

    An environment variable would not do: tests start services with an environment of their own.
    """
    sources = sorted(str(path) for path in tree.glob("**/src") if path.is_dir())
    home = tree / ".python"
    venv.create(home, symlinks=True)
    (packages,) = home.glob("lib/python*/site-packages")
    installed = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
    (packages / "release.pth").write_text("\n".join([*sources, installed]))
    for tool in Path(sys.executable).parent.iterdir():
        if not (home / "bin" / tool.name).exists():
            (home / "bin" / tool.name).symlink_to(tool)
    return home / "bin" / "python"


def run_tests(tree: Path) -> int:
    """Run the release's tests on its own code."""
    tests = [name for name in TESTS if (tree / name).is_dir()]
    ignored = [f"--ignore={name}" for name in ABOUT_ITS_OWN_SCHEMA]
    python = str(make_python(tree))
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ignored, *tests]
    return subprocess.run(command, check=False, cwd=tree).returncode  # noqa: S603 -- the tests of this repository


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("ref", nargs="?", help="the release; by default the newest tag")
    parser.add_argument("--repository", type=Path, default=ROOT)
    given = parser.parse_args(arguments)
    ref = given.ref or newest_tag(given.repository)
    if ref is None:
        print("no release is tagged yet, so there is none that this schema could break")
        return 0
    with tempfile.TemporaryDirectory(prefix="pulse-release-") as folder:
        tree = Path(folder)
        tree.chmod(0o755)  # its tests start PostgreSQL, as another user when this one is root
        unpack(given.repository, ref, tree)
        failed = run_tests(tree)
    print(f"the tests of {ref} {'FAIL' if failed else 'pass'} on this schema")
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
