"""Cut a stream of bytes into lines of bounded length."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 65_536


def lines_of(read: Callable[[int], bytes | None], *, longest: int) -> Iterator[bytes | None]:
    """Yield each line without its end; None for one longer than `longest` bytes.

    `read` is that of an unbuffered stream: it returns what there is, and nothing at the end. The
    last line may lack its end.
    """
    rest = b""
    overlong = False
    while chunk := read(CHUNK):
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield None if overlong or len(line) > longest else line
            overlong = False
        if len(rest) > longest:
            # Forget the content but not that the line is still going on.
            overlong, rest = True, b""
    if rest or overlong:
        yield None if overlong else rest
