"""An HTTP/1.1 client that hides nothing: what was sent, what came, and how the reply ended."""

import contextlib
import socket
from dataclasses import dataclass, field


@dataclass
class Reply:
    status: int
    headers: list  # (lower-case name, value), in order
    body: bytes = b""  # without the framing
    chunks: list = field(default_factory=list)
    end: str = ""  # "length", "chunked", "eof" (close-delimited) or "cut"
    raw: bytes = b""

    def header(self, name):
        """The value of a header that occurs once, or None."""
        values = [v for n, v in self.headers if n == name.lower()]
        assert len(values) <= 1, f"{name} occurs {len(values)} times"
        return values[0] if values else None

    @property
    def json(self):
        import json

        return json.loads(self.body)


class Client:
    """One connection. Every read has a timeout; CutError says what had come when the peer broke off."""

    def __init__(self, port, timeout=10.0, host="127.0.0.1"):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in = bytearray()
        self._all = bytearray()
        self._eof = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with a reset."""
        import struct

        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        """False at the end."""
        if self._eof:
            return False
        try:
            data = self.sock.recv(262144)
        except ConnectionResetError:
            data = b""
        self._eof = not data
        self._in += data
        self._all += data
        return bool(data)

    def _take(self, n):
        data = bytes(self._in[:n])
        del self._in[:n]
        return data

    def read_head(self):
        """The next head as a Reply without body; interim replies come as their own."""
        self._all.clear()
        self._all += self._in
        while b"\r\n\r\n" not in self._in:
            if not self._more():
                raise EOFError(f"no reply, only {bytes(self._in)!r}")
        text = self._take(self._in.index(b"\r\n\r\n") + 4).decode("latin-1")
        line, *rest = text[:-4].split("\r\n")
        version, status, _ = (line + " ").split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), line
        headers = [(n.lower(), v.strip()) for n, _, v in (r.partition(":") for r in rest)]
        return Reply(int(status), headers)

    def pieces(self, reply):
        """Body pieces as they come: whole chunks, else whatever was read. Sets reply.end."""
        if reply.header("transfer-encoding") == "chunked":
            while True:
                while b"\r\n" not in self._in:
                    if not self._more():
                        reply.end = "cut"
                        return
                size = int(bytes(self._in[: self._in.index(b"\r\n")]), 16)
                self._take(self._in.index(b"\r\n") + 2)
                while len(self._in) < size + 2:
                    if not self._more():
                        reply.end = "cut"
                        return
                data = self._take(size)
                assert self._take(2) == b"\r\n"
                if size == 0:
                    reply.end = "chunked"
                    return
                yield data
        elif (length := reply.header("content-length")) is not None:
            left = int(length)
            while left:
                if not self._in and not self._more():
                    reply.end = "cut"
                    return
                data = self._take(min(left, len(self._in)))
                left -= len(data)
                yield data
            reply.end = "length"
        elif reply.status < 200 or reply.status in (204, 304):
            reply.end = "length"
        else:
            while self._in or self._more():
                yield self._take(len(self._in))
            reply.end = "eof"

    def read_reply(self, no_body=False):
        """The next final reply, whole."""
        reply = self.read_head()
        while reply.status < 200:
            reply = self.read_head()
        if not no_body:
            for piece in self.pieces(reply):
                reply.chunks.append(piece)
        reply.body = b"".join(reply.chunks)
        reply.raw = bytes(self._all)
        return reply

    def at_end(self, timeout=5.0):
        """True when the peer closes within `timeout` without sending more."""
        self.sock.settimeout(timeout)
        with contextlib.suppress(TimeoutError):
            return not self._in and not self._more()
        return False


def request(method, path, key=None, body=None, headers=()):
    """The bytes of a request; `headers`: pairs. No Content-Length when the caller frames the body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: weir"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    lines += [f"{n}: {v}" for n, v in headers]
    if body is not None:
        names = {n.lower() for n, _ in headers}
        if "content-type" not in names:
            lines.append("Content-Type: application/json")
        if not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def call(port, method, path, key=None, body=None, headers=(), timeout=10.0):
    """One request on a connection of its own."""
    with Client(port, timeout) as c:
        c.send(request(method, path, key, body, headers))
        return c.read_reply(no_body=method == "HEAD")
