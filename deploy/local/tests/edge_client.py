"""Two clients that send exactly the request line they are given, as an attacker would: HTTP/1.1 and HTTP/2.

Ordinary clients tidy paths up before they send them, which is what these tests are about.
"""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _SETTINGS, _CONTINUATION = 1, 4, 9
_END_STREAM, _END_HEADERS, _ACK, _PADDED_OR_PRIORITY = 0x1, 0x4, 0x1, 0x28
# RFC 7541, appendix A: the statuses that have an index of their own.
_INDEXED_STATUS = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}


@dataclass(frozen=True, kw_only=True)
class Edge:
    """Where the edge is and which CA vouches for it."""

    port: int
    ca: Path
    host: str

    def connect(self, protocol: str) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.ca)
        context.set_alpn_protocols([protocol])
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(plain, server_hostname="localhost")


def http1(
    edge: Edge, target: str, *, method: str = "GET", lines: Sequence[str] = (), body: bytes = b""
) -> bytes:
    """Send one request and return the whole answer, head and body."""
    head = [f"{method} {target} HTTP/1.1", f"Host: {edge.host}", "Connection: close", *lines]
    with edge.connect("http/1.1") as connection:
        return exchange(connection, "\r\n".join(head).encode() + b"\r\n\r\n" + body)


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """Write, then read until the other side closes; a reset after an early refusal is an end, too."""
    answer = b""
    try:
        connection.sendall(request)
        while chunk := connection.recv(65_536):
            answer += chunk
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
        pass
    return answer


def status_of(answer: bytes) -> int:
    """Read the status of an HTTP/1.1 answer; 0 when the connection was closed without one."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def http2_status(edge: Edge, target: str, headers: Sequence[tuple[str, str]] = ()) -> int:
    """GET `target` by HTTP/2 and return the status; 0 when the stream or connection was refused."""
    block = b"".join(
        _literal(name, value)
        for name, value in (
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", edge.host),
            (":path", target),
            *headers,
        )
    )
    request = _PREFACE + _frame(_SETTINGS, 0, 0, b"") + _headers(block)
    with edge.connect("h2") as connection:
        assert connection.selected_alpn_protocol() == "h2"
        connection.sendall(request)
        while True:
            kind, flags, payload = _read_frame(connection)
            if kind == _SETTINGS and not flags & _ACK:
                connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            if kind == _HEADERS:
                assert not flags & _PADDED_OR_PRIORITY
                return _status(payload)
            if kind in {3, 7}:  # RST_STREAM, GOAWAY
                return 0


def _status(block: bytes) -> int:
    while block[0] & 0xE0 == 0x20:  # a change of the table's size
        block = block[1:]
    if block[0] in _INDEXED_STATUS:
        return _INDEXED_STATUS[block[0]]
    # A literal whose name is the static table's :status (8 to 14); three digits, Huffman-coded or not.
    assert block[0] & 0x3F in range(8, 15) or block[0] & 0x0F in range(8, 15)
    length = block[1] & 0x7F
    value = block[2 : 2 + length]
    return _digits(value) if block[1] & 0x80 else int(value)


def _digits(coded: bytes) -> int:
    """Decode Huffman-coded digits: 0 to 2 have five bits, 3 to 9 six (RFC 7541, appendix B)."""
    bits = "".join(f"{byte:08b}" for byte in coded)
    five = {f"{number:05b}": str(number) for number in range(3)}
    six = {f"{0x19 + number - 3:06b}": str(number) for number in range(3, 10)}
    digits = ""
    while len(digits) < len("404"):
        size = 5 if bits[:5] in five else 6
        digits += five.get(bits[:5]) or six[bits[:6]]
        bits = bits[size:]
    return int(digits)


def _literal(name: str, value: str) -> bytes:
    """Give a header as a literal that is never indexed, with lengths under 127."""
    return b"\x10" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))


def _headers(block: bytes) -> bytes:
    """Split a block into a HEADERS frame and as many CONTINUATIONs as its size needs."""
    parts = [block[start : start + 16_000] for start in range(0, len(block), 16_000)]
    frames = [
        _frame(_CONTINUATION if number else _HEADERS, 0 if number else _END_STREAM, 1, part)
        for number, part in enumerate(parts[:-1])
    ]
    flags = _END_HEADERS if frames else _END_HEADERS | _END_STREAM
    return b"".join([*frames, _frame(_CONTINUATION if frames else _HEADERS, flags, 1, parts[-1])])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + struct.pack(">I", stream)
        + payload
    )


def _read_frame(connection: ssl.SSLSocket) -> tuple[int, int, bytes]:
    head = _read(connection, 9)
    return head[3], head[4], _read(connection, int.from_bytes(head[:3]))


def _read(connection: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("the edge closed the connection")
        data += chunk
    return data
